//! One place of a batch: room for a datagram, for who sent it, for the address it came to, and for
//! its reply. The kernel fills these in and reads them again, so they are laid out as it wants; any
//! bytes are a valid value of them, and none is ever read as an address.
//!
//! | field | IPv4 | IPv6 |
//! |---|---|---|
//! | `Peer::port` | sin_port | sin6_port |
//! | `Peer::rest[0..4]` | sin_addr | sin6_flowinfo |
//! | `Peer::rest[4..20]` | | sin6_addr |
//! | `Peer::rest[20..24]` | | sin6_scope_id |
//! | `Control::data[0..16]` | ipi_ifindex, ipi_spec_dst, ipi_addr, nothing | ipi6_addr |
//! | `Control::data[16..20]` | | ipi6_ifindex |

use std::mem::{offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Most datagrams in a batch. More would save little: at 64 the two calls are shared by so many
/// that the kernel's work for each datagram is all that is left, and the replies of a longer batch
/// wait for its last one.
pub const BATCH: usize = 64;

/// Room for a datagram. A query is a header of 12 bytes, a name of up to 255, and options: with a
/// cookie, a client subnet and padding to the next 128 (RFC 8467) it stays below 512, and what does
/// not fit an Ethernet frame (1472) would have come in fragments. Longer ones are dropped.
pub const DATAGRAM_BYTES_MAX: usize = 1536;

/// Room that the buffer of a reply has from the start: what fits a packet.
const REPLY_BYTES: usize = 1536;
/// A buffer that has grown beyond this is given back after use.
const REPLY_BYTES_KEPT: usize = 8 * 1024;

/// The address of a sender, as sockaddr_in or sockaddr_in6.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    family: u16,
    /// In network order.
    port: [u8; 2],
    rest: [u8; 24],
}

/// A control message: a cmsghdr and what follows it, an in_pktinfo or in6_pktinfo.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    length: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: [u8; 24],
}

const _: () = assert!(size_of::<Peer>() == size_of::<libc::sockaddr_in6>());
const _: () = assert!(size_of::<libc::sockaddr_in>() <= size_of::<Peer>());
const _: () = assert!(offset_of!(Control, data) == size_of::<libc::cmsghdr>());
const _: () = assert!(size_of::<libc::in6_pktinfo>() == 20 && size_of::<libc::in_pktinfo>() == 12);

impl Peer {
    /// Its address; `None` if `length` or family are not those of an internet address.
    pub(crate) fn address(&self, length: usize) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.port);
        let family = i32::from(self.family);
        if family == libc::AF_INET && length >= size_of::<libc::sockaddr_in>() {
            let ip: [u8; 4] = self.rest[..4].try_into().ok()?;
            return Some(SocketAddrV4::new(Ipv4Addr::from(ip), port).into());
        }
        if family == libc::AF_INET6 && length >= size_of::<libc::sockaddr_in6>() {
            let ip: [u8; 16] = self.rest[4..20].try_into().ok()?;
            let scope: [u8; 4] = self.rest[20..].try_into().ok()?;
            let scope = u32::from_ne_bytes(scope);
            return Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope).into());
        }
        None
    }
}

impl Control {
    /// Makes of where a datagram came to where its reply goes out from: the same address, by
    /// whatever interface the route says. Only a link-local address needs its interface.
    /// Returns how many bytes of it the kernel is to read: none if it is not understood.
    pub(crate) fn turn_around(&mut self, length: usize) -> usize {
        if length < size_of::<libc::cmsghdr>() {
            return 0;
        }
        match (self.level, self.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => self.data[..4].fill(0),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let is_link_local = self.data[0] == 0xfe && self.data[1] & 0xc0 == 0x80;
                if !is_link_local {
                    self.data[16..20].fill(0);
                }
            }
            _ => return 0,
        }
        length.min(size_of::<Self>())
    }
}

/// A place of a batch.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) peer: Peer,
    pub(crate) peer_length: usize,
    pub(crate) control: Control,
    pub(crate) control_length: usize,
    pub(crate) bytes: [u8; DATAGRAM_BYTES_MAX],
    pub(crate) length: usize,
    /// Whether the datagram was longer than its room.
    pub(crate) is_truncated: bool,
    /// Empty: there is none.
    pub(crate) reply: Vec<u8>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            peer: Peer::default(),
            peer_length: 0,
            control: Control::default(),
            control_length: 0,
            bytes: [0; DATAGRAM_BYTES_MAX],
            length: 0,
            is_truncated: false,
            reply: Vec::with_capacity(REPLY_BYTES),
        }
    }

    /// Ready for the next datagram.
    pub(crate) fn clear(&mut self) {
        self.reply.clear();
        if self.reply.capacity() > REPLY_BYTES_KEPT {
            self.reply.shrink_to(REPLY_BYTES);
        }
    }
}
