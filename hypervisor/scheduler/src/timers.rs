//! What is to happen by itself, by the LP that wakes for it: ends of sleeps and of holds, and when a Ready VP may preempt.

use crate::units::{LpId, Nanos, VpId};
use std::collections::BTreeSet;

/// One queue per LP.
#[derive(Clone, Debug)]
pub(crate) struct Timers(Vec<BTreeSet<(Nanos, VpId)>>);

impl Timers {
    pub(crate) fn new(lps: u32) -> Timers {
        Timers(vec![BTreeSet::new(); lps as usize])
    }

    pub(crate) fn set(&mut self, lp: LpId, at: Nanos, vp: VpId) {
        self.0[lp.index()].insert((at, vp));
    }

    pub(crate) fn cancel(&mut self, lp: LpId, at: Nanos, vp: VpId) {
        self.0[lp.index()].remove(&(at, vp));
    }

    /// The next one of `lp`.
    pub(crate) fn next(&self, lp: LpId) -> Option<(Nanos, VpId)> {
        self.0[lp.index()].first().copied()
    }
}
