//! A removal on its way to the disks.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// A removal on its way to the disks. Dropping it does not stop it. The value says whether the
/// removal is on disk: false when a disk that held the key takes no writes.
#[derive(Debug)]
pub struct Removal(pub(crate) Vec<oneshot::Receiver<bool>>);

impl Removal {
    /// Waits until it is written; blocks the thread, so not for use inside a runtime.
    pub fn wait(self) -> bool {
        // All are waited for, also after one that says no.
        let written = self.0.into_iter().map(|one| one.blocking_recv().unwrap_or(false));
        written.filter(|is_written| !is_written).count() == 0
    }
}

impl Future for Removal {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(last) = self.0.last_mut() {
            match Pin::new(last).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(true)) => drop(self.0.pop()),
                Poll::Ready(_) => {
                    self.0.clear();
                    return Poll::Ready(false);
                }
            }
        }
        Poll::Ready(true)
    }
}
