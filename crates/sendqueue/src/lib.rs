//! One question to the kernel: how much of what was written to a TCP socket the other side has not
//! acknowledged yet (SIOCOUTQ, tcp(7)). It is the only measure of a client that takes a response
//! slowly: room in the socket says nothing before much of it has drained.
//!
//! This crate is apart because it needs `unsafe`: neither the standard library nor socket2, rustix
//! or tokio ask this question. It must never do anything else.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes were written to the socket and not yet acknowledged, sent or not.
///
/// # Errors
/// When it is not a connected TCP socket.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    let socket = socket.as_fd();
    #[expect(unsafe_code, reason = "no safe interface to this ioctl is in our libraries")]
    // SAFETY: the descriptor is open, for it is borrowed; TIOCOUTQ, the same number as SIOCOUTQ,
    // writes one int to where its argument points, and that is an int of ours.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::unacknowledged;

    /// What is written counts until the other side's kernel has it; beyond its buffer, until it
    /// reads.
    #[test]
    fn bytes_count_until_they_are_acknowledged() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let mut near = TcpStream::connect(listener.local_addr().expect("bound")).expect("open");
        let (mut far, _) = listener.accept().expect("a connection");
        assert_eq!(unacknowledged(&near).expect("connected"), 0);
        near.set_nonblocking(true).expect("a socket option");
        let mut written = 0;
        while let Ok(bytes) = near.write(&[0; 65_536]) {
            written += bytes;
        }
        let waiting = unacknowledged(&near).expect("connected");
        assert!(waiting > 0 && waiting as usize <= written, "{waiting} of {written}");
        let mut bytes = vec![0; written];
        far.read_exact(&mut bytes).expect("all of it");
        while unacknowledged(&near).expect("connected") > 0 {
            std::thread::yield_now();
        }
    }

    /// Something that is no socket is an error, not a number.
    #[test]
    fn other_descriptors_are_refused() {
        let file = std::fs::File::open("/dev/null").expect("a file");
        assert!(unacknowledged(&file).is_err());
    }
}
