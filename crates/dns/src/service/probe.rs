//! Asks the nodes how they are and the other servers what they think, and has the helm steer.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use selvedge_feed::Vitals;
use selvedge_net::{
    Client, ClientSettings, ClientShared, ClientTls, Clock, Counters, Deadlines, OutgoingBody,
    Reuse, Target, Tasks, run_apart,
};
use tokio::sync::watch;

use super::helm::{Helm, Opinion};

/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// How nodes are asked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// The admin listeners of the other servers.
    pub monitors: Vec<Target>,
}

/// A thread that asks. Dropping it ends it.
#[derive(Debug)]
pub struct Prober {
    settings: watch::Sender<Option<Settings>>,
    thread: Option<JoinHandle<()>>,
    rounds: Arc<AtomicU64>,
}

impl Prober {
    /// Begins to ask.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        settings: Settings,
        tls: ClientTls,
        helm: Arc<Helm>,
        clock: Clock,
    ) -> std::io::Result<Self> {
        let (settings, wanted) = watch::channel(Some(settings));
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let thread = run_apart("health", move |tasks| async move {
            let shared =
                ClientShared::new(ClientSettings::default(), tls, Arc::<Counters>::default());
            let client = Client::new(shared, tasks.clone());
            let busy = Rc::default();
            Asking { client, tasks, helm, clock, busy }.run(wanted, &counted).await;
        })?;
        Ok(Self { settings, thread: Some(thread), rounds })
    }

    /// Asks so from now on.
    pub fn set(&self, settings: Settings) {
        self.settings.send_replace(Some(settings));
    }

    /// How often all nodes were asked.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Relaxed)
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.settings.send_replace(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone)]
struct Asking {
    client: Client,
    tasks: Tasks,
    helm: Arc<Helm>,
    clock: Clock,
    /// Who is being asked: nobody is asked twice at once.
    busy: Rc<RefCell<HashSet<String>>>,
}

impl Asking {
    async fn run(self, mut wanted: watch::Receiver<Option<Settings>>, rounds: &AtomicU64) {
        loop {
            let Some(settings) = wanted.borrow_and_update().clone() else { return };
            for node in self.helm.nodes() {
                if let Some(target) = node.health {
                    self.clone().ask_node(node.name, target, settings.timeout);
                }
            }
            for target in &settings.monitors {
                self.clone().ask_monitor(target.clone(), settings.timeout);
            }
            let turn = tokio::time::sleep(settings.interval);
            tokio::select! {
                () = turn => {}
                changed = wanted.changed() => if changed.is_err() { return },
            }
            self.helm.step(self.clock.now_mono_ms());
            rounds.fetch_add(1, Relaxed);
        }
    }

    fn ask_node(self, name: String, target: Target, timeout: Duration) {
        if !self.busy.borrow_mut().insert(name.clone()) {
            return;
        }
        self.tasks.clone().spawn_background(async move {
            let answer = self.fetch(&target, "/health", timeout).await;
            let vitals = answer.and_then(|text| serde_json::from_slice::<Vitals>(&text).ok());
            self.helm.probed(&name, vitals.as_ref(), self.clock.now_mono_ms());
            self.busy.borrow_mut().remove(&name);
        });
    }

    fn ask_monitor(self, target: Target, timeout: Duration) {
        let name = target.to_string();
        if !self.busy.borrow_mut().insert(name.clone()) {
            return;
        }
        self.tasks.clone().spawn_background(async move {
            let answer = self.fetch(&target, "/monitor", timeout).await;
            let opinion = answer.and_then(|text| serde_json::from_slice::<Opinion>(&text).ok());
            if let Some(opinion) = opinion {
                self.helm.heard(&name, opinion, self.clock.now_mono_ms());
            }
            self.busy.borrow_mut().remove(&name);
        });
    }

    /// The body of an answer that came in time; a node that is not ready answers 503 with one.
    async fn fetch(&self, target: &Target, path: &str, timeout: Duration) -> Option<bytes::Bytes> {
        let deadlines = Deadlines { connect: timeout, first_byte: timeout, idle: timeout };
        let request =
            Request::builder().method(Method::GET).uri(path).body(OutgoingBody::empty()).ok()?;
        let answer = async {
            let sent = self.client.send(target, request, &deadlines, Reuse::Pooled).await;
            let response = sent.ok()?.response;
            if !matches!(response.status(), StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE) {
                return None;
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            Some(body.collect().await.ok()?.to_bytes())
        };
        tokio::time::timeout(timeout, answer).await.ok()?
    }
}
