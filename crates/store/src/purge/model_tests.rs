//! Purges against a naive model: a list of all purges and of what every fill was, asked one by one.
//! Whatever fills, purges, look-ups and forgetting do between each other, nothing that a purge
//! covers answers, and nothing else is lost.

use std::sync::Arc;

use http::HeaderMap;
use proptest::prelude::*;
use selvedge_policy::{RequestDirectives, Reuse, Scheme, SiteRules, reuse};

use super::tests::{hard, page, soft};
use super::{Purge, Scope, Strength};
use crate::support::*;
use crate::{Begin, FillWriter, Object, Settings, Store, Wanted};

const HOSTS: [&str; 2] = ["a.test", "b.test"];
const PATHS: [&str; 3] = ["/x/1", "/x/2", "/y"];
const TAGS: [&str; 3] = ["one", "two", "three"];

/// More than there are different purges: only what nothing is older than is forgotten.
const PURGES_ENOUGH: usize = 100;

/// Which of the six pages.
type PageIndex = usize;

#[derive(Clone, Debug)]
enum What {
    Url(PageIndex),
    Tag(usize),
    Prefix(usize, &'static str),
    Host(usize),
    Site(usize),
    Everything,
    Path(usize, &'static str),
}

#[derive(Clone, Debug)]
enum Step {
    /// A fill of a page begins, whose answer will have these tags.
    Begin(PageIndex, Vec<usize>),
    /// The head of a running fill comes.
    Head(usize),
    /// A running fill ends.
    Finish(usize),
    /// What is stored of a page is found valid by a fill that begins now.
    Renew(PageIndex),
    Purge(What, bool),
    LookUp(PageIndex),
    Tend,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = || 0..HOSTS.len() * PATHS.len();
    let what = prop_oneof![
        3 => index().prop_map(What::Url),
        4 => (0..TAGS.len()).prop_map(What::Tag),
        2 => (0..HOSTS.len(), prop_oneof![Just("/x/"), Just("/"), Just("/y")])
            .prop_map(|(host, path)| What::Prefix(host, path)),
        1 => (0..HOSTS.len()).prop_map(What::Host),
        1 => (0..HOSTS.len()).prop_map(What::Site),
        1 => Just(What::Everything),
        2 => (0..HOSTS.len(), 0..PATHS.len()).prop_map(|(site, at)| What::Path(site, PATHS[at])),
    ];
    let step = prop_oneof![
        6 => (index(), prop::collection::vec(0..TAGS.len(), 0..3))
            .prop_map(|(page, tags)| Step::Begin(page, tags)),
        5 => (0_usize..8).prop_map(Step::Head),
        6 => (0_usize..8).prop_map(Step::Finish),
        2 => index().prop_map(Step::Renew),
        5 => (what, any::<bool>()).prop_map(|(what, soft)| Step::Purge(what, soft)),
        8 => index().prop_map(Step::LookUp),
        2 => Just(Step::Tend),
    ];
    prop::collection::vec(step, 1..80)
}

/// What a fill is, as the model knows it. The length of the body names it.
#[derive(Clone, Debug)]
struct Made {
    page: PageIndex,
    tags: Vec<usize>,
    /// How many purges there were when it, or its last validation, began.
    since: usize,
}

struct Running {
    writer: FillWriter,
    made: usize,
    head: bool,
}

struct World {
    store: Arc<Store>,
    pages: Vec<Resource>,
    purges: Vec<(What, bool)>,
    made: Vec<Made>,
    running: Vec<Running>,
    /// What the model holds to be stored.
    stored: Vec<Option<usize>>,
    now_ms: u64,
}

impl World {
    fn new(purges_max: usize) -> Self {
        let pages = HOSTS.iter().zip(["s", "o"]).flat_map(|(host, site)| {
            PATHS.iter().map(move |path| page(site, Scheme::Https, host, path))
        });
        Self {
            store: store_with(Settings { purges_max, ..Settings::default() }),
            pages: pages.collect(),
            purges: Vec::new(),
            made: Vec::new(),
            running: Vec::new(),
            stored: vec![None; HOSTS.len() * PATHS.len()],
            now_ms: 10_000,
        }
    }

    /// Whether the model says that a purge covers this.
    fn covers(what: &What, made: &Made) -> bool {
        let (host, path) = (made.page / PATHS.len(), PATHS[made.page % PATHS.len()]);
        match what {
            What::Url(page) => *page == made.page,
            // Tags are of the first site.
            What::Tag(tag) => host == 0 && made.tags.contains(tag),
            What::Prefix(of, begin) => *of == host && path.starts_with(begin),
            What::Host(of) | What::Site(of) => *of == host,
            What::Everything => true,
            What::Path(of, whole) => *of == host && path == *whole,
        }
    }

    /// Whether any purge since it began covers it: hard, soft.
    fn covered(&self, made: &Made) -> (bool, bool) {
        let since = self.purges[made.since..].iter().filter(|(what, _)| Self::covers(what, made));
        let soft = since.clone().any(|(_, soft)| *soft);
        (since.clone().any(|(_, soft)| !*soft), soft)
    }

    fn purge(&mut self, what: What, is_soft: bool) {
        let scope = match what {
            What::Url(page) => {
                let (host, path) = (HOSTS[page / PATHS.len()], PATHS[page % PATHS.len()]);
                Scope::Url { host, path, query: None }
            }
            What::Tag(tag) => Scope::Tag { site: "s", tag: TAGS[tag].as_bytes() },
            What::Prefix(host, path) => Scope::Prefix { host: HOSTS[host], path },
            What::Host(host) => Scope::Host(HOSTS[host]),
            What::Site(site) => Scope::Site(["s", "o"][site]),
            What::Everything => Scope::Everything,
            What::Path(site, path) => Scope::Path { site: ["s", "o"][site], path },
        };
        let purge: Purge<'_> = if is_soft { soft(scope) } else { hard(scope) };
        assert_eq!(purge.strength == Strength::Soft, is_soft);
        self.store.purge(&[purge], at_ms(self.now_ms)).expect("in memory");
        self.purges.push((what, is_soft));
    }

    fn begin(&mut self, page: PageIndex, tags: Vec<usize>) {
        let (none, rules) = (HeaderMap::new(), SiteRules::default());
        let of = &self.pages[page];
        let entry = self.store.entry(of.key, &of.full_key);
        let seen = entry.as_ref().and_then(|entry| entry.select(&none, &rules));
        let wanted = Wanted::Request { headers: &none, rules: &rules, seen };
        match self.store.begin(of.key, &of.full_key, wanted, at_ms(self.now_ms)) {
            Begin::Lead(writer, _) => {
                let made = Made { page, tags, since: self.purges.len() };
                self.made.push(made);
                self.running.push(Running { writer, made: self.made.len() - 1, head: false });
            }
            Begin::Join(_) => {
                let mut fills = self.running.iter().map(|running| &self.made[running.made]);
                let clean = |made: &Made| made.page == page && self.covered(made) == (false, false);
                assert!(fills.any(clean), "joined a fill that a purge covers");
            }
            Begin::Stored(_) => panic!("the caller has seen what is stored"),
            Begin::Full => panic!("few fills run"),
        }
    }

    fn head(&mut self, index: usize) {
        let Some(running) = self.running.get_mut(index).filter(|running| !running.head) else {
            return;
        };
        let tags: Vec<&str> = self.made[running.made].tags.iter().map(|tag| TAGS[*tag]).collect();
        let tags = tags.join(" ");
        let proof = storable_for(&HeaderMap::new(), &[("surrogate-key", &tags)]);
        running.writer.head(proof, None);
        running.head = true;
    }

    fn finish(&mut self, index: usize) {
        if index >= self.running.len() {
            return;
        }
        self.head(index);
        let Running { mut writer, made, .. } = self.running.remove(index);
        // Nobody reads it; what is revoked may say so at once.
        let _ = ready(writer.push(pattern(made + 1)));
        let _ = writer.finish(None);
        if self.covered(&self.made[made]) == (false, false) {
            self.stored[self.made[made].page] = Some(made);
        }
    }

    fn renew(&mut self, page: PageIndex) {
        let (none, rules) = (HeaderMap::new(), SiteRules::default());
        let of = &self.pages[page];
        let entry = self.store.entry(of.key, &of.full_key);
        let Some(old) = entry.and_then(|entry| entry.select(&none, &rules).cloned()) else {
            return;
        };
        let Some((writer, _)) = self.store.begin_alone(of.key, &of.full_key, at_ms(self.now_ms))
        else {
            panic!("few fills run")
        };
        let made = made_of(&old);
        let tags: Vec<&str> = self.made[made].tags.iter().map(|tag| TAGS[*tag]).collect();
        let proof = storable_for(&none, &[("surrogate-key", &tags.join(" "))]);
        writer.refreshed(&old, proof);
        self.made[made].since = self.purges.len();
        self.stored[page] = Some(made);
    }

    fn look_up(&self, page: PageIndex, forgets: bool) {
        let of = &self.pages[page];
        let entry = self.store.lookup(of.key, &of.full_key);
        let (none, rules) = (RequestDirectives::default(), SiteRules::default());
        let now = at_ms(self.now_ms);
        let objects = || entry.iter().flat_map(|entry| entry.objects());
        for object in objects() {
            let made = &self.made[made_of(object)];
            let (hard, soft) = self.covered(made);
            let fresh = reuse(&object.meta, &none, &rules, now) == Reuse::Fresh;
            assert!(!(hard || soft) || !fresh, "{made:?} answers after {:?}", self.purges);
            // Hard purges that are forgotten leave what asks the origin before anything else.
            let asks = matches!(reuse(&object.meta, &none, &rules, now), Reuse::Revalidate(_))
                && !object.meta.usable_on_error(&none, &rules, now);
            assert!(!hard || forgets && asks, "{made:?} is there after {:?}", self.purges);
        }
        // With a floor more may have gone than was purged.
        let Some(kept) = self.stored[page].filter(|_| !forgets) else { return };
        if self.covered(&self.made[kept]) == (false, false) {
            let mut found = objects().filter(|object| made_of(object) == kept);
            let found = found.next().expect("no purge covers it");
            let fresh = reuse(&found.meta, &none, &rules, now) == Reuse::Fresh;
            assert!(fresh, "no purge covers it");
        }
    }
}

fn made_of(object: &Object) -> usize {
    usize::try_from(object.body.len()).expect("short bodies") - 1
}

fn run(steps: Vec<Step>, purges_max: usize) {
    let mut world = World::new(purges_max);
    for step in steps {
        world.now_ms += 1;
        match step {
            Step::Begin(page, tags) => world.begin(page, tags),
            Step::Head(index) => world.head(index),
            Step::Finish(index) => world.finish(index),
            Step::Renew(page) => world.renew(page),
            Step::Purge(what, is_soft) => world.purge(what, is_soft),
            Step::LookUp(page) => world.look_up(page, purges_max < PURGES_ENOUGH),
            Step::Tend => world.store.tend_purges(),
        }
    }
    (0..world.pages.len()).for_each(|page| world.look_up(page, purges_max < PURGES_ENOUGH));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nothing_purged_answers_and_nothing_else_is_lost(steps in steps()) {
        run(steps, PURGES_ENOUGH);
    }

    #[test]
    fn nothing_purged_answers_however_little_is_remembered(steps in steps(), most in 1_usize..6) {
        run(steps, most);
    }
}
