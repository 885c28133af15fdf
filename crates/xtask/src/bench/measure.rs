//! One round of load on one server: what the load generator saw and what it cost the server.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::node::text;
use crate::process::Task;

/// How load is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// wrk: HTTP/1.1, with so many connections.
    Http1 { connections: u32 },
    /// The same, with a script that chooses the URLs: this file in the folder of the benchmark.
    Walk { connections: u32, script: &'static str },
    /// h2load: HTTP/2, with so many connections of so many streams.
    Http2 { connections: u32, streams: u32 },
}

/// The figures of a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) requests_per_second: f64,
    pub(super) cpu_us_per_request: f64,
    pub(super) p99_us: f64,
}

/// The core of the server; the load generator gets the next one.
pub(super) const SERVER_CORE: usize = 0;
pub(super) const LOAD_CORE: usize = 1;

/// Puts load on `url` for `seconds`; `server` is the process whose time is counted.
pub(super) fn round(
    load: Load,
    url: &str,
    seconds: u32,
    server: u32,
    work: &Path,
) -> Result<Figures, Failure> {
    let before = cpu_us(server)?;
    let answer = generate(load, url, seconds, None, work)?;
    let used_us = cpu_us(server)?.saturating_sub(before);
    let (requests, requests_per_second) = match load {
        Load::Http1 { .. } | Load::Walk { .. } => read_wrk(&answer)?,
        Load::Http2 { .. } => read_h2load(&answer)?,
    };
    let p99_us = match load {
        Load::Http1 { .. } | Load::Walk { .. } => wrk_p99_us(&answer)?,
        // h2load gives no percentiles, but writes each request down when told to; that slows it,
        // so it is done in a short run of its own.
        Load::Http2 { .. } => {
            let log = work.join("h2load.log");
            let _ = fs::remove_file(&log);
            generate(load, url, seconds.div_ceil(4), Some(&log), work)?;
            h2load_p99_us(&fs::read_to_string(&log).map_err(Failure::at(&log))?)?
        }
    };
    Ok(Figures {
        requests_per_second,
        cpu_us_per_request: used_us as f64 / requests as f64,
        p99_us,
    })
}

fn generate(
    load: Load,
    url: &str,
    seconds: u32,
    log: Option<&Path>,
    work: &Path,
) -> Result<String, Failure> {
    let core = LOAD_CORE.to_string();
    let mut arguments = vec!["-c".to_owned(), core];
    match load {
        Load::Http1 { connections } | Load::Walk { connections, .. } => {
            arguments.extend(["wrk", "-t1", "--latency"].map(str::to_owned));
            arguments.extend([format!("-c{connections}"), format!("-d{seconds}s")]);
        }
        Load::Http2 { connections, streams } => {
            arguments.extend(["h2load", "-t1"].map(str::to_owned));
            arguments.extend([format!("-c{connections}"), format!("-m{streams}")]);
            arguments.push(format!("-D{seconds}"));
        }
    }
    if let Load::Walk { script, .. } = load {
        arguments.extend(["-s".to_owned(), text(&work.join(script))?.to_owned()]);
    }
    if let Some(log) = log {
        arguments.push(format!("--log-file={}", text(log)?));
    }
    arguments.push(url.to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Task::new("taskset", &arguments).limit(Duration::from_secs(u64::from(seconds) + 60)).output()
}

/// The requests and the rate that wrk reports; an error if not all were answered well.
fn read_wrk(answer: &str) -> Result<(u64, f64), Failure> {
    let bad = |what: &str| Failure::new(format!("wrk: {what}\n{answer}"));
    if answer.contains("Non-2xx") || answer.contains("Socket errors") {
        return Err(bad("not every request was answered with 200"));
    }
    let requests = answer.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests = requests.and_then(|(count, _)| count.parse().ok()).filter(|count| *count > 0);
    let rate = answer.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate = rate.and_then(|rate| rate.trim().parse().ok());
    Ok((requests.ok_or_else(|| bad("no requests"))?, rate.ok_or_else(|| bad("no rate"))?))
}

fn wrk_p99_us(answer: &str) -> Result<f64, Failure> {
    let value = answer.lines().find_map(|line| line.trim().strip_prefix("99%"));
    let value = value.map(str::trim).and_then(|value| {
        let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match &value[digits.len()..] {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "m" => 6e7,
            _ => return None,
        };
        digits.parse::<f64>().ok().map(|number| number * factor)
    });
    value.ok_or_else(|| Failure::new(format!("wrk: no 99th percentile\n{answer}")))
}

/// The requests and the rate that h2load reports; an error if not all were answered well.
fn read_h2load(answer: &str) -> Result<(u64, f64), Failure> {
    let bad = |what: &str| Failure::new(format!("h2load: {what}\n{answer}"));
    let line = |start: &str| answer.lines().find_map(|line| line.strip_prefix(start));
    let counts = line("requests: ").ok_or_else(|| bad("no requests"))?;
    let count = |name: &str| -> Option<u64> {
        counts.split(", ").find_map(|part| part.strip_suffix(name)?.trim().parse().ok())
    };
    let good = count("succeeded").filter(|count| *count > 0).ok_or_else(|| bad("no requests"))?;
    if count("failed") != Some(0) || count("errored") != Some(0) || count("timeout") != Some(0) {
        return Err(bad("not every request was answered"));
    }
    if !line("status codes: ").is_some_and(|codes| codes.contains("0 3xx, 0 4xx, 0 5xx")) {
        return Err(bad("not every request was answered with 200"));
    }
    let rate = line("finished in ").and_then(|rest| {
        rest.split(", ").find_map(|part| part.strip_suffix(" req/s")?.parse().ok())
    });
    Ok((good, rate.ok_or_else(|| bad("no rate"))?))
}

/// Lines of h2load's log: start, status, duration in microseconds.
fn h2load_p99_us(log: &str) -> Result<f64, Failure> {
    let mut durations: Vec<u64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.parse().ok()).collect();
    durations.sort_unstable();
    let rank = (durations.len() * 99).div_ceil(100).saturating_sub(1);
    let p99 = durations.get(rank).ok_or_else(|| Failure::new("h2load: empty log"))?;
    Ok(*p99 as f64)
}

/// User and system time of a process and all below it, in microseconds. /proc counts in hundredths
/// of a second, scaled from exact run times: over a round of seconds that is precise enough.
pub(super) fn cpu_us(root: u32) -> Result<u64, Failure> {
    let ticks: u64 = family(root)?.into_iter().map(|(_, ticks)| ticks).sum();
    Ok(ticks * 10_000)
}

/// The time that the thread which asks has used, in microseconds.
pub(super) fn own_cpu_us() -> Result<u64, Failure> {
    let stat = fs::read_to_string("/proc/thread-self/stat")?;
    let (_, ticks) = read_stat(&stat).ok_or_else(|| Failure::new("/proc/thread-self/stat"))?;
    Ok(ticks * 10_000)
}

/// The time that all processes of this machine have used, in microseconds (proc(5)): user, nice and
/// system, and what serves interrupts.
pub(super) fn machine_cpu_us() -> Result<u64, Failure> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, irq, softirq, ..] = ticks[..] else {
        return Err(Failure::new("/proc/stat: too few fields"));
    };
    Ok((user + nice + system + irq + softirq) * 10_000)
}

/// Memory of a process and all below it that is not swapped out, in KiB. What they share counts for
/// each, so only a difference says something.
pub(super) fn resident_kib(root: u32) -> Result<u64, Failure> {
    let mut sum = 0;
    for (pid, _) in family(root)? {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        sum += kib.unwrap_or_default();
    }
    if sum == 0 { Err(Failure::new(format!("/proc/{root}/status: no memory"))) } else { Ok(sum) }
}

/// A process and all below it, each with the ticks it has used.
fn family(root: u32) -> Result<Vec<(u32, u64)>, Failure> {
    let mut wanted = BTreeSet::from([root]);
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process that ended meanwhile has no file any more.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        processes.extend(read_stat(&stat).map(|(parent, ticks)| (pid, parent, ticks)));
    }
    // Ids wrap around, so a child may come before its parent: repeat until nothing is added.
    loop {
        let before = wanted.len();
        for (pid, parent, _) in &processes {
            if wanted.contains(parent) {
                wanted.insert(*pid);
            }
        }
        if wanted.len() == before {
            break;
        }
    }
    let ours = processes.into_iter().filter(|(pid, ..)| wanted.contains(pid));
    Ok(ours.map(|(pid, _, ticks)| (pid, ticks)).collect())
}

/// The parent and the used ticks in a line of /proc/PID/stat (proc(5)): fields 4, 14 and 15.
fn read_stat(stat: &str) -> Option<(u32, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((fields.get(1)?.parse().ok()?, ticks(11)? + ticks(12)?))
}

/// The middle one, or the mean of the two middle ones. Zero for none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "Running 2s test @ http://127.0.0.1:19003/1k\n  Latency Distribution\n     \
        50%    2.32ms\n     99%   49.70ms\n  20311 requests in 2.07s, 25.59MB read\n\
        Requests/sec:   9789.59\nTransfer/sec:     12.33MB\n";

    #[test]
    fn the_answer_of_wrk_is_read() {
        assert_eq!(read_wrk(WRK).unwrap(), (20311, 9789.59));
        assert_eq!(wrk_p99_us(WRK).unwrap(), 49_700.0);
        assert_eq!(wrk_p99_us("  99%  812.00us\n").unwrap(), 812.0);
        assert!(read_wrk(&format!("{WRK}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(read_wrk("").is_err());
    }

    #[test]
    fn the_answer_of_h2load_is_read() {
        let answer = "finished in 2.01s, 12970.00 req/s, 13.01MB/s\nrequests: 25940 total, 26140 \
            started, 25940 done, 25940 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: \
            25940 2xx, 0 3xx, 0 4xx, 0 5xx\n";
        assert_eq!(read_h2load(answer).unwrap(), (25940, 12970.0));
        assert!(read_h2load(&answer.replace("0 failed", "7 failed")).is_err());
        assert!(read_h2load(&answer.replace("0 5xx", "9 5xx")).is_err());
        assert!(read_h2load("").is_err());
    }

    #[test]
    fn the_99th_percentile_is_the_99th_of_a_hundred() {
        let log: String = (1..=100).map(|us| format!("17\t200\t{us}\n")).collect();
        assert_eq!(h2load_p99_us(&log).unwrap(), 99.0);
        assert_eq!(h2load_p99_us("17\t200\t5\n").unwrap(), 5.0);
        assert!(h2load_p99_us("").is_err());
    }

    #[test]
    fn the_time_of_a_process_includes_its_children() {
        assert_eq!(read_stat("7 (a) b) S 3 1 1 0 -1 0 1 0 0 0 25 5 0 0"), Some((3, 30)));
        assert_eq!(read_stat(""), None);
        assert!(cpu_us(std::process::id()).is_ok());
        assert!(own_cpu_us().unwrap() <= machine_cpu_us().unwrap());
        assert!(resident_kib(std::process::id()).unwrap() > 100);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
