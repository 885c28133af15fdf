//! A server with a handler that does what the path says, and a blocking client that speaks bytes.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::{
    BodyError, Client, ClientSettings, ClientShared, ClientTls, Connection, Counters, Handler,
    RequestBody, Running, Server, Settings, Tasks, Worker, refusal,
};

/// Longest that anything in a test may take.
pub(super) const LONG: Duration = Duration::from_secs(20);

type AnyBody = Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>;

/// What the handler and the test share.
#[derive(Clone)]
pub(super) struct Script {
    /// `METHOD target outcome`, in the order in which they were decided.
    pub(super) seen: Arc<Mutex<Vec<String>>>,
    /// `/wait` takes a permit before it answers.
    pub(super) gate: Arc<Semaphore>,
    /// Gets a permit when `/wait` begins to wait.
    pub(super) waiting: Arc<Semaphore>,
}

#[derive(Clone)]
struct TestHandler {
    script: Script,
    tasks: Tasks,
}

fn text(bytes: impl Into<Bytes>) -> AnyBody {
    Box::pin(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// A body that gives one frame, waits a turn, and fails.
#[derive(Default)]
pub(super) struct Failing {
    polls: usize,
}

impl Body for Failing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.polls += 1;
        match self.polls {
            1 => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"part"))))),
            2 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(BodyError::ClientGone))),
        }
    }
}

impl TestHandler {
    fn note(&self, line: String) {
        self.script.seen.lock().expect("no test panics while it holds this").push(line);
    }

    async fn answer(
        &self,
        req: Request<RequestBody>,
        connection: &Connection,
    ) -> (Response<AnyBody>, String) {
        let name = crate::authority(&req).unwrap_or("none").to_owned();
        let path = req.uri().path().to_owned();
        match path.as_str() {
            "/echo" => match req.into_body().collect().await {
                Ok(body) => {
                    let trailers = body.trailers().map_or(0, http::HeaderMap::len);
                    let body = body.to_bytes();
                    let line = format!("echo {} {trailers}", body.len());
                    (Response::new(text(body)), line)
                }
                Err(error) => {
                    let mut response = Response::new(text(error.word()));
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    (response, error.word().to_owned())
                }
            },
            "/wait" => {
                self.script.waiting.add_permits(1);
                let permit = self.script.gate.acquire().await.expect("never closed");
                permit.forget();
                (Response::new(text("waited")), "waited".to_owned())
            }
            "/big" => {
                let length = req.uri().query().and_then(|text| text.parse().ok()).unwrap_or(0);
                (Response::new(text(vec![b'x'; length])), "big".to_owned())
            }
            "/tls" => {
                let line = format!("{:?} {:?}", connection.protocol(), connection.tls());
                (Response::new(text(line.clone())), line)
            }
            "/fail" => {
                let body = Failing::default();
                (Response::new(Box::pin(body) as AnyBody), "fail".to_owned())
            }
            "/lines" => {
                let fields = [(header::DATE, "today"), (header::AGE, "7")];
                let is_written = connection.write_lines(|out| {
                    for (name, value) in &fields {
                        out.push(name, &HeaderValue::from_static(value));
                    }
                });
                let length = req.uri().query().and_then(|text| text.parse().ok()).unwrap_or(0);
                (Response::new(text(vec![b'x'; length])), format!("lines {is_written}"))
            }
            "/upgrade" => (self.upgrade(connection), "upgrade".to_owned()),
            _ => (Response::new(text(format!("hello {name}"))), name),
        }
    }

    /// Answers 101 and echoes what comes, in capitals.
    fn upgrade(&self, connection: &Connection) -> Response<AnyBody> {
        let client = connection.on_upgrade();
        self.tasks.spawn(async move {
            let Some(mut stream) = client.wait().await else { return };
            let mut bytes = [0; 100];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                bytes[..count].make_ascii_uppercase();
                stream.write_all(&bytes[..count]).await.expect("the client reads");
            }
            stream.shutdown().await.expect("the client reads");
        });
        Response::builder()
            .status(101)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "caps")
            .body(text(""))
            .expect("valid parts")
    }
}

impl Handler for TestHandler {
    type Body = AnyBody;

    async fn handle(
        &self,
        req: Box<Request<RequestBody>>,
        connection: Rc<Connection>,
    ) -> Response<AnyBody> {
        if let Some(refusal) = refusal(&req) {
            self.note(format!("refused {}", refusal.word()));
            let mut response = Response::new(text(refusal.word()));
            *response.status_mut() = refusal.status();
            return response;
        }
        let line = format!("{} {}", req.method(), req.uri().path());
        let (response, outcome) = self.answer(*req, &connection).await;
        self.note(format!("{line} {outcome}"));
        response
    }
}

/// A running server.
pub(super) struct Rig {
    pub(super) running: Running,
    pub(super) script: Script,
    pub(super) counters: Arc<Counters>,
}

impl Rig {
    /// Starts on a free loopback port, in clear unless the settings say https.
    pub(super) fn start(settings: Settings) -> Self {
        Self::start_but(settings, None)
    }

    /// As [`Rig::start`], with a worker that panics as soon as it runs.
    pub(super) fn start_but(mut settings: Settings, lost: Option<usize>) -> Self {
        if settings.https.is_empty() && settings.http.is_empty() {
            settings.http = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        }
        let script = Script {
            seen: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            waiting: Arc::new(Semaphore::new(0)),
        };
        let counters = settings.counters.clone();
        let shared = script.clone();
        let make = move |worker: Worker| {
            assert_ne!(Some(worker.index), lost, "this worker is lost on purpose");
            TestHandler { script: shared.clone(), tasks: worker.tasks }
        };
        let running = Server::bind(settings).and_then(|server| server.run(make));
        Self { running: running.expect("loopback can be bound"), script, counters }
    }

    pub(super) fn address(&self) -> SocketAddr {
        let addresses = self.running.http_addresses().iter().chain(self.running.https_addresses());
        *addresses.clone().next().expect("one address is bound")
    }

    pub(super) fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// Sends bytes on a new connection, closes our half never, and returns all that comes back.
    pub(super) fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut peer = self.connect();
        peer.send(bytes);
        peer.rest()
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.script.seen.lock().expect("no test panics while it holds this").clone()
    }

    /// Drains and says whether that was clean.
    pub(super) fn stop(self) -> bool {
        self.running.drain(LONG);
        self.running.join()
    }
}

/// A blocking connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    pub(super) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("the server listens"))
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LONG)).expect("a positive limit");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have closed by right; then the answer tells.
        let _ = self.stream.write_all(bytes.as_ref());
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the peer says nothing: {error}"),
        }
    }

    /// Everything until the other side closes.
    pub(super) fn rest(&mut self) -> String {
        while self.fill() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    /// Exactly so many bytes, or fewer if the other side closes.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Everything up to and with `end`, or until the other side closes.
    pub(super) fn until(&mut self, end: &str) -> String {
        let end = end.as_bytes();
        loop {
            let found = self.buffer.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + end.len());
                let part = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8_lossy(&part).into_owned();
            }
            if !self.fill() {
                return self.rest();
            }
        }
    }
}

/// What an origin does with one connection: read a request head, write, and so on; then close, or
/// hold the connection open until the test is over.
#[derive(Clone)]
pub(super) enum Step {
    Read,
    Write(Vec<u8>),
    /// Waits until the other side closes.
    Hold,
    /// Closes so that the other side is reset.
    Reset,
}

pub(super) fn write(text: &str) -> Step {
    Step::Write(text.as_bytes().to_vec())
}

/// An origin that plays one list of steps for each connection, in order, then refuses.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl Origin {
    pub(super) fn play(connections: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback can be bound");
        let address = listener.local_addr().expect("it is bound");
        let thread = std::thread::spawn(move || {
            let mut players = Vec::new();
            for steps in connections {
                let (stream, _) = listener.accept().expect("the client connects");
                players.push(std::thread::spawn(move || play(stream, steps)));
            }
            drop(listener);
            let heads = players.into_iter().flat_map(|player| player.join().expect("plays"));
            heads.collect()
        });
        Self { address, thread }
    }

    pub(super) fn target(&self) -> crate::Target {
        crate::Target::parse(&format!("http://{}", self.address)).expect("a valid URL")
    }

    /// The request heads of all connections. Waits for all of them.
    pub(super) fn heads(self) -> Vec<String> {
        self.thread.join().expect("the origin plays to its end")
    }
}

fn play(stream: TcpStream, steps: Vec<Step>) -> Vec<String> {
    let mut peer = Peer::new(stream);
    let mut heads = Vec::new();
    for step in steps {
        match step {
            Step::Read => heads.push(peer.until("\r\n\r\n")),
            Step::Write(bytes) => peer.send(bytes),
            Step::Hold => drop(peer.rest()),
            Step::Reset => {
                let socket = socket2::SockRef::from(&peer.stream);
                socket.set_linger(Some(Duration::ZERO)).expect("a socket");
            }
        }
    }
    heads
}

/// Runs a test of the client side on a runtime like a worker's.
pub(super) fn with_client<F: Future>(
    settings: ClientSettings,
    tls: ClientTls,
    test: impl FnOnce(Client, Arc<Counters>) -> F,
) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default());
    runtime.expect("a runtime").block_on(async {
        let counters = Arc::new(Counters::default());
        let shared = ClientShared::new(settings, tls, counters.clone());
        let client = Client::new(shared, Tasks::new());
        tokio::time::timeout(LONG, test(client, counters)).await.expect("the test ends")
    })
}

/// TLS settings that trust nobody, for tests in clear.
pub(super) fn no_tls() -> ClientTls {
    let signed = rcgen::generate_simple_self_signed(vec!["nobody.test".to_owned()]);
    let pem = signed.expect("a certificate").cert.pem();
    ClientTls::only("nobody", pem.as_bytes()).expect("a certificate")
}
