//! Who watches a run as it goes on: the progress bar of `apportion run`, the view of `apportion top`.

use crate::plan::Planned;
use crate::table;
use apportion_hypervisor::counters::Snapshot;
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::{Action, Said};
use apportion_scheduler::Nanos;
use std::io;

/// Sees what a recorder sees, after it was recorded, in the root's thread: whatever it takes is lost to the guests.
pub(crate) trait Watch {
    /// A repetition, counted from 1, of an experiment begins.
    fn begin(&mut self, planned: &Planned, repetition: u32);

    /// What happened.
    fn entry(&mut self, entry: &LogEntry);

    /// All counters, about once a second, where the engine has some.
    fn counters(&mut self, _: &Snapshot) {}

    /// A line that a guest said.
    fn said(&mut self, _: &Said) {}

    /// A change was refused, for these reasons.
    fn refused(&mut self, _action: &Action, _why: &str, _at: Nanos) {}

    /// What the person wants changed.
    fn requests(&mut self) -> Vec<Action> {
        Vec::new()
    }

    /// About every 50 ms; `passed` of the run's length has.
    fn tick(&mut self, passed: Nanos);

    /// The run has ended.
    fn end(&mut self);

    /// Writes a run's table where the person reads it.
    fn print(&mut self, table: &str) -> io::Result<()> {
        table::print(table)
    }
}
