//! What followers are sent: the newest lines, encoded once for all of them, and the whole state
//! for those who are further behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use selvedge_feed::{Line, News, State};
use tokio::sync::watch;

/// Bytes of lines that are kept in memory.
const BYTES_MAX: usize = 64 << 20;
/// Paths in one line.
const PATHS_EACH: usize = 1_000;
/// Bytes that a follower is given at once.
const STEP_BYTES: usize = 256 << 10;

/// The stream of changes, for any number of followers.
pub(crate) struct Stream {
    log: String,
    history: usize,
    recent: RwLock<Recent>,
    /// The newest revision: followers wait for it to change.
    head: watch::Sender<u64>,
    /// Everything at some revision, for those who are behind what is kept.
    whole: Mutex<Option<Arc<Whole>>>,
    ended: AtomicBool,
}

#[derive(Default)]
struct Recent {
    /// Every revision after this one is here.
    floor: u64,
    lines: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

/// Everything at a revision, as lines.
pub(crate) struct Whole {
    pub(crate) revision: u64,
    pub(crate) lines: Bytes,
}

/// What a follower gets next.
pub(crate) enum Next {
    /// Lines up to this revision.
    Lines(u64, Vec<Bytes>),
    /// Nothing: it has everything.
    Nothing,
    /// It is behind what is kept, and must begin again.
    Behind,
}

impl Stream {
    /// A stream that goes on after these lines.
    pub(crate) fn new(log: &str, head: u64, lines: Vec<(u64, Bytes)>, history: usize) -> Self {
        let floor = lines.first().map_or(head, |(revision, _)| revision - 1);
        let mut recent = Recent { floor, ..Recent::default() };
        lines.into_iter().for_each(|(revision, lines)| recent.push(revision, lines, history));
        Self {
            log: log.to_owned(),
            history,
            recent: RwLock::new(recent),
            head: watch::Sender::new(head),
            whole: Mutex::new(None),
            ended: AtomicBool::new(false),
        }
    }

    /// Nobody is sent anything more.
    pub(crate) fn end(&self) {
        self.ended.store(true, Relaxed);
        self.head.send_modify(|_| {});
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.head.receiver_count()
    }

    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Tells when the head changes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Shows new lines to all followers.
    pub(crate) fn push(&self, lines: impl Iterator<Item = (u64, Bytes)>) {
        let mut head = self.head();
        {
            let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
            for (revision, lines) in lines {
                recent.push(revision, lines, self.history);
                head = revision;
            }
        }
        self.head.send_replace(head);
    }

    /// What comes after a revision.
    pub(crate) fn after(&self, since: u64) -> Next {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        if since < recent.floor {
            return Next::Behind;
        }
        let first = recent.lines.partition_point(|(revision, _)| *revision <= since);
        let (mut last, mut bytes, mut found) = (since, 0, Vec::new());
        for (revision, lines) in recent.lines.range(first..) {
            if bytes >= STEP_BYTES {
                break;
            }
            bytes += lines.len();
            last = *revision;
            found.push(lines.clone());
        }
        if found.is_empty() { Next::Nothing } else { Next::Lines(last, found) }
    }

    /// Everything there is, from which on lines are kept. Made anew when what was made before is
    /// too old for that.
    pub(crate) fn whole(&self, state: impl FnOnce() -> State) -> Arc<Whole> {
        let mut known = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = &*known
            && !matches!(self.after(whole.revision), Next::Behind)
        {
            return Arc::clone(whole);
        }
        let state = state();
        let whole = Whole { revision: state.revision, lines: whole_lines(&state) };
        let whole = Arc::new(whole);
        *known = Some(Arc::clone(&whole));
        whole
    }
}

impl Recent {
    fn push(&mut self, revision: u64, lines: Bytes, history: usize) {
        self.bytes += lines.len();
        self.lines.push_back((revision, lines));
        // The newest stays, however long: else nobody could follow it.
        while self.lines.len() > history.max(1) || (self.bytes > BYTES_MAX && self.lines.len() > 1)
        {
            let Some((revision, lines)) = self.lines.pop_front() else { break };
            self.bytes -= lines.len();
            self.floor = revision;
        }
    }
}

/// The lines of one revision.
pub(crate) fn lines(revision: u64, news: Option<&News>) -> Bytes {
    let mut out = Vec::new();
    let parts = match news {
        None => return line(revision, false, None, out),
        Some(news) => parts(news),
    };
    let last = parts.len() - 1;
    for (index, part) in parts.into_iter().enumerate() {
        Line::News { revision, more: index < last, news: Some(part) }.write(&mut out);
    }
    out.into()
}

fn line(revision: u64, more: bool, news: Option<News>, mut out: Vec<u8>) -> Bytes {
    Line::News { revision, more, news }.write(&mut out);
    out.into()
}

/// News cut so that no line is too long.
fn parts(news: &News) -> Vec<News> {
    let News::Objects { site, put, gone } = news else { return vec![news.clone()] };
    let part = |put: &[String], gone: &[String]| News::Objects {
        site: site.clone(),
        put: put.to_vec(),
        gone: gone.to_vec(),
    };
    let puts = put.chunks(PATHS_EACH).map(|put| part(put, &[]));
    let parts: Vec<News> =
        puts.chain(gone.chunks(PATHS_EACH).map(|gone| part(&[], gone))).collect();
    if parts.is_empty() { vec![part(&[], &[])] } else { parts }
}

fn whole_lines(state: &State) -> Bytes {
    let mut out = Vec::new();
    for news in state.news(PATHS_EACH) {
        Line::News { revision: state.revision, more: true, news: Some(news) }.write(&mut out);
    }
    line(state.revision, false, None, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(revisions: std::ops::RangeInclusive<u64>) -> Vec<(u64, Bytes)> {
        revisions.map(|revision| (revision, lines(revision, None))).collect()
    }

    fn reached(stream: &Stream, since: u64) -> Option<u64> {
        match stream.after(since) {
            Next::Lines(last, _) => Some(last),
            Next::Nothing => Some(since),
            Next::Behind => None,
        }
    }

    #[test]
    fn a_follower_gets_what_is_newer_or_must_begin_again() {
        let stream = Stream::new("log", 10, numbered(6..=10), 5);
        assert_eq!(reached(&stream, 10), Some(10));
        assert_eq!(reached(&stream, 5), Some(10));
        assert_eq!(reached(&stream, 4), None);
        stream.push(numbered(11..=12).into_iter());
        assert_eq!((stream.head(), reached(&stream, 6)), (12, None));
        assert_eq!(reached(&stream, 7), Some(12));
    }

    #[test]
    fn the_whole_is_made_once_as_long_as_lines_go_on_from_it() {
        let stream = Stream::new("log", 10, numbered(6..=10), 5);
        let at = |revision| State { revision, ..State::default() };
        assert_eq!(stream.whole(|| at(10)).revision, 10);
        stream.push(numbered(11..=15).into_iter());
        assert_eq!(stream.whole(|| at(15)).revision, 10);
        stream.push(numbered(16..=16).into_iter());
        assert_eq!(stream.whole(|| at(16)).revision, 16);
    }

    #[test]
    fn many_paths_take_several_lines_of_one_revision() {
        let put: Vec<String> = (0..2_500).map(|n| format!("/{n}")).collect();
        let news = News::Objects { site: "a".into(), put, gone: vec!["/old".into()] };
        let text = lines(7, Some(&news));
        let read: Vec<Line> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| Line::read(line).expect("a line"))
            .collect();
        let more: Vec<bool> = read
            .iter()
            .map(|line| matches!(line, Line::News { revision: 7, more: true, .. }))
            .collect();
        assert_eq!(more, [true, true, true, false]);
    }
}
