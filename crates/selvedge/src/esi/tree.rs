//! The tree that is shown of a page.

use std::fmt::Write;
use std::time::Duration;

/// A tag, and what is below it.
pub(super) struct Branch {
    lines: Vec<String>,
    below: Vec<Self>,
}

impl Branch {
    /// Something that is wrong with the page.
    pub(super) fn fault(line: usize, word: &str) -> Self {
        Self { lines: vec![format!("line {line}: wrong: {word}")], below: Vec::new() }
    }

    /// A fragment.
    pub(super) fn include(line: usize, src: &str) -> Self {
        Self { lines: vec![format!("line {line}: include {src}")], below: Vec::new() }
    }

    /// A part of a `try`.
    pub(super) fn of(what: &str, came: Option<&Vec<u8>>, below: Vec<Self>) -> Self {
        let bytes = |bytes: &Vec<u8>| format!("{} bytes", bytes.len());
        let outcome = came.map_or_else(|| "failed".to_owned(), bytes);
        Self { lines: vec![format!("{what}: {outcome}")], below }
    }

    /// What asking for it cost.
    pub(super) fn cost(&mut self, which: &str, outcome: &str, bytes: usize, took: Duration) {
        let took_ms = took.as_secs_f64() * 1e3;
        self.lines.push(format!("{which}: {outcome}, {bytes} bytes, {took_ms:.1} ms"));
    }

    pub(super) fn say(&mut self, text: &str) {
        self.lines.push(text.to_owned());
    }

    pub(super) fn below(&mut self, branches: Vec<Self>) {
        self.below.extend(branches);
    }

    fn write(&self, out: &mut String, indent: &str, is_last: bool) {
        let (joint, rest) = if is_last { ("`- ", "   ") } else { ("|- ", "|  ") };
        let further = format!("{indent}{rest}");
        for (number, line) in self.lines.iter().enumerate() {
            // What comes from a page must not steer a terminal. Writing to a string does not fail.
            let line: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
            let _ = match number {
                0 => writeln!(out, "{indent}{joint}{line}"),
                _ => writeln!(out, "{further}{line}"),
            };
        }
        write_all(&self.below, out, &further);
    }
}

/// The tree with this above it.
pub(super) fn render(summary: &str, branches: &[Branch]) -> String {
    let mut out = format!("{summary}\n");
    write_all(branches, &mut out, "");
    out
}

fn write_all(branches: &[Branch], out: &mut String, indent: &str) {
    for (number, branch) in branches.iter().enumerate() {
        branch.write(out, indent, number + 1 == branches.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_hang_below_each_other_and_cannot_steer_a_terminal() {
        let mut menu = Branch::include(3, "/menu\u{1b}[2J");
        menu.cost("src", "200", 12, Duration::from_micros(1_500));
        menu.below(vec![Branch::include(1, "/deep")]);
        let tree = render("page", &[menu, Branch::fault(9, "stray-end")]);
        let wanted = "page\n|- line 3: include /menu?[2J\n|  src: 200, 12 bytes, 1.5 ms\n\
                      |  `- line 1: include /deep\n`- line 9: wrong: stray-end\n";
        assert_eq!(tree, wanted);
    }
}
