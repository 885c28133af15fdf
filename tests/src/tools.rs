//! Other people's programs as witnesses: curl and nghttp as clients, nginx as the origin.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// Now plus an offset, as an HTTP date.
#[must_use]
pub fn http_date(offset_s: i64) -> String {
    let offset = Duration::from_secs(offset_s.unsigned_abs());
    let now = SystemTime::now();
    httpdate::fmt_http_date(if offset_s < 0 { now - offset } else { now + offset })
}

/// What a program printed and whether it was content.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code 0.
    pub ok: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a program to its end.
#[must_use]
#[track_caller]
pub fn run(program: &str, args: &[&str]) -> Output {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error} (apt install it)"));
    Output {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs curl, silent, without a configuration or proxy of the machine.
#[must_use]
#[track_caller]
pub fn curl(args: &[&str]) -> Output {
    let mut all = vec!["-q", "-sS", "--noproxy", "*", "--max-time", "30"];
    all.extend_from_slice(args);
    run("curl", &all)
}

/// Lets this process (and its children) hold as many files open as the machine allows, up to
/// `wanted`; gives what it got.
#[must_use]
pub fn raise_file_limit(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let both = Rlimit { current: Some(wanted), maximum: Some(wanted) };
    if now.maximum.is_some_and(|maximum| maximum < wanted)
        && setrlimit(Resource::Nofile, both).is_ok()
    {
        return wanted;
    }
    let soft = now.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: now.maximum });
    soft
}

/// A real nginx that serves a folder.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    addr: SocketAddr,
    folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts nginx on a free port with these lines in its `server` block; `None` if this machine
    /// has no nginx. Files go into [`Nginx::write`].
    #[must_use]
    #[track_caller]
    pub fn start(server: &str) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().display().to_string();
        std::fs::create_dir(folder.path().join("www")).expect("the folder can be written");
        open_to_all(folder.path());
        let addr = free_port();
        let config = format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log {root}/access.log; client_body_temp_path {root}/body;\n\
             proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;\n\
             uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
             types {{ text/html html; text/css css; image/png png; }}\n\
             server {{ listen {addr}; root {root}/www; {server} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).expect("the folder can be written");
        let child = Command::new(program)
            .args([
                "-p",
                &root,
                "-c",
                &file.display().to_string(),
                "-e",
                &format!("{root}/start.log"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let nginx = Self { child, addr, folder };
        assert!(crate::eventually(|| TcpStream::connect(addr).is_ok()), "nginx does not listen");
        Some(nginx)
    }

    /// Puts a file into the served folder.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.folder.path().join("www").join(path);
        std::fs::write(&file, content).expect("the folder can be written");
        open_to_all(&file);
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The lines of its access log, once there are at least `count`.
    #[must_use]
    pub fn access(&self, count: usize) -> Vec<String> {
        let file = self.folder.path().join("access.log");
        let mut lines = Vec::new();
        crate::eventually(|| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            lines = text.lines().map(str::to_owned).collect();
            lines.len() >= count
        });
        lines
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// nginx's worker runs as another user than the test when the test is root.
fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
}

/// A port that nothing listens on, for servers that must know theirs before they start. It is none
/// that the kernel gives to those who ask for any, and each is given once by this process, so that
/// nobody takes it before the server does.
#[must_use]
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Suites that run side by side begin elsewhere.
    let first = (std::process::id() % 40) as u16 * 250;
    for _ in 0..PORTS.len() {
        let number = (first + NEXT.fetch_add(1, Relaxed)) % PORTS.len() as u16;
        let address = SocketAddr::from(([127, 0, 0, 1], PORTS.start + number));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// Below those that Linux gives by itself (`net.ipv4.ip_local_port_range`).
const PORTS: std::ops::Range<u16> = 20_000..30_000;
