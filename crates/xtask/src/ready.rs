//! Waiting for a server, and free ports to start one on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process::Server;

/// A port of 127.0.0.1 that nothing listens on, never given twice by this process.
///
/// For servers that cannot tell which port they got when told to take any.
pub(crate) fn free_port() -> Result<u16, Failure> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    for _ in 0..1000 {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if given.insert(port) {
            return Ok(port);
        }
    }
    Err(Failure::new("no free port on 127.0.0.1"))
}

/// Polls `path` until it answers 200. Ends early when the server has ended.
pub(crate) fn wait_for_ok(server: &mut Server, port: u16, path: &str) -> Result<(), Failure> {
    let begun = Instant::now();
    let limit = Duration::from_secs(30);
    loop {
        server.check()?;
        let answer = status_of(port, path);
        match answer {
            Ok(200) => return Ok(()),
            _ if begun.elapsed() < limit => thread::sleep(Duration::from_millis(20)),
            Ok(status) => {
                return Err(Failure::new(format!("127.0.0.1:{port}{path} answers {status}")));
            }
            Err(error) => return Err(Failure::new(format!("127.0.0.1:{port}{path}: {error}"))),
        }
    }
}

/// Asks with HTTP/1.1 and gives the status.
fn status_of(port: u16, path: &str) -> std::io::Result<u16> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let digits = std::str::from_utf8(&head[9..]).unwrap_or_default();
    digits.parse().map_err(|_| std::io::Error::from(std::io::ErrorKind::InvalidData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let ports = [free_port().unwrap(), free_port().unwrap(), free_port().unwrap()];
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 3);
        for port in ports {
            assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
        }
    }
}
