//! From a folder to a control that answers.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use selvedge_feed::{SEAL_KEY_BYTES, SealKey};
use selvedge_net::{Client, Clock};

use crate::api::{self, App, Door, Inner};
use crate::blobs::Blobs;
use crate::desk::{Asker, Decision, Desk, Reply, Tools};
use crate::fleet::Fleet;
use crate::log::{Log, LogError, SqliteLog};
use crate::prefetch::{self, Jobs};
use crate::random;
use crate::state::State;
use crate::state::digest::Digest;
use crate::state::record::{Deed, Scope, Token, TokenKind};
use crate::stream::Stream;

/// What a control is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of this process.
    pub name: String,
    /// Where everything is kept that must outlive it.
    pub folder: PathBuf,
    /// Where pushed bodies are kept, if not in `folder`.
    pub objects: Option<PathBuf>,
    /// Bytes of one pushed object at most.
    pub object_bytes_max: u64,
    /// Bytes of all pushed objects together at most.
    pub bytes_max: u64,
    /// Changes that are kept for nodes that come back.
    pub history: u64,
    /// Changes between two snapshots.
    pub snapshot_every: u64,
}

/// Between two rounds of what is done now and then.
const TEND: std::time::Duration = std::time::Duration::from_secs(600);

/// Why a control could not start.
#[derive(Debug)]
pub enum OpenError {
    /// A file or folder cannot be used.
    Io(PathBuf, std::io::Error),
    /// The log cannot be used.
    Log(PathBuf, String),
    /// The seal key is not one.
    SealKey(PathBuf),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Log(path, error) => write!(f, "{}: {error}", path.display()),
            Self::SealKey(path) => write!(
                f,
                "{}: is not a seal key of {} hexadecimal digits; restore it, or every node and \
                 certificate must be added again",
                path.display(),
                2 * SEAL_KEY_BYTES
            ),
        }
    }
}

impl std::error::Error for OpenError {}

/// A control that is open.
pub struct Control {
    app: App,
    /// The file with the first token, if this start made it.
    first_token: Option<PathBuf>,
}

impl Control {
    /// Opens what the folder holds, or begins it: a log, the key that seals, and a first token.
    ///
    /// # Errors
    /// When something in the folder cannot be used.
    pub fn open(settings: Settings, clock: Clock) -> Result<Self, OpenError> {
        let folder = settings.folder.clone();
        let log = |error: LogError| OpenError::Log(folder.join("log.db"), error.to_string());
        let found: Arc<dyn Log> = Arc::new(SqliteLog::open(&folder).map_err(log)?);
        let (state, saved_at) = replay(&*found).map_err(log)?;
        let history = usize::try_from(settings.history).unwrap_or(usize::MAX);
        let lines = found.lines(history).map_err(log)?;
        let stream = Arc::new(Stream::new(found.id(), state.revision, lines, history));
        let (seal, seal_text) = seal_key(&folder.join("seal.key"), state.revision == 0)?;
        let objects = settings.objects.clone().unwrap_or_else(|| folder.join("objects"));
        let blobs = Blobs::open(&objects).map_err(|error| OpenError::Io(objects, error))?;
        let tools = Tools {
            log: Arc::clone(&found),
            stream: Arc::clone(&stream),
            clock,
            history: settings.history,
            snapshot_every: settings.snapshot_every.max(1),
        };
        let is_new = state.revision == 0;
        let io = |error| OpenError::Io(folder.clone(), error);
        let desk = Desk::open(state, saved_at, tools).map_err(io)?;
        let inner = Inner {
            settings,
            desk,
            log: found,
            stream,
            fleet: Fleet::new(clock.now_mono_ms()),
            blobs,
            jobs: Jobs::new(),
            seal,
            seal_text,
            clock,
        };
        let app = App::new(inner);
        let first_token = if is_new { Some(first_token(&app, &folder)?) } else { None };
        Ok(Self { app, first_token })
    }

    /// What answers the requests of one worker.
    #[must_use]
    pub fn door(&self) -> Door {
        Door { router: api::router(self.app.clone()) }
    }

    /// The file with the first token, if this start made it.
    #[must_use]
    pub fn first_token(&self) -> Option<&Path> {
        self.first_token.as_deref()
    }

    /// Does what is to be done beside answering, for ever: prefetches are run, through this
    /// client, and what nobody uses any more is removed from storage.
    pub async fn tend(&self, client: Client) {
        tokio::join!(prefetch::run(self.app.clone(), client), self.sweep());
    }

    async fn sweep(&self) {
        loop {
            tokio::time::sleep(TEND).await;
            let is_used = |digest: &Digest| self.app.desk.state().blobs.contains_key(digest);
            match self.app.blobs.sweep(self.app.when(), is_used).await {
                Ok(swept) => tracing::debug!(?swept, "what nobody uses was removed"),
                Err(problem) => tracing::warn!(?problem, "storage could not be swept"),
            }
        }
    }

    /// Lets everyone who follows go: they never end by themselves.
    pub fn end_followers(&self) {
        self.app.stream.end();
    }

    /// Every figure to watch: its name, what it says, and its value.
    pub fn each_figure(&self, each: &mut dyn FnMut(&'static str, &'static str, f64)) {
        let state = self.app.desk.state();
        let now_ms = self.app.clock.now_mono_ms();
        let lives = |name: &String| self.app.fleet.seen(name).is_some_and(|it| it.lives(now_ms));
        let live = state.nodes.keys().filter(|name| lives(name)).count();
        each("control_revision", "The newest revision", state.revision as f64);
        each("control_sites", "Sites", state.live_sites().count() as f64);
        each("control_nodes", "Nodes that joined", state.nodes.len() as f64);
        each("control_nodes_live", "Nodes that said something lately", live as f64);
        each("control_followers", "Streams of changes", self.app.stream.followers() as f64);
        each("control_objects", "Pushed objects", state.objects as f64);
        each("control_objects_bytes", "Bytes of pushed bodies", state.bytes as f64);
    }

    #[cfg(test)]
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// The newest revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.app.stream.head()
    }
}

/// The state that the log says, and the revision of the snapshot it began with.
fn replay(log: &dyn Log) -> Result<(State, u64), LogError> {
    let saved = log.saved()?;
    let mut state = saved.map(State::from).unwrap_or_default();
    let saved_at = state.revision;
    for record in log.records(state.revision)? {
        if record.revision != state.revision + 1 {
            let why = format!("revision {} follows {}", record.revision, state.revision);
            return Err(LogError::Broken(why));
        }
        state.apply(&record);
    }
    Ok((state, saved_at))
}

/// The key that seals what only nodes may read. Made once; never sent but to nodes that join.
fn seal_key(path: &Path, is_new: bool) -> Result<(SealKey, String), OpenError> {
    let io = |error| OpenError::Io(path.to_owned(), error);
    if !path.exists() {
        // Another key would open nothing that was sealed before.
        if !is_new {
            return Err(OpenError::SealKey(path.to_owned()));
        }
        write_secret(path, &random::hex::<SEAL_KEY_BYTES>()).map_err(io)?;
    }
    let text = selvedge_net::read_text(path).map_err(io)?.trim().to_owned();
    let key = SealKey::read(&text).ok_or_else(|| OpenError::SealKey(path.to_owned()))?;
    Ok((key, text))
}

/// Writes a secret that only this user may read: all of it or nothing.
fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes the token that all others are made with. Its file is written first: a token that nobody
/// can read would lock everyone out.
fn first_token(app: &App, folder: &Path) -> Result<PathBuf, OpenError> {
    let path = folder.join("admin.token");
    let id = random::hex::<4>();
    let (text, secret) = api::Prefix::Api.token(&id);
    write_secret(&path, &text).map_err(|error| OpenError::Io(path.clone(), error))?;
    let asker = Asker {
        by: "control".to_owned(),
        from: "itself".to_owned(),
        request_id: random::hex::<8>(),
        proof: None,
        once: None,
    };
    let made = app.desk.submit_now(asker, move |_, moment| {
        let token = Token {
            id,
            name: "first".to_owned(),
            secret,
            kind: TokenKind::Api { scopes: vec![Scope::Admin], sites: None },
            created_ms: moment.now_ms,
            expires_ms: None,
        };
        Ok(Decision::Do(Deed::TokenCreated { token }, Reply::default()))
    });
    let failed =
        |problem: crate::problem::Problem| OpenError::Log(folder.join("log.db"), problem.detail);
    made.map(|_| path).map_err(failed)
}
