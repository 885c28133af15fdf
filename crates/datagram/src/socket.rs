//! A UDP socket that serves: bound, shared between threads by the kernel, safe from being told a
//! path MTU, and patient for a limited time only.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Type};

use crate::kernel;

/// How a socket is to be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes that may wait in the kernel to be received, as it counts them: a short datagram counts
    /// for some 800. It gives no more than net.core.rmem_max.
    pub receive_buffer_bytes: Option<usize>,
    /// How long a call may wait, for a datagram or for room to send.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { receive_buffer_bytes: None, patience: Duration::from_millis(100) }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Socket {
    /// Binds so many sockets to one address. The kernel gives each sender to one of them. With port
    /// 0 they get one port. An address that somebody else has is an error, even if they would share
    /// it.
    ///
    /// # Errors
    /// When an address cannot be bound. None stays bound.
    pub fn bind(address: SocketAddr, number: usize, options: &Options) -> io::Result<Vec<Self>> {
        // Alone at first; then together. The socket that found the port free is let go of before.
        let mut bound = open(address, Sharing::Alone)?.local_addr()?;
        let mut sockets = Vec::with_capacity(number);
        for _ in 0..number {
            let socket = open(bound, Sharing::Shared)?;
            prepare(&socket, bound, options)?;
            bound = socket.local_addr()?;
            sockets.push(Self { socket, address: bound });
        }
        Ok(sockets)
    }

    /// The address bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that may wait to be received, as the kernel counts them: it doubles what is asked for,
    /// up to its limit.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn receive_buffer_bytes(&self) -> io::Result<usize> {
        SockRef::from(&self.socket).recv_buffer_size()
    }

    /// How many datagrams the kernel dropped since the socket was bound, because too many waited.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn overflows(&self) -> io::Result<u32> {
        kernel::drops(&self.socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    Shared,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if sharing == Sharing::Shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn prepare(socket: &UdpSocket, address: SocketAddr, options: &Options) -> io::Result<()> {
    socket.set_read_timeout(Some(options.patience))?;
    socket.set_write_timeout(Some(options.patience))?;
    if let Some(bytes) = options.receive_buffer_bytes {
        SockRef::from(socket).set_recv_buffer_size(bytes)?;
    }
    // Anybody can send an ICMP message with a small path MTU and have replies fragmented, whose
    // later fragments they then forge. With OMIT the kernel heeds no such message and sets no DF.
    let (level, discover, omit, info) = match address {
        SocketAddr::V4(_) => {
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT, libc::IP_PKTINFO)
        }
        SocketAddr::V6(_) => (
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_OMIT,
            libc::IPV6_RECVPKTINFO,
        ),
    };
    kernel::set_option(socket, level, discover, omit)?;
    // A socket with one address answers from it anyway.
    if address.ip().is_unspecified() {
        kernel::set_option(socket, level, info, 1)?;
    }
    Ok(())
}
