//! `selvedge streams`: the video that clients of a running node watch, as its admin listener tells.

use crate::cli::StreamsArgs;
use crate::client::Table;
use crate::look::Remote;
use crate::problem::Problem;
use crate::process;
use http::{Method, StatusCode};
use selvedge_proxy::StreamView;

/// Where an operator's node listens when the option does not say so.
const ADMIN: &str = "127.0.0.1:9180";

/// Does what `selvedge streams` was asked for.
pub(crate) fn run(args: &StreamsArgs) -> Result<(), Problem> {
    let remote = Remote::new(args.admin.as_deref().unwrap_or(ADMIN));
    let (status, text) = remote.ask(&Method::GET, "/streams")?;
    if status != StatusCode::OK {
        return Err(Problem::NoAnswer(format!("the node answered {status}: {}", text.trim())));
    }
    if args.json {
        process::print(&text);
        return Ok(());
    }
    let streams: Vec<StreamView> = serde_json::from_str(&text).map_err(|error| {
        Problem::NoAnswer(format!("that is no answer of a node of this version: {error}"))
    })?;
    if streams.is_empty() {
        process::print("nobody has asked this node for video yet\n");
        return Ok(());
    }
    process::print(&table(&streams));
    Ok(())
}

fn table(streams: &[StreamView]) -> String {
    let headings = [
        "SITE",
        "STREAM",
        "KIND",
        ">VIEWERS",
        ">REQUESTS",
        ">HITS",
        ">AHEAD",
        ">USED",
        ">EDGE",
        ">BUFFER",
        ">STALLS",
        ">ERRORS",
    ];
    let mut table = Table::new(&headings);
    for it in streams {
        let kind = match it.live {
            Some(true) => "live",
            Some(false) => "on demand",
            None => "-",
        };
        table.row(vec![
            it.site.clone(),
            format!("{}{}", it.host, it.folder),
            kind.to_owned(),
            it.viewers.to_string(),
            it.requests.to_string(),
            percent(it.hits, it.requests),
            it.prefetched.to_string(),
            percent(it.prefetch_used, it.prefetched),
            it.edge_age_ms.map_or_else(|| "-".to_owned(), seconds),
            it.buffer_ms.map_or_else(|| "-".to_owned(), seconds),
            it.stalls.to_string(),
            it.errors.to_string(),
        ]);
    }
    table.text()
}

fn percent(part: u64, of: u64) -> String {
    match (u128::from(part) * 1000).checked_div(u128::from(of)) {
        None => "-".to_owned(),
        Some(tenths) => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::{percent, seconds};

    #[test]
    fn shares_and_times_are_written_to_a_tenth() {
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!((percent(0, 0), percent(7, 7)), ("-".to_owned(), "100.0%".to_owned()));
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0%");
        assert_eq!((seconds(0), seconds(12_345)), ("0.0s".to_owned(), "12.3s".to_owned()));
    }
}
