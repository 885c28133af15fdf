//! The node's counters, read from the text it offers to Prometheus.

use std::collections::BTreeMap;

/// One reading of all counters: `name{label="value"}` to its value.
#[derive(Clone, Debug, Default)]
pub struct Metrics(pub BTreeMap<String, f64>);

impl Metrics {
    /// Parses the text form; a line that is none of it panics.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a sample is a name and a value");
            let value = value.parse().expect("a sample's value is a number");
            values.insert(name.to_owned(), value);
        }
        Self(values)
    }

    /// The value of one sample by its full name with labels; 0 if it is not there.
    #[must_use]
    pub fn value(&self, sample: &str) -> f64 {
        self.0.get(sample).copied().unwrap_or(0.0)
    }

    /// The sum of a metric's samples whose labels contain all of `labels` (as `key="value"`).
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.0
            .iter()
            .filter(|(sample, _)| {
                let (base, rest) = sample.split_once('{').unwrap_or((sample, ""));
                base == name && labels.iter().all(|label| rest.contains(label))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// Whether there is a metric of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.keys().any(|sample| sample.split('{').next() == Some(name))
    }
}
