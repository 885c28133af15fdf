//! The tour of pages of parts: the demo's, with curl, and the verb that shows what a page comes to.

use selvedge_tests::demo::Demo;
use selvedge_tests::node::binary;
use selvedge_tests::tools::{Output, curl, run};
use std::fs;

/// Where the parts of the demo are.
struct Places {
    edge: String,
    admins: [String; 2],
    origin: String,
}

impl Places {
    fn of(demo: &Demo) -> Self {
        let admin = |part: &str| {
            let line = demo.line(&format!("  {part}"));
            line.split("admin ").nth(1).expect("it has an admin listener").to_owned()
        };
        let admins = [admin("parent"), admin("edge eu")];
        let edge = demo.line("  edge eu").split_whitespace().nth(2).expect("a URL").to_owned();
        Self { edge, admins, origin: demo.place("origin") }
    }

    /// The page for somebody called so.
    #[track_caller]
    fn front(&self, user: &str, more: &[&str]) -> String {
        let (url, cookie) = (format!("{}/front", self.edge), format!("user={user}"));
        let got = curl(&[&["-b", &cookie, url.as_str()], more].concat());
        assert!(got.ok, "{}", got.stderr);
        got.stdout
    }

    /// The verb says of the page at the origin what an edge makes of it.
    #[track_caller]
    fn shows_the_tree(&self) {
        let url = format!("{}/front", self.origin);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("front.html").display().to_string();
        assert!(curl(&["-f", "-o", &file, &url]).ok);
        let shown = esi(&[&file, "--base", &url, "-H", "Cookie: user=ada"]);
        for line in ["include /part/menu", "src: status 503", "alt /part/spare: status 200"] {
            assert!(shown.stdout.contains(line), "{line}: {} {}", shown.stdout, shown.stderr);
        }
    }

    #[track_caller]
    fn post(&self, url: &str, text: &str) {
        let got = curl(&["-f", "-d", text, url]);
        assert!(got.ok, "{url}: {}", got.stderr);
    }
}

/// A part that is kept, one of each user's own, one that fails with its spare, and the page itself,
/// which is left out; one part purged by its tag; the origin stopped.
#[test]
fn a_page_of_parts_is_put_together_purged_in_part_and_outlives_its_origin() {
    let demo = Demo::start();
    let places = Places::of(&demo);
    for user in ["ada", "grace"] {
        let page = places.front(user, &[]);
        assert!(page.contains("(made 1 times)"), "{page}");
        assert!(page.contains(&format!("Good day, {user}</p>")), "{page}");
        assert!(page.contains(&format!("a basket for {user}</p>")), "{page}");
        assert!(page.contains("nothing special today"), "{page}");
        assert_eq!(page.matches("<!doctype").count(), 1, "{page}");
        assert!(!page.contains("puts no pages together") && !page.contains("esi:"), "{page}");
    }
    let traced = places.front("ada", &["-H", "Selvedge-Esi-Trace: 1"]);
    assert!(traced.contains("/part/menu: ok, hit"), "{traced}");
    assert!(traced.contains("/front: fragment-loop"), "{traced}");

    for admin in &places.admins {
        let purge = "{\"tag\": \"part/menu\", \"site\": \"news\"}";
        places.post(&format!("{admin}/purge"), purge);
    }
    let page = places.front("ada", &[]);
    assert!(page.contains("(made 2 times)") && page.contains("nothing special today"), "{page}");
    places.shows_the_tree();

    places.post(&format!("{}/stop", places.origin), "");
    let page = places.front("ada", &[]);
    assert!(page.contains("(made 2 times)") && page.contains("Good day, ada</p>"), "{page}");
    assert!(!page.contains("a basket"), "{page}");
    places.post(&format!("{}/go", places.origin), "");
    assert!(places.front("ada", &[]).contains("a basket for ada</p>"));
}

fn esi(arguments: &[&str]) -> Output {
    run(&binary().display().to_string(), &[&["esi"], arguments].concat())
}

#[test]
fn a_page_is_run_against_a_folder_and_its_tags_are_shown_as_a_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a file");
        file.display().to_string()
    };
    let page = write(
        "page.html",
        "<h1>x</h1>\n<esi:include src=\"/menu.html\"/>\n<esi:include src=\"/no.html\" \
         alt=\"/menu.html\"/>\n<esi:try><esi:attempt><esi:include src=\"/no.html\"/></esi:attempt>\
         <esi:except>sorry</esi:except></esi:try><esi:vars>$(HTTP_COOKIE{user})</esi:vars>\
         <esi:odd/>",
    );
    write("menu.html", "menu <esi:include src=\"deep/er.html\" onerror=\"continue\"/>");
    let base = folder.path().display().to_string();
    let shown = esi(&[&page, "--base", &base, "-H", "Cookie: user=ada"]);
    assert!(shown.ok, "{}", shown.stderr);
    for line in [
        "line 4: wrong: unknown-tag",
        "line 2: include /menu.html",
        "line 1: include deep/er.html",
        "nothing in its place (onerror=continue)",
        "alt /menu.html: file",
        "attempt: failed",
        "except: 5 bytes",
    ] {
        assert!(shown.stdout.contains(line), "{line}: {}", shown.stdout);
    }
    let whole = esi(&[&page, "--base", &base, "-H", "Cookie: user=ada", "--page"]);
    assert_eq!(whole.stdout, "<h1>x</h1>\nmenu \nmenu \nsorryada");
    let broken = write("broken.html", "<esi:include src=\"/no.html\"/>");
    let failed = esi(&[&broken, "--base", &base]);
    assert!(!failed.ok && failed.stderr.contains("an error in the place"), "{}", failed.stderr);
    for bad in [["none.html", &base], [&page, "/nowhere"], [&page, "ftp://x/"]] {
        let refused = esi(&[bad[0], "--base", bad[1]]);
        assert!(!refused.ok && !refused.stderr.is_empty(), "{bad:?}");
    }
}
