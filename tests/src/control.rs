//! A scripted control: it lets nodes join, tells them lines, keeps what was pushed, and records
//! what they say. It speaks as much HTTP as nodes need.

use crate::message::{self, Framing, Recording, Request, Source};
use crate::origin::locked;
use selvedge_feed::SealKey;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The key that nodes get for joining.
const SEAL_KEY: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
const JOIN_TOKEN: &str = "token-to-join";
/// What the token of a node begins with; its name follows.
const NODE_TOKEN: &str = "token-of-";
/// How often a node is told that control is there.
const BEAT: Duration = Duration::from_millis(100);

/// A running control.
#[derive(Debug)]
pub struct Control {
    addr: SocketAddr,
    running: Arc<Running>,
    script: Script,
}

/// What control knows: it outlives a control that dies.
#[derive(Clone, Debug)]
pub struct Script(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    known: Mutex<Known>,
    changed: Condvar,
    folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Known {
    log: String,
    /// Each revision's news.
    revisions: Vec<Vec<Value>>,
    /// What was pushed, by site and path.
    pushed: BTreeMap<(String, String), String>,
    /// Nodes that are told nothing newer than this.
    held: BTreeMap<String, usize>,
    joined: Vec<Value>,
    acks: BTreeMap<String, Value>,
    reports: BTreeMap<String, Value>,
    /// Requests for what was pushed.
    fetches: Vec<Request>,
    streams: usize,
}

#[derive(Debug, Default)]
struct Running {
    stopped: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Script {
    fn new() -> Self {
        let known = Known {
            log: "log-1".to_owned(),
            revisions: Vec::new(),
            pushed: BTreeMap::new(),
            held: BTreeMap::new(),
            joined: Vec::new(),
            acks: BTreeMap::new(),
            reports: BTreeMap::new(),
            fetches: Vec::new(),
            streams: 0,
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("join-token"), format!(" {JOIN_TOKEN}\n"))
            .expect("the folder can be written");
        let known = Mutex::new(known);
        Self(Arc::new(Shared { known, changed: Condvar::new(), folder }))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let changed = change(&mut locked(&self.0.known));
        self.0.changed.notify_all();
        changed
    }

    /// Publishes a revision of these news; gives its number.
    pub fn publish(&self, news: Vec<Value>) -> u64 {
        self.change(|known| {
            known.revisions.push(news);
            known.revisions.len() as u64
        })
    }

    /// Puts a site.
    pub fn put_site(&self, name: &str, document: &Value) -> u64 {
        let version = locked(&self.0.known).revisions.len() + 1;
        self.publish(vec![site(name, version, document)])
    }

    /// Gives a site a certificate and its key.
    pub fn put_certificate(&self, site: &str, chain: &str, key: &str) -> u64 {
        let seal = SealKey::read(SEAL_KEY).expect("the seal key is one");
        let sealed = seal.seal(site, key).expect("there are random bytes");
        self.publish(vec![json!({
            "is": "certificate", "site": site, "chain": chain, "sealed_key": sealed,
        })])
    }

    /// Purges by these targets.
    pub fn purge(&self, targets: &Value) -> u64 {
        self.publish(vec![json!({ "is": "purge", "targets": targets, "soft": false })])
    }

    /// Purges a URL.
    pub fn purge_url(&self, url: &str) -> u64 {
        self.purge(&json!([{ "url": url }]))
    }

    /// Pushes an object.
    pub fn push(&self, site: &str, path: &str, body: &str) -> u64 {
        let key = (site.to_owned(), path.to_owned());
        locked(&self.0.known).pushed.insert(key, body.to_owned());
        self.publish(vec![json!({ "is": "objects", "site": site, "put": [path], "gone": [] })])
    }

    /// Tells a node nothing newer than what there is now, or everything again.
    pub fn hold(&self, node: &str, hold: bool) {
        self.change(|known| {
            let head = known.revisions.len();
            if hold {
                known.held.insert(node.to_owned(), head);
            } else {
                known.held.remove(node);
            }
        });
    }

    /// Begins another log, with only these news in it.
    pub fn begin_log(&self, log: &str, news: Vec<Value>) {
        self.change(|known| {
            log.clone_into(&mut known.log);
            known.revisions = vec![news];
        });
    }

    /// The file with the token to join with.
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.0.folder.path().join("join-token")
    }

    /// How far a node says that it is.
    #[must_use]
    pub fn applied(&self, node: &str) -> u64 {
        locked(&self.0.known).acks.get(node).map_or(0, |ack| ack["applied"].as_u64().unwrap_or(0))
    }

    /// Waits until a node says that it is this far.
    #[track_caller]
    pub fn await_ack(&self, node: &str, revision: u64) {
        let reached = crate::eventually(|| self.applied(node) >= revision);
        assert!(reached, "{node} is at {}, not at {revision}", self.applied(node));
    }

    /// What a node refuses.
    #[must_use]
    pub fn refused(&self, node: &str) -> Vec<Value> {
        let known = locked(&self.0.known);
        let refused = known.acks.get(node).and_then(|ack| ack.get("refused"));
        refused.and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// The last report of a node.
    #[must_use]
    pub fn report(&self, node: &str) -> Option<Value> {
        locked(&self.0.known).reports.get(node).cloned()
    }

    /// What nodes joined as.
    #[must_use]
    pub fn joined(&self) -> Vec<Value> {
        locked(&self.0.known).joined.clone()
    }

    /// The requests for pushed objects.
    #[must_use]
    pub fn fetches(&self) -> Vec<Request> {
        locked(&self.0.known).fetches.clone()
    }

    /// How often a stream was begun.
    #[must_use]
    pub fn streams(&self) -> usize {
        locked(&self.0.known).streams
    }
}

/// The news that a site was put.
#[must_use]
pub fn site(name: &str, version: usize, document: &Value) -> Value {
    json!({ "is": "site", "name": name, "version": version, "document": document })
}

impl std::ops::Deref for Control {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.script
    }
}

impl Control {
    /// Starts a control that knows nothing.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at("127.0.0.1:0", Script::new())
    }

    /// Starts a control at an address, with what an earlier one knew.
    #[must_use]
    pub fn start_at(addr: &str, script: Script) -> Self {
        let mut bound = None;
        crate::eventually(|| {
            bound = TcpListener::bind(addr).ok();
            bound.is_some()
        });
        let listener = bound.expect("the address of control can be bound");
        let addr = listener.local_addr().expect("a bound listener has an address");
        let running = Arc::new(Running::default());
        let (shared, known) = (Arc::clone(&running), script.clone());
        std::thread::spawn(move || accept(&listener, &shared, &known));
        Self { addr, running, script }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it at once, in the middle of whatever it does; gives what it knows.
    #[must_use]
    pub fn die(self) -> Script {
        let script = self.script.clone();
        drop(self);
        script
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.running.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        for socket in locked(&self.running.sockets).iter() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        self.script.0.changed.notify_all();
    }
}

fn accept(listener: &TcpListener, running: &Arc<Running>, script: &Script) {
    for stream in listener.incoming() {
        if running.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(other) = stream.try_clone() else { continue };
        let _ = stream.set_nodelay(true);
        locked(&running.sockets).push(other);
        let (running, script) = (Arc::clone(running), script.clone());
        std::thread::spawn(move || {
            let _ = Connection { input: Recording::new(stream), running, script }.run();
        });
    }
}

struct Connection {
    input: Recording<TcpStream>,
    running: Arc<Running>,
    script: Script,
}

impl Connection {
    fn run(&mut self) -> io::Result<()> {
        while let Some(head) = self.input.head(1 << 20)? {
            let (mut req, framing) = message::parse_head(&head).map_err(io::Error::other)?;
            if let Framing::Length(count) = framing {
                let body = &mut req.body;
                self.input.bytes(count, &mut |bytes| body.extend_from_slice(bytes))?;
            }
            let token = req.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
            let node = token.and_then(|token| token.strip_prefix(NODE_TOKEN)).map(str::to_owned);
            let joins = req.target == "/v1/nodes" && token == Some(JOIN_TOKEN);
            if !joins && node.is_none() {
                self.answer("401 Unauthorized", "", b"{}")?;
            } else if req.header("host").is_some_and(|host| host.ends_with(".push.selvedge")) {
                self.storage(&req)?;
            } else if req.path() == "/v1/changes" {
                return self.changes(&req, &node.unwrap_or_default());
            } else {
                self.message(&req)?;
            }
        }
        Ok(())
    }

    /// A node joins, or says something.
    fn message(&mut self, req: &Request) -> io::Result<()> {
        let value: Value = serde_json::from_slice(&req.body).map_err(io::Error::other)?;
        let parts: Vec<&str> = req.path().split('/').skip(3).collect();
        let joined = self.script.change(|known| match parts[..] {
            [] => {
                known.joined.push(value.clone());
                let name = value["name"].as_str().unwrap_or_default();
                let (token, log) = (format!("{NODE_TOKEN}{name}"), known.log.clone());
                Some(json!({ "name": name, "token": token, "seal_key": SEAL_KEY, "log": log }))
            }
            [node, "ack"] => {
                known.acks.insert(node.to_owned(), value);
                None
            }
            [node, "report"] => {
                known.reports.insert(node.to_owned(), value);
                None
            }
            _ => panic!("nodes do not ask for {}", req.target),
        });
        match joined {
            Some(joined) => self.answer("201 Created", "", joined.to_string().as_bytes()),
            None => self.answer("204 No Content", "", b""),
        }
    }

    /// What was pushed, under its path.
    fn storage(&mut self, req: &Request) -> io::Result<()> {
        let host = req.header("host").unwrap_or_default();
        let site = host.trim_end_matches(".push.selvedge").to_owned();
        let body = self.script.change(|known| {
            known.fetches.push(req.clone());
            known.pushed.get(&(site, req.target.clone())).cloned()
        });
        let fields = "Cache-Control: public, max-age=60\r\nETag: \"pushed\"\r\n";
        match body {
            Some(_) if req.method == "HEAD" => self.answer("200 OK", fields, b""),
            Some(body) => self.answer("200 OK", fields, body.as_bytes()),
            None => self.answer("404 Not Found", "", b"not pushed"),
        }
    }

    /// Tells what is new for as long as the node listens.
    fn changes(&mut self, req: &Request, node: &str) -> io::Result<()> {
        let query: BTreeMap<&str, &str> = req
            .target
            .split_once('?')
            .map_or("", |(_, query)| query)
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let since: usize = query.get("since").and_then(|text| text.parse().ok()).unwrap_or(0);
        self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\
            Transfer-Encoding: chunked\r\n\r\n",
        )?;
        self.script.change(|known| known.streams += 1);
        let (mut sent, hello) = {
            let known = locked(&self.script.0.known);
            let head = known.revisions.len();
            let is_same = query.get("log") == Some(&known.log.as_str()) && since <= head;
            let sent = if is_same { since } else { head };
            (sent, Self::hello(&known, head, !is_same))
        };
        self.chunk(&hello)?;
        loop {
            let text = {
                let known = locked(&self.script.0.known);
                let (known, _) = self
                    .script
                    .0
                    .changed
                    .wait_timeout_while(known, BEAT, |known| {
                        known.reach(node) <= sent && !self.running.stopped.load(Ordering::SeqCst)
                    })
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                if self.running.stopped.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let reach = known.reach(node).max(sent);
                let mut text = String::new();
                for revision in sent..reach {
                    text += &lines(revision + 1, known.revisions[revision].iter());
                }
                sent = reach;
                let _ = writeln!(text, "{}", json!({ "line": "heartbeat", "head": sent }));
                text
            };
            self.chunk(&text)?;
        }
    }

    fn hello(known: &Known, head: usize, whole: bool) -> String {
        let hello = json!({
            "line": "hello", "log": known.log, "head": head, "whole": whole, "missed_purges": whole,
        });
        let mut text = format!("{hello}\n");
        if whole {
            let news = known.revisions.iter().flatten().filter(|news| news["is"] != "purge");
            text += &lines(head, news);
        }
        text
    }

    fn chunk(&mut self, text: &str) -> io::Result<()> {
        self.write(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
    }

    fn answer(&mut self, status: &str, fields: &str, body: &[u8]) -> io::Result<()> {
        let length = match status {
            "204 No Content" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        let mut answer = format!("HTTP/1.1 {status}\r\n{length}{fields}\r\n").into_bytes();
        answer.extend_from_slice(body);
        self.write(&answer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.inner().write_all(bytes)
    }
}

impl Known {
    /// Up to which revision a node is told.
    fn reach(&self, node: &str) -> usize {
        let head = self.revisions.len();
        self.held.get(node).map_or(head, |held| (*held).min(head))
    }
}

/// The lines of a revision.
fn lines<'a>(revision: usize, news: impl Iterator<Item = &'a Value>) -> String {
    let mut text = String::new();
    for news in news {
        let line = json!({ "line": "news", "revision": revision, "more": true, "news": news });
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{}", json!({ "line": "news", "revision": revision }));
    text
}
