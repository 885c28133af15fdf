//! Who asks, while it is asked, and the same request once more.

use super::*;
use selvedge_feed::{Intent, Member, Tier};

/// A body that is there when `then` has been done.
fn body_after(then: impl Future<Output = ()> + Send + 'static) -> Body {
    let pieces = stream::once(async move {
        then.await;
        Ok::<_, std::io::Error>(Bytes::from_static(b"late"))
    });
    Body::from_stream(pieces)
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_body_comes_changes_nothing() {
    let rig = Rig::new().await;
    let token = rig.grant(&[Scope::Push], &["shop"]).await;
    let id = token.split('_').nth(1).expect("an id").to_owned();
    let router = rig.router.clone();
    let (admin, path) = (rig.token.clone(), format!("/v1/tokens/{id}"));
    let revoke = async move {
        let req = Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {admin}"));
        let done = send(router, req.body(Body::empty()).expect("a request")).await;
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
    };
    let req = Request::put("/v1/sites/shop/objects/a");
    let req = req.header(header::AUTHORIZATION, format!("Bearer {token}"));
    let put = rig.send(req.body(body_after(revoke)).expect("a request")).await;
    assert_eq!(put.word(), "unauthorized");
    assert_eq!(rig.paths().await, Vec::<String>::new());
    assert_eq!(rig.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn of_an_upload_nothing_stays_that_came_with_a_token_that_was_revoked() {
    let rig = Rig::new().await;
    let token = rig.grant(&[Scope::Push], &["shop"]).await;
    let id = token.split('_').nth(1).expect("an id").to_owned();
    let begun = rig.post("/uploads", json!({})).await;
    let place = begun.field("location").to_owned();
    let (router, admin, path) = (rig.router.clone(), rig.token.clone(), format!("/v1/tokens/{id}"));
    let revoke = async move {
        let req = Request::delete(path).header(header::AUTHORIZATION, format!("Bearer {admin}"));
        let done = send(router, req.body(Body::empty()).expect("a request")).await;
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
    };
    let req = Request::patch(place).header("upload-offset", "0");
    let req = req.header(header::AUTHORIZATION, format!("Bearer {token}"));
    let patched = rig.send(req.body(body_after(revoke)).expect("a request")).await;
    assert_eq!((patched.word().as_str(), patched.field("upload-offset")), ("unauthorized", "0"));
    assert_eq!(rig.app().blobs.uploads().bytes(), 0);
}

#[tokio::test]
async fn a_node_has_not_applied_what_is_not_there_yet() {
    let rig = Rig::new().await;
    let (token, secret) = crate::api::Prefix::Node.token("n1");
    let member = Member {
        name: "n1".into(),
        tier: Tier::Edge,
        region: String::new(),
        urls: Vec::new(),
        addresses: vec![],
        health: None,
        intent: Intent::Online,
    };
    let (version, join) = (String::new(), String::new());
    rig.make(Deed::NodeJoined { member: Box::new(member), secret, version, join }).await;
    let head = rig.app().desk.state().revision;
    let applied = async |applied: u64| {
        let ack = json!({ "log": rig.app().log.id(), "applied": applied, "refused": [] });
        let req = Request::post("/v1/nodes/n1/ack").header("content-type", "application/json");
        let req = req.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let told = rig.send(req.body(ack.to_string().into()).expect("a request")).await;
        assert_eq!(told.status, StatusCode::NO_CONTENT, "{told:?}");
        rig.app().fleet.seen("n1").expect("it was heard").report.ack.applied
    };
    assert_eq!(applied(head).await, head);
    assert_eq!(applied(head + 1).await, 0);
    assert_eq!(applied(u64::MAX).await, 0);
}

#[tokio::test]
async fn what_did_nothing_does_nothing_when_it_comes_again() {
    let rig = Rig::new().await;
    let put = async |key: &str, body: &str| {
        let key = [("idempotency-key", key)];
        rig.ask(Method::PUT, "/objects/a", &key, body.to_owned()).await
    };
    put("one", "old").await;
    let same = put("two", "old").await;
    put("three", "new").await;
    let again = put("two", "old").await;
    assert_eq!((again.status, again.body), (same.status, same.body));
    assert_eq!(&rig.get("/a").await.body[..], b"new");
    let other = put("two", "another").await;
    assert_eq!(other.word(), "idempotency-key-reused");
}

#[tokio::test]
async fn a_publication_is_answered_again_when_its_bodies_are_gone() {
    let rig = Rig::new().await;
    let digest = crate::state::digest::Digest::of(b"1").to_string();
    rig.ask(Method::PUT, &format!("/blobs/{digest}"), &[], "1").await;
    let list = json!({ "put": [{ "path": "/a", "sha256": digest }] });
    let fields = [("idempotency-key", "one"), ("content-type", "application/json")];
    let publish = async || rig.ask(Method::POST, "/publish", &fields, list.to_string()).await;
    let done = publish().await;
    rig.ask(Method::DELETE, "/objects/a", &[], Body::empty()).await;
    for file in rig.files() {
        std::fs::remove_file(file).expect("it is there");
    }
    let again = publish().await;
    assert_eq!((again.status, again.body), (done.status, done.body));
    assert_eq!(rig.paths().await, Vec::<String>::new());
}
