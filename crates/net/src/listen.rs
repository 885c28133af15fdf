//! Listening sockets of TCP: bound once for each worker, and accepting until a drain.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::crew::{Order, drained};
use crate::serve::BindError;

/// How long accepting pauses when descriptors have run out.
const BACKOFF: Duration = Duration::from_millis(50);
/// Connections accepted after the order to drain, so that a flood cannot put the end off: what the
/// kernel queues by default.
const LAST_MAX: usize = 4096;

/// Binds one listener for each of so many workers to an address. Port 0 gets one port, the same for
/// all. An address that another process listens on is an error, even if that process would share
/// it. The kernel takes up to `unsent` bytes of a connection before it can send them.
pub(crate) fn bind(
    address: SocketAddr,
    workers: usize,
    backlog: i32,
    unsent: u32,
) -> Result<(SocketAddr, Vec<std::net::TcpListener>), BindError> {
    let fail = |error| BindError::Address(address, error);
    let mut bound = address;
    if address.port() != 0 {
        listen(bound, backlog, unsent, false).map_err(fail)?;
    }
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = listen(bound, backlog, unsent, true).map_err(fail)?;
        bound = socket.local_addr().map_err(fail)?;
        sockets.push(socket);
    }
    Ok((bound, sockets))
}

/// A listening socket. Shared sockets are one of several for the same address.
fn listen(
    address: SocketAddr,
    backlog: i32,
    unsent: u32,
    is_shared: bool,
) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit it.
    socket.set_tcp_notsent_lowat(unsent)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if is_shared {
        socket.listen(backlog)?;
    }
    Ok(socket.into())
}

/// Accepts until the drain, then what is still in the queue. `begin` takes each connection, `pause`
/// hears of each time that descriptors had run out.
pub(crate) async fn accept(
    socket: std::net::TcpListener,
    address: SocketAddr,
    mut drain: Order,
    mut begin: impl FnMut(TcpStream, SocketAddr),
    mut pause: impl FnMut(),
) {
    let Ok(socket) = TcpListener::from_std(socket) else {
        tracing::error!(%address, "a listener was lost");
        return;
    };
    let mut ending = std::pin::pin!(drained(&mut drain));
    loop {
        tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => begin(stream, peer),
                Err(error) if is_passing(&error) => {}
                Err(error) => {
                    pause();
                    tracing::warn!(%address, %error, "accepting pauses");
                    tokio::time::sleep(BACKOFF).await;
                }
            },
            _ = &mut ending => break,
        }
    }
    // The kernel itself is asked what is still there: the runtime may not have heard of it yet.
    let Ok(socket) = socket.into_std() else { return };
    for _ in 0..LAST_MAX {
        match socket.accept() {
            Ok((stream, peer)) => {
                let stream =
                    stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    begin(stream, peer);
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => return,
        }
    }
}

/// An error of one connection that was about to be accepted, not of the listener.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
}
