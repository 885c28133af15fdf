//! What the benchmarks of this crate share: options, numbers without a pattern, CPU time, and the
//! table of figures, for people and (as `cargo xtask bench store` reads it) for programs. It never
//! measures anything of its own.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// The value behind an option of the command line.
pub(crate) fn option(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// The number behind an option of the command line, or this one.
pub(crate) fn number(name: &str, otherwise: u64) -> u64 {
    option(name).map_or(otherwise, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} {text}: not a number"))
    })
}

/// The folder behind `--folder`, or one for this process among temporary files; it is made.
pub(crate) fn folder(bench: &str) -> PathBuf {
    let name = format!("selvedge-{bench}-{}", std::process::id());
    let folder = option("--folder").map_or_else(|| std::env::temp_dir().join(name), PathBuf::from);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// SplitMix64: spreads a number over 64 bits.
pub(crate) fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A key as the store makes them: bits without a pattern.
pub(crate) fn key(n: u64) -> u128 {
    u128::from(mix(n)) << 64 | u128::from(mix(!n))
}

/// CPU time that this thread has used (Linux: first field of its schedstat).
pub(crate) fn thread_cpu_ns() -> u64 {
    // The kernel brings the figure up to date when the thread gives way.
    std::thread::yield_now();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    let first = stat.split_whitespace().next().expect("schedstat has fields");
    first.parse().expect("the first is a number")
}

/// The middle one of an odd number of figures.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One figure of a work: ours, those beside it, and what ours should reach. No name or aim has
/// anything in it that JSON would have to escape.
pub(crate) struct Row {
    work: String,
    measure: &'static str,
    unit: &'static str,
    ours: f64,
    peers: Vec<(&'static str, f64)>,
    /// In words, and whether it is met.
    aim: Option<(String, bool)>,
}

impl Row {
    pub(crate) fn new(
        work: impl Into<String>,
        measure: &'static str,
        unit: &'static str,
        ours: f64,
    ) -> Self {
        Self { work: work.into(), measure, unit, ours, peers: Vec::new(), aim: None }
    }

    /// With the figure of a peer.
    pub(crate) fn beside(mut self, peer: &'static str, theirs: f64) -> Self {
        self.peers.push((peer, theirs));
        self
    }

    /// With an aim in words, and whether it is met.
    pub(crate) fn aim(self, words: impl Into<String>, met: bool) -> Self {
        Self { aim: Some((words.into(), met)), ..self }
    }

    /// With the aim to be at most this.
    pub(crate) fn at_most(self, most: f64) -> Self {
        let met = self.ours <= most;
        self.aim(format!("<= {most}"), met)
    }

    fn line(&self) -> String {
        let mut line =
            format!("{:58} {:16} {:>11.2} {}", self.work, self.measure, self.ours, self.unit);
        for (name, theirs) in &self.peers {
            line += &format!("  {name} {theirs:.2} ({:.2})", self.ours / theirs);
        }
        if let Some((words, met)) = &self.aim {
            line += &format!("  aim {words}: {}", if *met { "met" } else { "NOT MET" });
        }
        line
    }

    fn json(&self) -> String {
        let peers: Vec<_> =
            self.peers.iter().map(|(name, theirs)| format!("\"{name}\": {theirs:.3}")).collect();
        let (aim, met) = match &self.aim {
            Some((words, met)) => (format!("\"{words}\""), met.to_string()),
            None => ("null".to_owned(), "null".to_owned()),
        };
        format!(
            "{{\"work\": \"{}\", \"measure\": \"{}\", \"unit\": \"{}\", \"ours\": {:.3}, \
             \"peers\": {{{}}}, \"aim\": {aim}, \"met\": {met}}}",
            self.work,
            self.measure,
            self.unit,
            self.ours,
            peers.join(", "),
        )
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Table {
    text: String,
    rows: Vec<String>,
}

impl Table {
    /// For people and programs.
    pub(crate) fn row(&mut self, row: &Row) {
        self.line(&row.line());
        self.record(row);
    }

    /// For programs alone: people find it in a line with others.
    pub(crate) fn record(&mut self, row: &Row) {
        self.rows.push(row.json());
    }

    /// For people alone.
    pub(crate) fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// Prints all lines, and writes all rows to the file behind `--json`.
    pub(crate) fn finish(self) {
        // The harness of `cargo bench` reads standard output.
        let _ = std::io::stdout().write_all(self.text.as_bytes());
        if let Some(file) = option("--json") {
            let text = format!("[{}]\n", self.rows.join(",\n"));
            fs::write(file, text).expect("the file can be written");
        }
    }
}
