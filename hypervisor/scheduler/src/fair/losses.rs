//! Which LPs lose more of their time than others do.

use crate::topology::Topology;
use crate::units::{LpId, Nanos};

/// So many slices of an LP's time are remembered, older ones ever less.
const REMEMBERED: u64 = 128;

/// What one LP lost, in ns.
#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    /// Since somebody last looked for a better LP.
    recent: u64,
    /// Of the time remembered.
    lost: u64,
    /// The time remembered: lost, or used.
    busy: u64,
}

impl Loss {
    fn pass(&mut self, span: u64, slice: Nanos) {
        self.busy += span;
        if self.busy > REMEMBERED.saturating_mul(slice.0) {
            self.busy /= 2;
            self.lost /= 2;
        }
    }

    /// Whether `times` the part of its time that it loses is less than what `other` loses of its own.
    fn is_below(&self, other: &Loss, times: u128) -> bool {
        let of_busy = |lost: u64, busy: u64| u128::from(lost) * u128::from(busy.max(1));
        times * of_busy(self.lost, other.busy) < of_busy(other.lost, self.busy)
    }
}

/// What each LP lost.
#[derive(Debug)]
pub(super) struct Losses {
    slice: Nanos,
    of: Vec<Loss>,
    /// Sum of what they lost recently.
    recent: u64,
}

impl Losses {
    pub(super) fn new(topology: &Topology, slice: Nanos) -> Losses {
        Losses {
            slice,
            of: vec![Loss::default(); topology.lps() as usize],
            recent: 0,
        }
    }

    pub(super) fn lost(&mut self, lp: LpId, span: Nanos) {
        let loss = &mut self.of[lp.index()];
        loss.recent += span.0;
        loss.lost += span.0;
        loss.pass(span.0, self.slice);
        self.recent += span.0;
    }

    pub(super) fn used(&mut self, lp: LpId, span: Nanos) {
        self.of[lp.index()].pass(span.0, self.slice);
    }

    /// Where `lp`, one of so many LPs, has lost half a slice more than their
    /// average, that of `others` which loses least, if less than half as much.
    pub(super) fn better_than(
        &mut self,
        lp: LpId,
        lps: usize,
        others: impl Iterator<Item = LpId>,
    ) -> Option<LpId> {
        let own = self.of[lp.index()];
        if own.recent < self.recent / lps.max(1) as u64 + self.slice.0 / 2 {
            return None;
        }
        for loss in &mut self.of {
            loss.recent = 0;
        }
        self.recent = 0;
        let loss = |lp: LpId| &self.of[lp.index()];
        let least = others.reduce(|best, lp| match loss(lp).is_below(loss(best), 1) {
            true => lp,
            false => best,
        });
        least.filter(|&least| loss(least).is_below(&own, 2))
    }
}
