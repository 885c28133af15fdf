//! What each fragment of a page cost, written at the end of the page for those who may purge and
//! ask for it with `Selvedge-Esi-Trace`.

use super::assembly::{Lineage, Page};
use crate::node::Core;
use crate::normalize::Ask;
use bytes::Bytes;
use selvedge_telemetry::CacheResult;
use std::fmt::Write;
use std::rc::Rc;

/// The field that asks for it.
const FIELD: &str = "selvedge-esi-trace";
/// Lines of a trace at most.
const LINES_MAX: usize = 1_000;

/// The trace of a page.
pub(crate) struct Trace {
    began_us: u64,
    text: String,
    lines: usize,
}

/// A fragment that is being asked for.
pub(super) struct Line {
    src: Option<String>,
    depth: usize,
    began_us: u64,
    cache: &'static str,
}

impl Trace {
    /// A trace, if this client asks for one and may.
    pub(super) fn of(core: &Rc<Core>, ask: &Ask) -> Option<Self> {
        ask.headers.get(FIELD)?;
        let arrival = &ask.arrival;
        ask.plan.purge.admit(arrival.client, arrival.trusted, &ask.headers).ok()?;
        let began_us = core.node.clock.now_mono_us();
        Some(Self { began_us, text: String::new(), lines: 0 })
    }

    /// The trace as a comment. What came from the page cannot end it.
    pub(super) fn comment(&self, page: &Page) -> Bytes {
        let total_us = page.core.node.clock.now_mono_us().saturating_sub(self.began_us);
        // Every end of a comment has this sign in it.
        let text = self.text.replace('<', "&lt;").replace('>', "&gt;");
        format!("\n<!-- selvedge esi trace: {total_us} us\n{text}-->\n").into()
    }
}

impl Line {
    pub(super) fn begin(page: &Page, lineage: &Lineage, src: &str) -> Self {
        let is_on = page.trace.is_some();
        Self {
            src: is_on.then(|| src.chars().take(500).collect()),
            depth: lineage.depth(),
            began_us: if is_on { page.core.node.clock.now_mono_us() } else { 0 },
            cache: "-",
        }
    }

    /// The answer's head is there.
    pub(super) const fn found(&mut self, cache: CacheResult) {
        self.cache = cache.word();
    }

    pub(super) fn end(self, page: &Page, word: &str, bytes: usize) {
        let (Some(trace), Some(src)) = (&page.trace, self.src) else { return };
        let mut trace = trace.borrow_mut();
        trace.lines += 1;
        if trace.lines <= LINES_MAX {
            let now_us = page.core.node.clock.now_mono_us();
            let (at_us, took_us) = (
                self.began_us.saturating_sub(trace.began_us),
                now_us.saturating_sub(self.began_us),
            );
            let (indent, cache) = (self.depth * 2 + 2, self.cache);
            // Writing to a string does not fail.
            let _ = writeln!(
                trace.text,
                "{:indent$}{src}: {word}, {cache}, {bytes} bytes, at {at_us} us, {took_us} us",
                ""
            );
        }
    }
}
