//! The OpenMetrics text of everything a node counts, made when `/metrics` is asked for.
//!
//! Each table row becomes one metric family `selvedge_<name>[_<unit>][_total]`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::counters::{BOUNDS_US, Counter, Histogram, SiteCounters, SiteShard, WordCounters};
use crate::node::NodeCounters;
use crate::process;
use crate::telemetry::Telemetry;
use crate::words::{CacheResult, StaleReason, StatusClass};

/// The media type of [`Telemetry::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; exported with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One figure of another crate. The name carries the unit last (`store_memory_bytes`), without
/// the `selvedge_` prefix and without `_total`.
#[derive(Debug, Clone)]
pub struct Sample<'a> {
    /// Name of the metric family.
    pub name: &'a str,
    /// One line for people.
    pub help: &'a str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Labels, of bounded values.
    pub labels: Vec<(&'a str, &'a str)>,
    /// The value now.
    pub value: f64,
}

impl<'a> Sample<'a> {
    /// A counter.
    pub fn counter(name: &'a str, help: &'a str, value: u64) -> Self {
        Self { name, help, kind: Kind::Counter, labels: Vec::new(), value: value as f64 }
    }

    /// A gauge.
    pub fn gauge(name: &'a str, help: &'a str, value: f64) -> Self {
        Self { name, help, kind: Kind::Gauge, labels: Vec::new(), value }
    }

    /// The same with one label more.
    pub fn label(mut self, name: &'a str, value: &'a str) -> Self {
        self.labels.push((name, value));
        self
    }
}

/// Renders everything.
pub(crate) fn render(telemetry: &Arc<Telemetry>) -> String {
    let mut registry = Registry::with_prefix("selvedge");
    registry.register_collector(Box::new(Everything(Arc::clone(telemetry))));
    let mut out = String::with_capacity(16 * 1024);
    // Writing to a String cannot fail; a bad figure must not take the others with it.
    if text::encode(&mut out, &registry).is_err() {
        tracing::error!("metrics could not be rendered completely");
    }
    out
}

struct Everything(Arc<Telemetry>);

impl fmt::Debug for Everything {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Everything")
    }
}

impl Collector for Everything {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sites = self.0.sites();
        encode_sites(&mut encoder, &sites)?;
        encode_node(&mut encoder, &self.0)?;
        encode_samples(&mut encoder, &self.0)
    }
}

fn encode_sites(encoder: &mut DescriptorEncoder<'_>, sites: &[Arc<SiteCounters>]) -> fmt::Result {
    encode_requests(encoder, sites)?;
    encode_stale(encoder, sites)?;
    for row in SiteShard::PLAIN {
        let unit = unit(row.unit);
        let mut metric =
            encoder.encode_descriptor(row.name, row.help, unit.as_ref(), MetricType::Counter)?;
        for site in sites {
            let value = site.sum(|shard| (row.field)(shard).get());
            counter(&mut metric, &[("site", &label(site.name()))], value)?;
        }
    }
    for row in SiteShard::WORDS {
        let mut metric =
            encoder.encode_descriptor(row.name, row.help, None, MetricType::Counter)?;
        for site in sites {
            let name = label(site.name());
            for (word, value) in words_of(site.shards().map(row.field)) {
                counter(&mut metric, &[("site", &name), ("reason", word)], value)?;
            }
        }
    }
    for row in SiteShard::DURATIONS {
        encode_durations(encoder, row.name, row.help, sites, row.field)?;
    }
    Ok(())
}

fn encode_requests(
    encoder: &mut DescriptorEncoder<'_>,
    sites: &[Arc<SiteCounters>],
) -> fmt::Result {
    let help = "Requests answered, by cache result and status class";
    let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
    for site in sites {
        let name = label(site.name());
        for cache in CacheResult::ALL {
            for class in StatusClass::ALL {
                let value = site.requests(*cache, *class);
                if value > 0 {
                    let labels =
                        [("site", &*name), ("cache", cache.word()), ("status", class.word())];
                    counter(&mut metric, &labels, value)?;
                }
            }
        }
    }
    Ok(())
}

fn encode_stale(encoder: &mut DescriptorEncoder<'_>, sites: &[Arc<SiteCounters>]) -> fmt::Result {
    let help = "Stale answers served, by reason";
    let mut metric = encoder.encode_descriptor("stale_served", help, None, MetricType::Counter)?;
    for site in sites {
        let name = label(site.name());
        for reason in StaleReason::ALL {
            let value = site.stale(*reason);
            counter(&mut metric, &[("site", &*name), ("reason", reason.word())], value)?;
        }
    }
    Ok(())
}

fn encode_durations(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    sites: &[Arc<SiteCounters>],
    field: fn(&SiteShard) -> &Histogram,
) -> fmt::Result {
    let mut metric =
        encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for site in sites {
        let sum_us = site.sum(|shard| field(shard).sum_us());
        let buckets: Vec<(f64, u64)> = (0..=BOUNDS_US.len())
            .map(|index| {
                let bound = BOUNDS_US.get(index).map_or(f64::INFINITY, |us| *us as f64 / 1e6);
                (bound, site.sum(|shard| field(shard).bucket(index)))
            })
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let labels = [("site", label(site.name()))];
        metric.encode_family(&labels)?.encode_histogram::<[(&str, &str); 0]>(
            sum_us as f64 / 1e6,
            count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

fn encode_node(encoder: &mut DescriptorEncoder<'_>, telemetry: &Telemetry) -> fmt::Result {
    let node = telemetry.node();
    for row in NodeCounters::PLAIN {
        let field: fn(&NodeCounters) -> &Counter = row.field;
        let unit = unit(row.unit);
        encoder
            .encode_descriptor(row.name, row.help, unit.as_ref(), MetricType::Counter)?
            .encode_counter::<[(&str, &str); 0], _, f64>(&field(node).get(), None)?;
    }
    for row in NodeCounters::WORDS {
        let mut metric =
            encoder.encode_descriptor(row.name, row.help, None, MetricType::Counter)?;
        for (word, value) in words_of(std::iter::once((row.field)(node))) {
            counter(&mut metric, &[("reason", word)], value)?;
        }
    }
    let mut gauge = |name: &str, help: &str, value: f64| {
        encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    };
    let flag = |flag: &std::sync::atomic::AtomicBool| f64::from(u8::from(flag.load(Relaxed)));
    let revision = node.config_revision.load(Relaxed) as f64;
    let loaded_s = node.config_loaded_s.load(Relaxed) as f64;
    gauge("ready", "1 while the node takes traffic", f64::from(u8::from(telemetry.is_ready())))?;
    gauge("config_revision", "Number of the running configuration", revision)?;
    gauge("config_last_good", "1 if the last configuration offered runs", flag(&node.config_good))?;
    gauge("config_loaded_timestamp_seconds", "When the configuration was taken over", loaded_s)?;
    encoder.encode_descriptor("build", "What runs here", None, MetricType::Info)?.encode_info(&[
        ("version", env!("CARGO_PKG_VERSION")),
        ("node", label(telemetry.node_name()).as_str()),
    ])
}

/// A sample detached from its source, so that samples of one family can be brought together.
type Family = (String, Kind, Vec<(Labels, f64)>);
type Labels = Vec<(String, String)>;

fn encode_samples(encoder: &mut DescriptorEncoder<'_>, telemetry: &Telemetry) -> fmt::Result {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut add = |sample: Sample<'_>| {
        let name = sample.name.strip_suffix("_total").unwrap_or(sample.name);
        let family = families
            .entry(name.to_owned())
            .or_insert_with(|| (sample.help.to_owned(), sample.kind, Vec::new()));
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), label(value));
        let labels: Vec<_> = sample.labels.iter().map(owned).collect();
        family.2.push((labels, sample.value));
    };
    process::read().into_iter().for_each(&mut add);
    telemetry.each_sample(&mut add);
    for (name, (help, kind, values)) in &families {
        let metric_type = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let mut metric = encoder.encode_descriptor(name, help, None, metric_type)?;
        for (labels, value) in values {
            if labels.is_empty() {
                figure(&mut metric, *kind, *value)?;
            } else {
                figure(&mut metric.encode_family(labels)?, *kind, *value)?;
            }
        }
    }
    Ok(())
}

fn figure(metric: &mut MetricEncoder<'_>, kind: Kind, value: f64) -> fmt::Result {
    match kind {
        Kind::Counter => metric.encode_counter::<[(&str, &str); 0], _, f64>(&value, None),
        Kind::Gauge => metric.encode_gauge(&value),
    }
}

fn counter<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&str, &str); N],
    value: u64,
) -> fmt::Result {
    metric.encode_family(labels)?.encode_counter::<[(&str, &str); 0], _, f64>(&value, None)
}

fn words_of<'a>(counters: impl Iterator<Item = &'a WordCounters>) -> BTreeMap<&'static str, u64> {
    let mut sums = BTreeMap::new();
    for (word, value) in counters.flat_map(WordCounters::rows) {
        *sums.entry(word).or_default() += value;
    }
    sums
}

fn unit(unit: &str) -> Option<Unit> {
    match unit {
        "bytes" => Some(Unit::Bytes),
        "seconds" => Some(Unit::Seconds),
        _ => None,
    }
}

/// A label value that cannot break the text: quotes, backslashes and controls are replaced.
fn label(value: &str) -> String {
    value.chars().map(|c| if c.is_control() || c == '"' || c == '\\' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered() -> String {
        let telemetry = Telemetry::new("edge \"1\"\n");
        let site = telemetry.site("shop");
        site.here().request_done(CacheResult::Hit, 200, 1024, 90);
        site.here().request_done(CacheResult::Miss, 502, 10, 2_000);
        site.here().stale_served(StaleReason::UpstreamFailed);
        site.here().refused.inc("uri-too-long");
        telemetry.node().refusals.inc("bare-lf");
        telemetry.set_ready(true);
        telemetry.register_source("store", |each| {
            each(Sample::gauge("store_memory_bytes", "Memory held", 12.0));
            each(Sample::counter("store_evicted_total", "Objects evicted", 5).label("why", "size"));
            each(Sample::counter("store_evicted_total", "Objects evicted", 6).label("why", "a\"b"));
            each(
                Sample::counter("dns_sent", "Clients", 7)
                    .label("region", "eu")
                    .label("rule", "asn"),
            );
        });
        telemetry.render()
    }

    #[test]
    fn every_table_row_is_exported_with_unit_help_and_value() {
        let text = rendered();
        for line in [
            "selvedge_requests_total{site=\"shop\",cache=\"hit\",status=\"2xx\"} 1\n",
            "selvedge_requests_total{site=\"shop\",cache=\"miss\",status=\"5xx\"} 1\n",
            "selvedge_stale_served_total{site=\"shop\",reason=\"upstream-failed\"} 1\n",
            "# TYPE selvedge_client_sent_bytes counter\n",
            "selvedge_client_sent_bytes_total{site=\"shop\"} 1034\n",
            "selvedge_refused_total{site=\"shop\",reason=\"uri-too-long\"} 1\n",
            "selvedge_refusals_total{reason=\"bare-lf\"} 1\n",
            "selvedge_request_seconds_bucket{le=\"0.0001\",site=\"shop\"} 1\n",
            "selvedge_request_seconds_bucket{le=\"+Inf\",site=\"shop\"} 2\n",
            "selvedge_request_seconds_count{site=\"shop\"} 2\n",
            "selvedge_ready 1.0\n",
            "# TYPE selvedge_store_memory_bytes gauge\n",
            "selvedge_store_memory_bytes 12.0\n",
            "selvedge_store_evicted_total{why=\"size\"} 5.0\n",
            "selvedge_store_evicted_total{why=\"a_b\"} 6.0\n",
            "selvedge_dns_sent_total{region=\"eu\",rule=\"asn\"} 7.0\n",
            "selvedge_process_cpu_seconds_total ",
            "selvedge_build_info{version=",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        for row in SiteShard::PLAIN {
            assert!(text.contains(&format!("# HELP selvedge_{}", row.name)), "{}", row.name);
        }
    }

    /// Threat 62: no label can forge a line.
    #[test]
    fn every_line_is_a_comment_or_a_sample_and_no_family_comes_twice() {
        let text = rendered();
        let mut families = std::collections::BTreeSet::new();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                assert!(families.insert(family.to_owned()), "{family} twice");
            } else if !line.starts_with('#') {
                assert!(line.starts_with("selvedge_"), "{line}");
                let value = line.rsplit(' ').next().unwrap_or_default();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
    }
}
