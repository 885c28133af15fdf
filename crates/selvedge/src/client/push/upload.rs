//! Bringing contents to control: small ones in one request, large ones in pieces that survive a
//! broken connection and the end of this program. Nothing is published by it.
//!
//! A large one: begin -> piece -> piece -> .. -> finish. After a break control is asked how much it
//! has (`Upload-Offset`), and the next piece begins there.

use super::notes::Notes;
use super::plan::Local;
use crate::client::api::{Answer, Api, Call, Payload};
use crate::client::escape::segment;
use crate::client::fault::{Fault, Kind};
use crate::client::file_body::FilePart;
use crate::client::progress::Progress;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// Bytes of a piece of a large content.
const PIECE_BYTES: u64 = 16 << 20;
/// Breaks in a row without a byte gained, after which it is given up.
const BREAKS_MAX: u32 = 5;

/// What an upload needs to know.
pub(super) struct Uploader {
    pub(super) api: Api,
    /// The path of the site in the API.
    pub(super) site: String,
    pub(super) notes: Notes,
    /// From which size on a content goes in pieces.
    pub(super) resumable_bytes: u64,
}

impl Uploader {
    /// Brings one content to control.
    pub(super) async fn upload(&self, file: &Local, progress: &Progress) -> Result<(), Fault> {
        let done = match file.bytes >= self.resumable_bytes {
            true => self.in_pieces(file, progress).await,
            false => self.at_once(file, progress).await,
        };
        done.map_err(|fault| match fault.member("type").and_then(Value::as_str) {
            Some(word) if word.ends_with("/digest-mismatch") => Fault::wrong(format!(
                "{}: it changed while it was sent; run the same push again",
                file.file.display()
            )),
            _ => {
                fault.with_hint("nothing is published; the same push goes on where this one ended")
            }
        })
    }

    async fn at_once(&self, file: &Local, progress: &Progress) -> Result<(), Fault> {
        let path = format!("{}/blobs/{}", self.site, file.sha256);
        let payload = Payload::File(part(file, 0, file.bytes, progress));
        self.api.call(&Call::new(Method::PUT, path).payload(payload)).await.map(drop)
    }

    async fn in_pieces(&self, file: &Local, progress: &Progress) -> Result<(), Fault> {
        let (path, mut offset) = self.begun_or_new(file).await?;
        progress.forth(offset);
        let mut breaks = 0;
        while offset < file.bytes {
            let bytes = PIECE_BYTES.min(file.bytes - offset);
            let payload = Payload::File(part(file, offset, bytes, progress));
            let call = Call::new(Method::PATCH, path.as_str())
                .field("upload-offset", offset.to_string())
                .payload(payload)
                .once();
            let fault = match self.api.call(&call).await {
                Ok(answer) => {
                    offset = offset_of(&answer).unwrap_or(offset + bytes);
                    breaks = 0;
                    continue;
                }
                Err(fault) => fault,
            };
            let may_go_on = fault.is_broken()
                || fault.after().is_some()
                || fault.status() == Some(StatusCode::CONFLICT);
            breaks += 1;
            if !may_go_on || breaks > BREAKS_MAX {
                return Err(fault);
            }
            tokio::time::sleep(fault.after().unwrap_or(PAUSE * breaks).min(PAUSE_MAX)).await;
            let there = self.api.call(&Call::new(Method::HEAD, path.as_str())).await?;
            let now = offset_of(&there).ok_or_else(no_offset)?;
            if now > offset {
                breaks = 0;
            }
            // What of the piece did arrive is not sent again.
            progress.forth(now.saturating_sub(offset));
            progress.back(offset.saturating_sub(now));
            offset = now;
        }
        let call = Call::new(Method::POST, format!("{path}/finish"));
        let finished = self.api.call(&call.json(json!({ "sha256": file.sha256 }))).await;
        // Finished, or never to be.
        if finished.as_ref().map_or_else(|fault| fault.status().is_some(), |_| true) {
            self.notes.end(&file.sha256);
        }
        finished.map(drop)
    }

    /// The upload that an earlier run has begun, with what control has of it, or a new one.
    async fn begun_or_new(&self, file: &Local) -> Result<(String, u64), Fault> {
        if let Some(id) = self.notes.begun(&file.sha256) {
            let path = self.path(&id);
            match self.api.call(&Call::new(Method::HEAD, path.as_str())).await {
                Ok(answer) => {
                    if let Some(offset) = offset_of(&answer).filter(|it| *it <= file.bytes) {
                        return Ok((path, offset));
                    }
                }
                Err(fault) if fault.status().is_some_and(|it| it.is_client_error()) => {}
                Err(fault) => return Err(fault),
            }
            self.notes.end(&file.sha256);
        }
        let new = json!({ "bytes": file.bytes, "sha256": file.sha256 });
        let call = Call::new(Method::POST, format!("{}/uploads", self.site)).json(new);
        let answer = self.api.call(&call).await?.json()?;
        let id = answer.get("id").map(crate::client::table::cell);
        let id = id.ok_or_else(|| Fault::new(Kind::Unavailable, "an upload has no id"))?;
        self.notes.begin(&file.sha256, &id);
        Ok((self.path(&id), answer.get("offset").and_then(Value::as_u64).unwrap_or(0)))
    }

    fn path(&self, id: &str) -> String {
        format!("{}/uploads/{}", self.site, segment(id))
    }
}

fn part(file: &Local, from: u64, bytes: u64, progress: &Progress) -> FilePart {
    FilePart { file: file.file.clone(), from, bytes, progress: progress.clone() }
}

fn offset_of(answer: &Answer) -> Option<u64> {
    answer.field("upload-offset")?.parse().ok()
}

fn no_offset() -> Fault {
    Fault::new(Kind::Unavailable, "control does not say how much of an upload it has")
}

/// Between a break and the next try, more after each.
const PAUSE: Duration = Duration::from_millis(300);
const PAUSE_MAX: Duration = Duration::from_secs(10);
