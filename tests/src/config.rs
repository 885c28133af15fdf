//! A node's configuration as a test writes it: only the keys that matter to the test.

use crate::control::Control;
use crate::tls::Identity;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The configuration of one node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    sections: BTreeMap<String, BTreeMap<String, Value>>,
    /// `[[name]]` and what is in it.
    tables: Vec<(String, Value)>,
    /// What lies beside the file.
    files: BTreeMap<String, Vec<u8>>,
    identities: Vec<Identity>,
    sites: Vec<Site>,
}

/// One `[[site]]`.
#[derive(Clone, Debug)]
pub struct Site {
    keys: BTreeMap<String, Value>,
}

impl Site {
    /// A site of any host name with one origin.
    #[must_use]
    pub fn any(origin: &str) -> Self {
        Self::new("any", &["*"], &[origin])
    }

    /// A site.
    #[must_use]
    pub fn new(name: &str, hosts: &[&str], origins: &[&str]) -> Self {
        let site = Self { keys: BTreeMap::new() };
        site.set("name", name).set("hosts", hosts).set("origin", origins)
    }

    /// Sets a key.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.keys.insert(key.to_owned(), value.into());
        self
    }
}

impl NodeConfig {
    /// A node of this name on free ports, with the admin listener and plain HTTP.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::bare(name).set("listen", "http", vec!["127.0.0.1:0"]).set("cache", "memory", "64MiB")
    }

    /// A DNS server of this name on free ports, with the admin listener and no zone yet.
    #[must_use]
    pub fn dns(name: &str) -> Self {
        Self::bare(name).set("dns", "listen", vec!["127.0.0.1:0"])
    }

    fn bare(name: &str) -> Self {
        let config = Self {
            sections: BTreeMap::new(),
            tables: Vec::new(),
            files: BTreeMap::new(),
            identities: Vec::new(),
            sites: Vec::new(),
        };
        config
            .set("node", "name", name)
            .set("node", "workers", 2)
            .set("admin", "listen", "127.0.0.1:0")
            .set("log", "access", "stdout")
    }

    /// Adds a `[[name]]` with these keys.
    #[must_use]
    pub fn table(mut self, name: &str, keys: Value) -> Self {
        self.tables.push((name.to_owned(), keys));
        self
    }

    /// Puts a file beside the configuration.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), content.into());
        self
    }

    /// Has it follow a control, and keep what that says in this folder.
    #[must_use]
    pub fn following(self, control: &Control, state: &Path) -> Self {
        self.set("control", "url", control.url())
            .set("control", "token_file", control.token_file().to_string_lossy().into_owned())
            .set("control", "state", state.to_string_lossy().into_owned())
    }

    /// Sets a key of a table.
    #[must_use]
    pub fn set(mut self, section: &str, key: &str, value: impl Into<Value>) -> Self {
        self.sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value.into());
        self
    }

    /// Adds a site.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.sites.push(site);
        self
    }

    /// Adds a certificate, and an HTTPS listener if there is none.
    #[must_use]
    pub fn certificate(mut self, identity: &Identity) -> Self {
        self.identities.push(identity.clone());
        self.set("listen", "https", vec!["127.0.0.1:0"])
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.sections["node"]["name"].as_str().unwrap_or("")
    }

    /// Writes the certificates and files into the folder and gives the text of the file.
    #[must_use]
    pub fn render(&self, folder: &Path) -> String {
        let mut text = String::new();
        for (name, content) in &self.files {
            std::fs::write(folder.join(name), content).expect("the folder can be written");
        }
        for (section, keys) in &self.sections {
            let _ = writeln!(text, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {}", toml(value));
            }
        }
        for (number, identity) in self.identities.iter().enumerate() {
            let (cert, key) = identity.write(folder, &format!("certificate-{number}"));
            let _ = writeln!(text, "[[certificate]]\ncert = {cert:?}\nkey = {key:?}");
        }
        for (name, keys) in &self.tables {
            let _ = writeln!(text, "[[{name}]]");
            for (key, value) in keys.as_object().into_iter().flatten() {
                let _ = writeln!(text, "{key} = {}", toml(value));
            }
        }
        for site in &self.sites {
            text.push_str("[[site]]\n");
            for (key, value) in &site.keys {
                let _ = writeln!(text, "{key} = {}", toml(value));
            }
        }
        text
    }
}

/// JSON strings, numbers, flags and lists are TOML too; tables differ.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?} = {}", toml(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
