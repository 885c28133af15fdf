//! What a push has to do: local files on one side, what the site has on the other. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A file here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) file: PathBuf,
    /// Where it goes.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// An object that the site has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) path: String,
    pub(super) sha256: String,
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) tags: Vec<String>,
}

/// What was asked for beside the content; what is not given may be as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) content_type: Option<String>,
    pub(super) cache_control: Option<String>,
    pub(super) tags: Vec<String>,
}

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be published: new, or not the same.
    pub(super) put: Vec<Local>,
    /// How many of these are new.
    pub(super) new: usize,
    pub(super) unchanged: usize,
    /// Paths that the site has and we do not, if they shall go.
    pub(super) remove: Vec<String>,
}

/// Whether what the site has more than we goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surplus {
    Keep,
    Remove,
}

impl Plan {
    /// Compares.
    pub(super) fn new(
        local: Vec<Local>,
        remote: &[Remote],
        fields: &Fields,
        surplus: Surplus,
    ) -> Self {
        let there: BTreeMap<&str, &Remote> =
            remote.iter().map(|object| (object.path.as_str(), object)).collect();
        let mut plan = Self::default();
        let mut ours = BTreeSet::new();
        for file in local {
            ours.insert(file.path.clone());
            match there.get(file.path.as_str()) {
                Some(object) if object.is(&file, fields) => plan.unchanged += 1,
                found => {
                    plan.new += usize::from(found.is_none());
                    plan.put.push(file);
                }
            }
        }
        if surplus == Surplus::Remove {
            // Control publishes a folder with its index, and takes it away with it.
            let comes_with_index =
                |path: &str| path.ends_with('/') && ours.contains(&format!("{path}index.html"));
            let surplus =
                there.keys().filter(|path| !ours.contains(**path) && !comes_with_index(path));
            plan.remove = surplus.map(|path| (*path).to_owned()).collect();
        }
        plan
    }

    /// The contents to be published, each once.
    pub(super) fn contents(&self) -> BTreeMap<&str, &Local> {
        self.put.iter().map(|file| (file.sha256.as_str(), file)).collect()
    }

    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty()
    }
}

impl Remote {
    /// Whether it is this file with these fields already.
    fn is(&self, file: &Local, fields: &Fields) -> bool {
        let same =
            |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
        self.sha256 == file.sha256
            && same(&fields.content_type, &self.content_type)
            && same(&fields.cache_control, &self.cache_control)
            && (fields.tags.is_empty() || fields.tags == self.tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(path: &str, sha256: &str) -> Local {
        let (path, sha256) = (path.to_owned(), sha256.to_owned());
        Local { file: PathBuf::from("f"), path, bytes: 1, sha256 }
    }

    fn remote(path: &str, sha256: &str) -> Remote {
        let (path, sha256) = (path.to_owned(), sha256.to_owned());
        Remote { path, sha256, ..Remote::default() }
    }

    fn paths(files: &[Local]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn only_what_differs_is_published() {
        let here = vec![local("/a", "1"), local("/b", "2"), local("/c", "2")];
        let there = [remote("/a", "1"), remote("/b", "9"), remote("/old", "1")];
        let plan = Plan::new(here, &there, &Fields::default(), Surplus::Keep);
        assert_eq!(paths(&plan.put), ["/b", "/c"]);
        assert_eq!((plan.new, plan.unchanged), (1, 1));
        assert_eq!(plan.contents().keys().copied().collect::<Vec<_>>(), ["2"]);
        assert!(plan.remove.is_empty() && !plan.is_empty());
    }

    #[test]
    fn what_is_not_here_goes_only_when_asked() {
        let there = [remote("/a", "1"), remote("/old", "1")];
        let here = || vec![local("/a", "1")];
        let plan = Plan::new(here(), &there, &Fields::default(), Surplus::Remove);
        assert_eq!(plan.remove, ["/old"]);
        assert!(Plan::new(here(), &there, &Fields::default(), Surplus::Keep).is_empty());
    }

    #[test]
    fn a_folder_stays_as_long_as_its_index() {
        let there = [remote("/", "1"), remote("/index.html", "1"), remote("/old/", "2")];
        let here = vec![local("/index.html", "1")];
        let plan = Plan::new(here, &there, &Fields::default(), Surplus::Remove);
        assert_eq!(plan.remove, ["/old/"]);
    }

    #[test]
    fn other_fields_are_a_difference_when_they_are_asked_for() {
        let mut object = remote("/a", "1");
        object.cache_control = Some("max-age=5".to_owned());
        object.tags = vec!["x".to_owned()];
        let there = [object];
        let put = |fields: &Fields| {
            Plan::new(vec![local("/a", "1")], &there, fields, Surplus::Keep).put.len()
        };
        let fields = Fields { cache_control: Some("max-age=5".to_owned()), ..Fields::default() };
        assert_eq!(put(&fields), 0);
        let fields = Fields { cache_control: Some("max-age=6".to_owned()), ..fields };
        assert_eq!(put(&fields), 1);
        let fields = Fields { tags: vec!["y".to_owned()], ..Fields::default() };
        assert_eq!(put(&fields), 1);
    }
}
