//! A plain client of our own, for what wrk cannot do: ask for each of many URLs exactly once, and
//! note how long each took. It is run on the core of the load generator.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::measure::LOAD_CORE;
use crate::failure::Failure;
use crate::process::Task;

/// A connection to a server.
pub(super) struct Visitor {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Visitor {
    pub(super) fn new(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { port, stream: BufReader::with_capacity(256 << 10, stream) })
    }

    /// Asks for a path and reads the answer, which must be a 200 with its length.
    pub(super) fn get(&mut self, path: &str) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        self.read(path, &mut |bytes| body.extend_from_slice(bytes))?;
        Ok(body)
    }

    /// The same; gives the time from asking to the last byte, in microseconds.
    pub(super) fn time(&mut self, path: &str) -> Result<f64, Failure> {
        let begun = Instant::now();
        self.read(path, &mut |_| ())?;
        Ok(begun.elapsed().as_secs_f64() * 1e6)
    }

    fn read(&mut self, path: &str, sink: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let bad = |what: &str| Failure::new(format!("GET {path}: {what}"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200 ") {
            return Err(bad(&format!("answered {line:?}")));
        }
        let mut length = None;
        while !line.trim_end().is_empty() {
            line.clear();
            self.stream.read_line(&mut line)?;
            let field = line.to_ascii_lowercase();
            if let Some(value) = field.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        let mut left = length.ok_or_else(|| bad("answered without a length"))?;
        while left > 0 {
            let bytes = self.stream.fill_buf()?;
            let count = bytes.len().min(left);
            if count == 0 {
                return Err(bad("cut off"));
            }
            sink(&bytes[..count]);
            self.stream.consume(count);
            left -= count;
        }
        Ok(())
    }
}

/// Asks for each path once, over so many connections; gives the times in microseconds.
pub(super) fn walk(port: u16, paths: &[String], connections: usize) -> Result<Vec<f64>, Failure> {
    let (next, times) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let visit = || -> Result<(), Failure> {
        let mut visitor = Visitor::new(port)?;
        let mut mine = Vec::new();
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            mine.push(visitor.time(path)?);
        }
        times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(mine);
        Ok(())
    };
    on_load_core(|| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(visit)).collect();
            threads.into_iter().try_for_each(joined)
        })
    })?;
    Ok(times.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Runs this in a thread, and all threads it starts, on the core of the load generator.
pub(super) fn on_load_core<T: Send>(
    work: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // The kernel names the thread that asks: `PID/task/TID`.
            let name = std::fs::read_link("/proc/thread-self")?;
            let id = name.file_name().map(|id| id.to_string_lossy().into_owned());
            let id = id.ok_or_else(|| Failure::new("/proc/thread-self names no thread"))?;
            Task::new("taskset", &["-cp", &LOAD_CORE.to_string(), &id]).output()?;
            work()
        });
        joined(thread)
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().unwrap_or_else(|_| Err(Failure::new("a client has panicked")))
}

/// The 99th percentile of some times.
pub(super) fn p99(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times.get(rank).copied().unwrap_or(0.0)
}

/// The numbers below `count` in an order that is the same in each run (Fisher and Yates with the
/// generator of Park and Miller).
pub(super) fn order(count: u32) -> Vec<u32> {
    let mut state = 20_261_123_u64;
    let mut numbers: Vec<u32> = (0..count).collect();
    for at in (1..numbers.len()).rev() {
        state = state * 16_807 % 2_147_483_647;
        let other = usize::try_from(state).map_or(0, |state| state % (at + 1));
        numbers.swap(at, other);
    }
    numbers
}

/// A counter or gauge of our node, summed over its labels; 0 if it is not there.
pub(super) fn metric(admin_port: u16, name: &str) -> Result<f64, Failure> {
    let mut text = String::new();
    Visitor::new(admin_port)?.get("/metrics")?.as_slice().read_to_string(&mut text)?;
    Ok(sum(&text, name))
}

fn sum(text: &str, name: &str) -> f64 {
    let of_it =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let values =
        text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_every_number_once_and_is_the_same_each_time() {
        let mut numbers = order(1000);
        assert_eq!(numbers, order(1000));
        assert_ne!(numbers, (0..1000).collect::<Vec<_>>());
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn metrics_are_summed_over_labels() {
        let text =
            "# HELP a_total x\na_total{disk=\"1\"} 3\na_total{disk=\"2\"} 4\na_total_b 9\nb 1\n";
        assert_eq!(sum(text, "a_total"), 7.0);
        assert_eq!(sum(text, "b"), 1.0);
        assert_eq!(sum(text, "c"), 0.0);
    }

    #[test]
    fn percentiles() {
        assert_eq!(p99((1..=100).map(f64::from).collect()), 99.0);
        assert_eq!(p99(Vec::new()), 0.0);
    }
}
