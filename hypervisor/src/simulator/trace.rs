//! A fingerprint of a run, and how much was done in it.

use apportion_scheduler::{LpId, Nanos, VpId};

/// What a simulated run did: equal for equal specs on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Dispatches begun.
    pub dispatches: u64,
    /// Calls of the scheduler that may change its state.
    pub calls: u64,
    /// FNV-1a (64 bits) over the decisions in their order: for each, when it
    /// was taken, counted from the run's start, and then which LP runs which
    /// VP. It takes a word of 64 bits where FNV-1a takes a byte.
    pub hash: u64,
}

impl Trace {
    pub(super) fn new() -> Trace {
        Trace {
            dispatches: 0,
            calls: 0,
            hash: 0xCBF2_9CE4_8422_2325,
        }
    }

    pub(super) fn decided(&mut self, since_start: Nanos, lp: LpId, vp: Option<VpId>) {
        let vp = vp.map_or(u32::MAX, |vp| vp.0);
        for word in [since_start.0, u64::from(lp.0) << 32 | u64::from(vp)] {
            self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}
