//! What a site may say, and whose a host is.

use super::*;

impl Rig {
    async fn put_site(&self, name: &str, document: Value) -> Answer {
        let req = Request::put(format!("/v1/sites/{name}"));
        let req = req.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        self.send(req.body(document.to_string().into()).expect("a request")).await
    }
}

#[tokio::test]
async fn a_site_that_names_a_file_of_nodes_is_refused() {
    let rig = Rig::new().await;
    let document = json!({ "hosts": ["a.test"], "push": true, "ca_file": "/dev/zero" });
    let refused = rig.put_site("a", document).await;
    assert_eq!(refused.word(), "invalid-site");
    let faults = refused.json()["faults"].to_string();
    assert!(faults.contains("upstream.ca_file"), "{faults}");
    let patched = [("content-type", "application/merge-patch+json")];
    let patched = rig.ask(Method::PATCH, "", &patched, r#"{"ca_file": "/proc/self/fd/1"}"#).await;
    assert_eq!(patched.word(), "invalid-site");
}

#[tokio::test]
async fn a_document_says_each_thing_once() {
    let rig = Rig::new().await;
    for (method, path) in [(Method::PUT, ""), (Method::PATCH, "")] {
        let fields = [("content-type", "application/json")];
        let body = r#"{"hosts": ["a.test"], "push": true, "hosts": ["b.test"]}"#;
        assert_eq!(rig.ask(method, path, &fields, body).await.word(), "invalid");
    }
}

#[tokio::test]
async fn a_host_is_one_sites_however_it_is_written() {
    let rig = Rig::new().await;
    let site = |host: &str| json!({ "hosts": [host], "push": true });
    let dotted = Deed::SitePut { name: "dotted".into(), document: site("WWW.Dot.test.") };
    rig.make(dotted).await;
    rig.make(Deed::SitePut { name: "wide".into(), document: site("*.Wide.test.") }).await;
    for host in ["shop.test.", "SHOP.test", "www.dot.test", "www.DOT.test.", "*.wide.test"] {
        assert_eq!(rig.put_site("thief", site(host)).await.word(), "conflict", "{host}");
    }
    let state = rig.app().desk.state();
    for (host, owner) in [
        ("www.dot.test", Some("dotted")),
        ("www.dot.test.", Some("dotted")),
        ("x.wide.test", Some("wide")),
        ("shop.test.", Some("shop")),
        ("dot.test", None),
    ] {
        assert_eq!(state.owner(host), owner, "{host}");
    }
    assert!(state.site("thief").is_none());
}
