//! What all news so far add up to, for a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdSet;
use serde_json::Value;

use crate::news::{Member, News};

/// Everything a node must know to serve. Copies share what is alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The revision it is of.
    pub revision: u64,
    /// The sites by name.
    pub sites: BTreeMap<String, Arc<Site>>,
    /// The nodes by name.
    pub nodes: BTreeMap<String, Arc<Member>>,
    /// The certificates by site.
    pub certificates: BTreeMap<String, Arc<Pair>>,
}

/// A site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// Which version it is.
    pub version: u64,
    /// The keys of its `[[site]]` table; null while only objects are known of it.
    pub document: Arc<Value>,
    /// The paths that are pushed.
    pub pushed: OrdSet<Arc<str>>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate and its chain, PEM.
    pub chain: String,
    /// The key, sealed.
    pub sealed_key: String,
}

impl State {
    /// Takes over what is new. The revision is for the caller to set, once all of it is in.
    pub fn apply(&mut self, news: &News) {
        match news {
            News::Site { name, version, document } => {
                let site = Arc::make_mut(self.sites.entry(name.clone()).or_default());
                site.version = *version;
                site.document = Arc::new(document.clone());
            }
            News::SiteGone { name } => {
                self.sites.remove(name);
                self.certificates.remove(name);
            }
            News::Objects { site, put, gone } => {
                let site = Arc::make_mut(self.sites.entry(site.clone()).or_default());
                for path in gone {
                    site.pushed.remove(path.as_str());
                }
                site.pushed.extend(put.iter().map(|path| Arc::from(path.as_str())));
            }
            News::Purge { .. } => {}
            News::Node(member) => {
                self.nodes.insert(member.name.clone(), Arc::new(member.clone()));
            }
            News::NodeGone { name } => {
                self.nodes.remove(name);
            }
            News::Certificate { site, chain, sealed_key } => {
                let pair = Pair { chain: chain.clone(), sealed_key: sealed_key.clone() };
                self.certificates.insert(site.clone(), Arc::new(pair));
            }
            News::CertificateGone { site } => {
                self.certificates.remove(site);
            }
        }
    }

    /// All of it as news that add up to it again, at most `paths_max` paths in each.
    pub fn news(&self, paths_max: usize) -> impl Iterator<Item = News> + '_ {
        let nodes = self.nodes.values().map(|member| News::Node((**member).clone()));
        let certificates = self.certificates.iter().map(|(site, pair)| News::Certificate {
            site: site.clone(),
            chain: pair.chain.clone(),
            sealed_key: pair.sealed_key.clone(),
        });
        let sites = self.sites.iter().flat_map(move |(name, site)| {
            let put = (!site.document.is_null()).then(|| News::Site {
                name: name.clone(),
                version: site.version,
                document: (*site.document).clone(),
            });
            put.into_iter().chain(objects(name, site, paths_max.max(1)))
        });
        nodes.chain(sites).chain(certificates)
    }
}

fn objects<'a>(name: &'a str, site: &'a Site, each: usize) -> impl Iterator<Item = News> + 'a {
    let mut paths = site.pushed.iter().peekable();
    std::iter::from_fn(move || {
        paths.peek()?;
        let put = paths.by_ref().take(each).map(ToString::to_string).collect();
        Some(News::Objects { site: name.to_owned(), put, gone: Vec::new() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Line;
    use crate::news::{Intent, Tier};
    use serde_json::json;

    fn sample() -> Vec<News> {
        let strings = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let site = |name: &str| News::Site {
            name: name.to_owned(),
            version: 3,
            document: json!({ "hosts": ["a.test"] }),
        };
        vec![
            site("a"),
            News::Objects { site: "a".into(), put: strings(&["/1", "/2", "/3"]), gone: vec![] },
            News::Objects { site: "a".into(), put: vec![], gone: strings(&["/2"]) },
            News::Purge { targets: vec![crate::Target::Everything], soft: true },
            News::Node(Member {
                name: "edge-1".into(),
                tier: Tier::Edge,
                region: "eu".into(),
                urls: strings(&["http://127.0.0.1:1"]),
                addresses: vec![],
                health: None,
                intent: Intent::Draining,
            }),
            News::Certificate { site: "a".into(), chain: "c".into(), sealed_key: "k".into() },
            site("b"),
            News::SiteGone { name: "b".into() },
        ]
    }

    fn replayed(news: impl Iterator<Item = News>) -> State {
        let mut state = State::default();
        news.for_each(|news| state.apply(&news));
        state
    }

    #[test]
    fn a_state_told_as_news_is_the_same_state() {
        let state = replayed(sample().into_iter());
        assert_eq!(state.sites["a"].pushed.len(), 2);
        assert!(!state.sites.contains_key("b"));
        for paths_max in [0, 1, 2, 100] {
            assert_eq!(replayed(state.news(paths_max)), state);
        }
    }

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let hello = Line::Hello { log: "x".into(), head: 7, whole: true, missed_purges: false };
        let news = sample().into_iter().map(|news| Line::News {
            revision: 7,
            more: true,
            news: Some(news),
        });
        let silent = Line::News { revision: 8, more: false, news: None };
        for line in news.chain([hello, silent, Line::Heartbeat { head: 8 }]) {
            let mut text = Vec::new();
            line.write(&mut text);
            assert_eq!(text.pop(), Some(b'\n'));
            assert!(!text.contains(&b'\n'));
            assert_eq!(Line::read(&text), Ok(line));
        }
        assert!(Line::read(b"{\"line\":\"other\"}").is_err());
    }

    #[test]
    fn what_was_pushed_or_removed_is_purged_by_its_path() {
        let news = News::Objects { site: "a".into(), put: vec!["/1".into()], gone: vec![] };
        let path = crate::Target::Path { site: "a".into(), path: "/1".into() };
        assert_eq!(news.purges(), Some((vec![path], false)));
    }
}
