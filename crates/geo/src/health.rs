//! Whether a node can be named: what operators want of it, and what monitors see of it.
//!
//! ```text
//!           fall failures in a row
//!        up ----------------------> down      of one monitor: a Tally
//!           <----------------------
//!           rise successes in a row
//! ```
//!
//! A node is down when most of the monitors that vote say so. One that sees nothing up does not
//! vote: more likely it is cut off itself than everything is down at once. When nobody votes, what
//! was known last stays.

use serde::Serialize;

/// What operators want of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// Clients are sent to it.
    #[default]
    Online,
    /// Nobody new is sent to it; it serves those that come.
    Draining,
    /// It is not there.
    Offline,
}

/// The state of a node, as a stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// In answers.
    Up,
    /// Monitors say that it does not answer.
    Down,
    /// Operators want nobody new on it.
    Draining,
    /// Operators took it away.
    Offline,
    /// It has more than it can carry and sheds.
    Overloaded,
    /// No monitor has seen it yet: in answers, since it was put there for that.
    Unknown,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Up, Self::Down, Self::Draining, Self::Offline, Self::Overloaded, Self::Unknown];

    /// The state that follows from what is known.
    pub fn of(intent: Intent, seen_up: Option<bool>, overloaded: bool) -> Self {
        match (intent, seen_up) {
            (Intent::Offline, _) => Self::Offline,
            (Intent::Draining, _) => Self::Draining,
            (Intent::Online, Some(false)) => Self::Down,
            (Intent::Online, _) if overloaded => Self::Overloaded,
            (Intent::Online, Some(true)) => Self::Up,
            (Intent::Online, None) => Self::Unknown,
        }
    }

    /// Whether answers may name it. One that is overloaded stays, with the share that it can carry.
    pub fn serves(self) -> bool {
        matches!(self, Self::Up | Self::Overloaded | Self::Unknown)
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Offline => "offline",
            Self::Overloaded => "overloaded",
            Self::Unknown => "unknown",
        }
    }
}

/// How many results in a row change a monitor's mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Successes until it is up.
    pub rise: u32,
    /// Failures until it is down.
    pub fall: u32,
}

/// What one monitor thinks of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    up: Option<bool>,
    /// Results in a row against what is thought.
    against: u32,
}

impl Tally {
    /// Counts a result. The first one ever is believed at once: a monitor that starts has to think
    /// something.
    pub fn probed(&mut self, succeeded: bool, thresholds: Thresholds) {
        match self.up {
            None => self.up = Some(succeeded),
            Some(up) if up == succeeded => self.against = 0,
            Some(up) => {
                self.against += 1;
                let needed = if up { thresholds.fall } else { thresholds.rise };
                if self.against >= needed {
                    *self = Self { up: Some(succeeded), against: 0 };
                }
            }
        }
    }

    /// Its vote; `None` before the first result.
    pub fn up(&self) -> Option<bool> {
        self.up
    }
}

/// What the monitors say together: for each node, whether it is up; `None` where nobody votes.
/// Each monitor has a vote for each node, by the node's place.
pub fn verdicts(votes: &[Vec<Option<bool>>], nodes: usize) -> Vec<Option<bool>> {
    let voting: Vec<_> = votes.iter().filter(|votes| votes.contains(&Some(true))).collect();
    (0..nodes)
        .map(|node| {
            let (mut up, mut down) = (0, 0);
            for votes in &voting {
                match votes.get(node).copied().flatten() {
                    Some(true) => up += 1,
                    Some(false) => down += 1,
                    None => {}
                }
            }
            (up + down > 0).then_some(up >= down)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { rise: 2, fall: 3 };

    fn vote(text: &str) -> Vec<Option<bool>> {
        text.chars()
            .map(|letter| match letter {
                'u' => Some(true),
                'd' => Some(false),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_monitor_changes_its_mind_after_enough_results_in_a_row() {
        let mut tally = Tally::default();
        assert_eq!(tally.up(), None);
        let mut minds = String::new();
        for result in "uddudddduduud".chars() {
            tally.probed(result == 'u', THRESHOLDS);
            minds.push(if tally.up() == Some(true) { 'u' } else { 'd' });
        }
        assert_eq!(minds, "uuuuuuddddduu");
    }

    #[test]
    fn a_node_is_down_when_most_of_those_that_vote_say_so() {
        let together = |monitors: &[&str]| {
            let votes: Vec<_> = monitors.iter().map(|text| vote(text)).collect();
            verdicts(&votes, 3)
        };
        assert_eq!(together(&["uud", "udd", "uud"]), vote("uud"));
        assert_eq!(together(&["ud?", "uu?"]), vote("uu?"), "a tie leaves it up");
        assert_eq!(together(&["ddd", "ddd", "uuu"]), vote("uuu"), "the blind do not vote");
        assert_eq!(together(&["ddd", "ddd"]), vote("???"));
        assert_eq!(together(&[]), vote("???"));
        assert_eq!(together(&["u"]), vote("u??"), "a short list votes on what it has");
    }

    #[test]
    fn the_state_of_a_node_is_one_word() {
        let word = |intent, seen_up, overloaded| State::of(intent, seen_up, overloaded).word();
        assert_eq!(word(Intent::Online, Some(true), false), "up");
        assert_eq!(word(Intent::Online, Some(false), true), "down");
        assert_eq!(word(Intent::Online, Some(true), true), "overloaded");
        assert_eq!(word(Intent::Online, None, false), "unknown");
        assert_eq!(word(Intent::Draining, Some(true), false), "draining");
        assert_eq!(word(Intent::Offline, Some(true), true), "offline");
        assert!(State::Overloaded.serves() && State::Unknown.serves());
        assert!(!State::Draining.serves());
    }
}
