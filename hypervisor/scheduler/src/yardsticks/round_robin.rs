//! One slice each in turn, weights ignored: the default that Hyper-V is held against.

use crate::machine::Machine;
use crate::policy::{Leave, Policy};
use crate::units::{LpId, Nanos, VpId};

/// Picks the VP whose last dispatch began longest ago.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// Dispatches so far.
    dispatches: u64,
    /// By VP, the number of its last dispatch.
    last: Vec<u64>,
}

impl Policy for RoundRobin {
    fn join(&mut self, _: Nanos, _: &[VpId], _: &Machine) {}

    fn leave(&mut self, _: Nanos, _: VpId, _: Leave, _: &Machine) {}

    fn ready(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    fn unready(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    fn changed(&mut self, _: Nanos, machine: &Machine) {
        self.last.resize(machine.vps().count(), 0);
    }

    fn choose(&mut self, _: Nanos, lp: LpId, machine: &Machine) -> Option<VpId> {
        machine.ready_for(lp).min_by_key(|vp| self.last[vp.index()])
    }

    fn run(&mut self, _: Nanos, vp: VpId, _: LpId, _: &Machine) {
        self.dispatches += 1;
        self.last[vp.index()] = self.dispatches;
    }

    fn charge(&mut self, _: Nanos, _: VpId, _: Nanos, _: &Machine) {}

    fn lost(&mut self, _: Nanos, _: LpId, _: Nanos) {}

    fn spun(&mut self, _: Nanos, _: VpId, _: &Machine) {}
}
