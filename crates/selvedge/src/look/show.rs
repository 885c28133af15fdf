//! The reports of `selvedge cache` for people.

use super::report::{Inspection, Line, Stat, Variant, Verification};
use std::fmt::Write;

/// Totals as a table.
pub(super) fn stat(stat: &Stat) -> String {
    let mut out = format!("{}, purge revision {}\n", stat.node, stat.revision);
    let _ = writeln!(
        out,
        "memory  {:>12} entries  {:>10}   {} fills running",
        stat.memory_entries,
        bytes(stat.memory_bytes),
        stat.fills
    );
    match &stat.disk {
        Some(disk) => {
            let _ = writeln!(
                out,
                "disk    {:>12} records  {:>10}   of {}",
                disk.records,
                bytes(disk.bytes),
                bytes(disk.capacity_bytes)
            );
        }
        None => out.push_str("disk    none\n"),
    }
    let width = stat.sites.iter().map(|site| site.site.len()).max().unwrap_or(0).max(4);
    let _ = writeln!(
        out,
        "\n{:width$}  {:>12}  {:>10}  {:>12}  {:>10}",
        "site", "in memory", "bytes", "on disk", "bytes"
    );
    for site in &stat.sites {
        let _ = writeln!(
            out,
            "{:width$}  {:>12}  {:>10}  {:>12}  {:>10}",
            site.site,
            site.memory_entries,
            bytes(site.memory_bytes),
            site.disk_records,
            bytes(site.disk_bytes)
        );
    }
    out
}

/// An entry as a line.
pub(super) fn line(line: &Line) -> String {
    format!(
        "{:11}  {:>10}  {} variant(s)  {}  {}",
        line.tier.word(),
        bytes(line.bytes),
        line.variants,
        line.url,
        line.served
    )
}

/// All that is stored under a URL.
pub(super) fn inspection(found: &Inspection) -> String {
    let mut out = format!("{}\n  site {}, key {}\n", found.url, found.site, found.key);
    match found.tier {
        Some(tier) => {
            let _ = writeln!(out, "  in {}, {} variant(s)", tier.word(), found.variants.len());
        }
        None => out.push_str("  nothing is stored\n"),
    }
    if found.passing {
        out.push_str("  the last answer was not for sharing: requests go on without waiting\n");
    }
    for one in &found.variants {
        variant(&mut out, one);
    }
    out
}

fn variant(out: &mut String, one: &Variant) {
    let kind = one.content_type.as_deref().unwrap_or("no content type");
    let _ = writeln!(out, "\n  {} {kind}, {}", one.status, bytes(one.length));
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "    {name:<11}{value}");
    };
    row("served", &one.served);
    row("age", &format!("{} s of {} s, {} s left", one.age_s, one.lifetime_s, one.left_s));
    if let Some(coding) = &one.encoded {
        row("encoded", &format!("{coding}, by this node"));
    }
    if !one.vary.is_empty() {
        row("vary", &format!("{} = {}", one.vary.join(", "), one.selected_by));
    }
    for (name, value) in [("etag", &one.etag), ("modified", &one.last_modified)] {
        if let Some(value) = value {
            row(name, value);
        }
    }
    if !one.tags.is_empty() {
        row("tags", &one.tags.join(" "));
    }
    let extents: Vec<_> = one.extents.iter().map(|(a, b)| format!("{a}-{b}")).collect();
    let stored = format!("{} of {}", bytes(one.stored_bytes), bytes(one.length));
    row("stored", &format!("{stored}: {}", extents.join(", ")));
    row("revision", &one.revision.to_string());
}

/// How far a verification is.
pub(super) fn verification(state: &Verification) -> String {
    format!(
        "{} records well, {} damaged and forgotten, {} of {} read",
        state.good,
        state.bad,
        bytes(state.bytes),
        bytes(state.of_bytes)
    )
}

/// Bytes in the unit that reads best.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_reads_best() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_576, "1.0 MiB"),
            (1_047_000_000, "998.5 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }
}
