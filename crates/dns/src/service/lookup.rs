//! The sites of the world, as the answering of packets asks for them.

use std::cell::{Cell, RefCell};

use selvedge_authority::{Asker, Located, SiteIndex, Sites};
use selvedge_geo::ranking::Rule;
use selvedge_geo::regions::RegionIndex;
use selvedge_geo::world::{Answer, World};

/// Looks sites up in one world. It remembers where the last one was sent, and why.
#[derive(Debug)]
pub struct Lookup<'a> {
    world: &'a World,
    /// Its lists go to the reply and come back: no answer allocates.
    answer: RefCell<&'a mut Answer>,
    last: Cell<Option<(RegionIndex, Rule)>>,
}

impl<'a> Lookup<'a> {
    /// In this world.
    pub fn new(world: &'a World, answer: &'a mut Answer) -> Self {
        Self { world, answer: RefCell::new(answer), last: Cell::new(None) }
    }

    /// To which region the last asker was sent, and what chose his home.
    #[must_use]
    pub fn last(&self) -> Option<(RegionIndex, Rule)> {
        self.last.get()
    }
}

impl Sites for Lookup<'_> {
    fn find(&self, site: &[u8]) -> Option<SiteIndex> {
        self.world.find(site).map(SiteIndex)
    }

    fn locate(&self, site: SiteIndex, asker: &Asker, located: &mut Located) {
        let mut answer = self.answer.borrow_mut();
        self.world.locate(site.0, asker.address, asker.prefix, &mut answer);
        std::mem::swap(&mut located.v4, &mut answer.v4);
        std::mem::swap(&mut located.v6, &mut answer.v6);
        (located.ttl, located.scope, located.https) = (answer.ttl_s, answer.scope, answer.https);
        self.last.set(answer.reason);
    }
}
