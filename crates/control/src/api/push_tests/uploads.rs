//! Bodies in several requests, over breaks and restarts.

use super::*;
use crate::state::digest::Digest;

impl Rig {
    async fn begin(&self, announced: Value) -> String {
        let begun = self.post("/uploads", announced).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{begun:?}");
        begun.field("location").strip_prefix("/v1/sites/shop").expect("its place").to_owned()
    }

    async fn go_on(&self, upload: &str, offset: usize, body: impl Into<Body>) -> Answer {
        let offset = offset.to_string();
        self.ask(Method::PATCH, upload, &[("upload-offset", &offset)], body).await
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_breaks_and_restarts() {
    let rig = Rig::new().await;
    let body = noise((3 << 20) + 100);
    let upload = rig.begin(json!({ "bytes": body.len() })).await;
    let first = rig.go_on(&upload, 0, body[..2_000_000].to_vec()).await;
    assert_eq!((first.status, first.field("upload-offset")), (StatusCode::NO_CONTENT, "2000000"));
    // What came before a break counts.
    let pieces = [Ok(Bytes::copy_from_slice(&body[2_000_000..2_000_050])), Err("gone")];
    let pieces = pieces.map(|piece| piece.map_err(std::io::Error::other));
    let torn = rig.go_on(&upload, 2_000_000, Body::from_stream(stream::iter(pieces))).await;
    assert_eq!((torn.word().as_str(), torn.field("upload-offset")), ("incomplete", "2000050"));

    let rig = rig.again();
    let head = rig.ask(Method::HEAD, &upload, &[], Body::empty()).await;
    assert_eq!((head.status, head.field("upload-offset")), (StatusCode::OK, "2000050"));
    let wrong = rig.go_on(&upload, 2_000_000, "x").await;
    assert_eq!(
        (wrong.word().as_str(), wrong.field("upload-offset")),
        ("offset-mismatch", "2000050")
    );
    let early = rig.post(&format!("{upload}/finish"), json!({ "sha256": Digest::of(&body) })).await;
    assert_eq!(early.word(), "conflict");
    let rest = rig.go_on(&upload, 2_000_050, body[2_000_050..].to_vec()).await;
    assert_eq!(rest.status, StatusCode::NO_CONTENT);
    assert_eq!(rig.go_on(&upload, body.len(), "x").await.word(), "too-large");
    let state = rig.ask(Method::GET, &upload, &[], Body::empty()).await.json();
    assert_eq!((&state["offset"], &state["complete"]), (&json!(body.len()), &json!(true)));

    let wrong = rig.post(&format!("{upload}/finish"), json!({ "sha256": Digest::of(b"") })).await;
    assert_eq!(wrong.word(), "digest-mismatch");
    let sha256 = Digest::of(&body).to_string();
    let done = rig.post(&format!("{upload}/finish"), json!({ "sha256": sha256 })).await;
    assert_eq!(done.json(), json!({ "sha256": sha256, "bytes": body.len() }));
    assert_eq!(rig.ask(Method::GET, &upload, &[], Body::empty()).await.word(), "not-found");
    let list = json!({ "put": [{ "path": "/big", "sha256": sha256 }] });
    assert_eq!(rig.post("/publish", list).await.json()["put"], 1);
    assert!(rig.get("/big").await.body == body);
    assert_eq!(rig.files().len(), 1);
}

#[tokio::test]
async fn one_request_at_a_time_writes_to_an_upload() {
    let rig = Rig::new().await;
    let upload = rig.begin(json!({})).await;
    let id = upload.rsplit('/').next().expect("an id");
    let turn = rig.app().blobs.uploads().take(id, "shop").await.expect("its turn");
    assert_eq!(rig.go_on(&upload, 0, "x").await.word(), "conflict");
    let removed = rig.ask(Method::DELETE, &upload, &[], Body::empty()).await;
    assert_eq!(removed.word(), "conflict");
    drop(turn);
    assert_eq!(rig.go_on(&upload, 0, "x").await.field("upload-offset"), "1");
    assert_eq!(
        rig.app().blobs.uploads().take(id, "other").await.err().map(|it| it.kind),
        Some(crate::problem::Kind::NotFound)
    );
    let removed = rig.ask(Method::DELETE, &upload, &[], Body::empty()).await;
    assert_eq!((removed.status, rig.files().len()), (StatusCode::NO_CONTENT, 0));
}

#[tokio::test]
async fn an_upload_is_bounded_and_expires() {
    let rig = Rig::with(100, 1_000).await;
    let upload = rig.begin(json!({ "bytes": 5, "sha256": Digest::of(b"12345") })).await;
    assert_eq!(rig.go_on(&upload, 0, "123456").await.word(), "too-large");
    let body = Body::from_stream(stream::iter(["123", "456"].map(Ok::<_, std::io::Error>)));
    let beyond = rig.go_on(&upload, 0, body).await;
    assert_eq!((beyond.word().as_str(), beyond.field("upload-offset")), ("too-large", "3"));
    assert_eq!(rig.ask(Method::PATCH, &upload, &[], "x").await.word(), "invalid");
    let unknown = format!("/uploads/{}", "0".repeat(32));
    assert_eq!(rig.go_on(&unknown, 0, "x").await.word(), "not-found");
    assert_eq!(rig.go_on("/uploads/..%2F..%2Fadmin", 0, "x").await.word(), "not-found");

    let app = rig.app();
    let mut when = app.when();
    assert_eq!(app.blobs.sweep(when, |_| true).await.expect("it sweeps").uploads, 0);
    when.wall_ms += 25 * 3_600_000;
    assert_eq!(app.blobs.sweep(when, |_| true).await.expect("it sweeps").uploads, 1);
    assert_eq!(rig.go_on(&upload, 3, "x").await.word(), "not-found");
    assert_eq!(rig.files().len(), 0);
}

/// A body without a length, in pieces.
fn chunked(pieces: Vec<Vec<u8>>) -> Body {
    Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)))
}

#[tokio::test]
async fn what_comes_without_a_length_counts_as_it_comes() {
    let bytes_max = 3 << 20;
    let rig = Rig::with(1 << 40, bytes_max).await;
    let (one, other) = (rig.begin(json!({})).await, rig.begin(json!({})).await);
    assert_eq!(rig.go_on(&one, 0, noise(1_000)).await.status, StatusCode::NO_CONTENT);
    let pieces = || (0..8).map(|_| noise(1 << 19)).collect();
    let full = rig.go_on(&one, 1_000, chunked(pieces())).await;
    assert_eq!((full.word().as_str(), full.field("upload-offset")), ("quota-exceeded", "1000"));
    assert!(String::from_utf8_lossy(&full.body).contains("uploads that are open"), "{full:?}");
    assert_eq!(rig.app().blobs.uploads().bytes(), 1_000, "nothing of it counts");
    let put = rig.ask(Method::PUT, "/objects/a", &[], chunked(pieces())).await;
    assert_eq!(put.word(), "quota-exceeded");
    let fits = noise((bytes_max - 1_000).try_into().expect("it fits"));
    let fits = rig.go_on(&other, 0, chunked(vec![fits])).await;
    assert_eq!(fits.status, StatusCode::NO_CONTENT);
    assert_eq!(rig.go_on(&one, 1_000, chunked(vec![vec![0]])).await.word(), "quota-exceeded");
    let removed = rig.ask(Method::DELETE, &other, &[], Body::empty()).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(rig.go_on(&one, 1_000, chunked(vec![vec![0]])).await.field("upload-offset"), "1001");
    // Of what was taken back nothing is in the digest, and what came counts after a restart.
    let rig = rig.again();
    assert_eq!(rig.app().blobs.uploads().bytes(), 1_001);
    let body = [noise(1_000), vec![0]].concat();
    let end = json!({ "sha256": Digest::of(&body) });
    assert_eq!(rig.post(&format!("{one}/finish"), end).await.status, StatusCode::OK);
    assert_eq!(rig.app().blobs.uploads().bytes(), 0);
}

#[tokio::test]
async fn one_site_cannot_take_the_uploads_and_the_room_of_others() {
    let rig = Rig::with(1_000, 1_000).await;
    rig.make(site("other", true)).await;
    let first = rig.begin(json!({ "bytes": 1_000 })).await;
    for _ in 1..100 {
        rig.begin(json!({ "bytes": 1_000 })).await;
    }
    assert_eq!(rig.post("/uploads", json!({})).await.word(), "too-many");
    let token = rig.grant(&[Scope::Push], &["other"]).await;
    let ask = async |method: Method, uri: &str, body: &'static str| {
        let req = Request::builder().method(method).uri(uri);
        let req = req.header(header::AUTHORIZATION, format!("Bearer {token}"));
        rig.send(req.header("upload-offset", "0").body(body.into()).expect("a request")).await
    };
    let begun = ask(Method::POST, "/v1/sites/other/uploads", r#"{"bytes": 900}"#).await;
    assert_eq!(begun.status, StatusCode::CREATED, "what was only announced takes no room");
    let other = begun.field("location").to_owned();
    assert_eq!(ask(Method::PATCH, &other, "123").await.field("upload-offset"), "3");

    let page = rig.ask(Method::GET, "/uploads?limit=60", &[], Body::empty()).await.json();
    let next = page["next"].as_str().expect("there are more");
    let more = format!("/uploads?limit=60&after={next}");
    let more = rig.ask(Method::GET, &more, &[], Body::empty()).await.json();
    let count = |page: &Value| page["items"].as_array().map_or(0, Vec::len);
    assert_eq!((count(&page), count(&more), &more["next"]), (60, 40, &Value::Null));
    let items = [page, more].map(|page| page["items"].as_array().cloned().unwrap_or_default());
    let id = first.rsplit('/').next().expect("an id");
    let line = items.concat().into_iter().find(|line| line["id"] == id).expect("it is listed");
    assert_eq!((&line["offset"], &line["bytes"]), (&json!(0), &json!(1_000)));
    assert_eq!(ask(Method::GET, "/v1/sites/shop/uploads", "").await.word(), "forbidden");
    let own = ask(Method::GET, "/v1/sites/other/uploads", "").await.json();
    assert_eq!((count(&own), &own["items"][0]["offset"]), (1, &json!(3)));
}

#[tokio::test]
async fn an_offset_has_no_sign() {
    let rig = Rig::new().await;
    let upload = rig.begin(json!({})).await;
    for offset in ["+0", "-0", "", " ", "0x0"] {
        let fields = [("upload-offset", offset)];
        assert_eq!(
            rig.ask(Method::PATCH, &upload, &fields, "x").await.word(),
            "invalid",
            "{offset}"
        );
    }
}
