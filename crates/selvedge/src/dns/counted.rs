//! What a DNS server counts, as `/metrics` tells it.

use super::reload::Keeper;
use selvedge_authority::Signatures;
use selvedge_dns::Running;
use selvedge_dns::service::Figures;
use selvedge_telemetry::{Sample, Telemetry};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Files that were refused while the last good ones go on.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// Databases and coverage maps.
    pub(super) maps: AtomicU64,
    /// Zones: their files, however many of them are wrong at once.
    pub(super) zones: AtomicU64,
    /// Keys of signed zones, and secrets of cookies.
    pub(super) keys: AtomicU64,
}

impl Refused {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

/// Counts what is answered, and how it is carried and signed.
pub(super) fn register(
    telemetry: &Telemetry,
    figures: &Arc<Figures>,
    answering: &Running,
    signatures: Arc<Signatures>,
) {
    telemetry.register_source("dnssec", move |each| {
        let help = "Signatures made";
        each(Sample::counter("dnssec_signatures", help, signatures.made()));
        let help = "Signatures not made because there were too many to make";
        each(Sample::counter("dnssec_refused", help, signatures.refused()));
        let help = "Signatures kept";
        each(Sample::gauge("dnssec_kept", help, signatures.kept() as f64));
    });
    let figures = Arc::clone(figures);
    telemetry.register_source("dns", move |each| {
        figures.each(&mut |figure| {
            let sample = Sample::counter(figure.name, figure.help, figure.value);
            let labels = figure.labels.iter();
            each(labels.fold(sample, |sample, (name, value)| sample.label(name, value)));
        });
    });
    let counters = Arc::clone(answering.counters());
    telemetry.register_source("dns_transport", move |each| {
        counters.each(&mut |name, help, transport, value| {
            let name = format!("dns_transport_{name}");
            each(Sample::counter(&name, help, value).label("transport", transport.word()));
        });
    });
}

/// Counts what it is answered from: nodes, and files that are refused.
pub(super) fn register_keeping(telemetry: &Telemetry, keeper: &Keeper) {
    let helm = Arc::clone(&keeper.helm);
    telemetry.register_source("dns_nodes", move |each| {
        for ((region, state), nodes) in &helm.census() {
            let sample = Sample::gauge("dns_nodes", "Nodes, by their state", *nodes as f64);
            each(sample.label("region", region).label("state", state));
        }
    });
    let refused = Arc::clone(&keeper.refused);
    telemetry.register_source("dns_files", move |each| {
        let kinds = [("maps", &refused.maps), ("zones", &refused.zones), ("keys", &refused.keys)];
        for (kind, counter) in kinds {
            let help = "Times that files were refused and the last good ones stayed";
            let sample = Sample::counter("dns_files_refused", help, counter.load(Relaxed));
            each(sample.label("kind", kind));
        }
    });
}
