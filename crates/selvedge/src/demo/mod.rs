//! `selvedge demo`: a whole CDN on loopback, without root: a sample origin, control, a parent and
//! an edge.
//!
//! Control and the caches are child processes of this one, started with configuration files like
//! any other; the sites are added with the verbs that an operator uses. What the demo shows is what
//! production runs.

mod origin;
mod pages;

use crate::cli::DemoArgs;
use crate::problem::Problem;
use crate::process::{self, Signals, listen};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a part may take to come up, and to go.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where everything runs.
struct Ports {
    origin: SocketAddr,
    control: SocketAddr,
    control_admin: SocketAddr,
    parent: SocketAddr,
    parent_admin: SocketAddr,
    edge: SocketAddr,
    edge_tls: SocketAddr,
    edge_admin: SocketAddr,
}

/// Runs the demo until Ctrl-C.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Problem> {
    let system = |what| move |error| Problem::System(what, error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("cannot start"))?;
    let mut signals = listen(&runtime)?;
    let folder = tempfile::Builder::new()
        .prefix("selvedge-demo-")
        .tempdir()
        .map_err(system("cannot make a folder for the demo"))?;
    process::raise_file_limit();
    let origin = origin::start(free(9000))?;
    let ports = Ports {
        origin: origin.address(),
        control: free(7070),
        control_admin: free(9182),
        parent: free(8180),
        parent_admin: free(9181),
        edge: free(8080),
        edge_tls: free(8443),
        edge_admin: free(9180),
    };
    write_files(folder.path(), &ports, args.log)
        .map_err(system("cannot write the demo's configuration"))?;
    let files = folder.path();
    let control = Part::start("control", &files.join("control.toml"))?;
    let client = Verbs { control: ports.control, token_file: files.join("control/admin.token") };
    client.run(&["site", "put"], &files.join("shop.toml"))?;
    client.run(&["site", "put"], &files.join("news.toml"))?;
    client.join_token(&files.join("join.token"))?;
    let parent = Part::start("parent", &files.join("parent.toml"))?;
    let edge = Part::start("edge", &files.join("edge.toml"))?;
    process::print(&tour(&ports, folder.path()));
    let mut parts = [edge, parent, control];
    let ended = runtime.block_on(watch(&mut signals, &mut parts));
    process::say("stopping");
    for part in &mut parts {
        part.stop();
    }
    origin.stop();
    ended
}

/// Waits for Ctrl-C, or for a part that ends by itself.
async fn watch(signals: &mut Signals, parts: &mut [Part]) -> Result<(), Problem> {
    loop {
        tokio::select! {
            wish = signals.next() => {
                if wish == process::Wish::Drain {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                for part in parts.iter_mut() {
                    if part.has_ended() {
                        return Err(Problem::DemoEnded(part.name));
                    }
                }
            }
        }
    }
}

/// The wanted port of loopback, or any other if it is taken.
fn free(port: u16) -> SocketAddr {
    let wanted = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let any = SocketAddr::new(wanted.ip(), 0);
    TcpListener::bind(wanted)
        .or_else(|_| TcpListener::bind(any))
        .and_then(|listener| listener.local_addr())
        .unwrap_or(wanted)
}

/// The verbs of the client, as an operator runs them.
struct Verbs {
    control: SocketAddr,
    token_file: PathBuf,
}

impl Verbs {
    fn run(&self, verb: &[&str], last: &Path) -> Result<Vec<u8>, Problem> {
        let system = |error| Problem::System("cannot run a verb of the client", error);
        let own = std::env::current_exe().map_err(system)?;
        let output = Command::new(own)
            .args(verb)
            .arg(last)
            .env("SELVEDGE_CONTROL", format!("http://{}", self.control))
            .env("SELVEDGE_TOKEN_FILE", &self.token_file)
            .stdin(Stdio::null())
            .output()
            .map_err(system)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        process::say(String::from_utf8_lossy(&output.stderr).trim_end());
        Err(Problem::DemoEnded("client"))
    }

    /// Has a token made that both caches join with.
    fn join_token(&self, file: &Path) -> Result<(), Problem> {
        let made = self.run(&["node", "join-token", "--json", "--uses"], Path::new("2"))?;
        let made: serde_json::Value = serde_json::from_slice(&made).unwrap_or_default();
        let token = made["token"].as_str().unwrap_or_default();
        std::fs::write(file, token)
            .map_err(|error| Problem::System("cannot write the demo's token", error))
    }
}

/// A part that runs as a child of this process.
struct Part {
    name: &'static str,
    child: Child,
}

impl Part {
    /// Starts a part and waits until it says that it is ready: a cache has everything that control
    /// says then.
    fn start(name: &'static str, config: &Path) -> Result<Self, Problem> {
        let system = |error| Problem::System("cannot start a part of the demo", error);
        let own = std::env::current_exe().map_err(system)?;
        let mut child = Command::new(own)
            .arg(name)
            .arg("--die-with-starter")
            .arg("--config")
            .arg(config)
            // Ctrl-C is for the demo, which then stops its parts in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(system)?;
        let (ready, is_ready) = mpsc::sync_channel(1);
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || relay(name, BufReader::new(stderr), &ready));
        }
        let mut part = Self { name, child };
        if is_ready.recv_timeout(PATIENCE).is_err() {
            part.stop();
            return Err(Problem::DemoEnded(name));
        }
        Ok(part)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end in good order, and waits until it has.
    fn stop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // It may have had the same Ctrl-C and be gone already.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes on what a part says, but for its first lines, which the demo says better.
fn relay(name: &str, lines: impl BufRead, ready: &mpsc::SyncSender<()>) {
    for line in lines.lines().map_while(Result::ok) {
        if line == "selvedge: ready" {
            let _ = ready.try_send(());
        } else if !FIRST_WORDS.iter().any(|first| line.starts_with(first)) {
            process::say(&format!("{name}: {}", line.trim_start_matches("selvedge: ")));
        }
    }
}

/// What the demo says better itself.
const FIRST_WORDS: [&str; 4] =
    ["selvedge: listening", "selvedge: a token", "selvedge: serving", "selvedge: not ready"];

fn write_files(folder: &Path, ports: &Ports, log: bool) -> std::io::Result<()> {
    let names = ["www.shop.test", "news.test", "localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(std::io::Error::other)?;
    std::fs::write(folder.join("edge.pem"), made.cert.pem())?;
    std::fs::write(folder.join("edge.key"), made.signing_key.serialize_pem())?;
    let access = if log { "stdout" } else { "off" };
    let origin = format!("origin = [\"http://{}\"]\npush = true\n", ports.origin);
    let shop = format!("hosts = [\"www.shop.test\", \"*.shop.test\"]\n{origin}");
    std::fs::write(folder.join("shop.toml"), shop)?;
    std::fs::write(folder.join("news.toml"), format!("hosts = [\"*\"]\n{origin}"))?;
    let control = format!(
        "[node]\nname = \"demo-control\"\nworkers = 1\ndrain_timeout = \"3s\"\n\
         [listen]\nhttp = [\"{}\"]\n[admin]\nlisten = \"{}\"\n\
         [data]\nfolder = \"control\"\n[log]\nlevel = \"warn\"\n",
        ports.control, ports.control_admin
    );
    std::fs::write(folder.join("control.toml"), control)?;
    let follows = |name: &str, reached: SocketAddr| {
        format!(
            "[control]\nurl = \"http://{}\"\ntoken_file = \"join.token\"\n\
             state = \"{name}-state\"\nurls = [\"http://{reached}\"]\n",
            ports.control
        )
    };
    let cache = |name: &str| {
        format!(
            "[cache]\nmemory = \"64MiB\"\n\
             disk = [{{ path = \"{name}-cache\", size = \"256MiB\" }}]\n\
             [log]\naccess = \"{access}\"\nlevel = \"warn\"\n"
        )
    };
    let parent = format!(
        "[node]\nname = \"demo-parent\"\nworkers = 1\ndrain_timeout = \"3s\"\n\
         [listen]\nhttp = [\"{}\"]\n[admin]\nlisten = \"{}\"\n{}{}",
        ports.parent,
        ports.parent_admin,
        cache("parent"),
        follows("parent", ports.parent)
    );
    std::fs::write(folder.join("parent.toml"), parent)?;
    let edge = format!(
        "[node]\nname = \"demo-edge\"\nworkers = 1\ndrain_timeout = \"3s\"\n\
         [listen]\nhttp = [\"{}\"]\nhttps = [\"{}\"]\n[admin]\nlisten = \"{}\"\n\
         [[certificate]]\ncert = \"edge.pem\"\nkey = \"edge.key\"\n\
         [upstream]\nparents = [\"http://{}\"]\n{}{}",
        ports.edge,
        ports.edge_tls,
        ports.edge_admin,
        ports.parent,
        cache("edge"),
        follows("edge", ports.edge)
    );
    std::fs::write(folder.join("edge.toml"), edge)
}

fn tour(ports: &Ports, folder: &Path) -> String {
    let Ports { origin, control, parent, parent_admin, edge, edge_tls, edge_admin, .. } = ports;
    let tls_port = edge_tls.port();
    let shop = format!("-k --connect-to www.shop.test:443:{edge_tls} https://www.shop.test");
    format!(
        "\nA CDN on loopback: client -> edge -> parent -> origin, told what to do by control\n\n\
         \x20 edge    http://{edge}  https://{edge_tls}  admin http://{edge_admin}\n\
         \x20 parent  http://{parent}  admin http://{parent_admin}\n\
         \x20 origin  http://{origin}\n\
         \x20 control http://{control}  reference http://{control}/docs\n\
         \x20 files   {folder}\n\n\
         Try, and look at Cache-Status and Age:\n\n\
         \x20 curl -sik https://localhost:{tls_port}/ | head -20      # asked of the origin\n\
         \x20 curl -sik https://localhost:{tls_port}/ | head -20      # answered by the edge\n\
         \x20 curl -si {shop}/clock\n\
         \x20 curl -si -H 'Host: www.shop.test' http://{edge}/cart    # private: never kept\n\
         \x20 curl -si -H 'Accept-Language: de' http://{edge}/hello   # one variant a language\n\
         \x20 curl -si -r 9000000-9000099 http://{edge}/film.bin -o /dev/null -D -\n\
         \x20 selvedge cache --admin {edge_admin} inspect http://{edge}/film.bin\n\
         \x20 curl -si --compressed http://{edge}/style.css -o /dev/null -D -\n\
         \x20 curl -s http://{edge_admin}/metrics | grep selvedge_requests\n\n\
         The client of control, in the same terminal as curl:\n\n\
         \x20 export SELVEDGE_CONTROL=http://{control} \
         SELVEDGE_TOKEN_FILE={folder}/control/admin.token\n\
         \x20 selvedge status\n\
         \x20 selvedge push ./public --site shop\n\
         \x20 selvedge purge --tag film.bin --site news --wait\n\
         \x20 selvedge explain http://www.shop.test/\n\n\
         Ctrl-C stops it all.\n",
        folder = folder.display(),
    )
}
