//! The line of a query: who asked for what, what it came to, and why. JSON, with the words of the
//! counters.

use std::io::Write as _;
use std::net::SocketAddr;

use selvedge_authority::kind::Kind;
use selvedge_authority::{Name, Outcome};
use selvedge_telemetry::write_rfc3339_ms;

use crate::Transport;

/// All that a line says.
pub(super) struct Line<'a> {
    pub(super) wall_ms: i64,
    pub(super) from: SocketAddr,
    pub(super) transport: Transport,
    /// In wire form.
    pub(super) name: &'a [u8],
    pub(super) outcome: &'a Outcome<'a>,
    pub(super) region: Option<&'a str>,
    pub(super) rule: Option<&'a str>,
    pub(super) bytes: usize,
}

impl Line<'_> {
    /// Appends it, with its line end. What comes from the network is escaped by [`Name`].
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        let (wall_s, ms) = (self.wall_ms.div_euclid(1000), self.wall_ms.rem_euclid(1000));
        write_rfc3339_ms(out, wall_s, ms as u16);
        let outcome = self.outcome;
        // Writing to memory does not fail.
        let _ = write!(
            out,
            "\",\"client\":\"{}\",\"transport\":\"{}\",\"name\":{},\"type\":\"{}\",\"rcode\":{},\
             \"reason\":\"{}\",\"bytes\":{}",
            self.from.ip().to_canonical(),
            self.transport.word(),
            serde_json::Value::from(shown(self.name)),
            Kind(outcome.kind),
            outcome.rcode,
            outcome.reason.word(),
            self.bytes,
        );
        if let Some(subnet) = outcome.subnet
            && let Some(address) = subnet.address
        {
            let (source, scope) = (subnet.source, subnet.scope);
            let _ = write!(out, ",\"subnet\":\"{address}/{source}\",\"scope\":{scope}");
        }
        if let (Some(region), Some(rule)) = (self.region, self.rule) {
            let _ = write!(out, ",\"region\":\"{region}\",\"rule\":\"{rule}\"");
        }
        if outcome.is_truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
        out.extend_from_slice(b"}\n");
    }
}

fn shown(wire: &[u8]) -> String {
    Name::from_wire(wire).map_or_else(|_| String::new(), |name| name.to_string())
}
