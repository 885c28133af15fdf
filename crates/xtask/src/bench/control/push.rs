//! Pushing: one large object beside `cp` and `sha256sum`, and many small ones with the client.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Stage, peak_kib, row};
use crate::bench::{Aim, Options, Row};
use crate::failure::Failure;
use crate::node::text;
use crate::process::Task;
use crate::say;

const LARGE_BYTES: u64 = 10 << 30;
const SMALL_FILES: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(900);

pub(super) fn measure(
    options: &Options,
    stage: &Stage,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let (server, control) = stage.control("pushed")?;
    let document = json!({ "hosts": ["www.shop.test"], "push": true });
    control.ask("PUT", "/v1/sites/shop", &document)?;
    let bytes = if options.quick { 256 << 20 } else { LARGE_BYTES };
    let file = stage.work.join("large.bin");
    say(&format!("one object of {} MiB", bytes >> 20));
    fill(&file, bytes)?;
    let mib_per_s = |begun: Instant| (bytes >> 20) as f64 / begun.elapsed().as_secs_f64();
    let copy = stage.work.join("copy.bin");
    let begun = Instant::now();
    Task::new("cp", &[text(&file)?, text(&copy)?]).limit(LIMIT).run()?;
    Task::new("sha256sum", &[text(&copy)?]).limit(LIMIT).output()?;
    let peer = mib_per_s(begun);
    fs::remove_file(&copy)?;
    control.put_blob("shop", b"to have everything there that a push needs")?;
    let before = peak_kib(server.pid())?;
    let url = format!("http://127.0.0.1:{}/v1/sites/shop/objects/large.bin", control.port);
    let authorization = format!("Authorization: Bearer {}", control.token);
    let begun = Instant::now();
    let arguments = ["-sSf", "-H", &authorization, "-T", text(&file)?, &url, "-o", "/dev/null"];
    Task::new("curl", &arguments).limit(LIMIT).run()?;
    let pushed = mib_per_s(begun);
    let grown = peak_kib(server.pid())?.saturating_sub(before) as f64 / 1024.0;
    fs::remove_file(&file)?;
    let work = format!("push of {} MiB", bytes >> 20);
    let aim = Aim::Judged("at least 0.8 x cp and sha256sum".to_owned(), pushed >= 0.8 * peer);
    let mut speed = row(&work, "speed", "MiB/s", pushed, Some(aim));
    speed.peers.insert("cp+sha256sum".to_owned(), peer);
    rows.push(speed);
    rows.push(row(&work, "memory, grown", "MiB", grown, Some(Aim::AtMost(64.0))));
    small(options, stage, &control, rows)
}

/// A folder of small files, with the client, until an edge serves the last of them.
fn small(
    options: &Options,
    stage: &Stage,
    control: &super::Control,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let count = if options.quick { 500 } else { SMALL_FILES };
    let folder = stage.work.join("small");
    for number in 0..count {
        let sub = folder.join(format!("{:02}", number % 100));
        fs::create_dir_all(&sub)?;
        fs::write(sub.join(format!("{number}.txt")), format!("file {number}\n").repeat(100))?;
    }
    stage.let_join(control, 1)?;
    let (_edge, port) = stage.edge("reader", control)?;
    say(&format!("{count} small files"));
    let url = format!("http://127.0.0.1:{}", control.port);
    let begun = Instant::now();
    let arguments = ["push", text(&folder)?, "--site", "shop"];
    Task::new(text(&stage.binary)?, &arguments)
        .variable("SELVEDGE_CONTROL", url)
        .variable("SELVEDGE_TOKEN", &control.token)
        .limit(LIMIT)
        .output()?;
    control.ask("GET", "/v1/acks?timeout=60s", &serde_json::Value::Null)?;
    let last = count - 1;
    let path = format!("http://127.0.0.1:{port}/{:02}/{last}.txt", last % 100);
    Task::new("curl", &["-sSf", "-H", "Host: www.shop.test", &path]).limit(LIMIT).output()?;
    let spent_s = begun.elapsed().as_secs_f64();
    rows.push(row(
        &format!("{count} small files"),
        "visible",
        "s",
        spent_s,
        Some(Aim::AtMost(30.0)),
    ));
    Ok(())
}

/// Writes a file of bytes that nothing can make smaller.
fn fill(file: &Path, bytes: u64) -> Result<(), Failure> {
    let mut out = File::create(file).map_err(Failure::at(file))?;
    let (mut piece, mut state) = (vec![0_u8; 1 << 20], 0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..bytes >> 20 {
        for word in piece.as_chunks_mut::<8>().0 {
            // xorshift64 (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *word = state.to_le_bytes();
        }
        out.write_all(&piece)?;
    }
    out.sync_all()?;
    Ok(())
}
