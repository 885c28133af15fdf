//! From lines to whole revisions. Pure.
//!
//! ```text
//! hello, (news+more)* news, (news+more)* news, heartbeat, ...
//!        \______________/   one revision: nothing is seen of it before its last line has come
//! ```

use selvedge_feed::{Line, News};

/// What all lines of one revision may hold together.
const REVISION_BYTES_MAX: usize = 1 << 30;

/// A whole revision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Revision {
    pub(crate) number: u64,
    pub(crate) news: Vec<News>,
}

/// What a line completed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// The stream begins.
    Hello { log: String, head: u64, whole: bool, missed_purges: bool },
    /// A revision is complete.
    Revision(Revision),
    /// Everything up to here has come.
    Reached(u64),
}

/// Puts the lines of one stream together.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    begun: bool,
    /// The last revision that was complete.
    last: Option<u64>,
    open: Option<Revision>,
    /// What the lines of the open revision held.
    open_bytes: usize,
}

impl Grouping {
    /// Of a stream that tells what is newer than `since`, unless it says that it tells everything.
    pub(crate) fn new(since: u64) -> Self {
        Self { last: Some(since), ..Self::default() }
    }

    /// Takes the next line, and how long it was. Wrong ones end the stream.
    pub(crate) fn take(&mut self, line: Line, bytes: usize) -> Result<Option<Event>, &'static str> {
        match line {
            Line::Hello { log, head, whole, missed_purges } if !self.begun => {
                self.begun = true;
                if whole {
                    self.last = None;
                }
                Ok(Some(Event::Hello { log, head, whole, missed_purges }))
            }
            Line::Hello { .. } => Err("a second hello"),
            _ if !self.begun => Err("no hello at first"),
            Line::News { revision, more, news } => self.news(revision, more, news, bytes),
            Line::Heartbeat { .. } if self.open.is_some() => Ok(None),
            Line::Heartbeat { head } if self.last.is_some_and(|last| head < last) => {
                Err("a heartbeat that lags behind")
            }
            Line::Heartbeat { head } => {
                self.last = Some(head);
                Ok(Some(Event::Reached(head)))
            }
        }
    }

    fn news(
        &mut self,
        number: u64,
        more: bool,
        news: Option<News>,
        bytes: usize,
    ) -> Result<Option<Event>, &'static str> {
        if self.last.is_some_and(|last| number <= last) {
            return Err("a revision that was there before");
        }
        let open = self.open.get_or_insert(Revision { number, news: Vec::new() });
        if open.number != number {
            return Err("a revision within another");
        }
        self.open_bytes += bytes;
        if self.open_bytes > REVISION_BYTES_MAX {
            return Err("a revision without end");
        }
        open.news.extend(news);
        if more {
            return Ok(None);
        }
        self.open_bytes = 0;
        self.last = Some(number);
        Ok(self.open.take().map(Event::Revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello(whole: bool) -> Line {
        Line::Hello { log: "x".into(), head: 9, whole, missed_purges: false }
    }

    fn gone(revision: u64, more: bool, name: &str) -> Line {
        let news = Some(News::SiteGone { name: name.into() });
        Line::News { revision, more, news }
    }

    fn events(since: u64, lines: Vec<Line>) -> Result<Vec<Event>, &'static str> {
        let mut grouping = Grouping::new(since);
        let taken = lines.into_iter().map(|line| grouping.take(line, 1));
        Ok(taken.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    #[test]
    fn a_revision_is_seen_when_its_last_line_has_come() {
        let mut lines = vec![hello(false), gone(6, true, "a"), gone(6, true, "b")];
        assert_eq!(events(5, lines.clone()).map(|events| events.len()), Ok(1), "the hello");
        lines.push(Line::Heartbeat { head: 5 });
        lines.push(gone(6, false, "c"));
        lines.push(Line::Heartbeat { head: 6 });
        let events = events(5, lines).expect("right");
        let Event::Revision(revision) = &events[1] else { panic!("{events:?}") };
        assert_eq!((revision.number, revision.news.len()), (6, 3));
        assert_eq!(events[2..], [Event::Reached(6)]);
    }

    #[test]
    fn lines_out_of_order_end_the_stream() {
        for (lines, why) in [
            (vec![gone(6, false, "a")], "no hello"),
            (vec![hello(false), hello(false)], "second hello"),
            (vec![hello(false), gone(5, false, "a")], "there before"),
            (vec![hello(false), gone(6, true, "a"), gone(7, false, "b")], "within another"),
            (vec![hello(false), Line::Heartbeat { head: 4 }], "lags behind"),
        ] {
            let error = events(5, lines).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
        assert!(events(5, vec![hello(true), gone(3, false, "a")]).is_ok(), "all of an older log");
    }

    proptest! {
        /// However revisions are cut into lines, they are the same, in the same order.
        #[test]
        fn revisions_do_not_depend_on_how_they_are_cut(
            sizes in prop::collection::vec(0_usize..5, 0..20),
            beats in any::<u64>(),
        ) {
            let mut lines = vec![hello(false)];
            let mut expected = Vec::new();
            for (number, size) in (6..).zip(&sizes) {
                let news = |at: usize| News::SiteGone { name: format!("{number}-{at}") };
                for at in 0..*size {
                    let (more, news) = (at + 1 < *size, Some(news(at)));
                    lines.push(Line::News { revision: number, more, news });
                    if beats >> (number % 64) & 1 == 1 {
                        lines.push(Line::Heartbeat { head: if more { 0 } else { number } });
                    }
                }
                if *size == 0 {
                    lines.push(Line::News { revision: number, more: false, news: None });
                }
                expected.push(Revision { number, news: (0..*size).map(news).collect() });
            }
            let events = events(5, lines).expect("right").into_iter();
            let found = events.filter_map(|event| match event {
                Event::Revision(revision) => Some(revision),
                _ => None,
            });
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}
