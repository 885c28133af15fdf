//! How far something is: a bar on a terminal, else a line at each quarter, on standard error. It
//! never mixes with what a verb prints.

use crate::process;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::rc::Rc;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Things,
}

/// Something that goes on. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Progress(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    bar: ProgressBar,
    what: String,
    unit: Unit,
    /// Quarters that were told in lines; none on a terminal or when nobody wants to know.
    told: Option<Cell<u64>>,
}

impl Progress {
    /// Shows `what`, from 0 to `total`.
    pub(super) fn new(what: &str, total: u64, unit: Unit) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = match is_terminal {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let template = match unit {
            Unit::Bytes => "{msg} [{bar:24}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            Unit::Things => "{msg} [{bar:24}] {pos} of {len}, {eta} left",
        };
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        bar.set_message(what.to_owned());
        let told = (!is_terminal).then(|| Cell::new(0));
        Self(Rc::new(Inner { bar, what: what.to_owned(), unit, told }))
    }

    /// It went on by this much.
    pub(super) fn forth(&self, count: u64) {
        self.0.bar.inc(count);
        self.tell();
    }

    /// That much has to be done again.
    pub(super) fn back(&self, count: u64) {
        self.0.bar.dec(count.min(self.0.bar.position()));
    }

    /// It is this far, of that much.
    pub(super) fn at(&self, position: u64, total: u64) {
        self.0.bar.set_length(total);
        self.0.bar.set_position(position);
        self.tell();
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.0.bar.finish_and_clear();
    }

    fn tell(&self) {
        let Some(told) = &self.0.told else { return };
        let (position, total) = (self.0.bar.position(), self.0.bar.length().unwrap_or(0));
        let quarter = (position * 4).checked_div(total).unwrap_or(0).min(4);
        if quarter <= told.get() {
            return;
        }
        told.set(quarter);
        let shown = match self.0.unit {
            Unit::Bytes => {
                format!("{} of {}", crate::look::bytes(position), crate::look::bytes(total))
            }
            Unit::Things => format!("{position} of {total}"),
        };
        process::say(&format!("{}: {shown}", self.0.what));
    }
}
