//! A state as it is written to a snapshot, and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::{Certificate, Object, Token};
use super::{Answer, Node, Site, State, Version};

/// A state, as plain lists.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    revision: u64,
    sites: Vec<SavedSite>,
    nodes: Vec<Arc<Node>>,
    tokens: Vec<Arc<Token>>,
    answers: Vec<Arc<Answer>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedSite {
    name: String,
    versions: Vec<Arc<Version>>,
    objects: Vec<(Arc<str>, Arc<Object>)>,
    certificate: Option<Arc<Certificate>>,
}

impl From<&State> for Saved {
    fn from(state: &State) -> Self {
        let site = |(name, site): (&String, &Arc<Site>)| SavedSite {
            name: name.clone(),
            versions: site.versions.iter().cloned().collect(),
            objects: site.objects.iter().map(|(path, it)| (path.clone(), it.clone())).collect(),
            certificate: site.certificate.clone(),
        };
        let mut answers: Vec<_> = state.answers.values().cloned().collect();
        answers.sort_by_key(|answer| answer.at_ms);
        Self {
            revision: state.revision,
            sites: state.sites.iter().map(site).collect(),
            nodes: state.nodes.values().cloned().collect(),
            tokens: state.tokens.values().cloned().collect(),
            answers,
        }
    }
}

impl From<Saved> for State {
    fn from(saved: Saved) -> Self {
        let mut state = Self { revision: saved.revision, ..Self::default() };
        for SavedSite { name, versions, objects, certificate } in saved.sites {
            objects.iter().for_each(|(_, object)| state.claim(object));
            let (versions, objects) = (versions.into(), objects.into_iter().collect());
            state.sites.insert(name, Arc::new(Site { versions, objects, certificate }));
        }
        let named = |node: Arc<Node>| (node.member.name.clone(), node);
        state.nodes = saved.nodes.into_iter().map(named).collect();
        let named = |token: Arc<Token>| (token.id.clone(), token);
        state.tokens = saved.tokens.into_iter().map(named).collect();
        for answer in saved.answers {
            state.remember((*answer).clone());
        }
        state
    }
}
