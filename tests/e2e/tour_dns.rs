//! The tour of DNS: the demo as it is, asked with dig by clients of three continents.

use rustix::process::{Pid, Signal, kill_process};
use selvedge_tests::demo::Demo;
use selvedge_tests::node::binary;
use selvedge_tests::tools::{Output, curl, run};
use selvedge_tests::{eventually, wait::PATIENCE};
use std::net::SocketAddr;
use std::process::Command;

/// The DNS server of a demo.
struct Dns<'a> {
    demo: &'a Demo,
    at: SocketAddr,
}

impl<'a> Dns<'a> {
    fn of(demo: &'a Demo) -> Self {
        Self { demo, at: demo.place("dns").parse().expect("an address") }
    }

    /// The addresses that a client of a network is answered.
    #[track_caller]
    fn dig(&self, more: &[&str]) -> Vec<String> {
        let (address, port) = (format!("@{}", self.at.ip()), self.at.port().to_string());
        let all = [&[address.as_str(), "-p", port.as_str(), "+short", "+tries=1"], more].concat();
        let Output { ok, stdout, stderr } = run("dig", &all);
        assert!(ok, "{more:?}: {stdout} {stderr} {:#?}", self.demo.says().all());
        stdout.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn sent_to(&self, client: &str) -> Vec<String> {
        self.dig(&[&format!("+subnet={client}"), "shop.cdn.test"])
    }

    /// The zone is signed with the key that the DS is of, as the tour shows.
    #[track_caller]
    fn is_signed(&self) {
        let signed = self.dig(&["+dnssec", "+subnet=192.0.2.0/24", "shop.cdn.test"]);
        let signature = signed.iter().find(|line| line.starts_with("A 13 3 "));
        let signature = signature.unwrap_or_else(|| panic!("no RRSIG: {signed:?}"));
        let shown = self.demo.line("  selvedge dnssec --config ");
        let args: Vec<&str> = shown.split_whitespace().skip(1).take(4).collect();
        let Output { ok, stdout, stderr } = run(&binary().display().to_string(), &args);
        assert!(ok, "{args:?}: {stderr}");
        let tag = stdout.strip_prefix("cdn.test. IN DS ").and_then(|ds| ds.split(' ').next());
        let tag = tag.unwrap_or_else(|| panic!("no DS: {stdout}"));
        assert_eq!(signature.split(' ').nth(6), Some(tag), "{signed:?} {stdout}");
        let second = Command::new("dig")
            .args(["@127.0.0.2", "-p", &self.at.port().to_string(), "+short", "cdn.test", "SOA"])
            .output()
            .expect("dig is there");
        assert!(second.status.success() && !second.stdout.is_empty(), "the second server");
    }
}

/// Three continents, three edges; one is killed and its clients go elsewhere; Ctrl-C ends all.
#[test]
fn clients_are_sent_to_their_region_and_elsewhere_when_its_edge_is_gone() {
    let mut demo = Demo::start();
    let dns = Dns::of(&demo);
    let clients = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];
    let homes = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    for (client, home) in clients.into_iter().zip(homes) {
        assert_eq!(dns.sent_to(client), [home], "{client}");
    }
    assert_eq!(dns.sent_to("2001:db8:5::/48"), ["127.0.0.3"]);
    let over_tcp = ["+tcp", "+subnet=192.0.2.0/24", "cdn.test"];
    assert!(eventually(|| dns.dig(&over_tcp) == ["127.0.0.1"]), "{:?}", dns.dig(&over_tcp));
    assert_eq!(dns.dig(&["status.cdn.test", "TXT"]), ["\"all is well\""]);
    assert!(dns.dig(&["other.cdn.test"]).is_empty());
    dns.is_signed();
    let edge = demo.place("edge asia");
    let served = curl(&["-i", "-H", "Host: shop.cdn.test", &format!("{edge}/hello")]);
    assert!(served.stdout.contains("demo-edge-asia"), "{} {}", served.stdout, served.stderr);

    let kill = demo.line("  kill -9 ");
    let pid = kill.split_whitespace().nth(2).and_then(|pid| pid.parse().ok());
    let parts = demo.parts();
    assert_eq!(demo.parts_called("selvedge").len(), 6, "{parts:?}");
    assert!(parts.contains(&pid.expect("a process")), "{kill}");
    let pid = Pid::from_raw(pid.expect("a process").cast_signed()).expect("a process");
    kill_process(pid, Signal::KILL).expect("the edge runs");
    assert!(eventually(|| dns.sent_to(clients[1]) != [homes[1]]), "{PATIENCE:?}");
    let now = dns.sent_to(clients[1]);
    assert!(now == [homes[0]] || now == [homes[2]], "{now:?}");
    assert_eq!(dns.sent_to(clients[0]), [homes[0]], "the others stay");
    assert_eq!(dns.sent_to(clients[2]), [homes[2]], "the others stay");
    let told = demo.says().wait(0, |line| line.contains("edge-us has ended"));
    assert!(told.is_some(), "{:#?}", demo.says().all());

    assert_eq!(demo.interrupt().code(), Some(0), "{:#?}", demo.says().all());
    let left: Vec<u32> = parts
        .into_iter()
        .filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
