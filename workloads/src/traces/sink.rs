//! What is made of a trace while it is read: VMs in memory, a summary, a file.

use super::model::{Burst, Interval, TracedControls};

/// What is made of a trace as it is read. VMs are numbered from 0 in the order in which they come.
pub(super) trait Sink {
    /// A VM that is selected has come up.
    fn vm(&mut self, vm: usize, id: &[u8], facts: Facts);

    /// A VM has more VPs than were known so far.
    fn vps(&mut self, vm: usize, vps: u32);

    /// Mean demand, of the selected time.
    fn mean(&mut self, vm: usize, interval: Interval);

    /// A piece of work, of the selected time.
    fn burst(&mut self, vm: usize, burst: Burst);

    /// Whether it is of no use to go on.
    fn has_failed(&self) -> bool {
        false
    }
}

/// What is known of a VM when it comes up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) vps: u32,
    pub(super) controls: TracedControls,
}
