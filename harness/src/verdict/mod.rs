//! Measured against promised: the rows of shares.csv and summary.csv, each with its bound and its verdict.

mod bounds;
mod claims;
mod convergence;
mod gathered;
mod idleness;
mod rows;
mod summary;
pub(crate) mod wakes;
mod within;

use crate::exit::worst;
use crate::ledger::BIN;
use apportion_recording::{Check, IdlenessEntry, Scope, ShareRow, Verdict, WakeEntry};
use apportion_scheduler::Nanos;

pub(crate) use claims::claims;
pub(crate) use convergence::convergence;
pub(crate) use gathered::{Gathered, by_experiment};
pub(crate) use idleness::idleness;
pub(crate) use rows::Judge;
pub(crate) use summary::summarise;
pub(crate) use wakes::wakes;
pub(crate) use within::{is_at_least, is_at_most};

/// The windows over which the distribution of the error is told, besides the whole run.
pub(crate) const WINDOWS: [Nanos; 2] = [BIN, Nanos::from_millis(1_000)];

/// What a row speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// The whole measured time.
    Whole,
    /// The time between two changes, counted from 0.
    Phase(usize),
    /// A window of this length.
    Window(Nanos),
}

/// A row of shares.csv.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) span: Span,
    /// Whether the run's verdict depends on it.
    pub(crate) counts: bool,
    pub(crate) share: ShareRow,
}

impl Row {
    /// Whether it is about a guest's share, cap or reserve over `span`.
    pub(crate) fn is(&self, span: Span, scope: Scope, check: Check) -> bool {
        self.span == span && self.share.scope == scope && self.share.check == check
    }
}

/// A guest's shares over the whole run, in the order of guests.
pub(crate) fn guest_shares<'r>(
    rows: impl IntoIterator<Item = &'r Row>,
) -> impl Iterator<Item = &'r ShareRow> {
    rows.into_iter()
        .filter(|row| row.is(Span::Whole, Scope::Guest, Check::Share))
        .map(|row| &row.share)
}

/// The verdict of one repetition: the worst of its rows over the whole run, or
/// over the phases where there are some, of its wakes, and of its idle LPs.
pub(crate) fn of_run(rows: &[Row], wakes: &[WakeEntry], idleness: &IdlenessEntry) -> Verdict {
    let of_wakes = wakes.iter().filter_map(|entry| entry.verdict);
    let of_rows = counting(rows).map(|row| row.share.verdict);
    worst(of_rows.chain(of_wakes).chain(idleness.verdict))
}

/// The verdict of a guest in these rows: the worst of those of its own that count.
pub(crate) fn of_guest<'r>(rows: impl IntoIterator<Item = &'r Row>, guest: &str) -> Verdict {
    let own = counting(rows).map(|row| &row.share);
    let own = own.filter(|share| share.scope == Scope::Guest && share.guest == guest);
    worst(own.map(|share| share.verdict))
}

fn counting<'r>(rows: impl IntoIterator<Item = &'r Row>) -> impl Iterator<Item = &'r Row> {
    rows.into_iter().filter(|row| row.counts)
}
