//! The access log as a whole: order of lines, bounds, failures, rotation.

use std::sync::mpsc;

use super::*;
use crate::record::tests::full;
use crate::writer::tests::TestSink;

const LONG: Duration = Duration::from_secs(60);

fn settings(target: LogTarget, queue_bytes: usize) -> AccessSettings {
    AccessSettings { target, format: LogFormat::Json, queue_bytes }
}

fn ids(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let read: serde_json::Value = serde_json::from_slice(line).unwrap();
            read["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn lines_of_all_threads_reach_the_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let telemetry = Telemetry::new("edge-1");
    let log =
        AccessLog::open(settings(LogTarget::File(path.clone()), 64 << 20), &telemetry).unwrap();
    assert!(log.is_on());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..1_000 {
                    let request_id = format!("{worker}-{number}");
                    log.record(&Record { request_id: &request_id, ..full() });
                }
            });
        }
    });
    assert!(log.flush(LONG));
    let found: std::collections::BTreeSet<_> =
        ids(&std::fs::read(&path).unwrap()).into_iter().collect();
    assert_eq!(found.len(), 4_000);
    assert_eq!(telemetry.node().access_log_lines.get(), 4_000);
    assert_eq!(telemetry.node().access_log_dropped.get(), 0);
}

#[test]
fn after_a_rotation_lines_go_to_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let moved = folder.path().join("access.log.1");
    let telemetry = Telemetry::new("edge-1");
    let log =
        AccessLog::open(settings(LogTarget::File(path.clone()), 1 << 20), &telemetry).unwrap();
    log.record(&Record { request_id: "before", ..full() });
    assert!(log.flush(LONG));
    std::fs::rename(&path, &moved).unwrap();
    log.record(&Record { request_id: "between", ..full() });
    assert!(log.flush(LONG));
    log.reopen().unwrap();
    log.record(&Record { request_id: "after", ..full() });
    assert!(log.flush(LONG));
    assert_eq!(ids(&std::fs::read(&moved).unwrap()), ["before", "between"]);
    assert_eq!(ids(&std::fs::read(&path).unwrap()), ["after"]);
}

#[test]
fn a_log_that_is_off_records_nothing() {
    let telemetry = Telemetry::new("edge-1");
    let log = AccessLog::open(settings(LogTarget::Off, 1 << 20), &telemetry).unwrap();
    assert!(!log.is_on());
    log.record(&full());
    assert!(log.flush(LONG));
    log.reopen().unwrap();
    assert_eq!(telemetry.node().access_log_lines.get(), 0);
}

#[test]
fn a_target_in_no_folder_is_an_error_at_open() {
    let telemetry = Telemetry::new("edge-1");
    let target = LogTarget::File("/nonexistent/access.log".into());
    assert!(AccessLog::open(settings(target, 1 << 20), &telemetry).is_err());
}

/// Threat: the disk stands still. Requests go on, memory stays bounded, loss is counted.
#[test]
fn a_writer_that_stands_still_costs_lines_and_nothing_else() {
    let telemetry = Telemetry::new("edge-1");
    let (permit, permits) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = TestSink { permits, written: Arc::clone(&written) };
    let queue_bytes = 64 * 1024 * shard_count();
    let off = settings(LogTarget::Stdout, queue_bytes);
    let log = AccessLog::start(off, &telemetry, Some(Sink::Test(sink))).unwrap();
    for number in 0..10_000 {
        let request_id = number.to_string();
        log.record(&Record { request_id: &request_id, ..full() });
    }
    let held: usize = log.buffers.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
    assert!(held <= queue_bytes, "{held}");
    let node = telemetry.node();
    assert!(node.access_log_dropped.get() > 0);
    assert_eq!(node.access_log_lines.get() + node.access_log_dropped.get(), 10_000);
    assert!(!log.flush(Duration::from_millis(1)), "nothing was permitted yet");
    drop(permit);
    assert!(log.flush(LONG));
    assert_eq!(ids(&written.lock().unwrap()).len() as u64, node.access_log_lines.get());
}

#[test]
fn after_a_failed_write_the_next_line_begins_afresh() {
    let telemetry = Telemetry::new("edge-1");
    let (permit, permits) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = TestSink { permits, written: Arc::clone(&written) };
    let log = AccessLog::start(AccessSettings::default(), &telemetry, Some(Sink::Test(sink)));
    let log = log.unwrap();
    permit.send(false).unwrap();
    log.record(&Record { request_id: "lost", ..full() });
    assert!(log.flush(LONG));
    assert_eq!(telemetry.node().access_log_errors.get(), 1);
    permit.send(true).unwrap();
    permit.send(true).unwrap();
    log.record(&Record { request_id: "kept", ..full() });
    assert!(log.flush(LONG));
    let written = written.lock().unwrap();
    assert_eq!(written[0], b'\n');
    assert_eq!(ids(&written), ["kept"]);
}

#[test]
fn dropping_the_log_writes_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let telemetry = Telemetry::new("edge-1");
    let target = LogTarget::File(path.clone());
    let log = AccessLog::open(settings(target, 1 << 20), &telemetry).unwrap();
    log.record(&Record { request_id: "last", ..full() });
    drop(log);
    assert_eq!(ids(&std::fs::read(&path).unwrap()), ["last"]);
}
