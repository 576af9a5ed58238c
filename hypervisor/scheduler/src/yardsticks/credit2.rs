//! Like the credit2 scheduler of Xen (Dunlap 2009, `xen/common/sched/credit2.c`).
//!
//! A running VP burns credit at `highest weight / its weight` per ns, and the
//! highest credit runs next. When that one has none left, everyone gets the
//! same again, as often as brings that one above zero, and keeps little of what
//! it had. A VP that wakes preempts the one with the least credit.
//!
//! Unlike Xen's: one queue for all LPs (Xen: one per core or socket, balanced
//! by load, with some resistance against migration); a dispatch lasts a slice,
//! whoever overtakes in credit meanwhile; no bias against one that yields; no
//! minimum run before a preemption; caps by the scheduler's buckets. Xen's
//! constants suit its dispatches of 10 ms at the most; here they are multiples
//! of the slice.

use super::weights::{highest_weight, weight};
use crate::machine::{Config, Machine};
use crate::policy::{Leave, Policy};
use crate::units::{LpId, Nanos, VpId};

/// What everyone gets at a reset, in slices (Xen: 10 ms).
const INITIAL_SLICES: i64 = 10;

/// A part of the initial credit: the most that is kept over a reset (Xen: 0.5 of 10 ms).
const CARRIED_OVER: i64 = 20;

/// Picks the highest credit.
#[derive(Debug)]
pub(crate) struct Credit2 {
    /// In ns of CPU time at the highest weight.
    initial: i64,
    highest_weight: u64,
    credit: Vec<i64>,
}

impl Credit2 {
    pub(crate) fn new(config: &Config) -> Credit2 {
        let slice = i64::try_from(config.slice.0).unwrap_or(i64::MAX);
        Credit2 {
            initial: slice.saturating_mul(INITIAL_SLICES),
            highest_weight: 1,
            credit: Vec::new(),
        }
    }

    fn burnt(&self, vp: VpId, ran: Nanos, machine: &Machine) -> i64 {
        let burnt =
            u128::from(ran.0) * u128::from(self.highest_weight) / u128::from(weight(vp, machine));
        i64::try_from(burnt).unwrap_or(i64::MAX)
    }

    /// Everyone gets the same, so that `next`, the credit of who runs next, rises above zero.
    fn reset(&mut self, next: i64) {
        let times = 1 + next.saturating_neg() / self.initial;
        let most = self.initial.saturating_add(self.initial / CARRIED_OVER);
        for credit in &mut self.credit {
            *credit = credit
                .saturating_add(self.initial.saturating_mul(times))
                .min(most);
        }
    }
}

impl Policy for Credit2 {
    fn join(&mut self, _: Nanos, _: &[VpId], _: &Machine) {}

    fn leave(&mut self, _: Nanos, vp: VpId, how: Leave, _: &Machine) {
        if how == Leave::Stops {
            self.credit[vp.index()] = self.initial;
        }
    }

    fn ready(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    fn unready(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    fn changed(&mut self, _: Nanos, machine: &Machine) {
        self.credit.resize(machine.vps().count(), self.initial);
        self.highest_weight = highest_weight(machine);
    }

    fn choose(&mut self, _: Nanos, lp: LpId, machine: &Machine) -> Option<VpId> {
        machine
            .ready_for(lp)
            // The first of equals.
            .min_by_key(|vp| std::cmp::Reverse(self.credit[vp.index()]))
    }

    fn run(&mut self, _: Nanos, vp: VpId, _: LpId, _: &Machine) {
        let credit = self.credit[vp.index()];
        if credit <= 0 {
            self.reset(credit);
        }
    }

    fn charge(&mut self, _: Nanos, vp: VpId, ran: Nanos, machine: &Machine) {
        let burnt = self.burnt(vp, ran, machine);
        let credit = &mut self.credit[vp.index()];
        *credit = credit.saturating_sub(burnt);
    }

    fn lost(&mut self, _: Nanos, _: LpId, _: Nanos) {}

    fn spun(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    /// Its credit, what its dispatch in progress burns taken off.
    fn urgency(&self, now: Nanos, vp: VpId, machine: &Machine) -> Option<i64> {
        let running = machine
            .running_since(vp)
            .map_or(0, |since| self.burnt(vp, now.since(since), machine));
        Some(self.credit[vp.index()].saturating_sub(running))
    }
}
