//! Objects one by one: put, read, listed, removed, by whom and on what conditions.

use super::*;

#[tokio::test]
async fn what_is_put_is_read_listed_and_removed() {
    let rig = Rig::new().await;
    let fields = [("cache-control", "max-age=9"), ("surrogate-key", "a b")];
    let put = rig.ask(Method::PUT, "/objects/a/%62.txt", &fields, "hello").await;
    assert_eq!(put.status, StatusCode::CREATED);
    let body = put.json();
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let expected = json!({ "path": "/a/b.txt", "etag": format!("\"{}\"", &sha256[..32]),
        "sha256": sha256, "bytes": 5, "content_type": "text/plain; charset=utf-8",
        "revision": body["revision"] });
    assert_eq!(body, expected);
    assert_eq!(put.field("etag"), body["etag"]);
    assert_eq!(put.field("selvedge-revision"), body["revision"].to_string());

    let got = rig.get("/a/b.txt").await;
    assert_eq!((got.status, &got.body[..]), (StatusCode::OK, &b"hello"[..]));
    assert_eq!(got.field("etag"), put.field("etag"));
    assert_eq!(got.field("content-type"), "text/plain; charset=utf-8");
    assert_eq!(got.field("cache-control"), "max-age=9");
    assert_eq!(got.field("surrogate-key"), "a b");
    assert_eq!(got.field("accept-ranges"), "bytes");
    assert_ne!(got.field("last-modified"), "");
    let head = rig.ask(Method::HEAD, "/objects/a/b.txt", &[], Body::empty()).await;
    assert_eq!((head.status, head.field("content-length")), (StatusCode::OK, "5"));
    assert!(head.body.is_empty());

    rig.put("/a/c", "more").await;
    rig.put("/b", "more").await;
    assert_eq!(rig.paths().await, ["/a/b.txt", "/a/c", "/b"]);
    let page = |query: &'static str| rig.ask(Method::GET, query, &[], Body::empty());
    let first = page("/objects?prefix=/a/&limit=1").await.json();
    assert_eq!(
        (&first["items"][0]["path"], &first["next"]),
        (&json!("/a/b.txt"), &json!("/a/b.txt"))
    );
    let second = page("/objects?prefix=/a/&limit=1&after=/a/b.txt").await.json();
    assert_eq!((&second["items"][0]["path"], &second["next"]), (&json!("/a/c"), &json!(null)));

    let gone = rig.ask(Method::DELETE, "/objects/a/c", &[], Body::empty()).await;
    assert_eq!((gone.status, &gone.json()["removed"]), (StatusCode::OK, &json!(1)));
    assert_eq!(
        rig.ask(Method::DELETE, "/objects/a/c", &[], Body::empty()).await.word(),
        "not-found"
    );
    let below = |query: &'static str| rig.ask(Method::DELETE, query, &[], Body::empty());
    assert_eq!(below("/objects?prefix=/a").await.word(), "invalid");
    assert_eq!(below("/objects").await.word(), "invalid");
    assert_eq!(below("/objects?prefix=/a/").await.json()["removed"], 1);
    assert_eq!(rig.paths().await, ["/b"]);
}

#[tokio::test]
async fn the_same_again_changes_nothing_and_survives_a_restart() {
    let rig = Rig::new().await;
    let first = rig.put("/", "root").await;
    let again = rig.put("/", "root").await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.json()["revision"], again.json()["revision"]);
    let typed = rig.ask(Method::PUT, "/objects/", &[("content-type", "a/b")], "root").await;
    assert_ne!(first.json()["revision"], typed.json()["revision"]);
    let rig = rig.again();
    let got = rig.get("/").await;
    assert_eq!((got.field("content-type"), &got.body[..]), ("a/b", &b"root"[..]));
}

#[tokio::test]
async fn the_description_names_every_path_as_openapi_does() {
    let rig = Rig::new().await;
    let req = Request::builder().uri("/openapi.json").header(header::HOST, "control.test");
    let paths = rig.send(req.body(Body::empty()).expect("a request")).await.json();
    let paths = paths["paths"].as_object().expect("paths");
    assert!(paths.keys().all(|path| !path.contains('*')));
    for (path, methods) in [
        ("/v1/sites/{site}/objects", &["get", "delete"][..]),
        ("/v1/sites/{site}/objects/{path}", &["get", "put", "delete"]),
        ("/v1/sites/{site}/tree", &["post"]),
        ("/v1/sites/{site}/publish", &["post"]),
        ("/v1/sites/{site}/blobs/{sha256}", &["put"]),
        ("/v1/sites/{site}/blobs/missing", &["post"]),
        ("/v1/sites/{site}/uploads", &["post"]),
        ("/v1/sites/{site}/uploads/{id}", &["get", "patch", "delete"]),
        ("/v1/sites/{site}/uploads/{id}/finish", &["post"]),
    ] {
        let known = |method: &&str| paths[path].get(*method).is_some();
        assert!(methods.iter().all(known), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_the_same() {
    let rig = Rig::new().await;
    let put =
        |body: &'static str| rig.ask(Method::PUT, "/objects/a", &[("idempotency-key", "k")], body);
    let first = put("1").await;
    rig.put("/a", "2").await;
    let again = put("1").await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(rig.get("/a").await.body, "2");
    assert_eq!(put("3").await.word(), "idempotency-key-reused");
}

#[tokio::test]
async fn conditions_are_kept() {
    let rig = Rig::new().await;
    let put = async |field: &'static str, value: &str, body: &'static str| {
        rig.ask(Method::PUT, "/objects/a", &[(field, value)], body).await
    };
    assert_eq!(put("if-match", "*", "1").await.word(), "precondition-failed");
    let first = put("if-none-match", "*", "1").await;
    assert_eq!(first.status, StatusCode::CREATED);
    assert_eq!(put("if-none-match", "*", "2").await.word(), "precondition-failed");
    assert_eq!(put("if-match", "\"other\"", "2").await.word(), "precondition-failed");
    assert_eq!(put("if-match", first.field("etag"), "2").await.status, StatusCode::OK);
    assert_eq!(put("if-match", first.field("etag"), "3").await.word(), "precondition-failed");
    let old = [("if-match", first.field("etag"))];
    let gone = rig.ask(Method::DELETE, "/objects/a", &old, Body::empty()).await;
    assert_eq!(gone.word(), "precondition-failed");
    assert_eq!(rig.get("/a").await.body, "2");
    // What was refused left nothing behind.
    assert_eq!(rig.files().len(), 2);
}

#[tokio::test]
async fn of_many_that_would_be_first_one_is() {
    let rig = Rig::new().await;
    let put = |number: usize| {
        let fields = [("if-none-match", "*")];
        let body = vec![b'0' + number as u8; 2 << 20];
        let req = rig.request(Method::PUT, "/objects/a", &fields).body(Body::from(body));
        rig.send(req.expect("a request"))
    };
    let answers = futures_util::future::join_all((0..8).map(put)).await;
    let won: Vec<usize> =
        (0..8).filter(|number| answers[*number].status == StatusCode::CREATED).collect();
    assert_eq!(won.len(), 1);
    let lost = answers.iter().filter(|answer| answer.word() == "precondition-failed").count();
    assert_eq!(lost, 7);
    assert_eq!(rig.get("/a").await.body, vec![b'0' + won[0] as u8; 2 << 20]);
    assert_eq!(rig.files().len(), 1);
}

#[tokio::test]
async fn parts_and_conditions_of_a_large_object() {
    let rig = Rig::new().await;
    let body = noise((5 << 20) + 17);
    let put = rig.ask(Method::PUT, "/objects/big", &[], body.clone()).await;
    assert_eq!(put.json()["sha256"], crate::state::digest::Digest::of(&body).to_string());
    assert_eq!(rig.get("/big").await.body, body);
    let get = |fields: &'static [(&'static str, &'static str)]| {
        rig.ask(Method::GET, "/objects/big", fields, Body::empty())
    };
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=1048575-1048576", 1_048_575, 1_048_576),
        ("bytes=-10", body.len() - 10, body.len() - 1),
        ("bytes=500000-", 500_000, body.len() - 1),
    ] {
        let fields = [("range", range)];
        let part = rig.ask(Method::GET, "/objects/big", &fields, Body::empty()).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert!(part.body == body[first..=last], "{range}");
        let field = format!("bytes {first}-{last}/{}", body.len());
        assert_eq!(part.field("content-range"), field);
    }
    assert_eq!(get(&[("range", "bytes=9999999-")]).await.word(), "range-not-satisfiable");
    assert_eq!(get(&[("range", "bytes=0-1,5-6")]).await.status, StatusCode::OK);
    let stale = get(&[("range", "bytes=0-1"), ("if-range", "\"other\"")]).await;
    assert_eq!(stale.status, StatusCode::OK);
    let fields = [("if-none-match", put.field("etag"))];
    let known = rig.ask(Method::GET, "/objects/big", &fields, Body::empty()).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(get(&[("if-match", "\"other\"")]).await.word(), "precondition-failed");
}

#[tokio::test]
async fn nodes_read_by_the_name_of_the_storage() {
    let rig = Rig::new().await;
    rig.make(site("other", true)).await;
    rig.put("/docs/index.html", "<p>").await;
    let ask = async |method: Method, host: &str, path: &str, token: &str| {
        let req = Request::builder().method(method).uri(path).header(header::HOST, host);
        let req = req.header(header::AUTHORIZATION, format!("Bearer {token}"));
        rig.send(req.body(Body::empty()).expect("a request")).await
    };
    let host = "shop.push.selvedge:8080";
    let (node, secret) = super::super::Prefix::Node.token("edge-1");
    let member = selvedge_feed::Member {
        name: "edge-1".into(),
        tier: selvedge_feed::Tier::Edge,
        region: "eu".into(),
        urls: vec![],
        addresses: vec![],
        health: None,
        intent: selvedge_feed::Intent::Online,
    };
    rig.make(Deed::NodeJoined {
        member: Box::new(member),
        secret,
        version: "1".into(),
        join: "j".into(),
    })
    .await;
    let got = ask(Method::GET, host, "/docs/?q=1", &node).await;
    assert_eq!((got.status, &got.body[..]), (StatusCode::OK, &b"<p>"[..]));
    assert_eq!(got.field("cache-control"), "public, max-age=60");
    assert_eq!(ask(Method::GET, host, "/%64ocs/index.html", &node).await.status, StatusCode::OK);
    let absent = ask(Method::GET, host, "/none", &node).await;
    assert_eq!((absent.word().as_str(), absent.field("cache-control")), ("not-found", "max-age=1"));
    let refused = ask(Method::GET, host, "/docs/", "sv_a_b").await;
    assert_eq!(
        (refused.word().as_str(), refused.field("cache-control")),
        ("unauthorized", "no-store")
    );
    assert_eq!(ask(Method::PUT, host, "/docs/", &node).await.word(), "method-not-allowed");
    let own = rig.grant(&[Scope::Read], &["shop"]).await;
    assert_eq!(ask(Method::GET, host, "/docs/", &own).await.status, StatusCode::OK);
    let elsewhere = ask(Method::GET, "other.push.selvedge", "/docs/", &own).await;
    assert_eq!(elsewhere.word(), "forbidden");
}

#[tokio::test]
async fn a_token_reaches_its_own_site_only() {
    let mut rig = Rig::new().await;
    rig.make(site("other", true)).await;
    rig.put("/a", "1").await;
    let all = std::mem::take(&mut rig.token);
    rig.token = rig.grant(&[Scope::Push], &["other", "none"]).await;
    assert_eq!(rig.put("/a", "2").await.word(), "forbidden");
    assert_eq!(rig.get("/a").await.word(), "forbidden");
    let list = rig.ask(Method::GET, "/objects", &[], Body::empty()).await;
    assert_eq!(list.word(), "forbidden");
    for path in ["/tree", "/publish", "/uploads", "/blobs/missing"] {
        assert_eq!(rig.post(path, json!({})).await.word(), "forbidden", "{path}");
    }
    rig.token = rig.grant(&[Scope::Read], &["shop"]).await;
    assert_eq!(rig.get("/a").await.body, "1");
    assert_eq!(rig.put("/a", "2").await.word(), "forbidden");
    rig.token = all;
    rig.make(Deed::SiteRemoved { name: "shop".into() }).await;
    assert_eq!(rig.put("/a", "2").await.word(), "not-found");
    rig.make(site("shop", false)).await;
    assert_eq!(rig.put("/a", "2").await.word(), "conflict");
}
