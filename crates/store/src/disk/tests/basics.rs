//! Putting, finding, reading ranges, removing.

use bytes::Bytes;
use proptest::prelude::*;

use super::rig::{Call, Fate, Rig, SIZE, count, is_right, key, payload, read, record};
use crate::disk::header::{BLOCK_BYTES, HEADER_BYTES, UNIT, payload_start, units};
use crate::disk::{Admission, Disks, Kind, PAYLOAD_BYTES_MAX, ReadError, ReadOutcome, Record};

#[test]
fn a_record_is_as_long_as_it_must_be_and_never_longer() {
    let near = |bytes: usize| bytes.saturating_sub(200)..bytes + 200;
    let lengths = near(0).chain(near(BLOCK_BYTES)).chain(near(7 * BLOCK_BYTES));
    for bytes in lengths.chain([PAYLOAD_BYTES_MAX]) {
        let units = units(bytes);
        assert!(payload_start(units) + bytes <= units as usize * UNIT, "{bytes}");
        assert!(units == 1 || payload_start(units - 1) + bytes > (units as usize - 1) * UNIT);
        assert!(units <= 65_535);
        let blocks = (payload_start(units) - HEADER_BYTES) / 4;
        assert!(blocks >= bytes.div_ceil(BLOCK_BYTES));
    }
}

#[test]
fn what_was_put_is_found_from_the_buffer_and_from_the_file() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    let sizes = [0, 1, 63, 64, 1000, 32_768, 32_769, 100_000, 1 << 20, PAYLOAD_BYTES_MAX];
    for (number, bytes) in sizes.into_iter().enumerate() {
        disks.put(record(number as u64, 1, bytes));
    }
    let waited = disks.remove(key(999));
    assert!(waited, "nothing to remove is removed");
    disks.flush();
    for (number, bytes) in sizes.into_iter().enumerate() {
        assert!(is_right(&disks, number as u64, 1, bytes), "{bytes}");
    }
    assert!(disks.find(key(999)).is_none() && !disks.has(key(999)));
    assert_eq!(disks.totals().records, sizes.len() as u64);
    assert_eq!(disks.min_revision(), Some(1));
}

#[test]
fn records_in_the_buffer_are_read_from_it() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    // The first write makes the segment; all later ones wait until they are let through.
    disks.put(record(1, 1, 10));
    disks.flush();
    rig.io.plan(|call, _, _, _| if call == Call::Write { Fate::Fail(5) } else { Fate::Work });
    disks.put(record(2, 1, 70_000));
    disks.flush();
    rig.io.plan(|_, _, _, _| Fate::Fail(5));
    assert!(is_right(&disks, 2, 1, 70_000));
    let found = disks.find(key(2)).unwrap();
    let part = found.read(40_000..40_100).wait().unwrap();
    assert_eq!(part, payload(2, 1, 70_000).slice(40_000..40_100));
}

#[test]
fn a_too_long_record_is_refused_and_voids_what_it_would_replace() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 100));
    disks.flush();
    disks.put(record(1, 2, PAYLOAD_BYTES_MAX + 1));
    assert!(read(&disks, 1).is_none());
    assert_eq!(count(&rig.counters.refused), 1);
}

#[test]
fn the_newest_version_is_found_and_sums_follow() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    for version in 1..50 {
        disks.put(record(1, version, 1000 * version as usize));
    }
    disks.flush();
    assert!(is_right(&disks, 1, 49, 49_000));
    let sums = disks.bytes_by_site();
    assert_eq!((sums.len(), sums[0].site, sums[0].records), (1, 1, 1));
    assert_eq!(sums[0].bytes, u64::from(units(49_000)) * 64);
    assert!(disks.remove(key(1)));
    assert!(disks.bytes_by_site().is_empty());
}

#[test]
fn second_ask_keeps_entries_off_that_were_not_asked_for_before() {
    let mut rig = Rig::new(1, SIZE);
    rig.settings.admission = Admission::SecondAsk;
    let disks = rig.open();
    for round in 0..3 {
        assert_eq!(read(&disks, 1).is_some(), round == 2);
        assert_eq!(disks.admits(key(1)), round > 0);
        disks.put(record(1, 1, 100));
        disks.flush();
    }
    assert_eq!(count(&rig.counters.unadmitted), 1);
    disks.put(Record { kind: Kind::Slice, ..record(2, 1, 100) });
    disks.flush();
    assert!(is_right(&disks, 2, 1, 100));
}

#[test]
fn a_removal_takes_back_what_is_queued() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    for round in 0..200 {
        disks.put(record(1, round, 2000));
        assert!(disks.remove(key(1)));
        assert!(read(&disks, 1).is_none(), "round {round}");
    }
    disks.flush();
    assert!(read(&disks, 1).is_none());
    assert_eq!(disks.totals().records, 0);
}

#[test]
fn reads_that_the_page_cache_cannot_answer_are_answered_by_a_thread() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 300_000));
    disks.flush();
    rig.io.plan(|call, _, _, bytes| match call {
        Call::ReadCached => Fate::Short(bytes / 2),
        _ => Fate::Short(1000),
    });
    let outcome = disks.find(key(1)).unwrap().read(100_000..200_000);
    assert!(matches!(outcome, ReadOutcome::Pending(_)));
    let expected = payload(1, 1, 300_000).slice(100_000..200_000);
    assert_eq!(outcome.wait(), Ok(expected));
    assert_eq!(count(&rig.counters.reads_waited), 1);
}

#[test]
fn a_record_that_went_since_it_was_found_is_missing() {
    let rig = Rig::new(1, SIZE);
    let disks = rig.open();
    disks.put(record(1, 1, 3000));
    disks.flush();
    let found = disks.find(key(1)).unwrap();
    disks.close();
    assert_eq!(found.read(0..10).wait(), Err(ReadError::Missing));
    assert!(disks.find(key(1)).is_none());
    disks.put(record(2, 1, 10));
    assert!(disks.find(key(2)).is_none());
}

fn check_ranges(disks: &Disks, parts: &[usize], ranges: &[(u32, u32)]) {
    let total: usize = parts.iter().sum();
    let whole = payload(5, 5, total);
    let mut rest = whole.clone();
    let payload: Vec<Bytes> = parts.iter().map(|bytes| rest.split_to(*bytes)).collect();
    let record = Record { payload, kind: Kind::Slice, ..record(5, 5, 0) };
    disks.put(record);
    disks.flush();
    let found = disks.find(key(5)).unwrap();
    for (start, length) in ranges {
        let end = start.saturating_add(*length);
        let read = found.read(*start..end).wait().unwrap();
        let clipped_end = (end as usize).min(total);
        let clipped = (*start as usize).min(clipped_end)..clipped_end;
        assert_eq!(read, whole.slice(clipped), "{start}..{end} of {total}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_range_of_any_payload_in_any_parts_is_read(
        parts in prop::collection::vec(0usize..90_000, 0..6),
        ranges in prop::collection::vec((0u32..300_000, 0u32..200_000), 1..20),
    ) {
        let rig = Rig::new(1, SIZE);
        let disks = rig.open();
        check_ranges(&disks, &parts, &ranges);
        check_ranges(&disks, &parts, &[(0, u32::MAX), (u32::MAX - 1, 1), (40_000, 0)]);
    }
}

#[test]
fn what_is_in_no_file_yet_is_counted_until_it_is() {
    let rig = Rig::new(2, SIZE);
    let disks = rig.open();
    assert_eq!(disks.unwritten_bytes(), 0);
    (0..20).for_each(|number| disks.put(record(number, 1, 1000)));
    assert!(disks.unwritten_bytes() >= 20 * 1000, "queued, in hand or in the buffers");
    disks.flush();
    assert_eq!(disks.unwritten_bytes(), 0);
    rig.io.plan(|call, _, _, _| if call == Call::Write { Fate::Fail(5) } else { Fate::Work });
    disks.put(record(1, 2, 1000));
    disks.flush();
    assert!(disks.unwritten_bytes() >= 1000, "a flush that fails");
    rig.io.work();
    disks.set.retry();
    disks.flush();
    assert_eq!(disks.unwritten_bytes(), 0);
}
