//! Which answers are signed, and by whom.

use std::sync::Arc;

use super::Responder;
use crate::answer::Answer;
use crate::dnssec::{Purse, Signer, Signing, denial};
use crate::opt::Opt;
use crate::query::Query;
use crate::wire::rcode;

impl Responder {
    /// Signs the zones of these signers.
    #[must_use]
    pub fn with_signers(mut self, signers: impl IntoIterator<Item = Arc<Signer>>) -> Self {
        self.signers = signers.into_iter().map(|one| (one.apex().clone(), one)).collect();
        self
    }

    /// Lets an answer be signed, if its zone is and that was asked for.
    pub(super) fn sign<'a, 'out>(
        &'a self,
        answer: &mut Answer<'a, '_, 'out>,
        query: &Query<'_>,
        now: u32,
        opt: &mut Opt,
    ) where
        'a: 'out,
    {
        let Some(edns) = query.edns.as_ref().filter(|edns| edns.wants_dnssec) else {
            // The keys, and what denies, are records like any.
            if denial::is_made(answer.kind) {
                let signer = self.signers.get(answer.zone.apex());
                answer.phase = signer.map(|signer| signer.phase(now));
            }
            return;
        };
        if self.signers.is_empty() {
            return;
        }
        let Some(signer) = self.signers.get(answer.zone.apex()) else { return };
        let phase = signer.phase(now);
        answer.phase = Some(phase);
        answer.writer.sign(Signing { signer, phase, now, purse: Purse::Standing });
        if edns.takes_compact {
            opt.set_compact();
        } else {
            answer.missing_rcode = rcode::NOERROR;
        }
    }
}
