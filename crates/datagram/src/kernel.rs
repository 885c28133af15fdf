//! The calls to the kernel: the only `unsafe` of the crate. The headers that they take point into
//! slots; they are made anew for each call from slots that the call has for itself, so that no
//! pointer outlives what it points to. Nothing here decides anything.

use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsFd, AsRawFd};

use crate::slot::{BATCH, Control, Peer, Slot};

/// Room for the headers of a batch. What they point to is only valid inside of a call.
pub(crate) struct Headers {
    messages: Vec<libc::mmsghdr>,
    pieces: Vec<libc::iovec>,
}

impl Headers {
    pub(crate) fn new() -> Self {
        Self { messages: Vec::with_capacity(BATCH), pieces: Vec::with_capacity(BATCH) }
    }

    /// Receives up to one datagram a slot, the first of them waited for as the socket says, and
    /// says how many came.
    pub(crate) fn receive(
        &mut self,
        socket: impl AsFd,
        slots: &mut [Slot],
        flags: libc::c_int,
    ) -> io::Result<usize> {
        self.reset();
        for slot in slots.iter_mut().take(BATCH) {
            self.pieces.push(libc::iovec {
                iov_base: slot.bytes.as_mut_ptr().cast(),
                iov_len: slot.bytes.len(),
            });
            let mut message = blank();
            message.msg_hdr.msg_name = (&raw mut slot.peer).cast();
            message.msg_hdr.msg_namelen = socklen(size_of::<Peer>());
            message.msg_hdr.msg_control = (&raw mut slot.control).cast();
            message.msg_hdr.msg_controllen = size_of::<Control>();
            self.messages.push(message);
        }
        self.join();
        let (descriptor, count) = (socket.as_fd(), length(self.messages.len()));
        let (messages, none) = (self.messages.as_mut_ptr(), std::ptr::null_mut());
        #[expect(unsafe_code, reason = "no safe interface to this call is in our libraries")]
        // SAFETY: the descriptor is open, for it is borrowed. There are `count` headers. Each
        // points to one piece and by it to the bytes of a slot, to its peer and to its control,
        // with their sizes. The slots are borrowed mutably until we return, so nobody else touches
        // them, and any bytes are valid values of them.
        let result =
            unsafe { libc::recvmmsg(descriptor.as_raw_fd(), messages, count, flags, none) };
        let received = outcome(result)?;
        for (slot, message) in slots.iter_mut().zip(&self.messages).take(received) {
            slot.length = (message.msg_len as usize).min(slot.bytes.len());
            slot.is_truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.peer_length = message.msg_hdr.msg_namelen as usize;
            slot.control_length = message.msg_hdr.msg_controllen;
        }
        Ok(received)
    }

    /// Sends the replies of slots that have one, from the `first` of these on, and says how many
    /// went. The kernel stops before one that it will not take, and says why if it is the first.
    pub(crate) fn send(
        &mut self,
        socket: impl AsFd,
        slots: &[Slot],
        first: usize,
    ) -> io::Result<usize> {
        self.reset();
        let replies = slots.iter().filter(|slot| !slot.reply.is_empty());
        for slot in replies.skip(first).take(BATCH) {
            self.pieces.push(libc::iovec {
                iov_base: slot.reply.as_ptr().cast_mut().cast(),
                iov_len: slot.reply.len(),
            });
            let mut message = blank();
            message.msg_hdr.msg_name = (&raw const slot.peer).cast_mut().cast();
            message.msg_hdr.msg_namelen = socklen(slot.peer_length.min(size_of::<Peer>()));
            if slot.control_length > 0 {
                message.msg_hdr.msg_control = (&raw const slot.control).cast_mut().cast();
                message.msg_hdr.msg_controllen = slot.control_length.min(size_of::<Control>());
            }
            self.messages.push(message);
        }
        self.join();
        let (descriptor, count) = (socket.as_fd(), length(self.messages.len()));
        let messages = self.messages.as_mut_ptr();
        #[expect(unsafe_code, reason = "no safe interface to this call is in our libraries")]
        // SAFETY: the descriptor is open, for it is borrowed. There are `count` headers. Each
        // points to one piece and by it to the reply of a slot, to its peer and to its control,
        // with lengths no longer than these are; the slots are borrowed until we return. The kernel
        // writes nothing but `msg_len` of the headers, which are ours.
        let result = unsafe { libc::sendmmsg(descriptor.as_raw_fd(), messages, count, 0) };
        outcome(result)
    }

    fn reset(&mut self) {
        self.messages.clear();
        self.pieces.clear();
    }

    /// Gives each message its piece, once no more pieces come.
    fn join(&mut self) {
        for (message, piece) in self.messages.iter_mut().zip(&mut self.pieces) {
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
        }
    }
}

/// Sets an option whose value is an int.
pub(crate) fn set_option(
    socket: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let descriptor = socket.as_fd();
    let bytes = socklen(size_of_val(&value));
    #[expect(unsafe_code, reason = "no safe interface to these options is in our libraries")]
    // SAFETY: the descriptor is open, for it is borrowed; the kernel reads `bytes` bytes from where
    // the pointer points, and that is an int of so many bytes.
    let result = unsafe {
        libc::setsockopt(descriptor.as_raw_fd(), level, name, (&raw const value).cast(), bytes)
    };
    outcome(result).map(drop)
}

/// How many datagrams the kernel dropped because there was no room in the socket's buffer. It
/// starts again at 0 after 2^32.
pub(crate) fn drops(socket: impl AsFd) -> io::Result<u32> {
    const NUMBERS: usize = libc::SK_MEMINFO_DROPS as usize + 1;
    let mut numbers = [0u32; NUMBERS];
    let mut bytes = socklen(size_of_val(&numbers));
    let descriptor = socket.as_fd();
    #[expect(unsafe_code, reason = "no safe interface to this option is in our libraries")]
    // SAFETY: the descriptor is open, for it is borrowed; the kernel writes no more than `bytes`
    // bytes to where the pointer points, and that is an array of so many bytes.
    let result = unsafe {
        libc::getsockopt(
            descriptor.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    outcome(result).map(|_| numbers[NUMBERS - 1])
}

/// A header that points nowhere.
fn blank() -> libc::mmsghdr {
    #[expect(unsafe_code, reason = "the type has private padding on some targets")]
    // SAFETY: it is made of numbers and raw pointers, for which zero is a value.
    unsafe {
        std::mem::zeroed()
    }
}

fn outcome(result: libc::c_int) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The number of headers: at most `BATCH`.
fn length(headers: usize) -> libc::c_uint {
    libc::c_uint::try_from(headers).unwrap_or(0)
}

/// The size of something that is never larger than a slot.
fn socklen(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or(0)
}
