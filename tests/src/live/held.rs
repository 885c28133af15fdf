//! Thousands of requests that wait for the same part, each on a connection of its own, and when
//! each of them was answered.

use super::player::HOST;
use super::wire::Wire;
use crate::crowd::runtime;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Requests that were sent and are not answered.
#[derive(Debug)]
pub struct Waiting {
    wires: Vec<Wire>,
    runtime: Runtime,
}

/// What one of them got.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// Which target it asked for, by its place in the list.
    pub target: usize,
    /// The status; 0 if there was none.
    pub status: u16,
    /// When the first byte was there.
    pub at: Instant,
}

/// So many connections are made at a time.
const DIALING: usize = 128;

impl Waiting {
    /// Makes so many connections to an edge.
    pub fn connect(edge: SocketAddr, count: usize) -> std::io::Result<Self> {
        let runtime = runtime();
        let wires = runtime.block_on(async {
            let dialing = Arc::new(Semaphore::new(DIALING));
            let mut tasks = JoinSet::new();
            for _ in 0..count {
                let dialing = Arc::clone(&dialing);
                tasks.spawn(async move {
                    let _permit = dialing.acquire().await;
                    Wire::connect(edge).await
                });
            }
            tasks.join_all().await.into_iter().collect::<std::io::Result<Vec<Wire>>>()
        })?;
        Ok(Self { runtime, wires })
    }

    /// Asks on all connections, spread over these targets.
    pub fn ask(&mut self, targets: &[String]) -> std::io::Result<()> {
        let Self { runtime, wires } = self;
        runtime.block_on(async {
            for (number, wire) in wires.iter_mut().enumerate() {
                let target = &targets[number % targets.len()];
                let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
                wire.send(request.as_bytes()).await?;
            }
            Ok(())
        })
    }

    /// Has `release` called once all connections are listened at, and gives what each got of these
    /// many targets.
    pub fn answers(&mut self, targets: usize, release: impl FnOnce()) -> Vec<Answered> {
        let wires = std::mem::take(&mut self.wires);
        let (wires, answers) = self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for (number, mut wire) in wires.into_iter().enumerate() {
                tasks.spawn(async move {
                    let got = wire.answer().await;
                    let (status, at) = got
                        .map_or_else(|_| (0, Instant::now()), |got| (got.status, got.first_byte));
                    (number, wire, Answered { target: number % targets, status, at })
                });
            }
            // Each of them has been at its connection once.
            tokio::task::yield_now().await;
            release();
            let mut all = tasks.join_all().await;
            all.sort_by_key(|(number, ..)| *number);
            all.into_iter()
                .map(|(_, wire, answered)| (wire, answered))
                .unzip::<_, _, Vec<_>, Vec<_>>()
        });
        self.wires = wires;
        answers
    }
}
