//! What must not be taken: nothing of it is left.

use super::*;

const EMPTY: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

#[tokio::test]
async fn a_path_that_could_mean_another_one_is_refused() {
    let rig = Rig::new().await;
    let long = format!("/{}", "a".repeat(4096));
    for path in [
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/.%2E/a",
        "/./a",
        "/a%00",
        "/a%5Cb",
        "/a%2fb",
        "//a",
        "/a//b",
        "/%2Fetc/passwd",
        "/a%",
        "/a%zz",
        "/a?b",
        &long,
    ] {
        assert_eq!(rig.put(path, "1").await.word(), "invalid", "{path}");
    }
    assert_eq!((rig.paths().await.len(), rig.files().len()), (0, 0));
}

#[tokio::test]
async fn a_wrong_digest_or_a_torn_body_leaves_the_old_object() {
    let rig = Rig::new().await;
    rig.put("/a", "old").await;
    let large = noise(3 << 20);
    for body in [b"new".to_vec(), large] {
        let fields = [("content-digest", EMPTY)];
        let wrong = rig.ask(Method::PUT, "/objects/a", &fields, body).await;
        assert_eq!(wrong.word(), "digest-mismatch");
    }
    let malformed = [("content-digest", "sha-256=abc")];
    assert_eq!(rig.ask(Method::PUT, "/objects/a", &malformed, "new").await.word(), "invalid");
    assert_eq!(rig.ask(Method::PUT, "/objects/a", &[], torn("ne")).await.word(), "incomplete");
    let coded = [("content-encoding", "gzip")];
    let coded = rig.ask(Method::PUT, "/objects/a", &coded, "new").await;
    assert_eq!(coded.word(), "unsupported-media-type");
    assert_eq!(rig.get("/a").await.body, "old");
    // Files of dropped bodies are removed beside the worker.
    gone(&rig, 1).await;
    let right = [("content-digest", EMPTY)];
    assert_eq!(rig.ask(Method::PUT, "/objects/a", &right, "").await.status, StatusCode::OK);
    assert_eq!(rig.get("/a").await.body, "");
}

#[tokio::test]
async fn a_part_is_not_taken_for_the_whole() {
    let rig = Rig::new().await;
    let part = [("content-range", "bytes 0-0/2")];
    let blob = format!("/blobs/{}", crate::state::digest::Digest::of(b"1"));
    for path in ["/objects/a", &blob] {
        assert_eq!(rig.ask(Method::PUT, path, &part, "1").await.word(), "invalid", "{path}");
    }
    assert_eq!((rig.paths().await.len(), rig.files().len()), (0, 0));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let rig = Rig::with(10, 1_000).await;
    let unread = Body::new(Announced(11));
    assert_eq!(rig.ask(Method::PUT, "/objects/a", &[], unread).await.word(), "too-large");
    let unread = Body::new(Announced(11));
    let path = format!("/blobs/{}", crate::state::digest::Digest::of(b"1"));
    assert_eq!(rig.ask(Method::PUT, &path, &[], unread).await.word(), "too-large");
    let pieces = (0..11).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"1")));
    let body = Body::from_stream(stream::iter(pieces));
    assert_eq!(rig.ask(Method::PUT, "/objects/a", &[], body).await.word(), "too-large");
    assert_eq!(rig.put("/a", "0123456789").await.status, StatusCode::CREATED);
    let upload = rig.post("/uploads", json!({ "bytes": 11 })).await;
    assert_eq!(upload.word(), "too-large");
}

#[tokio::test]
async fn beyond_the_quota_nothing_changes() {
    let rig = Rig::with(1_000, 10).await;
    assert_eq!(rig.put("/a", "123456").await.status, StatusCode::CREATED);
    let unread = Body::new(Announced(5));
    assert_eq!(rig.ask(Method::PUT, "/objects/b", &[], unread).await.word(), "quota-exceeded");
    // Without a length it shows when it has come.
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>("12345")]));
    assert_eq!(rig.ask(Method::PUT, "/objects/b", &[], body).await.word(), "quota-exceeded");
    assert_eq!(rig.files().len(), 1);
    // A body that is there already takes no more room, if it is announced.
    let known = [("content-digest", "sha-256=:jZae727K08KaOmKSgOaGzww/XVqGr/PKEgIMkjrcbJI=:")];
    let known = rig.ask(Method::PUT, "/objects/b", &known, "123456").await;
    assert_eq!(known.status, StatusCode::CREATED);
    assert_eq!(rig.put("/c", "1234").await.status, StatusCode::CREATED);
    assert_eq!(rig.put("/c", "123x").await.word(), "quota-exceeded");
    assert_eq!(rig.get("/c").await.body, "1234");
    assert_eq!(rig.post("/uploads", json!({ "bytes": 1 })).await.word(), "quota-exceeded");
}

/// A body that says how long it is, and must not be read.
struct Announced(u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        panic!("the body is read");
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

/// Waits until so many files are left.
pub(super) async fn gone(rig: &Rig, left: usize) {
    let is_so = async {
        while rig.files().len() > left {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, is_so).await.expect("nothing is left");
}
