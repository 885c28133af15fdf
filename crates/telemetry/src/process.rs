//! Figures of the process itself, read from /proc when asked for. A figure that cannot be read is
//! left out.

use std::fs;

use crate::export::{Kind, Sample};

/// Ticks per second of the times in /proc: fixed to 100 for user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads all figures.
pub(crate) fn read() -> Vec<Sample<'static>> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let descriptors = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
    let threads = status_field(&status, "Threads:");
    let up = uptime_seconds(&stat, &uptime);
    [
        (Kind::Gauge, "process_resident_memory_bytes", "Memory held", resident_bytes(&status)),
        (Kind::Gauge, "process_threads", "Threads", threads),
        (Kind::Gauge, "process_open_fds", "Open file descriptors", descriptors),
        (Kind::Gauge, "process_uptime_seconds", "Time since the process began", up),
        (Kind::Counter, "process_cpu_seconds", "User and system time used", cpu_seconds(&stat)),
    ]
    .into_iter()
    .filter_map(|(kind, name, help, value)| {
        Some(Sample { name, help, kind, labels: Vec::new(), value: value? })
    })
    .collect()
}

/// What the process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// User and system time so far, in seconds.
    pub cpu_s: f64,
    /// Memory held, in bytes.
    pub resident_bytes: u64,
}

/// What the process uses now; nothing where it cannot be read.
pub fn process_figures() -> ProcessFigures {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let resident_bytes = resident_bytes(&status).unwrap_or_default() as u64;
    ProcessFigures { cpu_s: cpu_seconds(&stat).unwrap_or_default(), resident_bytes }
}

fn resident_bytes(status: &str) -> Option<f64> {
    status_field(status, "VmRSS:").map(|kib| kib * 1024.0)
}

fn status_field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS_PER_SECOND)
}

fn uptime_seconds(stat: &str, uptime: &str) -> Option<f64> {
    let system_s: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some((system_s - stat_field(stat, 22)? / TICKS_PER_SECOND).max(0.0))
}

/// Field `number` of /proc/PID/stat, counted from 1 as proc(5) does. The second field is the
/// command in brackets, which may itself hold spaces and brackets.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (a b) c) S 1 1 1 0 -1 0 10 0 0 0 250 50 0 0 20 0 3 0 1000 0 0";

    #[test]
    fn a_command_with_brackets_does_not_shift_fields() {
        assert_eq!(cpu_seconds(STAT), Some(3.0));
        assert_eq!(uptime_seconds(STAT, "70.5 12.0\n"), Some(60.5));
    }

    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let figures = read();
        for name in ["process_resident_memory_bytes", "process_threads", "process_open_fds"] {
            let figure = figures.iter().find(|figure| figure.name == name);
            assert!(figure.is_some_and(|figure| figure.value >= 1.0), "{name}");
        }
    }

    #[test]
    fn nonsense_gives_no_figure() {
        assert_eq!(cpu_seconds(""), None);
        assert_eq!(uptime_seconds(STAT, ""), None);
        assert_eq!(resident_bytes("VmRSS: many kB"), None);
    }
}
