//! Fills that slide: the pace of their readers, and what becomes of one that stands still.

use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use bytes::Bytes;

use super::tests::held;
use crate::support::*;
use crate::{FillError, FillReader, FillWriter, Finished, Settings};

/// The pace of a window is that of its slowest reader, across threads, without losing a byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_too_long_to_store_passes_through_a_window() {
    let store = store_with(Settings {
        object_bytes_max: 100_000,
        window_bytes: 64 << 10,
        ..Settings::default()
    });
    let of = resource("r");
    let (mut writer, first) = lead(&store, &of);
    let read = |mut reader: FillReader| async move {
        let mut sum = 0u64;
        while let Some(chunk) = reader.chunk().await {
            sum += chunk.expect("the fill succeeds").len() as u64;
            tokio::task::yield_now().await;
        }
        sum
    };
    let tasks = [first, join(&store, &of), join(&store, &of)].map(|r| tokio::spawn(read(r)));
    writer.head(storable(), None);
    let chunk = pattern(50_000);
    for _ in 0..200 {
        writer.push(chunk.clone()).await.expect("readers are there");
        assert!(held(&writer) <= 64 << 10 || writer.storing());
    }
    assert!(!writer.storing());
    assert!(matches!(writer.finish(None), Ok(Finished::Passed)));
    for task in tasks {
        assert_eq!(task.await.expect("a reader does not panic"), 200 * 50_000);
    }
    assert!(store.lookup(of.key, &of.full_key).is_none());
    assert_eq!(store.counters().windows.load(Relaxed), 1);
    assert_eq!(store.stats().fill_bytes, 0);
}

/// Pushes through a window as far as it goes without time passing, looking after the readers
/// whenever it would wait, as often as told. Whether all went through.
fn push_cutting(writer: &mut FillWriter, chunk: Bytes, looks: usize) -> bool {
    let mut pushed = once(writer.push(chunk));
    for _ in 0..looks {
        if pushed.is_ready() {
            break;
        }
        writer.cut_laggards();
        pushed = once(writer.pushed());
    }
    matches!(pushed, Poll::Ready(Ok(())))
}

/// One reader stands still in a window: the other two get the whole body, it gets an error.
#[test]
fn a_reader_that_stands_still_is_cut_when_others_wait() {
    let store = store_with(Settings {
        object_bytes_max: 1_000,
        window_bytes: 64 << 10,
        ..Settings::default()
    });
    let of = resource("r");
    let (mut writer, one) = lead(&store, &of);
    let mut fast = [(one, Vec::new()), (join(&store, &of), Vec::new())];
    let mut stuck = join(&store, &of);
    writer.head(storable(), None);
    let whole = pattern(1 << 20);
    for chunk in whole.chunks(40_000) {
        let mut pushed = push_cutting(&mut writer, whole.slice_ref(chunk), 0);
        fast.iter_mut().for_each(|(reader, got)| got.extend(drained(reader).0));
        if !pushed {
            pushed = push_cutting(&mut writer, Bytes::new(), 1);
            fast.iter_mut().for_each(|(reader, got)| got.extend(drained(reader).0));
        }
        assert!(pushed && held(&writer) <= 64 << 10);
    }
    assert_eq!(writer.readers(), 2);
    assert!(matches!(writer.finish(None), Ok(Finished::Passed)));
    for (mut reader, mut got) in fast {
        let (more, end) = drained(&mut reader);
        got.extend(more);
        assert!(matches!(end, Some(Ok(()))) && got == whole);
    }
    assert!(matches!(drained(&mut stuck), (got, Some(Err(FillError::Lagging))) if got.is_empty()));
    drop(stuck);
    assert_eq!(store.counters().laggards.load(Relaxed), 1);
    assert_eq!(store.stats().fill_bytes, 0);
}

/// Nobody waits for a reader that is alone, or for readers that all stand still; and one that is
/// slow but reads keeps its place.
#[test]
fn slow_readers_that_hold_up_nobody_or_go_on_are_not_cut() {
    let store = store_with(Settings {
        object_bytes_max: 1_000,
        window_bytes: 64 << 10,
        ..Settings::default()
    });
    let of = resource("r");
    let (mut writer, mut slow) = lead(&store, &of);
    let mut other = join(&store, &of);
    writer.head(storable(), None);
    let until_full = |writer: &mut FillWriter| {
        let pushed = (1..50).find(|_| !push_cutting(writer, pattern(4_000), 0));
        pushed.expect("a window is soon full");
    };
    until_full(&mut writer);
    assert!(!push_cutting(&mut writer, Bytes::new(), 9), "both stand still");
    for _ in 0..9 {
        // The other one has all there is; the slow one has read a quarter at each look.
        assert!(!drained(&mut other).0.is_empty());
        for _ in 0..5 {
            assert!(matches!(ready(slow.chunk()), Some(Ok(chunk)) if chunk.len() <= 4_000));
        }
        assert_eq!(writer.cut_laggards(), 0);
        until_full(&mut writer);
    }
    drop(other);
    assert!(!push_cutting(&mut writer, Bytes::new(), 9), "alone it is never cut");
    assert!(matches!(drained(&mut slow), (got, None) if !got.is_empty()));
    assert!(push_cutting(&mut writer, Bytes::new(), 0));
    assert_eq!(store.counters().laggards.load(Relaxed), 0);
}
