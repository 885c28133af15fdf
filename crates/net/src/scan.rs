//! One connection's worth of requests as a stream of bytes: where heads and bodies begin and end,
//! and up to where everything is beyond doubt. Pure; `guard.rs` does the reading.

use crate::chunk::Chunked;
use crate::head::{BodyFraming, Framing, Head};
use crate::refusal::Refusal;
use crate::settings::Limits;

/// What follows the approved bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Unfinished: come again with these bytes and more.
    More,
    /// A head that is refused.
    RefusedHead(Refusal),
    /// Something in a body that is refused.
    RefusedBody(Refusal),
    /// A request to leave HTTP ended here; what follows may be anything.
    Hold,
}

#[derive(Clone, Debug)]
enum State {
    Head(Head),
    Length(u64),
    Chunked(Chunked),
    Hold,
    Refused(Then),
}

/// Follows the messages of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Scanner {
    state: State,
    upgrade: bool,
    upgrade_begun: bool,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self { state: State::Head(Head::default()), upgrade: false, upgrade_begun: false }
    }

    /// Whether the bytes that were not approved belong to a head.
    pub(crate) const fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// Whether the head of a request to leave HTTP was approved since the last call.
    pub(crate) const fn take_upgrade_begun(&mut self) -> bool {
        std::mem::replace(&mut self.upgrade_begun, false)
    }

    /// Goes on with HTTP after [`Then::Hold`].
    pub(crate) fn resume(&mut self) {
        *self = Self::new();
    }

    /// Looks at the bytes that follow what was approved before. Returns how many more are approved;
    /// the rest is to be given again, with more behind it.
    pub(crate) fn scan(&mut self, bytes: &[u8], limits: &Limits) -> (usize, Then) {
        let mut approved = 0;
        loop {
            let rest = &bytes[approved..];
            let (taken, then) = match &mut self.state {
                State::Head(head) => match head.advance(rest, limits) {
                    Ok(None) => return (approved, Then::More),
                    Ok(Some((taken, framing))) => {
                        self.begin(framing);
                        (taken, None)
                    }
                    Err(refusal) => (0, Some(Then::RefusedHead(refusal))),
                },
                State::Length(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    if *left == 0 {
                        self.end();
                    }
                    (taken, None)
                }
                State::Chunked(chunked) => match chunked.advance(rest) {
                    Ok((taken, is_done)) => {
                        if is_done {
                            self.end();
                        }
                        (taken, None)
                    }
                    Err((taken, refusal)) => (taken, Some(Then::RefusedBody(refusal))),
                },
                State::Hold => return (approved, Then::Hold),
                State::Refused(then) => return (approved, *then),
            };
            approved += taken;
            if let Some(then) = then {
                self.state = State::Refused(then);
                return (approved, then);
            }
            if approved == bytes.len() && !matches!(self.state, State::Hold) {
                return (approved, Then::More);
            }
        }
    }

    fn begin(&mut self, framing: Framing) {
        self.upgrade = framing.upgrade;
        self.upgrade_begun |= framing.upgrade;
        match framing.body {
            BodyFraming::None => self.end(),
            BodyFraming::Length(length) => self.state = State::Length(length),
            BodyFraming::Chunked => self.state = State::Chunked(Chunked::new()),
        }
    }

    fn end(&mut self) {
        self.state = if self.upgrade { State::Hold } else { State::Head(Head::default()) };
    }
}
