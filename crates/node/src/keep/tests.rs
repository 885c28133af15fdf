//! Whatever is cut, damaged or left over, a node starts with what it knew before or after.

use super::*;
use proptest::prelude::*;
use selvedge_feed::Target;
use serde_json::json;

fn site(name: &str, version: u64) -> News {
    let document = json!({ "hosts": [format!("{name}.test")] });
    News::Site { name: name.into(), version, document }
}

fn purge() -> News {
    News::Purge { targets: vec![Target::Everything], soft: false }
}

fn revision(number: u64, news: Vec<News>) -> Revision {
    Revision { number, news }
}

fn sample() -> Vec<Revision> {
    let put = |path: &str| vec![path.to_owned()];
    vec![
        revision(4, vec![site("a", 1)]),
        revision(5, vec![purge()]),
        revision(6, vec![purge()]),
        revision(7, vec![site("b", 1), site("a", 2), site("c", 1)]),
        revision(9, vec![News::Objects { site: "a".into(), put: put("/1"), gone: vec![] }]),
        revision(10, vec![]),
    ]
}

fn then(state: &State, revision: &Revision) -> State {
    let mut state = state.clone();
    revision.news.iter().for_each(|news| state.apply(news));
    state.revision = revision.number;
    state
}

fn opened(path: &Path) -> (Folder, Option<Known>, Vec<String>) {
    let opened = Folder::open(path).expect("a folder of our own");
    let Opened { folder, known, notes, .. } = opened;
    (folder, known, notes)
}

/// A folder with a snapshot and a tail of one write each, and the states in between.
fn filled(path: &Path) -> Vec<State> {
    let (mut folder, known, notes) = opened(path);
    assert!(known.is_none() && notes.is_empty());
    let mut states = vec![State { revision: 3, ..State::default() }];
    folder.replace("x", &states[0]).expect("written");
    for revision in sample() {
        let state = then(states.last().expect("one"), &revision);
        folder.append("x", &state, &[revision]).expect("written");
        states.push(state);
    }
    states
}

#[test]
fn what_was_kept_is_known_again_and_can_be_added_to() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("state");
    let last = filled(&path).pop().expect("some");
    let (mut folder, known, notes) = opened(&path);
    assert!(notes.is_empty(), "{notes:?}");
    assert_eq!(known, Some(Known { log: "x".into(), state: last.clone() }));
    assert!(matches!(Folder::open(&path), Err(KeepError::InUse(_))));
    let more = revision(11, vec![News::SiteGone { name: "a".into() }]);
    let state = then(&last, &more);
    folder.append("x", &state, &[more]).expect("written");
    drop(folder);
    assert_eq!(opened(&path).1.map(|known| known.state), Some(state));
}

#[test]
fn a_tail_cut_at_any_byte_is_the_state_before_or_after() {
    let place = tempfile::tempdir().expect("a folder");
    let states = filled(place.path());
    let tail = fs::read(place.path().join(TAIL)).expect("there");
    let mut seen = 0;
    for end in 0..=tail.len() {
        let mut known = Known { log: "x".into(), state: states[0].clone() };
        let good_bytes = read_tail(&tail[..end], &mut known).unwrap_or_default();
        assert!(good_bytes <= end && states.contains(&known.state), "{end}");
        let at = states.iter().position(|state| *state == known.state).expect("one of them");
        assert!(at >= seen, "more bytes tell no less");
        assert!((at + 1 == states.len()) == (end == tail.len()), "{end}");
        seen = at;
    }
}

#[test]
fn what_is_appended_behind_a_cut_is_not_lost() {
    let place = tempfile::tempdir().expect("a folder");
    let states = filled(place.path());
    let tail = fs::read(place.path().join(TAIL)).expect("there");
    for end in (0..=tail.len()).step_by(61) {
        fs::write(place.path().join(TAIL), &tail[..end]).expect("written");
        let (mut folder, known, _) = opened(place.path());
        let state = known.expect("the snapshot is whole").state;
        let more = revision(20, vec![site("z", 1)]);
        folder.append("x", &then(&state, &more), std::slice::from_ref(&more)).expect("written");
        drop(folder);
        let (folder, known, notes) = opened(place.path());
        assert_eq!((known.map(|known| known.state), notes), (Some(then(&state, &more)), vec![]));
        drop(folder);
        let base = &states[0];
        let (mut folder, ..) = opened(place.path());
        folder.replace("x", base).expect("written");
    }
}

#[test]
fn a_snapshot_cut_at_any_byte_is_no_snapshot() {
    let place = tempfile::tempdir().expect("a folder");
    let last = filled(place.path()).pop().expect("some");
    let (mut folder, ..) = opened(place.path());
    folder.replace("x", &last).expect("written");
    drop(folder);
    let bytes = fs::read(place.path().join(SNAPSHOT)).expect("there");
    assert_eq!(read_snapshot(&bytes).map(|known| known.state), Some(last));
    for end in 0..bytes.len() {
        assert_eq!(read_snapshot(&bytes[..end]), None, "{end}");
    }
    fs::write(place.path().join(SNAPSHOT), &bytes[..9]).expect("written");
    let (_, known, notes) = opened(place.path());
    assert!(known.is_none() && notes.len() == 1, "{notes:?}");
}

#[test]
fn a_tail_of_another_snapshot_is_left_alone() {
    let place = tempfile::tempdir().expect("a folder");
    filled(place.path());
    let tail = fs::read(place.path().join(TAIL)).expect("there");
    for (log, head) in [("y", 3), ("x", 10), ("x", 2)] {
        let state = State { revision: head, ..State::default() };
        let (mut folder, ..) = opened(place.path());
        folder.replace(log, &state).expect("written");
        drop(folder);
        // As if it had died before the old tail was gone.
        fs::write(place.path().join(TAIL), &tail).expect("written");
        let (_, known, notes) = opened(place.path());
        assert_eq!(known, Some(Known { log: log.into(), state }));
        assert!(notes.is_empty(), "{notes:?}");
    }
}

#[test]
fn a_long_tail_becomes_a_snapshot() {
    let place = tempfile::tempdir().expect("a folder");
    let mut state = filled(place.path()).pop().expect("some");
    let (mut folder, ..) = opened(place.path());
    let document = json!({ "hosts": ["x".repeat(1 << 20)] });
    for number in 11..20 {
        let news = News::Site { name: "big".into(), version: number, document: document.clone() };
        let revision = revision(number, vec![news]);
        state = then(&state, &revision);
        folder.append("x", &state, &[revision]).expect("written");
    }
    drop(folder);
    assert!(fs::metadata(place.path().join(TAIL)).expect("there").len() < 5 << 20);
    assert_eq!(opened(place.path()).1.map(|known| known.state), Some(state));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A byte that changed is found: the state is one of those that were, or none.
    #[test]
    fn damage_is_never_believed(at in any::<prop::sample::Index>(), flip in 1_u8.., in_tail: bool) {
        let place = tempfile::tempdir().expect("a folder");
        let states = filled(place.path());
        let file = place.path().join(if in_tail { TAIL } else { SNAPSHOT });
        let mut bytes = fs::read(&file).expect("there");
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        fs::write(&file, &bytes).expect("written");
        let (_, known, _) = opened(place.path());
        if let Some(known) = known {
            prop_assert!(states.contains(&known.state));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(read_snapshot(&bytes), None);
        let mut known = Known { log: "x".into(), state: State::default() };
        let _ = read_tail(&bytes, &mut known);
        prop_assert_eq!(known.state, State::default());
    }
}
