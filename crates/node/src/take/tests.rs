//! What is in force after what came, whatever of it was bad.

use super::*;
use crate::keep::Opened;
use selvedge_feed::{Intent, Member, Tier};
use selvedge_net::Clock;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a sink was told, in order.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Serve(u64, Vec<(String, u64)>),
    Purge(Vec<Target>),
    Applying(u64),
    Applied(u64),
}

/// Objects to every site whose document says `bad`, and to a host that two have.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Told>>>, Arc<AtomicBool>);

impl Recorder {
    fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Told> {
        let mut told = std::mem::take(&mut *self.told());
        // The rest is between the two that say how far it is.
        if let Some(Told::Applying(_)) = told.first() {
            assert!(matches!(told.last(), Some(Told::Applied(_))), "{told:?}");
            told.remove(0);
        }
        told
    }
}

impl Sink for Recorder {
    fn identify(&mut self, _: &Identity) {}

    fn check(&mut self, state: &State, changed: &Changed) -> Vec<Objection> {
        let bad = |name: &&String| {
            let document = state.sites.get(*name).map(|site| Arc::clone(&site.document));
            document.is_some_and(|document| document.get("bad").is_some())
        };
        let object = |part, reason: &str| {
            let reason = reason.to_owned();
            move |name: &String| Objection { site: name.clone(), part, reason: reason.clone() }
        };
        let sites = changed.sites.iter().filter(bad).map(object(Part::Site, "bad"));
        let ended = |name: &&String| {
            state.certificates.get(*name).is_some_and(|pair| pair.chain == "ended")
        };
        let certificates = changed.certificates.iter().filter(ended);
        sites.chain(certificates.map(object(Part::Certificate, "ended"))).collect()
    }

    fn serve(&mut self, state: &State) -> Result<(), String> {
        let sites = state.sites.iter().filter(|(_, site)| !site.document.is_null());
        let sites = sites.map(|(name, site)| (name.clone(), site.version));
        self.told().push(Told::Serve(state.revision, sites.collect()));
        Ok(())
    }

    fn purge(&mut self, targets: &[(Target, bool)]) -> Result<(), String> {
        self.told().push(Told::Purge(targets.iter().map(|(target, _)| target.clone()).collect()));
        if self.1.load(Relaxed) { Err("no disk".into()) } else { Ok(()) }
    }

    fn applying(&mut self, revision: u64) {
        self.told().push(Told::Applying(revision));
    }

    fn applied(&mut self, revision: u64) {
        self.told().push(Told::Applied(revision));
    }
}

fn good(name: &str, version: u64) -> News {
    News::Site { name: name.into(), version, document: json!({}) }
}

fn bad(name: &str, version: u64) -> News {
    News::Site { name: name.into(), version, document: json!({ "bad": 1 }) }
}

fn url(path: &str) -> Target {
    Target::Url(format!("http://a.test{path}"))
}

fn purge(path: &str) -> News {
    News::Purge { targets: vec![url(path)], soft: false }
}

fn revision(number: u64, news: Vec<News>) -> Revision {
    Revision { number, news }
}

fn whole(log: &str) -> Stream {
    Stream { log: log.into(), whole: true, missed_purges: false }
}

fn taker(path: &Path) -> (Taker<Recorder>, Recorder) {
    let opened = Folder::open(path).expect("a folder of our own");
    let Opened { folder, known, notes, .. } = opened;
    assert!(notes.is_empty(), "{notes:?}");
    let recorder = Recorder::default();
    let standing = Arc::new(Standing::new(Clock::start(), Duration::from_secs(10)));
    (Taker::new("edge-1", recorder.clone(), folder, known, standing), recorder)
}

fn sites(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(name, version)| ((*name).to_owned(), *version)).collect()
}

#[test]
fn configuration_comes_before_purges_and_both_before_it_is_applied() {
    let place = tempfile::tempdir().expect("a folder");
    let (mut taker, told) = taker(place.path());
    assert_eq!(taker.since(), None);
    taker.replace(&whole("x"), revision(3, vec![good("a", 1)]));
    let everything = Told::Purge(vec![Target::Everything]);
    let served = Told::Serve(3, sites(&[("a", 1)]));
    assert_eq!(told.take(), [served, everything, Told::Applied(3)], "nothing was known before");
    let burst = vec![
        revision(4, vec![purge("/1")]),
        revision(5, vec![good("b", 1)]),
        revision(6, vec![purge("/2"), good("b", 2)]),
    ];
    taker.extend(burst);
    let served = Told::Serve(6, sites(&[("a", 1), ("b", 2)]));
    let purged = Told::Purge(vec![url("/1"), url("/2")]);
    assert_eq!(told.take(), [served, purged, Told::Applied(6)], "one step for all of it");
    taker.extend(vec![revision(7, vec![purge("/3")])]);
    assert_eq!(told.take(), [Told::Purge(vec![url("/3")]), Told::Applied(7)]);
    taker.reach(9);
    taker.reach(8);
    assert_eq!(told.take(), [Told::Applied(9)]);
    assert_eq!(taker.ack(), Ack { log: "x".into(), applied: 9, refused: vec![] });
}

#[test]
fn a_bad_revision_is_refused_whole_and_the_rest_goes_on() {
    let place = tempfile::tempdir().expect("a folder");
    let (mut first, told) = taker(place.path());
    first.replace(&whole("x"), revision(1, vec![good("a", 1)]));
    told.take();
    first.extend(vec![
        revision(2, vec![good("b", 1), bad("a", 2), purge("/1")]),
        revision(3, vec![good("c", 1)]),
    ]);
    let served = Told::Serve(3, sites(&[("a", 1), ("c", 1)]));
    let purged = Told::Purge(vec![url("/1")]);
    assert_eq!(told.take(), [served, purged, Told::Applied(3)]);
    let refused = vec![Refusal { revision: 2, reason: "bad".into() }];
    assert_eq!(first.ack(), Ack { log: "x".into(), applied: 3, refused });
    drop(first);
    // What was refused is not what is started with.
    let (mut again, told) = taker(place.path());
    let known = again.known.clone().expect("it was kept").state;
    assert_eq!((known.revision, known.sites.len(), known.sites["a"].version), (3, 2, 1));
    again.extend(vec![revision(4, vec![bad("a", 3)]), revision(5, vec![good("a", 4)])]);
    assert_eq!(again.ack().refused, [], "put right");
    assert!(told.take().contains(&Told::Serve(5, sites(&[("a", 4), ("c", 1)]))));
}

#[test]
fn of_everything_only_what_is_bad_is_left_out() {
    let place = tempfile::tempdir().expect("a folder");
    let (mut taker, told) = taker(place.path());
    taker.replace(&whole("x"), revision(1, vec![good("a", 1), good("b", 1)]));
    told.take();
    taker.replace(&whole("x"), revision(5, vec![bad("a", 2), good("b", 2), bad("c", 1)]));
    let served = Told::Serve(5, sites(&[("a", 1), ("b", 2)]));
    assert_eq!(told.take(), [served, Told::Applied(5)], "no purge was missed");
    assert_eq!(taker.ack().refused.len(), 2);
}

#[test]
fn a_good_certificate_puts_no_bad_site_right_and_the_other_way_round() {
    let certificate = |chain: &str| News::Certificate {
        site: "a".into(),
        chain: chain.into(),
        sealed_key: "key".into(),
    };
    let place = tempfile::tempdir().expect("a folder");
    let (mut taker, _) = taker(place.path());
    taker.replace(&whole("x"), revision(1, vec![good("a", 1)]));
    let refused = |taker: &Taker<Recorder>| {
        taker.ack().refused.iter().map(|it| it.reason.clone()).collect::<Vec<_>>()
    };
    taker.extend(vec![revision(2, vec![bad("a", 2)]), revision(3, vec![certificate("good")])]);
    assert_eq!(refused(&taker), ["bad"]);
    taker.extend(vec![revision(4, vec![certificate("ended")])]);
    assert_eq!(refused(&taker), ["bad", "ended"]);
    taker.extend(vec![revision(5, vec![good("a", 3)])]);
    assert_eq!(refused(&taker), ["ended"]);
    let all = vec![good("a", 3), certificate("ended")];
    taker.replace(&whole("x"), revision(6, all));
    let known = taker.known.as_ref().map(|known| &known.state).expect("it was taken over");
    assert_eq!(known.certificates["a"].chain, "good", "the last good one serves on");
    assert_eq!(known.sites["a"].version, 3);
}

#[test]
fn what_is_pushed_stays_known_of_a_site_that_cannot_be_served() {
    let place = tempfile::tempdir().expect("a folder");
    let (mut taker, told) = taker(place.path());
    let pushed = News::Objects { site: "a".into(), put: vec!["/x".into()], gone: vec![] };
    taker.replace(&whole("x"), revision(1, vec![bad("a", 1), pushed]));
    assert!(told.take().contains(&Told::Serve(1, vec![])));
    taker.extend(vec![revision(2, vec![good("a", 2)])]);
    let known = taker.known.as_ref().map(|known| &known.state).expect("it was taken over");
    assert_eq!((known.sites["a"].version, known.sites["a"].pushed.len()), (2, 1));
}

/// A purge that no disk could take down must be heard again after a restart.
#[test]
fn what_is_kept_never_goes_beyond_a_purge_that_a_restart_would_undo() {
    let place = tempfile::tempdir().expect("a folder");
    let kept = |after: &[(u64, bool)]| {
        let (mut taker, recorder) = taker(place.path());
        taker.replace(&whole("x"), revision(1, vec![good("a", 1)]));
        for (number, fails) in after {
            recorder.1.store(*fails, Relaxed);
            taker.extend(vec![revision(*number, vec![purge("/1"), good("b", *number)])]);
            assert_eq!(taker.ack().applied, *number, "it is in force");
        }
        drop(taker);
        let known = Folder::open(place.path()).expect("a folder of our own").known;
        known.expect("something was kept").state.revision
    };
    assert_eq!(kept(&[(2, false)]), 2);
    assert_eq!(kept(&[(2, false), (3, true), (4, true)]), 2);
    assert_eq!(kept(&[(2, true), (3, false), (4, false)]), 4);
}

#[test]
fn another_log_or_an_older_one_makes_everything_stored_doubtful() {
    let place = tempfile::tempdir().expect("a folder");
    let (mut taker, told) = taker(place.path());
    taker.replace(&whole("x"), revision(5, vec![]));
    let everything = Told::Purge(vec![Target::Everything]);
    for (stream, number) in
        [(whole("y"), 7), (whole("y"), 6), (Stream { missed_purges: true, ..whole("y") }, 9)]
    {
        told.take();
        taker.replace(&stream, revision(number, vec![]));
        assert!(told.take().contains(&everything), "{stream:?}");
    }
}

#[test]
fn what_the_operator_wants_of_this_node_is_known() {
    let place = tempfile::tempdir().expect("a folder");
    let (mut taker, _) = taker(place.path());
    let member = |intent| {
        News::Node(Member {
            name: "edge-1".into(),
            tier: Tier::Edge,
            region: "eu".into(),
            urls: vec![],
            addresses: vec![],
            health: None,
            intent,
        })
    };
    taker.replace(&whole("x"), revision(1, vec![member(Intent::Draining)]));
    taker.standing.hear(1);
    assert_eq!(taker.standing.why_not_ready(), Some("draining"));
    taker.extend(vec![revision(2, vec![News::NodeGone { name: "edge-1".into() }])]);
    taker.standing.hear(2);
    assert_eq!(taker.standing.why_not_ready(), None);
}
