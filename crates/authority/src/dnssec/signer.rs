//! Who signs a zone: its keys, and what each of them does from which moment on.

use std::fmt;
use std::sync::Arc;

use super::canonical::HEAD_BYTES;
use super::key::{SIGNATURE_BYTES, SigningKey};
use super::ring::{CDNSKEY_DELETE, CDS_DELETE, KeyRing};
use super::schedule::{Next, Standing, Timing};
use super::signatures::{Purse, Signatures, head};
use crate::kind;
use crate::name::{NAME_BYTES_MAX, Name};
use crate::writer::Records;
use crate::zone::Rrset;

/// Changes that two keys bring about at most.
const PHASES_MAX: usize = 8;
/// Keys that sign at one time at most.
const KEYS_MAX: usize = 2;
/// Bytes of the data of an RRSIG at most.
pub(crate) const RRSIG_BYTES_MAX: usize = HEAD_BYTES + NAME_BYTES_MAX + SIGNATURE_BYTES;

/// The keys of a zone, ready to sign. Made anew when the keys, or the zone's times, change.
pub struct Signer {
    apex: Name,
    keys: Vec<Arc<SigningKey>>,
    /// The first is of the beginning.
    phases: Vec<Phase>,
    signatures: Arc<Signatures>,
}

/// What is so from a moment on.
#[derive(Debug)]
pub(crate) struct Phase {
    from: u32,
    pub(crate) dnskey: Rrset,
    pub(crate) cds: Option<Rrset>,
    pub(crate) cdnskey: Option<Rrset>,
    /// Which keys sign DNSKEY, CDS and CDNSKEY.
    of_keys: [Option<u8>; KEYS_MAX],
    /// Which keys sign all else.
    of_data: [Option<u8>; KEYS_MAX],
}

/// How one answer is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signing<'a> {
    pub(crate) signer: &'a Signer,
    pub(crate) phase: &'a Phase,
    pub(crate) now: u32,
    pub(crate) purse: Purse,
}

impl Signer {
    /// Signs a zone with these keys.
    #[must_use]
    pub fn new(ring: &KeyRing, timing: &Timing, signatures: Arc<Signatures>) -> Self {
        let keys = ring.keys.iter().map(|kept| Arc::clone(&kept.key)).collect();
        let mut phases = Vec::new();
        let mut from = 0;
        loop {
            let plan = ring.plan(timing, from);
            phases.push(Phase::new(ring, &plan.keys, timing, from));
            match plan.next {
                Next::At(at) if phases.len() < PHASES_MAX => from = at,
                _ => break,
            }
        }
        Self { apex: ring.apex().clone(), keys, phases, signatures }
    }

    /// The zone.
    #[must_use]
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// What is so at a moment.
    pub(crate) fn phase(&self, now: u32) -> &Phase {
        let phase = self.phases.iter().rev().find(|phase| phase.from <= now);
        phase.unwrap_or(&self.phases[0])
    }
}

impl Phase {
    fn new(ring: &KeyRing, keys: &[Option<Standing>], timing: &Timing, from: u32) -> Self {
        let set = |kind, does: fn(&Standing) -> bool, data: &dyn Fn(&SigningKey) -> Box<[u8]>| {
            let kept = ring.keys.iter().zip(keys.iter().flatten());
            let data = kept.filter(|(_, key)| does(key)).map(|(kept, _)| data(&kept.key));
            Rrset { kind, ttl: timing.dnskey_ttl, data: data.collect() }
        };
        let dnskey = |key: &SigningKey| key.dnskey().into();
        let asked_for = |kind, data: &dyn Fn(&SigningKey) -> Box<[u8]>, delete: &[u8]| {
            let mut set = set(kind, |key| key.is_in_cds, data);
            if ring.leaves() {
                set.data = vec![delete.into()];
            }
            (!set.data.is_empty()).then_some(set)
        };
        let ds = |key: &SigningKey| key.ds(ring.apex()).into();
        Self {
            from,
            dnskey: set(kind::DNSKEY, |key| key.is_published, &dnskey),
            cds: asked_for(kind::CDS, &ds, CDS_DELETE),
            cdnskey: asked_for(kind::CDNSKEY, &dnskey, CDNSKEY_DELETE),
            of_keys: signers(keys, |key| key.is_published),
            of_data: signers(keys, |key| key.signs_data),
        }
    }

    /// What a zone's keys say of themselves.
    pub(crate) fn set(&self, kind: u16) -> Option<&Rrset> {
        match kind {
            kind::DNSKEY => Some(&self.dnskey),
            kind::CDS => self.cds.as_ref(),
            kind::CDNSKEY => self.cdnskey.as_ref(),
            _ => None,
        }
    }
}

impl<'a> Signing<'a> {
    /// The keys that sign records of a type.
    pub(crate) fn keys(&self, kind: u16) -> impl Iterator<Item = &'a SigningKey> + use<'a> {
        let which = match kind {
            kind::DNSKEY | kind::CDS | kind::CDNSKEY => &self.phase.of_keys,
            _ => &self.phase.of_data,
        };
        let keys = &self.signer.keys;
        which.iter().flatten().filter_map(|at| keys.get(usize::from(*at)).map(|key| &**key))
    }

    /// Writes the data of the RRSIG of records into a buffer, and says how long it is; `None`:
    /// there is no budget for one.
    pub(crate) fn rrsig(
        &self,
        key: &SigningKey,
        owner: &[u8],
        records: &Records<'_>,
        out: &mut [u8; RRSIG_BYTES_MAX],
    ) -> Option<usize> {
        let apex = self.signer.apex.as_wire();
        let signatures = &self.signer.signatures;
        let signature = signatures.signature(key, apex, owner, records, self.purse, self.now)?;
        let name_end = HEAD_BYTES + apex.len();
        let end = name_end + SIGNATURE_BYTES;
        out[..HEAD_BYTES].copy_from_slice(&head(key, owner, records, &signature).to_wire());
        out[HEAD_BYTES..name_end].copy_from_slice(apex);
        out[name_end..end].copy_from_slice(&signature.bytes);
        Some(end)
    }
}

fn signers(keys: &[Option<Standing>], does: fn(&Standing) -> bool) -> [Option<u8>; KEYS_MAX] {
    let mut signers = [None; KEYS_MAX];
    for (at, place) in signers.iter_mut().enumerate() {
        let signs = keys.get(at).and_then(|key| key.as_ref()).is_some_and(does);
        *place = signs.then_some(at as u8);
    }
    signers
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {:?}", self.apex, self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::{Algorithm, SignatureLimits};
    use crate::zone::tests::name;

    #[test]
    fn what_the_zone_above_is_asked_for_follows_the_keys() {
        let timing = Timing::default();
        let mut ring = KeyRing::make(&name("a."), Algorithm::Ed25519, 1_000).expect("a key");
        let signatures = Arc::new(Signatures::new(SignatureLimits::default(), &[1; 16]));
        let signer = |ring: &KeyRing| Signer::new(ring, &timing, Arc::clone(&signatures));
        let at = |signer: &Signer, now: u32, kind| {
            signer.phase(now).set(kind).map(|set| set.data.clone()).unwrap_or_default()
        };
        let first = signer(&ring);
        assert!(at(&first, 1_000, kind::CDS).is_empty());
        assert_eq!(at(&first, 1_000, kind::DNSKEY).len(), 1);
        let key = at(&first, 1_000, kind::DNSKEY);
        assert_eq!(at(&first, 1_000_000, kind::CDNSKEY), key);
        ring.roll(Algorithm::Ed25519, &timing, 2_000_000).expect("a roll");
        let rolled = signer(&ring);
        assert_eq!(at(&rolled, 2_000_000, kind::DNSKEY).len(), 2);
        assert_eq!(at(&rolled, 2_000_000, kind::CDNSKEY), key);
        assert_ne!(at(&rolled, 3_000_000, kind::CDNSKEY), key);
        ring.set_leaves(true);
        assert_eq!(*at(&signer(&ring), 3_000_000, kind::CDS)[0], *CDS_DELETE);
        assert_eq!(*at(&signer(&ring), 3_000_000, kind::CDNSKEY)[0], *CDNSKEY_DELETE);
    }
}
