//! The streams that most watch, as metrics. There may be thousands: no more of them are named than
//! a scraper can bear.

use super::stream::StreamView;
use selvedge_telemetry::Sample;

/// Streams in the metrics: those with most viewers.
const STREAMS_MAX: usize = 50;

/// A name, its help, and how it is seen.
type Figure<T> = (&'static str, &'static str, fn(&StreamView) -> T);

const GAUGES: [Figure<Option<f64>>; 4] = [
    ("stream_viewers", "Clients that asked for something of a stream lately, about", |it| {
        Some(it.viewers as f64)
    }),
    ("stream_edge_age_seconds", "Time since the live edge of a stream moved", |it| {
        it.edge_age_ms.map(|ms| ms as f64 / 1000.0)
    }),
    ("stream_target_seconds", "Target duration of a stream", |it| {
        it.target_ms.map(|ms| ms as f64 / 1000.0)
    }),
    ("stream_buffer_seconds", "Mean of the buffers that players of a stream told of", |it| {
        it.buffer_ms.map(|ms| ms as f64 / 1000.0)
    }),
];

const COUNTERS: [Figure<u64>; 6] = [
    ("stream_requests", "Requests for objects of a stream", |it| it.requests),
    ("stream_hits", "Of these, answered from the store", |it| it.hits),
    ("stream_errors", "Of these, answered with an error", |it| it.errors),
    ("stream_prefetches", "Objects of a stream fetched before a player asked", |it| it.prefetched),
    ("stream_prefetch_used", "Of these, objects that a player asked for", |it| it.prefetch_used),
    ("stream_stalls", "Times that players of a stream said they had run dry", |it| it.stalls),
];

/// Gives the samples of the streams that most watch.
pub(crate) fn export(streams: &[StreamView], each: &mut dyn FnMut(Sample<'_>)) {
    for stream in streams.iter().take(STREAMS_MAX) {
        let name = format!("{}{}", stream.host, stream.folder);
        let mut give = |sample: Sample<'_>| {
            each(sample.label("site", &stream.site).label("stream", &name));
        };
        for (gauge, help, figure) in GAUGES {
            if let Some(value) = figure(stream) {
                give(Sample::gauge(gauge, help, value));
            }
        }
        for (counter, help, figure) in COUNTERS {
            give(Sample::counter(counter, help, figure(stream)));
        }
    }
}
