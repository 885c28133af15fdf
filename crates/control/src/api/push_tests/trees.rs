//! Whole trees: all of one is published, or nothing.

use super::broken::gone;
use super::*;
use tar::{Builder, EntryType, Header};

enum Entry<'a> {
    File(&'a str, &'a [u8]),
    Folder(&'a str),
    Link(&'a str, EntryType),
}

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        let (name, kind, body) = match entry {
            Entry::File(name, body) => (*name, EntryType::Regular, *body),
            Entry::Folder(name) => (*name, EntryType::Directory, &b""[..]),
            Entry::Link(name, kind) => (*name, *kind, &b""[..]),
        };
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        // The library refuses to write what it should refuse to read.
        if name.len() < 100 {
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, body).expect("it is written");
        } else {
            header.set_cksum();
            builder.append_data(&mut header, name, body).expect("it is written");
        }
    }
    builder.into_inner().expect("it ends")
}

impl Rig {
    async fn push(&self, query: &str, body: impl Into<Body>) -> Answer {
        let fields = [("content-type", "application/x-tar")];
        self.ask(Method::POST, &format!("/tree{query}"), &fields, body).await
    }
}

#[tokio::test]
async fn a_tree_is_published_at_once_and_only_what_is_new() {
    let rig = Rig::new().await;
    rig.put("/site/old", "old").await;
    rig.put("/other", "other").await;
    let large = noise((3 << 20) + 5);
    let long = format!("{}/x.css", "d".repeat(150));
    let tree = archive(&[
        Entry::Folder("./"),
        Entry::File("./index.html", b"<p>"),
        Entry::File("a b.txt", b"first"),
        Entry::File("a b.txt", b"last"),
        Entry::File("big", &large),
        Entry::File(&long, b"css"),
        Entry::File("empty", b""),
    ]);
    let done = rig.push("?prefix=/site/&delete=true", tree.clone()).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
    let done = done.json();
    assert_eq!((&done["put"], &done["removed"]), (&json!(5), &json!(1)));
    let long = format!("/site/{long}");
    let paths = ["/other", "/site/", "/site/a%20b.txt", "/site/big", &long, "/site/empty"];
    let paths: Vec<&str> = paths.into_iter().chain(["/site/index.html"]).collect();
    assert_eq!(rig.paths().await, paths);
    assert_eq!(rig.get("/site/a%20b.txt").await.body, "last");
    assert_eq!(rig.get("/site/").await.field("content-type"), "text/html; charset=utf-8");
    assert!(rig.get("/site/big").await.body == large);

    let again = rig.push("?prefix=/site/&delete=true", tree).await.json();
    assert_eq!((&again["put"], &again["unchanged"]), (&json!(0), &json!(5)));
    assert_eq!(again["revision"], done["revision"]);
    let changed = archive(&[Entry::File("index.html", b"<b>")]);
    let done = rig.push("?prefix=/site/", changed).await.json();
    assert_eq!((&done["put"], &done["removed"]), (&json!(1), &json!(0)));
    assert_eq!(rig.paths().await, paths);
}

#[tokio::test]
async fn a_tree_that_is_not_whole_and_plain_publishes_nothing() {
    let rig = Rig::new().await;
    let large = noise(3 << 20);
    let file = || Entry::File("a", b"1");
    let whole = archive(&[file(), Entry::File("b", &large)]);
    let cut = |length: usize| whole[..length].to_vec();
    for (tree, word) in [
        (archive(&[file(), Entry::Link("b", EntryType::Symlink)]), "invalid"),
        (archive(&[file(), Entry::Link("b", EntryType::Link)]), "invalid"),
        (archive(&[file(), Entry::Link("b", EntryType::Char)]), "invalid"),
        (archive(&[file(), Entry::File("../b", b"1")]), "invalid"),
        (archive(&[file(), Entry::File("c/../../b", b"1")]), "invalid"),
        (archive(&[file(), Entry::File("/etc/b", b"1")]), "invalid"),
        (archive(&[file(), Entry::File("a\\b", b"1")]), "invalid"),
        (archive(&[file(), Entry::File("", b"1")]), "invalid"),
        (b"no archive at all".to_vec(), "invalid"),
        (vec![7; 2048], "invalid"),
        (Vec::new(), "incomplete"),
        // Cut within a head, at the end of an entry, within a body, and before the end.
        (cut(700), "invalid"),
        (cut(1024), "incomplete"),
        (cut(2_000_000), "invalid"),
        (cut(1024 + 512 + large.len()), "incomplete"),
    ] {
        let length = tree.len();
        let refused = rig.push("?delete=true", tree).await;
        assert_eq!(refused.word(), word, "{length} bytes: {refused:?}");
    }
    let pieces = [Ok(Bytes::from(cut(2_000_000))), Err(std::io::Error::other("gone"))];
    let torn = Body::from_stream(stream::iter(pieces));
    assert_eq!(rig.push("", torn).await.word(), "incomplete");
    assert_eq!(rig.paths().await.len(), 0);
    gone(&rig, 0).await;
}

#[tokio::test]
async fn what_is_said_of_a_tree_is_bounded() {
    let rig = Rig::new().await;
    let tags: Vec<String> = (0..100).map(|n| format!("{n:0>160}")).collect();
    let tags = tags.join(" ");
    let push = async |names: std::ops::Range<usize>| {
        let names: Vec<String> = names.map(|n| format!("{n}.txt")).collect();
        let tree: Vec<Entry<'_>> = names.iter().map(|name| Entry::File(name, b"")).collect();
        rig.ask(Method::POST, "/tree", &[("surrogate-key", &tags)], archive(&tree)).await
    };
    let refused = push(0..2_200).await;
    assert_eq!(refused.word(), "too-large");
    assert!(String::from_utf8_lossy(&refused.body).contains("in parts"), "{refused:?}");
    gone(&rig, 0).await;
    assert_eq!((push(0..100).await.json()["put"]).as_u64(), Some(100));
    let state = rig.app().desk.state();
    let objects = &state.site("shop").expect("it is there").objects;
    let (one, other) = (&objects["/1.txt"], &objects["/2.txt"]);
    assert!(std::sync::Arc::ptr_eq(&one.tags, &other.tags), "the tags are there once");
    assert_eq!(one.content_type, "text/plain; charset=utf-8");
}

#[tokio::test]
async fn a_record_too_long_is_refused_alone() {
    let rig = Rig::new().await;
    let remove = |bytes: usize| {
        let (site, put, removed) = ("shop".to_owned(), Vec::new(), vec!["a".repeat(bytes)]);
        let deed = Deed::Published { site, put, removed };
        let asker = Asker {
            by: String::new(),
            from: String::new(),
            request_id: String::new(),
            proof: None,
            once: None,
        };
        rig.app().desk.submit(asker, |_, _| Ok(Decision::Do(deed, Reply::default())))
    };
    let revision = rig.app().desk.state().revision;
    let (long, short) = tokio::join!(remove(65 << 20), remove(10));
    assert_eq!(long.map_err(|problem| problem.kind), Err(crate::problem::Kind::TooLarge));
    assert!(short.is_ok());
    assert_eq!(rig.app().desk.state().revision, revision + 1);
}

#[tokio::test]
async fn a_tree_is_bounded() {
    let rig = Rig::with(1_000, 1_500).await;
    let (large, small) = (noise(1_001), noise(900));
    let tree = archive(&[Entry::File("a", b"1"), Entry::File("b", &large)]);
    assert_eq!(rig.push("", tree).await.word(), "too-large");
    let tree = archive(&[Entry::File("a", &small), Entry::File("b", &large[101..])]);
    assert_eq!(rig.push("", tree).await.word(), "quota-exceeded");
    gone(&rig, 0).await;
    // The same body takes its room once, however many files have it.
    let same = ["a", "b", "c"].map(|name| Entry::File(name, &small));
    assert_eq!(rig.push("", archive(&same)).await.json()["put"], 3);
    let removed = rig.ask(Method::DELETE, "/objects?prefix=/", &[], Body::empty()).await;
    assert_eq!(removed.json()["removed"], 3);
    // A name that says it has no end.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 1 << 16])));
    let start = stream::iter([Ok(header.as_bytes().to_vec())]);
    let body = Body::from_stream(futures_util::StreamExt::chain(start, endless));
    let refused = rig.push("", body).await;
    assert_eq!(refused.word(), "invalid");
    assert!(String::from_utf8_lossy(&refused.body).contains("too long"), "{refused:?}");
    assert_eq!(rig.paths().await.len(), 0);
    gone(&rig, 1).await;
}
