//! What clients do to the node while it is waiting to be killed: they read small and large
//! objects, whole and in parts, give up half way, change objects, purge them, and judge all that
//! comes.

use super::judge::{Asked, Good, Question, judge};
use super::objects::{Object, Objects};
use super::random::Dice;
use crate::client::Client;
use crate::node::Node;
use crate::response::{ReadError, Response};
use rustix::process::Signal;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The host that everything is asked for under.
pub(super) const HOST: &str = "www.shop.test";
/// The name of the node.
pub(super) const NAME: &str = "edge-1";
const VISITORS: u64 = 4;

/// How a run of the node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// SIGKILL in the midst of it.
    Kill,
    /// SIGKILL at the moment at which a purge has been answered.
    KillAtPurge,
    /// SIGTERM: it writes its snapshot.
    Stop,
    /// SIGTERM, and SIGKILL while it ends.
    KillAtStop,
}

/// What was seen in all runs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: AtomicU64,
    pub(super) purges: AtomicU64,
    pub(super) cut_off: AtomicU64,
    pub(super) hits: AtomicU64,
}

/// One run of the node under load.
#[derive(Debug)]
pub(super) struct Load<'a> {
    pub(super) objects: &'a Objects,
    pub(super) tally: &'a Tally,
    pub(super) node: &'a Node,
    ending: Ending,
    /// After how many requests it ends.
    at: u64,
    done: AtomicU64,
    ended: AtomicBool,
    wrong: Mutex<Option<String>>,
}

impl<'a> Load<'a> {
    pub(super) fn new(
        objects: &'a Objects,
        tally: &'a Tally,
        node: &'a Node,
        ending: Ending,
        at: u64,
    ) -> Self {
        let (done, ended) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { objects, tally, node, ending, at, done, ended, wrong: Mutex::new(None) }
    }

    /// Asks for every object once, most large ones in part; gives how many the node answered by
    /// itself.
    pub(super) fn sweep(&self, dice: &Dice) -> Result<u64, String> {
        let mut visitor = Visitor::new(self, dice.fork(1000));
        let before = self.tally.hits.load(Ordering::Relaxed);
        for object in &self.objects.all {
            let asked = match object.is_large() && visitor.dice.chance(70) {
                true => visitor.part(object),
                false => Asked::Whole,
            };
            visitor.ask(object, asked)?;
        }
        Ok(self.tally.hits.load(Ordering::Relaxed) - before)
    }

    /// Runs the load until the node has been told to end.
    pub(super) fn run(&self, dice: &Dice) -> Result<(), String> {
        std::thread::scope(|scope| {
            for number in 0..VISITORS {
                let visitor = Visitor::new(self, dice.fork(number));
                scope.spawn(move || visitor.visit());
            }
        });
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        match self.ending {
            Ending::Kill | Ending::KillAtPurge => self.node.signal(Signal::KILL),
            Ending::Stop | Ending::KillAtStop => self.node.signal(Signal::TERM),
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

/// One client with its connection.
struct Visitor<'a> {
    load: &'a Load<'a>,
    dice: Dice,
    client: Option<Client>,
    /// The ETag it last saw of a path.
    seen: HashMap<String, String>,
}

impl<'a> Visitor<'a> {
    fn new(load: &'a Load<'a>, dice: Dice) -> Self {
        Self { load, dice, client: None, seen: HashMap::new() }
    }

    fn visit(mut self) {
        while !self.load.has_ended() {
            let mut result = self.act();
            if result.is_ok() && self.load.done.fetch_add(1, Ordering::SeqCst) + 1 == self.load.at {
                if self.load.ending == Ending::KillAtPurge {
                    result = self.purge();
                }
                self.load.end();
            }
            if let Err(wrong) = result {
                let mut first = self.load.wrong.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(wrong);
                self.load.ended.store(true, Ordering::SeqCst);
            }
        }
    }

    fn act(&mut self) -> Result<(), String> {
        let Objects { all, .. } = self.load.objects;
        let (small, large) = self.load.objects.by_size();
        // Those at the front come more often than those behind.
        let end = 1 + self.dice.below(small.len() as u64);
        let one = &small[usize::try_from(self.dice.below(end)).expect("an index is a usize")];
        let big = self.dice.pick(large);
        match self.dice.below(100) {
            0..52 => self.ask(one, Asked::Whole),
            52..56 => match self.seen.get(&one.path).cloned() {
                Some(etag) => self.ask(one, Asked::Changed(etag)),
                None => self.ask(one, Asked::Whole),
            },
            56..58 => {
                let asked = self.part(one);
                self.ask(one, asked)
            }
            58..63 => self.ask(big, Asked::Whole),
            63..84 => {
                let asked = self.part(big);
                self.ask(big, asked)
            }
            84..87 => self.give_up(big),
            87..91 => {
                let object = self.dice.pick(all);
                object.change();
                Ok(())
            }
            91..95 => {
                let object = if self.dice.chance(25) { big } else { one };
                self.write(object)
            }
            _ => self.purge(),
        }
    }

    /// Some range that every version of the object has.
    fn part(&mut self, object: &Object) -> Asked {
        let least = object.least_length();
        let first = self.dice.below(least);
        match self.dice.below(10) {
            0 => Asked::Suffix(1 + self.dice.below(least)),
            1 => Asked::Part(first, None),
            _ => Asked::Part(first, Some(first + self.dice.below(3 << 20))),
        }
    }

    /// One GET, judged.
    fn ask(&mut self, object: &Object, asked: Asked) -> Result<(), String> {
        let variant = match object.varies {
            true => *self.dice.pick(&["a", "b"]),
            false => "",
        };
        let kind = if object.varies { format!("X-Kind: {variant}\r\n") } else { String::new() };
        let path = &object.path;
        let fields = format!("{kind}{}", asked.fields());
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        let floor = object.floor();
        let question = Question { object, variant, asked, floor };
        let came = self.send(&request);
        if came.is_err() && self.load.has_ended() {
            return Ok(());
        }
        let shown = || format!("GET {path} ({})", fields.trim().replace("\r\n", ", "));
        if self.is_drain_refusal(&came) {
            return Ok(());
        }
        let good = judge(self.load.objects, &question, &came)
            .map_err(|wrong| format!("{}: {wrong}", shown()))?;
        if good == Good::CutOff {
            self.load.tally.cut_off.fetch_add(1, Ordering::Relaxed);
        }
        if let Ok(resp) = came {
            if resp.is_hit(NAME) {
                self.load.tally.hits.fetch_add(1, Ordering::Relaxed);
            }
            if let (false, Some(etag)) = (object.varies, resp.header("etag")) {
                self.seen.insert(path.clone(), etag.to_owned());
            }
        }
        Ok(())
    }

    /// A node that has been told to stop may refuse; one that was not may not.
    fn is_drain_refusal(&self, came: &Result<Response, ReadError>) -> bool {
        let stopping = matches!(self.load.ending, Ending::Stop | Ending::KillAtStop);
        let refused = came.as_ref().is_ok_and(|resp| resp.status == 503);
        stopping && refused && self.load.has_ended()
    }

    /// Asks for a large object and leaves after a part of it.
    fn give_up(&mut self, object: &Object) -> Result<(), String> {
        self.load.tally.requests.fetch_add(1, Ordering::Relaxed);
        let Ok(mut client) = Client::try_http(self.load.node.http()) else {
            return self.unless_ended("connecting", "refused");
        };
        client.send(format!("GET {} HTTP/1.1\r\nHost: {HOST}\r\n\r\n", object.path));
        for _ in 0..self.dice.below(40) {
            client.read_some();
        }
        if self.dice.chance(50) {
            client.reset();
        }
        Ok(())
    }

    /// An unsafe request: what is stored of the object is out of date (RFC 9111 4.4).
    fn write(&mut self, object: &Object) -> Result<(), String> {
        let version = object.change();
        let method = *self.dice.pick(&["POST", "PUT", "DELETE"]);
        let request = format!(
            "{method} {} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 3\r\n\r\nnew",
            object.path
        );
        match self.send(&request) {
            Ok(resp) if resp.status == 200 => {
                object.written_before(version);
                Ok(())
            }
            came => self.unless_ended(&format!("{method} {}", object.path), &said(&came)),
        }
    }

    /// A purge of some kind; what it covers changes first, so that what was there is recognised.
    fn purge(&mut self) -> Result<(), String> {
        let Objects { all, .. } = self.load.objects;
        let one = self.dice.pick(all);
        let covers: Box<dyn Fn(&Object) -> bool> = match self.dice.below(1000) {
            0..640 => Box::new(|object| object.path == one.path),
            640..900 => Box::new(|object| object.tag == one.tag),
            900..995 => Box::new(|object| object.path.starts_with("/vary/")),
            _ => Box::new(|_| true),
        };
        let covered: Vec<&Object> = all.iter().filter(|object| covers(object)).collect();
        let versions: Vec<u64> = covered.iter().map(|object| object.change()).collect();
        let soft = if self.dice.chance(30) { "Soft-Purge: 1\r\n" } else { "" };
        let (shown, came) = match covered.len() {
            1 => self.purge_by_method(&one.path, soft),
            count if count == all.len() => {
                let host = format!("\"host\": \"{HOST}\"");
                let ways = ["\"everything\": true", "\"site\": \"any\"", &host];
                let way = *self.dice.pick(&ways);
                self.purge_by_admin(soft, way)
            }
            _ if covered.iter().all(|object| object.varies) => {
                self.purge_by_admin(soft, &format!("\"prefix\": \"{HOST}/vary/\""))
            }
            _ if self.dice.chance(50) => {
                let tag = format!("\"site\": \"any\", \"tag\": \"{}\"", one.tag);
                self.purge_by_admin(soft, &tag)
            }
            _ => self.purge_by_method("/", &format!("{soft}Surrogate-Key: {}\r\n", one.tag)),
        };
        match came {
            Ok(resp) if resp.status == 200 => {
                self.load.tally.purges.fetch_add(1, Ordering::Relaxed);
                for (object, version) in covered.iter().zip(versions) {
                    object.purged_before(version);
                }
                Ok(())
            }
            came => self.unless_ended(&shown, &said(&came)),
        }
    }

    fn purge_by_method(
        &mut self,
        path: &str,
        fields: &str,
    ) -> (String, Result<Response, ReadError>) {
        let request = format!("PURGE {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        (format!("PURGE {path} {fields:?}"), self.send(&request))
    }

    fn purge_by_admin(&self, soft: &str, what: &str) -> (String, Result<Response, ReadError>) {
        let body = format!("{{{what}, \"soft\": {}}}", !soft.is_empty());
        let length = body.len();
        let request = format!(
            "POST /purge HTTP/1.1\r\nHost: admin.test\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let client = Client::try_http(self.load.node.admin());
        let came = client.map_err(|_| ReadError::Closed);
        (format!("purge {body}"), came.and_then(|mut client| client.try_request(&request)))
    }

    fn unless_ended(&self, what: &str, wrong: &str) -> Result<(), String> {
        if self.load.has_ended() { Ok(()) } else { Err(format!("{what}: {wrong}")) }
    }

    /// Sends on the connection that is there, or on a new one if the node has closed it meanwhile.
    fn send(&mut self, request: &str) -> Result<Response, ReadError> {
        self.load.tally.requests.fetch_add(1, Ordering::Relaxed);
        if let Some(mut client) = self.client.take() {
            match client.try_request(request) {
                Err(ReadError::Closed) => {}
                came => return self.keep(client, came),
            }
        }
        let mut client = Client::try_http(self.load.node.http()).map_err(|_| ReadError::Closed)?;
        let came = client.try_request(request);
        self.keep(client, came)
    }

    fn keep(
        &mut self,
        client: Client,
        came: Result<Response, ReadError>,
    ) -> Result<Response, ReadError> {
        self.client = came.as_ref().is_ok_and(|resp| resp.reusable).then_some(client);
        came
    }
}

fn said(came: &Result<Response, ReadError>) -> String {
    match came {
        Ok(resp) => format!("status {}: {:?} {}", resp.status, resp.headers, resp.text()),
        Err(error) => error.to_string(),
    }
}
