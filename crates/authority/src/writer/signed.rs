//! Signatures behind the records that they are of, so that they fit with them or not at all
//! (RFC 4035 3.1.1).

use super::{Full, Owner, Records, Section, Writer};
use crate::dnssec::{Purse, RRSIG_BYTES_MAX, Signing};
use crate::kind;

impl<'a> Writer<'a> {
    /// Signs what is put from now on.
    pub(crate) fn sign(&mut self, signing: Signing<'a>) {
        self.signing = Some(signing);
    }

    /// Whether what is put is signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.signing.is_some()
    }

    /// Who pays for signatures from now on.
    pub(crate) fn set_purse(&mut self, purse: Purse) {
        if let Some(signing) = &mut self.signing {
            signing.purse = purse;
        }
    }

    /// Whether something did not fit because there was no budget for its signature.
    pub(crate) fn lacks_signature(&self) -> bool {
        self.lacks_signature
    }

    /// Writes the signatures of records that were just written.
    pub(super) fn put_signatures(
        &mut self,
        section: Section,
        owner: &mut Owner<'_>,
        records: &Records<'_>,
    ) -> Result<(), Full> {
        let Some(signing) = self.signing else { return Ok(()) };
        let mut data = [0; RRSIG_BYTES_MAX];
        for key in signing.keys(records.kind) {
            let Some(bytes) = signing.rrsig(key, owner.name, records, &mut data) else {
                self.lacks_signature = true;
                return Err(Full);
            };
            let signature = Records::one(kind::RRSIG, records.ttl, &data[..bytes]);
            self.put_one(section, owner, &signature, |w| w.put_bytes(&data[..bytes]))?;
        }
        Ok(())
    }
}
