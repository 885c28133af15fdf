//! The state: replaying the log, saving and loading, and telling nodes all lead to the same.

use proptest::prelude::*;
use selvedge_feed::{Intent, Tier};
use serde_json::json;

use super::*;
use crate::state::record::Scope;

fn object(seed: u8) -> Arc<Object> {
    Arc::new(Object {
        sha256: Digest::of(&[seed % 3]),
        bytes: u64::from(seed % 3) + 1,
        content_type: "text/plain".into(),
        cache_control: None,
        tags: Arc::default(),
        at_ms: 0,
    })
}

fn name(seed: u8) -> String {
    format!("s{}", seed % 3)
}

fn path(seed: u8) -> String {
    format!("/{}", seed % 4)
}

fn deed() -> impl Strategy<Value = Deed> {
    (0..9_u8, any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(kind, a, b, c)| match kind {
        0 | 1 => Deed::SitePut { name: name(a), document: json!({"hosts": [path(b)]}) },
        2 => Deed::SiteRemoved { name: name(a) },
        3 | 4 => {
            Deed::Published { site: name(a), put: vec![(path(b), object(c))], removed: vec![] }
        }
        5 => Deed::Published { site: name(a), put: vec![], removed: vec![path(b)] },
        6 => Deed::NodeJoined {
            member: Box::new(Member {
                name: name(a),
                tier: Tier::Edge,
                region: "eu".into(),
                urls: vec![],
                addresses: vec![],
                health: None,
                intent: Intent::Online,
            }),
            secret: Digest::of(&[b]),
            version: "1".into(),
            join: name(c),
        },
        7 => Deed::IntentSet { name: name(a), intent: Intent::Draining },
        _ => Deed::TokenCreated {
            token: Token {
                id: name(a),
                name: name(b),
                secret: Digest::of(&[c]),
                kind: if b % 2 == 0 {
                    TokenKind::Join { uses_left: 2 }
                } else {
                    TokenKind::Api { scopes: vec![Scope::Read], sites: None }
                },
                created_ms: 0,
                expires_ms: None,
            },
        },
    })
}

fn record(revision: u64, deed: Deed) -> Record {
    Record {
        revision,
        at_ms: 1,
        by: "a".into(),
        from: "b".into(),
        request_id: "c".into(),
        deed,
        once: None,
    }
}

/// A state in a form that can be compared.
fn shown(state: &State) -> (serde_json::Value, u64, u64, usize) {
    let saved = serde_json::to_value(Saved::from(state)).expect("plain data");
    (saved, state.objects, state.bytes, state.blobs.len())
}

proptest! {
    #[test]
    fn a_saved_state_is_the_same_state(deeds in prop::collection::vec(deed(), 0..40)) {
        let mut state = State::default();
        for (revision, deed) in (1..).zip(deeds) {
            let text = serde_json::to_string(&record(revision, deed.clone())).expect("plain data");
            let read: Record = serde_json::from_str(&text).expect("a record");
            prop_assert_eq!(&read.deed, &deed);
            state.apply(&read);
        }
        let text = serde_json::to_string(&Saved::from(&state)).expect("plain data");
        let saved: Saved = serde_json::from_str(&text).expect("a state");
        prop_assert_eq!(shown(&State::from(saved)), shown(&state));
    }

    /// Whoever follows every change knows what whoever reads the whole knows.
    #[test]
    fn following_and_reading_the_whole_lead_to_the_same(
        deeds in prop::collection::vec(deed(), 0..40),
    ) {
        let (mut state, mut follower) = (State::default(), feed::State::default());
        for (revision, deed) in (1..).zip(deeds) {
            // Control refuses objects for a site that is not there.
            if let Deed::Published { site, .. } = &deed && state.site(site).is_none() {
                continue;
            }
            if let Some(news) = state.apply(&record(revision, deed)) {
                follower.apply(&news);
            }
            follower.revision = revision;
        }
        follower.revision = state.revision;
        prop_assert_eq!(follower, state.for_nodes());
    }
}

#[test]
fn a_body_is_counted_once_however_many_use_it() {
    let mut state = State::default();
    let put = |paths: &[&str]| Deed::Published {
        site: "a".into(),
        put: paths.iter().map(|path| ((*path).to_owned(), object(1))).collect(),
        removed: vec![],
    };
    state.apply(&record(1, put(&["/1", "/2"])));
    assert_eq!((state.objects, state.bytes), (2, 2));
    let removed = vec!["/1".to_owned(), "/2".to_owned()];
    state.apply(&record(2, Deed::Published { site: "a".into(), put: vec![], removed }));
    assert_eq!((state.objects, state.bytes, state.blobs.len()), (0, 0, 0));
}

#[test]
fn an_answer_is_remembered_for_a_day() {
    let mut state = State::default();
    let once = |key: &str| Once {
        key: key.into(),
        asked: Digest::of(b""),
        status: 200,
        fields: vec![],
        body: String::new(),
    };
    let mut first = record(1, Deed::SiteRemoved { name: "a".into() });
    first.once = Some(once("k"));
    state.apply(&first);
    assert!(state.answer("k", ANSWER_MS).is_some());
    assert!(state.answer("k", ANSWER_MS + 1).is_none());
    let mut later = record(2, Deed::SiteRemoved { name: "a".into() });
    (later.at_ms, later.once) = (ANSWER_MS + 1, Some(once("l")));
    state.apply(&later);
    assert!(state.answer("k", 2).is_none() && state.answer("l", ANSWER_MS + 2).is_some());
}

#[test]
fn old_versions_go_when_there_are_many_or_they_are_long() {
    let mut state = State::default();
    let put = |text: &str| Deed::SitePut { name: "a".into(), document: json!({ "hosts": text }) };
    for revision in 1..=150 {
        state.apply(&record(revision, put("a.test")));
    }
    let versions = |state: &State| state.sites["a"].versions.len();
    assert_eq!(versions(&state), VERSIONS_MAX);
    let long = "x".repeat(VERSIONS_BYTES_MAX / 4);
    for revision in 151..=160 {
        state.apply(&record(revision, put(&long)));
    }
    assert_eq!(versions(&state), 3);
    assert_eq!(state.sites["a"].last_version(), 160);
}
