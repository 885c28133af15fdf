//! What stays on the disk when room is needed. Pure: the engine and the simulation of
//! `benches/ratio.rs` use this same code.
//!
//! Records are written one after another, and room is made only by emptying the oldest segment of
//! one of two streams:
//!
//! ```text
//!   new ---> young ---> [ worth more than what main gives up? ] --yes--> main <--+
//!             (0.8 %)           no: dropped, the ghost remembers          |      | stays
//!                                                                 [ among the lowest 8 %? ]
//!                                                                         | yes: dropped
//! ```
//!
//! - The worth of a record is how often it was asked for lately (its use count; for a newcomer also
//!   what the ghost remembers), a little less for a large one: the room of one large record holds
//!   many small ones.
//! - Of what lies in the oldest segment of main, the 8 % (in bytes) that are worth least go. The
//!   worth at that limit is the level. It is found by keeping sums of bytes by worth, of which the
//!   old ones fade.
//! - A newcomer moves to main if it was asked for at least twice and is worth a little more than
//!   what must go for it (it is judged soon after an ask, the others at any time). What the ghost
//!   knew is added to its uses then, and the ghost forgets it, so that no ask counts twice. So a
//!   scan, or the long tail, passes through the young stream only, and what is written again stays
//!   little even when main is full of good things.
//! - Use counts fade (`index.rs`), those of the ghost alike, so fame of long ago gives way. When
//!   the level comes near to where counts end, they fade sooner, or all would look the same. They
//!   do not shrink when a record stays: how often main is gone through says nothing about how
//!   often a record is asked for.
//!
//! Why not S3-FIFO as it is: its tenth for newcomers is too much when few of them are worth it, and
//! two bits of use cannot tell the good from the very good. Why not W-TinyLFU: a log cannot drop
//! any record at any time, and its sketch takes eight bytes a record; here uses are
//! counted in the record's own slot of the index, and six bytes remember what is not there.

use super::ghost::{ASKS_MAX, Ghost};

/// A row of segments that are emptied in the order in which they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Records that came new.
    Young,
    /// Records that proved their worth.
    Main,
}

/// What happens to a record of a segment that is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes.
    Drop,
    /// It is written to the main stream. It stays there; or it comes from the young, and what the
    /// ghost counts for it is added to its uses (`Index::warm`).
    Main,
}

/// The rule, and what it has learned. Belongs to the thread that writes the disk.
#[derive(Debug)]
pub(crate) struct Keep {
    /// Bytes by worth (in halves) of what was found in main, old ones faded.
    worths: [f64; WORTHS],
    /// Share of records at the level itself that go, summed up.
    carry: f64,
    level: f64,
    /// Mean of the logarithm of sizes.
    size_log: f64,
    main_is_short: bool,
}

impl Keep {
    /// Knows nothing yet.
    pub(crate) fn new() -> Self {
        let worths = [0.0; WORTHS];
        Self { worths, carry: 0.0, level: 0.0, size_log: SIZE_LOG_FIRST, main_is_short: true }
    }

    /// Which stream's oldest segment to empty, given how many closed segments each has.
    pub(crate) fn victim(&mut self, young: usize, main: usize) -> Side {
        let share = YOUNG_SHARE * (young + main) as f64;
        self.main_is_short = young as f64 > share.max(2.0) + 1.0;
        if main == 0 || (young > 0 && young as f64 > share) { Side::Young } else { Side::Main }
    }

    /// Asks for each record on the disk after which use counts are to be halved.
    pub(crate) fn asks_per_record(&self) -> usize {
        if self.level > LEVEL_HIGH { ASKS_PER_RECORD / 2 } else { ASKS_PER_RECORD }
    }

    /// Decides over one record of `bytes` bytes. `asked` is what the ghost counts for its key; it
    /// matters only for the young.
    pub(crate) fn judge(&mut self, side: Side, uses: u8, asked: u8, bytes: u32) -> Fate {
        let bytes = f64::from(bytes.max(1));
        let keeps = match side {
            Side::Young => self.admits(uses + asked.min(ASKS_MAX), bytes),
            Side::Main => self.retains(uses, bytes),
        };
        if keeps { Fate::Main } else { Fate::Drop }
    }

    /// Brings the level up to date. To be called when a segment of main has been emptied.
    pub(crate) fn emptied_main(&mut self) {
        let mut goal = self.worths.iter().sum::<f64>() * DROP_SHARE;
        for (worth, bytes) in self.worths.iter().enumerate() {
            if goal <= *bytes {
                self.level = (worth as f64 + goal / bytes.max(1.0)) / 2.0;
                return;
            }
            goal -= bytes;
        }
    }

    fn admits(&mut self, asks: u8, bytes: f64) -> bool {
        self.size_log += (bytes.log2() - self.size_log) / SIZES_MEAN_OF;
        // While there is room in main, it fills with almost whatever comes.
        let level = if self.main_is_short { self.level.min(0.5) } else { self.level };
        let asks_min = if self.main_is_short { 1 } else { ADMIT_ASKS_MIN };
        asks >= asks_min && self.worth(asks, bytes) > level * NEWCOMER_LEVEL
    }

    /// Is the record not among the lowest? At the limit, as many go as make their share full.
    fn retains(&mut self, uses: u8, bytes: f64) -> bool {
        let worth = ((self.worth(uses, bytes) * 2.0) as usize).min(WORTHS - 1);
        self.worths.iter_mut().for_each(|sum| *sum *= FADE);
        self.worths[worth] += bytes;
        let goal = self.worths.iter().sum::<f64>() * DROP_SHARE;
        let lower: f64 = self.worths[..worth].iter().sum();
        self.carry += ((goal - lower) / self.worths[worth]).clamp(0.0, 1.0);
        let goes = self.carry >= 1.0;
        self.carry -= f64::from(u8::from(goes));
        !goes
    }

    fn worth(&self, uses: u8, bytes: f64) -> f64 {
        f64::from(uses) * ((self.size_log - bytes.log2()) * SIZE_MATTERS).exp2()
    }
}

/// What is asked for and not there: one for each disk, shared by all threads.
#[derive(Debug)]
pub(crate) struct Asked(Ghost);

impl Asked {
    /// Takes six bytes for each of `records`, what the disk is likely to hold.
    pub(crate) fn new(records: usize) -> Self {
        Self(Ghost::new(records))
    }

    /// The disk holds so many records. For the one who writes it.
    pub(crate) fn fit(&self, records: usize) {
        self.0.fit(records);
    }

    /// Notes an ask for a key that is not on the disk.
    pub(crate) fn missed(&self, key: u128) {
        self.0.note(key, 1);
    }

    /// Notes that a record had to go which was used `uses` times lately.
    pub(crate) fn dropped(&self, key: u128, uses: u8) {
        if uses > 0 {
            self.0.note(key, uses);
        }
    }

    /// Notes that a record moved to main, and took along what is counted for its key.
    pub(crate) fn settled(&self, key: u128) {
        self.0.forget(key);
    }

    /// Notes how many shards of the index, of so many, halved their counts since the start: those
    /// here are halved as often.
    pub(crate) fn faded(&self, halvings: usize, shards: usize) {
        self.0.halve(halvings, shards);
    }

    /// How often the key was asked for lately while it was not there, 0 to 15.
    pub(crate) fn count(&self, key: u128) -> u8 {
        self.0.count(key)
    }

    /// For admission `second-ask`: was the key asked for before the ask that brought it now?
    pub(crate) fn is_second(&self, key: u128) -> bool {
        self.count(key) > 1
    }
}

/// Share of the segments that is for newcomers.
const YOUNG_SHARE: f64 = 0.008;

/// Share of main's bytes that goes each time round. More: main forgets faster, and less is written
/// again; less: it keeps longer what is worth keeping.
const DROP_SHARE: f64 = 0.08;

/// What was asked for less often does not move to main.
const ADMIT_ASKS_MIN: u8 = 2;

/// A newcomer must be worth more than this many times the level: the ask that brought it is among
/// those counted, and to move it costs a write.
const NEWCOMER_LEVEL: f64 = 1.1;

/// A record of twice the size is worth 2^-0.05 of it.
const SIZE_MATTERS: f64 = 0.05;

/// Asks, for each record, after which use counts are halved, while they tell records apart.
pub(crate) const ASKS_PER_RECORD: usize = 30;

/// Counts go up to 7: above this level, most of what stays is at the top, and they are halved
/// twice as often.
const LEVEL_HIGH: f64 = 5.0;

/// Worths are told apart up to half of this.
const WORTHS: usize = 64;

/// Sums fade so that about the last 500 records count.
const FADE: f64 = 1.0 - 1.0 / 500.0;

/// Mean of so many sizes.
const SIZES_MEAN_OF: f64 = 1000.0;

/// Before any size is known: 16 KiB.
const SIZE_LOG_FIRST: f64 = 14.0;
