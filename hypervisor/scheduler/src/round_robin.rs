//! One slice each in turn, weights ignored: the default that Hyper-V is held against.

use crate::policy::Policy;
use crate::units::{LpId, Nanos, VpId};
use crate::vps::VpTable;

/// Picks the VP whose last dispatch began longest ago.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// Dispatches so far.
    dispatches: u64,
    /// By VP, the number of its last dispatch.
    last: Vec<u64>,
}

impl Policy for RoundRobin {
    fn changed(&mut self, _: Nanos, vps: &VpTable) {
        self.last.resize(vps.len(), 0);
    }

    fn pick(&mut self, _: Nanos, _: LpId, vps: &VpTable) -> Option<VpId> {
        let (vp, _) = vps.ready().min_by_key(|(vp, _)| self.last[vp.index()])?;
        self.dispatches += 1;
        self.last[vp.index()] = self.dispatches;
        Some(vp)
    }

    fn charge(&mut self, _: Nanos, _: VpId, _: Nanos) {}

    fn lost(&mut self, _: Nanos, _: LpId, _: Nanos) {}

    fn lag(&self, _: Nanos, _: VpId) -> Option<i64> {
        None
    }
}
