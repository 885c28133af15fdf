//! All of it together: control, a parent and edges, as an operator runs them.

use crate::support::becomes;
use rustix::process::Signal;
use selvedge_tests::api::Api;
use selvedge_tests::tls::Authority;
use selvedge_tests::{Answer, Client, Node, NodeConfig, Origin, Response, eventually};
use serde_json::{Value, json};

/// A control, the folder of which stays when it is killed.
fn control_config(data: &tempfile::TempDir) -> NodeConfig {
    NodeConfig::new("control").set("data", "folder", path(data))
}

fn path(folder: &tempfile::TempDir) -> String {
    folder.path().display().to_string()
}

/// Everything on loopback: it ends in the order in which it is written here.
pub(crate) struct Cdn {
    edge: Node,
    _parent: Node,
    control: Node,
    pub(crate) api: Api,
    pub(crate) origin: Origin,
    folders: Vec<tempfile::TempDir>,
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The configuration of a node that follows this control.
fn follower(name: &str, control: &str, token: &str, state: &tempfile::TempDir) -> NodeConfig {
    let file = state.path().join("join.token");
    std::fs::write(&file, token).expect("the folder can be written");
    // A node says by where it is reached: that must be known before it starts.
    let address = selvedge_tests::tools::free_port();
    NodeConfig::new(name)
        .set("listen", "http", vec![address.to_string()])
        .set("control", "urls", vec![format!("http://{address}")])
        .set("control", "url", control)
        .set("control", "token_file", file.display().to_string())
        .set("control", "state", path(state))
}

impl Cdn {
    pub(crate) fn start() -> Self {
        Self::start_with(|config| config)
    }

    /// The same, with more in the configuration of both nodes.
    fn start_with(more: impl Fn(NodeConfig) -> NodeConfig) -> Self {
        let folders: Vec<_> = (0..3).map(|_| folder()).collect();
        let origin = Origin::start();
        let control = Node::control(&control_config(&folders[0]));
        let api = Api::in_folder(&control, folders[0].path());
        let token = api.join_token(2);
        let config = follower("parent-1", &control.url(), &token, &folders[1]);
        let parent = Node::parent(&more(config));
        let config = follower("edge-1", &control.url(), &token, &folders[2]).set(
            "upstream",
            "parents",
            vec![parent.url()],
        );
        let edge = Node::edge(&more(config));
        let cdn = Self { edge, _parent: parent, control, api, origin, folders };
        cdn.await_all();
        cdn
    }

    pub(crate) fn control_url(&self) -> String {
        self.control.url()
    }

    pub(crate) fn edge_url(&self) -> String {
        self.edge.url()
    }

    pub(crate) fn token(&self) -> &str {
        self.api.token()
    }

    /// Waits until every node has applied everything, and says so.
    #[track_caller]
    pub(crate) fn await_all(&self) {
        let mut status = Value::Null;
        let all = eventually(|| {
            status = self.api.get("/v1/status");
            status["nodes"]["ready"] == 2 && status["nodes"]["current"] == 2
        });
        assert!(all, "{status} {}", self.api.get("/v1/nodes"));
    }

    fn site(&self, name: &str, host: &str, keys: Value) {
        let mut document = json!({ "name": name, "hosts": [host] });
        for (key, value) in keys.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
        self.api.done("POST", "/v1/sites", &document);
        self.await_all();
    }

    #[track_caller]
    fn get(&self, path: &str) -> Response {
        self.edge.get("www.shop.test", path)
    }
}

/// The way of an operator: a site, a purge that is in force when it is answered, a change, its end.
#[test]
fn a_site_is_added_purged_changed_and_removed_everywhere() {
    let cdn = Cdn::start();
    assert_eq!(cdn.get("/a").status, 421);
    cdn.site("shop", "www.shop.test", json!({ "origin": [cdn.origin.url()] }));
    let tagged = |body: &str| Answer::cacheable(body, 600).header("Surrogate-Key", "blue");
    cdn.origin.on("/a", tagged("old"));
    assert_eq!(cdn.get("/a").text(), "old");
    assert!(cdn.get("/a").is_hit("edge-1"));
    cdn.origin.on("/a", tagged("new"));
    let wish = json!({ "site": "shop", "tags": ["blue"] });
    let purged = cdn.api.done("POST", "/v1/purge?wait=acks", &wish);
    assert_eq!(purged["acks"]["applied"], json!(["edge-1", "parent-1"]), "{purged}");
    assert_eq!(cdn.get("/a").text(), "new");
    cdn.api.done(
        "PATCH",
        "/v1/sites/shop",
        &json!({ "response_headers": { "set": { "x-v": "2" } } }),
    );
    cdn.await_all();
    assert_eq!(cdn.get("/a").header("x-v"), Some("2"));
    cdn.api.done("POST", "/v1/sites/shop/rollback", &json!({ "version": 1 }));
    cdn.await_all();
    assert_eq!(cdn.get("/a").header("x-v"), None);
    cdn.api.done("DELETE", "/v1/sites/shop", &Value::Null);
    cdn.await_all();
    assert_eq!(cdn.get("/a").status, 421);
}

/// Pushed content is served by the same edges, beside what is pulled, and a new form of it at once.
#[test]
fn pushed_content_is_served_beside_what_is_pulled() {
    let cdn = Cdn::start();
    cdn.site("shop", "www.shop.test", json!({ "origin": [cdn.origin.url()], "push": true }));
    cdn.origin.on("/style.css", Answer::cacheable("pulled", 600));
    assert_eq!(cdn.get("/style.css").text(), "pulled");
    let pushed = cdn.api.push("shop", "/style.css", b"pushed");
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    cdn.await_all();
    let served = cdn.get("/style.css?v=1");
    assert_eq!((served.status, served.text().as_str()), (200, "pushed"));
    assert_eq!(served.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(cdn.get("/style.css").text(), "pushed");
    assert!(cdn.get("/style.css").is_hit("edge-1"));
    assert_eq!(cdn.api.push("shop", "/style.css", b"again").status, 200);
    cdn.await_all();
    assert_eq!(cdn.get("/style.css").text(), "again");
    let gone = cdn.api.call("DELETE", "/v1/sites/shop/objects/style.css", &Value::Null);
    assert!(gone.status < 300, "{}", gone.text());
    cdn.await_all();
    assert_eq!(cdn.get("/style.css").text(), "pulled");
}

/// Everything that was acknowledged is there after a kill; nodes go on meanwhile and catch up.
#[test]
fn control_is_killed_and_nothing_acknowledged_is_lost() {
    let mut cdn = Cdn::start();
    cdn.site("shop", "www.shop.test", json!({ "origin": [cdn.origin.url()], "push": true }));
    cdn.origin.on("/a", Answer::cacheable("one", 600));
    assert_eq!(cdn.get("/a").text(), "one");
    assert_eq!(cdn.api.push("shop", "/pushed", b"kept").status, 201);
    let before = cdn.api.get("/v1/status");
    let address = cdn.control.http();
    cdn.control.kill();
    assert!(cdn.get("/a").is_hit("edge-1"), "nodes go on");
    let config = control_config(&cdn.folders[0]).set("listen", "http", vec![address.to_string()]);
    cdn.control = Node::control(&config);
    assert_eq!(cdn.api.get("/v1/status")["revision"], before["revision"]);
    assert_eq!(cdn.api.get("/v1/status")["log"], before["log"]);
    cdn.await_all();
    assert_eq!(cdn.get("/pushed").text(), "kept");
    cdn.origin.on("/a", Answer::cacheable("two", 600));
    let wish = json!({ "urls": ["http://www.shop.test/a"] });
    cdn.api.done("POST", "/v1/purge?wait=acks", &wish);
    assert_eq!(cdn.get("/a").text(), "two");
}

/// A node that is away during a purge does not serve what was purged once it is ready again.
#[test]
fn a_node_that_was_away_during_a_purge_catches_up_before_it_is_ready() {
    let mut cdn = Cdn::start();
    cdn.site("shop", "www.shop.test", json!({ "origin": [cdn.origin.url()] }));
    let disk = folder();
    let state = folder();
    let token = cdn.api.join_token(1);
    let config = follower("edge-2", &cdn.control.url(), &token, &state).set(
        "cache",
        "disk",
        json!([{ "path": path(&disk), "size": "64MiB" }]),
    );
    let mut away = Node::edge(&config);
    assert!(eventually(|| away.admin_get("/readyz").status == 200));
    cdn.origin.on("/a", Answer::cacheable("old", 600));
    assert_eq!(away.get("www.shop.test", "/a").text(), "old");
    assert!(away.get("www.shop.test", "/a").is_hit("edge-2"));
    becomes(0, "unwritten bytes", || {
        away.metrics().sum("selvedge_disk_unwritten_bytes", &[]) as u64
    });
    away.kill();
    cdn.origin.on("/a", Answer::cacheable("new", 600));
    let purged = cdn.api.done("POST", "/v1/purge", &json!({ "urls": ["http://www.shop.test/a"] }));
    assert!(purged["revision"].as_u64() > Some(0));
    let away = Node::edge(&config);
    assert!(eventually(|| away.admin_get("/readyz").status == 200));
    assert_eq!(away.get("www.shop.test", "/a").text(), "new");
    cdn.control.kill();
    assert_eq!(away.get("www.shop.test", "/a").text(), "new");
}

/// Control is cut off: nodes say that they may miss purges, and go on serving. What was purged
/// meanwhile is not served once they are ready again.
#[test]
fn nodes_that_are_cut_off_say_so_and_go_on() {
    let mut cdn = Cdn::start_with(|config| config.set("control", "lag_max", "2s"));
    cdn.site("shop", "www.shop.test", json!({ "origin": [cdn.origin.url()] }));
    cdn.origin.on("/a", Answer::cacheable("old", 600));
    assert_eq!(cdn.get("/a").text(), "old");
    cdn.control.signal(Signal::STOP);
    let readiness = || cdn.edge.admin_get("/readyz").text();
    assert!(eventually(|| readiness().contains("control-lost")), "{}", readiness());
    assert!(cdn.get("/a").is_hit("edge-1"), "it goes on serving");
    // It waits in the queue of a control that does not run.
    let purge = {
        let api = cdn.api.clone();
        std::thread::spawn(move || {
            let wish = json!({ "urls": ["http://www.shop.test/a"] });
            api.done("POST", "/v1/purge", &wish)
        })
    };
    cdn.origin.on("/a", Answer::cacheable("new", 600));
    cdn.control.signal(Signal::CONT);
    purge.join().expect("it is purged");
    cdn.await_all();
    assert_eq!(cdn.edge.admin_get("/readyz").status, 200);
    assert_eq!(cdn.get("/a").text(), "new");
    cdn.control.kill();
}

/// Draining takes a node out of service without a failed request.
#[test]
fn a_node_is_drained_and_brought_back() {
    let cdn = Cdn::start();
    let intent = |word: &str| {
        cdn.api.done("PUT", "/v1/nodes/edge-1/intent", &json!({ "intent": word }));
        eventually(|| cdn.api.get("/v1/nodes/edge-1")["ready"] == (word == "online"))
    };
    assert!(intent("draining"));
    assert_eq!(cdn.edge.admin_get("/readyz").status, 503);
    assert!(intent("online"));
    assert_eq!(cdn.edge.admin_get("/readyz").status, 200);
    assert_eq!(
        cdn.api.call("PUT", "/v1/nodes/edge-1/intent", &json!({ "intent": "away" })).status,
        400
    );
    assert_eq!(
        cdn.api.call("PUT", "/v1/nodes/other/intent", &json!({ "intent": "online" })).status,
        404
    );
}

/// A prefetch warms the parent, and the edges if that is wanted; each URL tells what came of it.
#[test]
fn a_prefetch_warms_the_parent_and_then_the_edges() {
    let folders = [folder(), folder()];
    let origin = Origin::start();
    let control = Node::control(&control_config(&folders[0]));
    let api = Api::in_folder(&control, folders[0].path());
    let config = follower("parent-1", &control.url(), &api.join_token(1), &folders[1]);
    let parent = Node::parent(&config);
    let document = json!({ "name": "shop", "hosts": ["www.shop.test"], "origin": [origin.url()] });
    api.done("POST", "/v1/sites", &document);
    assert!(eventually(|| api.get("/v1/status")["nodes"]["current"] == 1));
    origin.on("/1", Answer::cacheable("one", 600));
    origin.on("/2", Answer::cacheable("two", 600));
    let map = "<urlset><url><loc>http://www.shop.test/1</loc></url><url><loc>/2</loc></url>\
               <url><loc>http://other.test/</loc></url></urlset>";
    origin.on("/sitemap.xml", Answer::cacheable(map, 600));
    let wish = json!({ "sitemap": "http://www.shop.test/sitemap.xml", "rate": 1000 });
    let job = api.done("POST", "/v1/prefetch", &wish);
    let job = format!("/v1/prefetch/{}", job["id"].as_str().expect("an id"));
    let mut line = Value::Null;
    let done = eventually(|| {
        line = api.get(&job);
        line["state"] == "done"
    });
    assert!(done, "{line}");
    assert_eq!(
        (&line["total"], &line["failed"], &line["bytes"]),
        (&json!(3), &json!(1), &json!(6))
    );
    assert_eq!(api.get(&format!("{job}/results"))["items"].as_array().map(Vec::len), Some(3));
    let urls: Vec<String> = (0..500).map(|n| format!("http://www.shop.test/{n}")).collect();
    let slow = api.done("POST", "/v1/prefetch", &json!({ "urls": urls, "rate": 1 }));
    let slow = format!("/v1/prefetch/{}", slow["id"].as_str().expect("an id"));
    api.done("DELETE", &slow, &Value::Null);
    assert!(eventually(|| api.get(&slow)["state"] == "cancelled"), "{}", api.get(&slow));
    assert!(api.get(&slow)["done"].as_u64() < Some(500));
    assert!(parent.get("www.shop.test", "/1").is_hit("parent-1"));
    assert!(parent.get("www.shop.test", "/2").is_hit("parent-1"));
}

/// A certificate goes in, is served by an edge that has none of its own, and its key never comes
/// out again.
#[test]
fn a_certificate_is_put_served_and_taken_away() {
    let folders = [folder(), folder()];
    let origin = Origin::start();
    origin.on("*", Answer::cacheable("over TLS", 600));
    let control = Node::control(&control_config(&folders[0]));
    let api = Api::in_folder(&control, folders[0].path());
    let config = follower("edge-1", &control.url(), &api.join_token(1), &folders[1]);
    let edge = Node::edge(&config.set("listen", "https", vec!["127.0.0.1:0"]));
    let document = json!({ "hosts": ["www.shop.test"], "origin": [origin.url()] });
    api.done("PUT", "/v1/sites/shop", &document);
    assert!(eventually(|| api.get("/v1/status")["nodes"]["ready"] == 1));
    let authority = Authority::new();
    let (own, other) = (authority.issue(&["www.shop.test"]), authority.issue(&["other.test"]));
    let path = "/v1/sites/shop/certificate";
    let mismatch = api.call("PUT", path, &json!({ "chain": own.cert, "key": other.key }));
    assert_eq!(mismatch.status, 400, "{}", mismatch.text());
    let strange = api.call("PUT", path, &json!({ "chain": other.cert, "key": other.key }));
    assert_eq!(strange.status, 400, "it is for no host of the site: {}", strange.text());
    let put = api.done("PUT", path, &json!({ "chain": own.cert, "key": own.key }));
    assert_eq!(put["names"], json!(["www.shop.test"]));
    assert_eq!(api.call("GET", "/v1/acks", &Value::Null).status, 200);
    let body = json!({ "chain": own.cert, "key": own.key }).to_string();
    let fields = "Content-Type: application/json\r\nIf-Match: \"another\"\r\n";
    assert_eq!(api.send("PUT", path, fields, body.as_bytes()).status, 412, "two editors");
    assert_eq!(api.send("DELETE", path, fields, b"").status, 412);
    let tag = api.call("GET", path, &Value::Null).joined("etag");
    let fields = format!("If-None-Match: {tag}\r\n");
    assert_eq!(api.send("GET", path, &fields, b"").status, 304);
    let mut client = Client::https(edge.https(), "www.shop.test", &authority);
    assert_eq!(client.get("www.shop.test", "/", "").text(), "over TLS");
    let secret = own.key.lines().nth(1).expect("a line of the key");
    for shown in [path, "/v1/audit", "/v1/sites/shop"] {
        let resp = api.call("GET", shown, &Value::Null);
        assert!(resp.status == 200 && !resp.text().contains(secret), "{shown}: {}", resp.text());
    }
    let mut follower = Client::http(control.http());
    let bearer = format!("Authorization: Bearer {}", api.token());
    follower.send(format!("GET /v1/changes HTTP/1.1\r\nHost: control\r\n{bearer}\r\n\r\n"));
    let mut told = String::new();
    while !told.contains("heartbeat") {
        told.push_str(&String::from_utf8_lossy(&follower.read_some()));
    }
    assert!(told.contains("sealed_key") && !told.contains(secret), "{told}");
    for file in ["log.db", "log.db-wal"].map(|name| folders[0].path().join(name)) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{file:?}");
    }
    api.done("DELETE", path, &Value::Null);
    assert_eq!(api.call("GET", path, &Value::Null).status, 404);
    assert_eq!(api.call("GET", "/v1/acks", &Value::Null).status, 200);
    assert!(Client::try_https(edge.https(), "www.shop.test", &authority).is_err());
}

/// What clients of Fastly and Cloudflare send is understood.
#[test]
fn purges_are_understood_in_other_spellings() {
    let cdn = Cdn::start();
    cdn.site("shop", "www.shop.test", json!({ "origin": [cdn.origin.url()] }));
    let json = "Content-Type: application/json\r\n";
    for (round, (path, fields, body)) in [
        ("/v1/sites/shop/purge/blue", "", ""),
        ("/v1/sites/shop/purge", "Surrogate-Key: red blue\r\n", ""),
        ("/v1/sites/shop/purge_all", "", ""),
        ("/v1/purge", json, r#"{"files": ["http://www.shop.test/a"]}"#),
        ("/v1/purge", json, r#"{"purge_everything": true}"#),
    ]
    .into_iter()
    .enumerate()
    {
        let before = format!("before {round}");
        cdn.origin.on("/a", Answer::cacheable(&before, 600).header("Surrogate-Key", "blue"));
        assert_eq!(cdn.get("/a").text(), before);
        cdn.origin.on("/a", Answer::cacheable("after", 600).header("Surrogate-Key", "blue"));
        let resp = cdn.api.send("POST", &format!("{path}?wait=acks"), fields, body.as_bytes());
        assert_eq!(resp.status, 200, "{path}: {}", resp.text());
        assert_eq!(cdn.get("/a").text(), "after", "{path}");
        let all = json!({ "everything": true });
        cdn.api.done("POST", "/v1/purge?wait=acks", &all);
    }
    let soft =
        cdn.api.send("POST", "/v1/sites/shop/purge_all?wait=acks", "Fastly-Soft-Purge: 1\r\n", b"");
    assert!(soft.text().contains("\"soft\":true"), "{}", soft.text());
}

/// A node that is removed has no rights any more, at once.
#[test]
fn a_node_that_is_removed_is_let_in_no_more() {
    let cdn = Cdn::start();
    let identity = std::fs::read_to_string(cdn.folders[2].path().join("identity.json"));
    let identity = identity.expect("the edge has joined");
    let at = identity.find("svn_").expect("a token");
    let token = identity[at..].split('"').next().expect("its end");
    let node = cdn.api.with(token);
    let ack = json!({ "log": "x", "applied": 1 });
    assert_eq!(node.call("POST", "/v1/nodes/edge-1/ack", &ack).status, 204);
    assert_eq!(node.call("POST", "/v1/nodes/parent-1/ack", &ack).status, 403, "another's");
    assert_eq!(node.call("GET", "/v1/sites", &Value::Null).status, 403);
    cdn.api.done("DELETE", "/v1/nodes/edge-1", &Value::Null);
    assert_eq!(node.call("POST", "/v1/nodes/edge-1/ack", &ack).status, 401);
}

/// Lists come a page at a time, each thing once.
#[test]
fn lists_come_in_pages() {
    let data = folder();
    let control = Node::control(&control_config(&data));
    let api = Api::in_folder(&control, data.path());
    for number in 0..5 {
        let document = json!({ "hosts": [format!("{number}.test")], "push": true });
        api.done("PUT", &format!("/v1/sites/s{number}"), &document);
    }
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let list = api.get(&format!("/v1/sites?limit=2{after}"));
        let items = list["items"].as_array().expect("a list");
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|item| item["name"].clone()));
        let Some(next) = list["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(names, ["s0", "s1", "s2", "s3", "s4"]);
    for limit in ["0", "1001", "x"] {
        let resp = api.call("GET", &format!("/v1/sites?limit={limit}"), &Value::Null);
        assert_eq!(resp.status, 400, "{limit}");
    }
}

/// Who may do what: no token, a wrong one, one for something else, one for another's site.
#[test]
fn tokens_allow_what_they_say_and_nothing_else() {
    let data = folder();
    let control = Node::control(&control_config(&data));
    let api = Api::in_folder(&control, data.path());
    for site in ["own", "other"] {
        let document =
            json!({ "hosts": [format!("{site}.test")], "origin": ["http://127.0.0.1:1"] });
        api.done("PUT", &format!("/v1/sites/{site}"), &document);
    }
    let wish = json!({ "name": "ci", "scopes": ["purge"], "sites": ["own"] });
    let made = api.done("POST", "/v1/tokens", &wish);
    let ci = api.with(made["token"].as_str().expect("a token"));
    let purge = |api: &Api, site: &str| {
        api.call("POST", "/v1/purge", &json!({ "site": site, "tags": ["t"] })).status
    };
    assert_eq!(purge(&api.with("nonsense"), "own"), 401);
    assert_eq!(purge(&api.with("sv_0_0"), "own"), 401);
    assert_eq!(purge(&ci, "own"), 200);
    assert_eq!(purge(&ci, "other"), 403);
    assert_eq!(ci.call("POST", "/v1/purge", &json!({ "everything": true })).status, 403);
    let url = json!({ "urls": ["http://other.test/"] });
    assert_eq!(ci.call("POST", "/v1/purge", &url).status, 403);
    assert_eq!(ci.call("DELETE", "/v1/sites/own", &Value::Null).status, 403);
    assert_eq!(ci.call("GET", "/v1/tokens", &Value::Null).status, 403);
    assert_eq!(ci.call("GET", "/v1/sites/other", &Value::Null).status, 403);
    assert_eq!(
        ci.call("GET", "/v1/sites/none", &Value::Null).status,
        403,
        "nor whether it is there"
    );
    let seen = ci.get("/v1/sites");
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(1), "{seen}");
    let id = made["id"].as_str().expect("an id");
    api.done("DELETE", &format!("/v1/tokens/{id}"), &Value::Null);
    assert_eq!(purge(&ci, "own"), 401);
    let audit = api.get("/v1/audit?limit=2");
    assert_eq!(audit["items"][0]["what"], format!("token {id} revoked"));
    assert_eq!(audit["items"][0]["from"], "127.0.0.1");
}

/// The same request with the same key is carried out once, also across a kill.
#[test]
fn a_request_that_comes_again_is_carried_out_once() {
    let data = folder();
    let mut control = Node::control(&control_config(&data));
    let api = Api::in_folder(&control, data.path());
    let fields = "Content-Type: application/json\r\nIdempotency-Key: one\r\n";
    let ask = |api: &Api, body: &str| api.send("POST", "/v1/purge", fields, body.as_bytes());
    let body = r#"{"urls":["http://a.test/"]}"#;
    let first = ask(&api, body);
    assert_eq!((first.status, ask(&api, body).text()), (200, first.text()));
    assert_eq!(ask(&api, r#"{"urls":["http://b.test/"]}"#).status, 422);
    control.kill();
    let control = Node::control(&control_config(&data));
    let api = Api::in_folder(&control, data.path());
    assert_eq!(ask(&api, body).text(), first.text());
}

/// Two editors: the one who comes later learns that the site has changed.
#[test]
fn two_editors_cannot_overwrite_each_other() {
    let data = folder();
    let control = Node::control(&control_config(&data));
    let api = Api::in_folder(&control, data.path());
    let put = |fields: &str, ttl: &str| {
        let fields = format!("Content-Type: application/json\r\n{fields}");
        let body =
            json!({ "hosts": ["a.test"], "origin": ["http://127.0.0.1:1"], "ttl_default": ttl });
        api.send("PUT", "/v1/sites/a", &fields, body.to_string().as_bytes())
    };
    assert_eq!(put("If-Match: \"v1\"\r\n", "1s").status, 412);
    assert_eq!(put("If-None-Match: *\r\n", "1s").status, 201);
    assert_eq!(put("If-None-Match: *\r\n", "2s").status, 412);
    let first = put("If-Match: \"v1\"\r\n", "3s");
    assert_eq!((first.status, first.header("etag")), (200, Some("\"v2\"")));
    assert_eq!(put("If-Match: \"v1\"\r\n", "4s").status, 412);
    let read = api.call("GET", "/v1/sites/a", &Value::Null);
    assert_eq!(read.header("etag"), Some("\"v2\""));
    assert!(read.text().contains("3s"));
}
