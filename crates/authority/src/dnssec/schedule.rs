//! Which key does what, and when (RFC 6781 4.1, RFC 7583, RFC 7344): pure, of the times of one key,
//! or of two while the first is rolled to the second.
//!
//! One key of one kind both enters the zone and signs it (flags 257). The parent's DS is not ours
//! to change: that it was seen there is an event that somebody tells, and what depends on it waits.
//!
//! ```text
//! one key      DNSKEY and data signed from the start;   CDS after ttl_max: who remembers answers
//!                                                       without signatures has forgotten them
//! same algorithm                              DNSKEY     signs data   CDS
//!   created                                   old new    old          old
//!   + dnskey_ttl: all know the new key        old new    new          new
//!   DS seen + ds_ttl, and data + ttl_max      new        new          new
//! another algorithm (RFC 6781 4.1.4: signatures come first and go last)
//!   created                                   old        old new      old
//!   + ttl_max: all have both signatures       old new    old new      old
//!   + dnskey_ttl                              old new    old new      new
//!   DS seen + ds_ttl                          new        old new      new
//!   + dnskey_ttl: nobody knows the old key    new        new          new
//! ```
//!
//! To each wait the margin is added: for servers that learn late, and for clocks. DNSKEY, CDS and
//! CDNSKEY are signed by every key that is in DNSKEY, the old one too, as RFC 7344 4.1 wants.

use super::key::Algorithm;
use crate::answer::ANY_TTL_S;
use crate::zone::Zone;

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Unix seconds: when all servers had it.
    pub created: u32,
    /// Unix seconds: when the zone above was seen to have its DS.
    pub ds_seen: Option<u32>,
}

/// For how long others remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Seconds: the largest time to live of the zone, of sites' answers too.
    pub ttl_max: u32,
    /// Seconds: of DNSKEY, CDS and CDNSKEY.
    pub dnskey_ttl: u32,
    /// Seconds: of the DS in the zone above.
    pub ds_ttl: u32,
    /// Seconds until all servers do the same.
    pub margin: u32,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It is in DNSKEY, and signs that.
    pub is_published: bool,
    /// It signs all else.
    pub signs_data: bool,
    /// The zone above is asked to have its DS, and its alone.
    pub is_in_cds: bool,
    /// All that in one word.
    pub state: KeyState,
}

/// How far a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It comes: known, or signing, but not both yet.
    Published,
    /// The zone is signed by it.
    Active,
    /// It goes: another took over.
    Retired,
    /// Nothing needs it, and it may be deleted.
    Gone,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something changes then.
    At(u32),
    /// The zone above must have the DS of the newest key.
    AwaitDs,
    /// Nothing.
    Nothing,
}

/// What each key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In the order of the keys; the second is there in a roll.
    pub keys: [Option<Standing>; 2],
    /// What comes next.
    pub next: Next,
}

impl Default for Timing {
    fn default() -> Self {
        Self { ttl_max: 86_400, dnskey_ttl: 3_600, ds_ttl: 86_400, margin: 3_600 }
    }
}

impl Timing {
    /// With the largest time to live of a zone, and of the sites that answer in it.
    #[must_use]
    pub fn of(zone: &Zone, site_ttl_max: u32) -> Self {
        let ttls = zone.nodes().flat_map(|(_, node)| node.sets.iter().map(|set| set.ttl));
        let ttl_max = ttls.chain([site_ttl_max, ANY_TTL_S]).max().unwrap_or(ANY_TTL_S);
        Self { ttl_max, ..Self::default() }
    }
}

impl KeyState {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

/// What a key does, and the key that it is rolled to, if it is.
#[must_use]
pub fn plan(key: KeyTimes, successor: Option<KeyTimes>, timing: &Timing, now: u32) -> Plan {
    match successor {
        None => alone(key, timing, now),
        Some(new) if new.algorithm == key.algorithm => roll(new, timing, now),
        Some(new) => roll_algorithm(new, timing, now),
    }
}

/// When a wait ends.
fn after(from: u32, wait: u32, timing: &Timing) -> u32 {
    from.saturating_add(wait).saturating_add(timing.margin)
}

fn alone(key: KeyTimes, timing: &Timing, now: u32) -> Plan {
    let told = after(key.created, timing.ttl_max.max(timing.dnskey_ttl), timing);
    let is_told = key.ds_seen.is_some() || now >= told;
    let standing = Standing::new(true, true, is_told, KeyState::Active);
    let next = match key.ds_seen {
        _ if !is_told => Next::At(told),
        None => Next::AwaitDs,
        Some(_) => Next::Nothing,
    };
    Plan { keys: [Some(standing), None], next }
}

fn roll(new: KeyTimes, timing: &Timing, now: u32) -> Plan {
    use KeyState::{Active, Gone, Published, Retired};
    let switch = after(new.created, timing.dnskey_ttl, timing);
    let end = new.ds_seen.map(|seen| {
        let by_ds = after(seen.max(switch), timing.ds_ttl, timing);
        by_ds.max(after(switch, timing.ttl_max, timing))
    });
    if now < switch {
        let old = Standing::new(true, true, true, Active);
        return Plan::both(old, Standing::new(true, false, false, Published), Next::At(switch));
    }
    let new = Standing::new(true, true, true, Active);
    match end {
        Some(end) if now >= end => Plan::both(Standing::none(Gone), new, Next::Nothing),
        end => {
            let next = end.map_or(Next::AwaitDs, Next::At);
            Plan::both(Standing::new(true, false, false, Retired), new, next)
        }
    }
}

fn roll_algorithm(new: KeyTimes, timing: &Timing, now: u32) -> Plan {
    use KeyState::{Active, Gone, Published, Retired};
    let publish = after(new.created, timing.ttl_max, timing);
    let told = after(publish, timing.dnskey_ttl, timing);
    let withdraw = new.ds_seen.map(|seen| after(seen.max(told), timing.ds_ttl, timing));
    let end = withdraw.map(|withdraw| after(withdraw, timing.dnskey_ttl, timing));
    let old = Standing::new(true, true, true, Active);
    if now < publish {
        let new = Standing::new(false, true, false, Published);
        return Plan::both(old, new, Next::At(publish));
    }
    if now < told {
        return Plan::both(old, Standing::new(true, true, false, Published), Next::At(told));
    }
    let new = Standing::new(true, true, true, Active);
    match (withdraw, end) {
        (Some(_), Some(end)) if now >= end => Plan::both(Standing::none(Gone), new, Next::Nothing),
        (Some(withdraw), Some(end)) if now >= withdraw => {
            Plan::both(Standing::new(false, true, false, Retired), new, Next::At(end))
        }
        (withdraw, _) => {
            let next = withdraw.map_or(Next::AwaitDs, Next::At);
            Plan::both(Standing::new(true, true, false, Retired), new, next)
        }
    }
}

impl Plan {
    fn both(old: Standing, new: Standing, next: Next) -> Self {
        Self { keys: [Some(old), Some(new)], next }
    }
}

impl Standing {
    const fn new(is_published: bool, signs_data: bool, is_in_cds: bool, state: KeyState) -> Self {
        Self { is_published, signs_data, is_in_cds, state }
    }

    const fn none(state: KeyState) -> Self {
        Self::new(false, false, false, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMING: Timing = Timing { ttl_max: 500, dnskey_ttl: 100, ds_ttl: 1_000, margin: 10 };

    fn key(algorithm: Algorithm, created: u32, ds_seen: Option<u32>) -> KeyTimes {
        KeyTimes { algorithm, created, ds_seen }
    }

    /// What each key does as letters (DNSKEY, signs, CDS), at each change.
    fn told(old: KeyTimes, new: Option<KeyTimes>) -> Vec<(u32, String)> {
        let mut told = Vec::new();
        let mut now = old.created;
        loop {
            let plan = plan(old, new, &TIMING, now);
            let letters = plan.keys.iter().flatten().map(|key| {
                let letters =
                    [(key.is_published, 'k'), (key.signs_data, 's'), (key.is_in_cds, 'c')];
                letters.iter().map(|(is, letter)| if *is { *letter } else { '-' }).collect()
            });
            told.push((now, letters.collect::<Vec<String>>().join(" ")));
            match plan.next {
                Next::At(at) => now = at,
                Next::AwaitDs | Next::Nothing => return told,
            }
        }
    }

    fn lines(lines: &[(u32, &str)]) -> Vec<(u32, String)> {
        lines.iter().map(|(at, line)| (*at, (*line).to_owned())).collect()
    }

    #[test]
    fn the_first_key_signs_at_once_and_is_told_of_when_all_have_signatures() {
        let first = key(Algorithm::Ecdsa, 1_000, None);
        assert_eq!(told(first, None), lines(&[(1_000, "ks-"), (1_510, "ksc")]));
        assert_eq!(plan(first, None, &TIMING, 1_510).next, Next::AwaitDs);
        let seen = key(Algorithm::Ecdsa, 1_000, Some(1_200));
        assert_eq!(plan(seen, None, &TIMING, 1_200).next, Next::Nothing);
    }

    #[test]
    fn a_wait_is_as_long_as_the_longest_that_anything_is_remembered() {
        let zone = crate::zone::tests::zone("example.", |_| {});
        let of = |site_ttl| Timing::of(&zone, site_ttl).ttl_max;
        assert_eq!((of(30), of(90_000)), (ANY_TTL_S.max(zone.soa().ttl), 90_000));
    }

    #[test]
    fn a_roll_publishes_then_switches_then_waits_for_the_ds() {
        let (old, new) = (Algorithm::Ecdsa, Algorithm::Ecdsa);
        let begun = [(0, "ksc k--"), (10_110, "k-- ksc")];
        let old = key(old, 0, Some(0));
        assert_eq!(told(old, Some(key(new, 10_000, None))), lines(&begun));
        let seen = told(old, Some(key(new, 10_000, Some(11_000))));
        assert_eq!(seen[2], (12_010, "--- ksc".to_owned()));
        // Seen before it was asked for, it counts from when it was.
        let early = told(old, Some(key(new, 10_000, Some(1))));
        assert_eq!(early[2].0, 11_120);
    }

    #[test]
    fn a_roll_to_another_algorithm_signs_first_and_stops_last() {
        let (old, new) = (key(Algorithm::Ecdsa, 0, Some(0)), Algorithm::Ed25519);
        let expected = [
            (0, "ksc -s-"),
            (10_510, "ksc ks-"),
            (10_620, "ks- ksc"),
            (12_010, "-s- ksc"),
            (12_120, "--- ksc"),
        ];
        assert_eq!(told(old, Some(key(new, 10_000, Some(11_000)))), lines(&expected));
        assert_eq!(told(old, Some(key(new, 10_000, None))), lines(&expected[..3]));
    }

    proptest! {
        #[test]
        fn some_key_is_always_published_and_one_always_signs(
            created in any::<u32>(), seen in any::<Option<u32>>(), now in any::<u32>(),
            waits in any::<[u32; 4]>(), is_same in any::<bool>(),
        ) {
            let [ttl_max, dnskey_ttl, ds_ttl, margin] = waits;
            let timing = Timing { ttl_max, dnskey_ttl, ds_ttl, margin };
            let to = if is_same { Algorithm::Ecdsa } else { Algorithm::Ed25519 };
            let old = key(Algorithm::Ecdsa, 0, Some(0));
            let plan = plan(old, Some(key(to, created, seen)), &timing, now);
            let has = |does: fn(&Standing) -> bool| plan.keys.iter().flatten().any(does);
            prop_assert!(has(|key| key.is_published && key.signs_data));
            prop_assert_eq!(plan.keys.iter().flatten().filter(|key| key.is_in_cds).count(), 1);
            if let Next::At(at) = plan.next {
                prop_assert!(at > now);
            }
        }
    }
}
