//! What one connection is waiting for, written by its IO, its service and its bodies, and read by
//! the worker's tick, which closes connections that ran out of time.

use std::cell::{Cell, RefCell};

use tokio::sync::oneshot;

use crate::upgrade::{ClientUpgrade, Upgraded};

/// The state of one connection that its worker watches.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) requests: Cell<u64>,
    upgrade: RefCell<Option<oneshot::Sender<Upgraded>>>,
}

impl Watch {
    pub(crate) fn on_upgrade(&self) -> ClientUpgrade {
        let (sender, receiver) = oneshot::channel();
        *self.upgrade.borrow_mut() = Some(sender);
        ClientUpgrade(receiver)
    }
}
