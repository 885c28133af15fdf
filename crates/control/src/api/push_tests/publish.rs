//! Bodies first, then their objects at once.

use super::*;
use crate::state::digest::Digest;

fn name(body: &str) -> String {
    Digest::of(body.as_bytes()).to_string()
}

impl Rig {
    async fn bring(&self, body: &str) -> Answer {
        self.ask(Method::PUT, &format!("/blobs/{}", name(body)), &[], body.to_owned()).await
    }
}

#[tokio::test]
async fn what_was_brought_is_published_at_once() {
    let rig = Rig::new().await;
    rig.put("/old", "old").await;
    assert_eq!(rig.bring("1").await.status, StatusCode::CREATED);
    assert_eq!(rig.bring("1").await.status, StatusCode::OK);
    let wrong = rig.ask(Method::PUT, &format!("/blobs/{}", name("1")), &[], "2").await;
    assert_eq!(wrong.word(), "200", "it is there, and not read again");
    let wrong = rig.ask(Method::PUT, &format!("/blobs/{}", name("2")), &[], "3").await;
    assert_eq!(wrong.word(), "digest-mismatch");
    let missing = rig.post("/blobs/missing", json!({ "sha256": [name("1"), name("2")] })).await;
    assert_eq!(missing.json(), json!({ "missing": [name("2")] }));

    let list = json!({
        "put": [{ "path": "/docs/index.html", "sha256": name("1"), "tags": ["t"] },
            { "path": "/b", "sha256": name("2"), "content_type": "a/b" }],
        "remove": ["/old", "/never"] });
    let refused = rig.post("/publish", list.clone()).await;
    assert_eq!(
        (refused.word(), refused.json()["missing"].clone()),
        ("missing-blobs".to_owned(), json!([name("2")]))
    );
    assert_eq!(rig.paths().await, ["/old"]);
    rig.bring("2").await;
    let done = rig.post("/publish", list.clone()).await.json();
    assert_eq!(
        (&done["put"], &done["unchanged"], &done["removed"]),
        (&json!(2), &json!(0), &json!(1))
    );
    assert_eq!(rig.paths().await, ["/b", "/docs/", "/docs/index.html"]);
    assert_eq!(rig.get("/docs/").await.field("surrogate-key"), "t");
    let again = rig.post("/publish", list).await.json();
    assert_eq!((&again["unchanged"], &again["revision"]), (&json!(2), &done["revision"]));
}

#[tokio::test]
async fn a_list_that_is_not_clear_is_refused() {
    let rig = Rig::new().await;
    rig.bring("1").await;
    let put = |path: &str| json!({ "path": path, "sha256": name("1") });
    for list in [
        json!({ "put": [put("/a"), put("/%61")] }),
        json!({ "put": [put("/a")], "remove": ["/a"] }),
        json!({ "put": [put("/a/../b")] }),
        json!({ "remove": ["../a"] }),
        json!({ "put": [{ "path": "/a", "sha256": "abc" }] }),
        json!({ "put": [{ "path": "/a", "sha256": name("1"), "tags": ["a b"] }] }),
        json!({ "puts": [] }),
    ] {
        assert_eq!(rig.post("/publish", list.clone()).await.word(), "invalid", "{list}");
    }
    assert_eq!(rig.paths().await.len(), 0);
}

#[tokio::test]
async fn what_nobody_uses_is_swept_after_a_while() {
    let rig = Rig::new().await;
    rig.put("/used", "used").await;
    rig.bring("loose").await;
    let sweep = async |later_ms: u64| {
        let app = rig.app();
        let mut when = app.when();
        when.mono_ms += later_ms;
        // Files are old enough for this wall clock: only what is kept stays.
        when.wall_ms += 10 * 3_600_000;
        let is_used = |digest: &Digest| app.desk.state().blobs.contains_key(digest);
        app.blobs.sweep(when, is_used).await.expect("it sweeps")
    };
    assert_eq!(sweep(0).await.blobs, 0);
    assert_eq!(rig.files().len(), 2);
    let swept = sweep(2 * 3_600_000).await;
    assert_eq!((swept.blobs, swept.bytes), (1, 5));
    assert_eq!(rig.get("/used").await.body, "used");
    let list = json!({ "put": [{ "path": "/a", "sha256": name("loose") }] });
    assert_eq!(rig.post("/publish", list).await.word(), "missing-blobs");
}
