//! Tests of the whole crate: rows, relations, messages, examples.

mod documents;
mod examples;
mod messages;
mod relations;
mod rows;

use std::fmt::Write as _;

use crate::{Config, Fault, Faults, Profile, Section, Shape, parse};

/// A file with little more than what is required, to which keys can be given.
pub(super) struct Document {
    tables: Vec<(&'static str, Vec<(&'static str, String)>)>,
}

impl Document {
    pub(super) fn new() -> Self {
        let mut document = Self { tables: Vec::new() };
        document.set("node", "name", "\"edge-1\"");
        document.set("listen", "http", "[\"127.0.0.1:8080\"]");
        document.set("site", "name", "\"shop\"");
        document.set("site", "hosts", "[\"www.shop.test\"]");
        document.set("site", "origin", "[\"http://127.0.0.1:9000\"]");
        document
    }

    /// Gives a key this value, in the notation of the file.
    pub(super) fn with(mut self, table: &'static str, key: &'static str, value: &str) -> Self {
        if table == "certificate" && !self.tables.iter().any(|(name, _)| *name == table) {
            self.set(table, "cert", "\"edge.pem\"");
            self.set(table, "key", "\"edge.key\"");
        }
        if matches!(table, "zone" | "region" | "edge") {
            self.be_dns(table);
        }
        self.set(table, key, value);
        self
    }

    /// What a DNS server needs, and this table.
    fn be_dns(&mut self, table: &str) {
        let required = [
            ("dns", "listen", "[\"127.0.0.1:53\"]"),
            ("zone", "name", "\"cdn.test\""),
            ("zone", "file", "\"cdn.zone\""),
            ("region", "name", "\"eu\""),
            ("region", "latitude", "50.1"),
            ("region", "longitude", "8.7"),
            ("edge", "name", "\"edge-1\""),
            ("edge", "region", "\"eu\""),
            ("edge", "addresses", "[\"192.0.2.1\"]"),
        ];
        let is_wanted = |name| name != "edge" || table == "edge";
        for (name, key, value) in required.into_iter().filter(|(name, ..)| is_wanted(*name)) {
            let is_there = self
                .tables
                .iter()
                .any(|(own, keys)| *own == name && keys.iter().any(|(own, _)| *own == key));
            if !is_there {
                self.set(name, key, value);
            }
        }
    }

    fn set(&mut self, table: &'static str, key: &'static str, value: &str) {
        let at = match self.tables.iter().position(|(name, _)| *name == table) {
            Some(at) => at,
            None => {
                self.tables.push((table, Vec::new()));
                self.tables.len() - 1
            }
        };
        let keys = &mut self.tables[at].1;
        keys.retain(|(name, _)| *name != key);
        keys.push((key, value.to_owned()));
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (table, keys) in &self.tables {
            let section = section(table);
            let heading = match section.shape {
                Shape::One => format!("[{table}]"),
                Shape::Many(_) => format!("[[{table}]]"),
            };
            let _ = writeln!(text, "{heading}");
            for (key, value) in keys {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        text
    }

    pub(super) fn parse(&self) -> Result<Config, Faults> {
        parse(&self.text(), "test.toml", Profile::Facing)
    }

    /// What is wrong with it; something must be.
    pub(super) fn faults(&self) -> Vec<Fault> {
        match self.parse() {
            Ok(_) => panic!("no fault was found in:\n{}", self.text()),
            Err(faults) => faults.list,
        }
    }

    /// The line a key of a table is on.
    pub(super) fn line(&self, table: &str, key: &str) -> usize {
        let mut inside = false;
        let found = self.text().lines().position(|line| {
            inside =
                if line.starts_with('[') { line.trim_matches(['[', ']']) == table } else { inside };
            inside && line.starts_with(&format!("{key} = "))
        });
        found.expect("the key was given") + 1
    }
}

pub(super) fn section(name: &str) -> &'static Section {
    crate::SECTIONS.iter().find(|section| section.name == name).expect("a table of the file")
}
