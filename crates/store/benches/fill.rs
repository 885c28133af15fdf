//! What a fill costs: `cargo bench -p selvedge-store --bench fill`.
//!
//! A body of 256 MiB comes in chunks of 16 KiB; the longest single call shows whether finishing a
//! large object blocks a core. Then ten thousand readers wait for every chunk of a fill; the cost
//! per reader and chunk is that of registering, waking and reading.

use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use selvedge_policy::{Exchange, Key, Now, SiteRules, Storable, Verdict, judge};
use selvedge_store::{Begin, FillReader, FillWriter, Settings, Store, Wanted};

const CHUNK_BYTES: usize = 16 << 10;
const BODY_BYTES: usize = 256 << 20;
const READERS: usize = 10_000;
const CHUNKS: usize = 50;
const NOW: Now = Now { mono_ms: 1, wall_s: 1_800_000_000 };

fn storable() -> Storable {
    let mut resp_headers = HeaderMap::new();
    resp_headers.insert("cache-control", HeaderValue::from_static("max-age=3600"));
    let exchange = Exchange {
        method: &Method::GET,
        target: None,
        req_headers: &HeaderMap::new(),
        status: StatusCode::OK,
        resp_headers: &resp_headers,
        requested_at: NOW,
        received_at: NOW,
    };
    match judge(&exchange, &SiteRules::default()) {
        Verdict::Store(storable) => storable,
        Verdict::Pass(_) => panic!("it says max-age"),
    }
}

fn begin(store: &Arc<Store>) -> Begin {
    let (headers, rules) = (HeaderMap::new(), SiteRules::default());
    let entry = store.lookup(Key(1), b"key");
    let seen = entry.as_ref().and_then(|entry| entry.select(&headers, &rules));
    let wanted = Wanted::Request { headers: &headers, rules: &rules, seen };
    store.begin(Key(1), b"key", wanted, NOW)
}

fn lead(store: &Arc<Store>) -> (FillWriter, FillReader) {
    match begin(store) {
        Begin::Lead(writer, reader) => (writer, reader),
        Begin::Join(_) | Begin::Stored(_) | Begin::Full => panic!("nobody else fills"),
    }
}

fn once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn timed<T>(longest: &mut Duration, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = work();
    *longest = begun.elapsed().max(*longest);
    result
}

fn large(store: &Arc<Store>) -> String {
    let chunk = Bytes::from(vec![7; CHUNK_BYTES]);
    let (mut writer, reader) = lead(store);
    drop(reader);
    let (mut longest_push, mut finish) = (Duration::ZERO, Duration::ZERO);
    let begun = Instant::now();
    writer.head(storable(), None);
    for _ in 0..BODY_BYTES / CHUNK_BYTES {
        let pushed = timed(&mut longest_push, || once(writer.push(chunk.clone())));
        assert!(matches!(pushed, Poll::Ready(Ok(()))));
    }
    timed(&mut finish, || writer.finish(None)).expect("the body is whole");
    let rate = BODY_BYTES as f64 / 1e6 / begun.elapsed().as_secs_f64();
    format!("fill of 256 MiB: {rate:.0} MB/s, longest push {longest_push:?}, finish {finish:?}\n")
}

fn crowd(store: &Arc<Store>) -> String {
    let chunk = Bytes::from(vec![7; CHUNK_BYTES]);
    drop(store.invalidate(Key(1)));
    let (mut writer, first) = lead(store);
    let mut readers = vec![first];
    for _ in 1..READERS {
        let Begin::Join(reader) = begin(store) else { panic!("it runs") };
        readers.push(reader);
    }
    writer.head(storable(), None);
    let begun = Instant::now();
    for _ in 0..CHUNKS {
        assert!(readers.iter_mut().all(|reader| once(reader.chunk()).is_pending()));
        assert!(matches!(once(writer.push(chunk.clone())), Poll::Ready(Ok(()))));
        assert!(readers.iter_mut().all(|reader| once(reader.chunk()).is_ready()));
    }
    let ns = begun.elapsed().as_nanos() / (READERS * CHUNKS) as u128;
    format!("10,000 readers of one fill: {ns} ns per reader and chunk\n")
}

fn main() {
    let store = Store::new(
        Settings {
            memory_bytes: 1 << 30,
            object_bytes_max: 512 << 20,
            fill_bytes_max: 1 << 30,
            ..Settings::default()
        },
        Arc::default(),
    );
    let report = large(&store) + &crowd(&store);
    // The harness of `cargo bench` reads standard output.
    let _ = std::io::stdout().write_all(report.as_bytes());
}
