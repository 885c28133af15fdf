//! The keys of a zone as one text, for a file that nobody else may read: TOML.
//!
//! ```toml
//! zone = "cdn.example."
//!
//! [[key]]
//! algorithm = "ecdsa"          # or "ed25519"
//! created = 1800000000         # Unix seconds
//! ds_seen = 1800100000         # once the zone above was seen to have its DS
//! private = "MIGHAgEA..."      # PKCS#8, base 64
//! ```
//!
//! With `leaves = true` beside `zone`, CDS and CDNSKEY ask the zone above to delete its DS
//! (RFC 8078 4). Once that is gone, and the time that it lived is over, the zone may be unsigned.
//!
//! Whoever changes the text puts it in place whole, and the same on every server: when a key does
//! what follows from the times that stand there, and so is the same everywhere.

use std::sync::Arc;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::key::{Algorithm, KeyError, SigningKey};
use super::schedule::{KeyState, KeyTimes, Next, Plan, Timing, plan};
use crate::kind;
use crate::name::Name;
use crate::rdata::data_text;

/// The data of the CDS and the CDNSKEY that ask for deletion (RFC 8078 4).
pub(super) const CDS_DELETE: &[u8] = &[0, 0, 0, 0, 0];
pub(super) const CDNSKEY_DELETE: &[u8] = &[0, 0, 3, 0, 0];

/// The keys of a zone: one, or two while the first is rolled to the second.
#[derive(Clone, Debug)]
pub struct KeyRing {
    apex: Name,
    /// The oldest first.
    pub(super) keys: Vec<Kept>,
    leaves: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) key: Arc<SigningKey>,
    created: u32,
    ds_seen: Option<u32>,
}

/// A key, for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// What DS and RRSIG call it by.
    pub tag: u16,
    /// What it signs with, and its times.
    pub times: KeyTimes,
    /// How far it is.
    pub state: KeyState,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RingText {
    zone: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leaves: bool,
    key: Vec<KeyText>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    algorithm: String,
    created: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ds_seen: Option<u32>,
    private: String,
}

impl KeyRing {
    /// Makes the first key of a zone.
    pub fn make(apex: &Name, algorithm: Algorithm, now: u32) -> Result<Self, KeyError> {
        let key = Arc::new(SigningKey::make(algorithm)?);
        let kept = Kept { key, created: now, ds_seen: None };
        Ok(Self { apex: apex.clone(), keys: vec![kept], leaves: false })
    }

    /// Reads what [`KeyRing::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        // The message alone: the line it quotes may hold a key.
        let text: RingText =
            toml::from_str(text).map_err(|error| KeyError::Text(error.message().to_owned()))?;
        let apex = Name::from_text(&text.zone, &Name::root())
            .map_err(|error| KeyError::Text(format!("zone: {error}")))?;
        if !(1..=2).contains(&text.key.len()) {
            return Err(KeyError::Count(text.key.len()));
        }
        let mut keys = text.key.iter().map(Kept::read).collect::<Result<Vec<_>, _>>()?;
        keys.sort_by_key(|kept| kept.created);
        check_tags(&keys)?;
        Ok(Self { apex, keys, leaves: text.leaves })
    }

    /// Writes the text, private parts and all.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = self.keys.iter().map(Kept::write).collect();
        let text = RingText { zone: self.apex.to_string(), leaves: self.leaves, key };
        toml::to_string(&text).expect("strings and numbers can be written")
    }

    /// The zone.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// What each key does now, and what comes next.
    #[must_use]
    pub fn plan(&self, timing: &Timing, now: u32) -> Plan {
        let mut times = self.keys.iter().map(Kept::times);
        let first = times.next().expect("a ring has a key");
        plan(first, times.next(), timing, now)
    }

    /// The keys, the oldest first, and what comes next.
    #[must_use]
    pub fn list(&self, timing: &Timing, now: u32) -> (Vec<KeyStatus>, Next) {
        let plan = self.plan(timing, now);
        let keys = self.keys.iter().zip(plan.keys.into_iter().flatten());
        let status = |(kept, standing): (&Kept, super::Standing)| KeyStatus {
            tag: kept.key.tag,
            times: kept.times(),
            state: standing.state,
        };
        (keys.map(status).collect(), plan.next)
    }

    /// Begins to roll to a new key. What is gone is deleted before.
    pub fn roll(
        &mut self,
        algorithm: Algorithm,
        timing: &Timing,
        now: u32,
    ) -> Result<(), KeyError> {
        self.prune(timing, now);
        if self.keys.len() > 1 {
            return Err(KeyError::Rolling);
        }
        let mut keys = self.keys.clone();
        let key = Arc::new(SigningKey::make(algorithm)?);
        keys.push(Kept { key, created: now, ds_seen: None });
        check_tags(&keys)?;
        self.keys = keys;
        Ok(())
    }

    /// The zone above was seen to have the DS of this key, and of no other of this zone. False:
    /// there is no such key, or that is known.
    pub fn confirm_ds(&mut self, tag: u16, now: u32) -> bool {
        let kept = self.keys.iter_mut().find(|kept| kept.key.tag == tag && kept.ds_seen.is_none());
        kept.map(|kept| kept.ds_seen = Some(now)).is_some()
    }

    /// Asks the zone above to delete its DS, or to have it again.
    pub fn set_leaves(&mut self, leaves: bool) {
        self.leaves = leaves;
    }

    /// Whether the zone above is asked to delete its DS.
    #[must_use]
    pub fn leaves(&self) -> bool {
        self.leaves
    }

    /// Deletes what nothing needs any more; true: something was.
    pub fn prune(&mut self, timing: &Timing, now: u32) -> bool {
        let plan = self.plan(timing, now);
        let is_gone = plan.keys[0].is_some_and(|standing| standing.state == KeyState::Gone);
        if is_gone {
            self.keys.remove(0);
        }
        is_gone
    }

    /// The DS of the newest key, as a line for the zone above.
    #[must_use]
    pub fn ds_text(&self) -> String {
        self.line(kind::DS, |key, apex| key.ds(apex))
    }

    /// The CDS of the newest key, or that which asks for deletion.
    #[must_use]
    pub fn cds_text(&self) -> String {
        self.line(kind::CDS, |key, apex| match self.leaves {
            true => CDS_DELETE.to_vec(),
            false => key.ds(apex),
        })
    }

    /// The DNSKEY of the newest key.
    #[must_use]
    pub fn dnskey_text(&self) -> String {
        self.line(kind::DNSKEY, |key, _| key.dnskey().to_vec())
    }

    fn line(&self, kind: u16, data: impl Fn(&SigningKey, &Name) -> Vec<u8>) -> String {
        let newest = self.keys.last().expect("a ring has a key");
        let data = data_text(kind, &data(&newest.key, &self.apex));
        format!("{} IN {} {data}", self.apex, kind::Kind(kind))
    }
}

impl Kept {
    fn times(&self) -> KeyTimes {
        let algorithm = self.key.algorithm;
        KeyTimes { algorithm, created: self.created, ds_seen: self.ds_seen }
    }

    fn read(text: &KeyText) -> Result<Self, KeyError> {
        let algorithm = Algorithm::from_word(&text.algorithm)?;
        let private = BASE64.decode(text.private.as_bytes()).map_err(|_| KeyError::Private)?;
        let key = Arc::new(SigningKey::read(algorithm, &private)?);
        Ok(Self { key, created: text.created, ds_seen: text.ds_seen })
    }

    fn write(&self) -> KeyText {
        KeyText {
            algorithm: self.key.algorithm.word().to_owned(),
            created: self.created,
            ds_seen: self.ds_seen,
            private: BASE64.encode(self.key.private()),
        }
    }
}

fn check_tags(keys: &[Kept]) -> Result<(), KeyError> {
    match keys {
        [one, two] if one.key.tag == two.key.tag => Err(KeyError::Tag(one.key.tag)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::tests::name;
    use proptest::prelude::*;

    const TIMING: Timing = Timing { ttl_max: 500, dnskey_ttl: 100, ds_ttl: 1_000, margin: 10 };

    #[test]
    fn keys_are_read_back_as_they_were_written() {
        let mut ring = KeyRing::make(&name("cdn.example."), Algorithm::Ecdsa, 5).expect("a key");
        let first = ring.list(&TIMING, 5).0[0];
        assert!(ring.confirm_ds(first.tag, 600) && !ring.confirm_ds(first.tag, 700));
        ring.roll(Algorithm::Ed25519, &TIMING, 9_000).expect("a roll");
        let read = KeyRing::from_text(&ring.to_text()).expect("the same");
        assert_eq!(read.list(&TIMING, 9_000), ring.list(&TIMING, 9_000));
        assert_eq!((read.ds_text(), read.to_text()), (ring.ds_text(), ring.to_text()));
        assert!(read.cds_text().starts_with("cdn.example. IN CDS "));
        ring.set_leaves(true);
        let leaving = KeyRing::from_text(&ring.to_text()).expect("the same");
        assert!(leaving.leaves() && !read.leaves());
        assert_eq!(leaving.cds_text(), "cdn.example. IN CDS 0 0 0 00");
        assert_eq!(data_text(kind::CDNSKEY, CDNSKEY_DELETE), "0 3 0 AA==");
        assert!(read.dnskey_text().starts_with("cdn.example. IN DNSKEY 257 3 15 "));
    }

    #[test]
    fn one_roll_is_under_way_at_a_time_and_its_old_key_is_deleted() {
        let mut ring = KeyRing::make(&name("a."), Algorithm::Ed25519, 0).expect("a key");
        ring.roll(Algorithm::Ed25519, &TIMING, 1_000).expect("a roll");
        assert_eq!(ring.roll(Algorithm::Ecdsa, &TIMING, 9_000), Err(KeyError::Rolling));
        let (keys, next) = ring.list(&TIMING, 9_000);
        assert_eq!(
            keys.iter().map(|key| key.state.word()).collect::<Vec<_>>(),
            ["retired", "active"]
        );
        assert_eq!(next, Next::AwaitDs);
        assert!(ring.confirm_ds(keys[1].tag, 9_000) && !ring.prune(&TIMING, 9_000));
        ring.roll(Algorithm::Ecdsa, &TIMING, 99_000).expect("the old key is gone");
        assert_eq!(ring.list(&TIMING, 99_000).0[0].tag, keys[1].tag);
    }

    #[test]
    fn what_are_no_keys_is_told_without_showing_any() {
        let ring = KeyRing::make(&name("a."), Algorithm::Ed25519, 0).expect("a key").to_text();
        let private = ring.split('"').nth(5).expect("the private part").to_owned();
        for (from, to) in [
            ("zone = \"a.\"", "zone = \"a..b\""),
            ("ed25519", "ecdsa"),
            ("ed25519", "rsa"),
            ("created = 0", "created = -1"),
            ("created = 0", "creatd = 0"),
            ("private = \"", "private = \"!"),
            ("[[key]]", "[key]"),
        ] {
            let changed = ring.replacen(from, to, 1);
            assert_ne!(changed, ring);
            let error = KeyRing::from_text(&changed).expect_err(to);
            assert!(!format!("{error} {error:?}").contains(&private[..20]), "{error}");
        }
        let key = ring.split_once("[[key]]").expect("a key").1;
        let twice = format!("{ring}\n[[key]]{key}");
        assert!(matches!(KeyRing::from_text(&twice), Err(KeyError::Tag(_))));
        let thrice = format!("{twice}\n[[key]]{key}");
        assert_eq!(KeyRing::from_text(&thrice).err(), Some(KeyError::Count(3)));
    }

    proptest! {
        #[test]
        fn any_text_is_keys_or_none(text in ".{0,200}") {
            let _ = KeyRing::from_text(&text);
        }
    }
}
