//! Who may stay when the house of a worker is full: a newcomer takes the seat of the connection
//! that has done nothing useful for longest, which is aborted.
//!
//! Refusing the newcomer would let a few clients that connect and say nothing shut everybody out
//! for as long as an idle connection may last. What counts is not bytes but what the handler calls
//! useful ([`Seat::touch`]): one that sends a byte a second ages like one that sends none. An
//! honest client that is asked to leave between two questions connects again (RFC 7766 6.2.4); one
//! whose question is under way has asked it lately. So whoever would keep others out must ask as
//! fast as they do.
//!
//! One client (an IPv4 address, an IPv6 /64) may be held to a share: beyond it, its own newcomers
//! are refused.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::AbortHandle;

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShareTaken;

/// The seats of one worker.
#[derive(Debug)]
pub(crate) struct Seats {
    number: usize,
    share: usize,
    /// The longest without use first. A connection has no handle until its task is made.
    by_use: RefCell<BTreeMap<u64, Option<AbortHandle>>>,
    next: Cell<u64>,
    by_client: RefCell<HashMap<IpAddr, usize>>,
    displaced: Arc<AtomicU64>,
}

/// A seat, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Rc<Seats>,
    order: Cell<u64>,
    client: IpAddr,
    active: Arc<AtomicU64>,
}

impl Seats {
    /// So many, at least one; a client gets no more than its share, if that is not 0. Counts those
    /// who had to leave.
    pub(crate) fn new(number: usize, share: usize, displaced: Arc<AtomicU64>) -> Rc<Self> {
        Rc::new(Self {
            number: number.max(1),
            share: if share == 0 { usize::MAX } else { share },
            by_use: RefCell::default(),
            next: Cell::new(0),
            by_client: RefCell::default(),
            displaced,
        })
    }

    /// A seat for a client, counted in `active` while it is taken.
    pub(crate) fn take(
        self: &Rc<Self>,
        peer: IpAddr,
        active: &Arc<AtomicU64>,
    ) -> Result<Seat, ShareTaken> {
        let client = client_of(peer);
        {
            let mut by_client = self.by_client.borrow_mut();
            let taken = by_client.get(&client).copied().unwrap_or(0);
            if taken >= self.share {
                return Err(ShareTaken);
            }
            by_client.insert(client, taken + 1);
        }
        if self.by_use.borrow().len() >= self.number {
            self.displace();
        }
        let order = self.next_order();
        self.by_use.borrow_mut().insert(order, None);
        active.fetch_add(1, Ordering::Relaxed);
        Ok(Seat { seats: self.clone(), order: Cell::new(order), client, active: active.clone() })
    }

    /// Names the task of a connection whose seat has this order.
    pub(crate) fn hold(&self, order: u64, task: AbortHandle) {
        if let Some(held) = self.by_use.borrow_mut().get_mut(&order) {
            *held = Some(task);
        }
    }

    /// Has the one leave that was of no use for longest.
    pub(crate) fn displace(&self) {
        let first = self.by_use.borrow_mut().pop_first();
        if let Some((_, Some(task))) = first {
            self.displaced.fetch_add(1, Ordering::Relaxed);
            // Its seat is dropped with its task, at the worker's next turn.
            task.abort();
        }
    }

    fn next_order(&self) -> u64 {
        let order = self.next.get();
        self.next.set(order + 1);
        order
    }
}

impl Seat {
    pub(crate) fn order(&self) -> u64 {
        self.order.get()
    }

    /// The connection did something useful: it is now the last that would have to leave.
    pub fn touch(&self) {
        let mut by_use = self.seats.by_use.borrow_mut();
        // One that has to leave is not there any more.
        if let Some(task) = by_use.remove(&self.order.get()) {
            let order = self.seats.next_order();
            by_use.insert(order, task);
            self.order.set(order);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.by_use.borrow_mut().remove(&self.order.get());
        let mut by_client = self.seats.by_client.borrow_mut();
        match by_client.get_mut(&self.client) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => drop(by_client.remove(&self.client)),
        }
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who counts as one client.
fn client_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn held(seats: &Rc<Seats>) -> Vec<u64> {
        seats.by_use.borrow().keys().copied().collect()
    }

    #[tokio::test]
    async fn a_newcomer_takes_the_seat_that_was_of_no_use_for_longest() {
        let (displaced, active) = (Arc::<AtomicU64>::default(), Arc::default());
        let seats = Seats::new(2, 0, displaced.clone());
        let tasks: Vec<_> = (0..3).map(|_| tokio::spawn(std::future::pending::<()>())).collect();
        let mut taken = Vec::new();
        for task in &tasks[..2] {
            let seat = seats.take(ip("192.0.2.1"), &active).expect("no share is set");
            seats.hold(seat.order(), task.abort_handle());
            taken.push(seat);
        }
        taken[0].touch();
        assert_eq!(held(&seats), [1, 2]);
        let third = seats.take(ip("192.0.2.1"), &active).expect("no share is set");
        assert_eq!((held(&seats), displaced.load(Ordering::Relaxed)), (vec![2, 3], 1));
        let mut tasks = tasks.into_iter();
        assert!(tasks.next().is_some_and(|first| !first.is_finished()));
        assert!(tasks.next().expect("three").await.is_err_and(|end| end.is_cancelled()));
        // Whoever has to leave cannot come back by being useful.
        taken[1].touch();
        assert_eq!((held(&seats), active.load(Ordering::Relaxed)), (vec![2, 3], 3));
        drop((taken, third));
        assert!(held(&seats).is_empty() && seats.by_client.borrow().is_empty());
        assert_eq!(active.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_client_gets_no_more_than_its_share() {
        let (displaced, active) = (Arc::default(), Arc::default());
        let seats = Seats::new(100, 2, displaced);
        let take = |from: &str| seats.take(ip(from), &active);
        let first = take("2001:db8::1").expect("its first");
        let _second = take("2001:db8::ffff:0:2").expect("its second, of the same /64");
        assert_eq!(take("2001:db8::3").err(), Some(ShareTaken));
        let _other = take("2001:db8:0:1::1").expect("another /64");
        let _v4 = take("::ffff:192.0.2.1").expect("another client");
        assert_eq!(seats.by_client.borrow().len(), 3);
        drop(first);
        assert!(take("2001:db8::3").is_ok());
    }
}
