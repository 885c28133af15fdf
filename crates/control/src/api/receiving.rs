//! A body that goes on with an upload: received, counted against the room there is, and written.
//!
//! ```text
//! pieces -> [part] -> is there room? -> written, while the next part is read
//!                          '-- no: nothing of this request stays
//! ```
//! Bytes take room when they arrive, whatever was announced: nobody holds room by a word, and
//! nobody gets around the quota by saying nothing.

use axum::body::Body;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::caller::Caller;
use super::publishing::room_beside;
use super::{App, bodies};
use crate::blobs::{Part, Turn, blocking, failed, too_large};
use crate::problem::{Kind, Problem};

/// Appends a body to an upload: how far it is afterwards, and what went wrong. What came before a
/// break stays; of a body that there is no room for, or whose token ended meanwhile, nothing does.
pub(super) async fn receive(
    app: &App,
    caller: &Caller,
    turn: Turn,
    mut body: Body,
    bytes_max: u64,
) -> (u64, Result<(), Problem>) {
    let begun = turn.offset;
    let (mut reached, mut announced) = (begun, begun);
    let (mut part, mut received) = (Part::default(), Ok(()));
    let mut writing = write(turn, Vec::new());
    while let Some(piece) = bodies::piece(&mut body).await {
        match piece {
            Ok(piece) if announced + piece.len() as u64 > bytes_max => {
                received = Err(too_large(bytes_max));
                break;
            }
            Ok(piece) => {
                announced += piece.len() as u64;
                part.push(piece);
            }
            Err(problem) => {
                received = Err(problem);
                break;
            }
        }
        if part.is_full() {
            // The last part is written while this one was read.
            let mut turn = match written(writing).await {
                Ok(turn) => turn,
                Err(problem) => return (reached, Err(problem)),
            };
            reached = turn.offset;
            if let Err(full) = claim(app, &mut turn, part.len()) {
                return taken_back(turn, begun, full).await;
            }
            writing = write(turn, part.take());
        }
    }
    let mut turn = match written(writing).await {
        Ok(turn) => turn,
        Err(problem) => return (reached, Err(problem)),
    };
    reached = turn.offset;
    let may = caller.must_still_hold(app).and_then(|()| claim(app, &mut turn, part.len()));
    if let Err(problem) = may {
        return taken_back(turn, begun, problem).await;
    }
    match end(write(turn, part.take())).await {
        Ok(offset) => (offset, received),
        Err(problem) => (reached, Err(problem)),
    }
}

/// Takes room for so many bytes more, if there is any.
fn claim(app: &App, turn: &mut Turn, bytes: usize) -> Result<(), Problem> {
    let (state, bytes_max) = (app.desk.state(), app.settings.bytes_max);
    let bytes = bytes as u64;
    if turn.claim(bytes, bytes_max.saturating_sub(state.bytes)) {
        return Ok(());
    }
    room_beside(&state, app.blobs.uploads().bytes(), bytes, bytes_max)
}

/// Forgets what has come since then.
async fn taken_back(mut turn: Turn, begun: u64, problem: Problem) -> (u64, Result<(), Problem>) {
    let reached = turn.offset;
    let back = blocking(move || {
        turn.rewind(begun)?;
        turn.sync()
    });
    match back.await {
        Ok(()) => (begun, Err(problem)),
        Err(failed) => (reached, Err(failed)),
    }
}

/// Makes safe what was written last: how far the upload is.
async fn end(writing: JoinHandle<std::io::Result<Turn>>) -> Result<u64, Problem> {
    let mut turn = written(writing).await?;
    blocking(move || {
        turn.sync()?;
        Ok(turn.offset)
    })
    .await
}

/// Writes beside the worker. If nobody waits for it any more, it is written all the same, and the
/// turn given back.
fn write(mut turn: Turn, pieces: Vec<Bytes>) -> JoinHandle<std::io::Result<Turn>> {
    tokio::task::spawn_blocking(move || {
        turn.append(&pieces)?;
        Ok(turn)
    })
}

async fn written(writing: JoinHandle<std::io::Result<Turn>>) -> Result<Turn, Problem> {
    match writing.await {
        Ok(written) => written.map_err(|error| failed(&error)),
        Err(error) => Err(Problem::new(Kind::Internal, format!("an upload: {error}"))),
    }
}
