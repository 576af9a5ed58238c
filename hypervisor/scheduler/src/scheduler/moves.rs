//! Moves: running VPs change LPs so that one that is bound to some LPs can run.
//!
//! Where guests are bound, an LP may have nothing to do, or nothing that is due,
//! while somebody waits who may not use it. A VP that runs where that one may
//! run, and may itself use the LP, is moved then; it may take several moves, each
//! VP going where the next one was (an alternating path of a bipartite matching).
//! Each LP on the way expects its next VP, and waits for it where it comes later.

use super::Scheduler;
use crate::machine::{Guest, VpState};
use crate::units::{LpId, Nanos, VpId};
use std::collections::VecDeque;

/// Who goes where: first the VP that waits, each to the LP that the next one leaves.
pub(super) type Chain = Vec<(VpId, LpId)>;

impl Scheduler {
    /// The best chain by which `lp`, which runs nothing and would choose
    /// `direct`, comes to serve a VP that may not use it.
    pub(super) fn chain_to(&self, now: Nanos, lp: LpId, direct: Option<VpId>) -> Option<Chain> {
        let bound = |guest: &Guest| {
            guest.is_here() && !guest.may_use(lp) && guest.vps.iter().any(|&vp| self.waits(vp))
        };
        if !self.machine.guests().any(|(_, guest)| bound(guest)) {
            return None;
        }
        let next = self.leads_to(lp);
        let by_urgency = |vp: VpId| {
            // Without urgency: whoever has waited longest.
            let since = match self.machine.vp(vp).state {
                VpState::Ready { since } => since,
                _ => now,
            };
            let urgency = self.policy.urgency(now, vp, &self.machine);
            (urgency, std::cmp::Reverse(since), std::cmp::Reverse(vp))
        };
        let reaches = |vp: VpId| {
            next.iter()
                .find(|(from, _)| self.machine.may_run(vp, *from))
        };
        let mut best: Option<(VpId, LpId)> = None;
        for (_, guest) in self.machine.guests() {
            if !bound(guest) {
                continue;
            }
            let waiting = guest.vps.iter().copied();
            for vp in waiting.filter(|&vp| self.waits(vp)) {
                // All VPs of a guest reach the same LPs.
                let Some(&(from, _)) = reaches(vp) else { break };
                if best.is_none_or(|(best, _)| by_urgency(vp) > by_urgency(best)) {
                    best = Some((vp, from));
                }
            }
        }
        let (vp, mut at) = best?;
        let moves = |direct| self.policy.prefers_move(now, lp, vp, direct, &self.machine);
        if !direct.is_none_or(moves) {
            return None;
        }
        let mut chain = vec![(vp, at)];
        while let Some(&(_, to)) = next.iter().find(|(from, _)| *from == at) {
            let moved = self.machine.lp(at).running?;
            chain.push((moved, to));
            at = to;
        }
        Some(chain)
    }

    /// The LPs from which a running VP can get to `lp`, and where each of these goes next; the fewest moves first.
    fn leads_to(&self, lp: LpId) -> Vec<(LpId, LpId)> {
        let mut found: Vec<(LpId, LpId)> = Vec::new();
        let mut known = vec![false; self.machine.lps.len()];
        known[lp.index()] = true;
        let mut queue = VecDeque::from([lp]);
        while let Some(to) = queue.pop_front() {
            for from in self.machine.online() {
                if !known[from.index()]
                    && let Some(moved) = self.movable(from)
                    && self.machine.may_run(moved, to)
                {
                    known[from.index()] = true;
                    found.push((from, to));
                    queue.push_back(from);
                }
            }
        }
        found
    }

    /// The LPs to which `vp` can get by moves, with the chain to each; the fewest moves first.
    pub(super) fn chains_from(&self, vp: VpId) -> Vec<Chain> {
        let mut found: Vec<Chain> = Vec::new();
        let mut seen = vec![false; self.machine.lps.len()];
        let mut next = 0;
        let (mut moved, mut before) = (vp, Vec::new());
        loop {
            for to in self.machine.online() {
                if !seen[to.index()] && self.machine.may_run(moved, to) {
                    seen[to.index()] = true;
                    let mut chain = before.clone();
                    chain.push((moved, to));
                    found.push(chain);
                }
            }
            let onward = found[next..].iter().position(|chain| {
                let end = chain.last().map(|(_, lp)| *lp);
                end.is_some_and(|lp| self.movable(lp).is_some())
            });
            let Some(step) = onward else { return found };
            next += step + 1;
            before = found[next - 1].clone();
            let end = before.last().map(|(_, lp)| *lp);
            match end.and_then(|lp| self.movable(lp)) {
                Some(running) => moved = running,
                None => return found,
            }
        }
    }

    /// What runs on `lp`, where it may be called away for a move.
    fn movable(&self, lp: LpId) -> Option<VpId> {
        let entry = self.machine.lp(lp);
        let free = !entry.called && entry.expects.is_none();
        let vp = entry.running.filter(|_| free)?;
        let stays = matches!(
            self.machine.vp(vp).state,
            VpState::Running { leaving: false, .. }
        );
        stays.then_some(vp)
    }

    /// Whether `vp` is Ready and no LP expects it.
    fn waits(&self, vp: VpId) -> bool {
        self.is_ready(vp) && self.machine.vp(vp).expected.is_none()
    }

    /// Each LP of a chain expects its VP, and those that run another are called.
    pub(super) fn make_way(&mut self, chain: &Chain) {
        for &(vp, lp) in chain {
            self.machine.lps[lp.index()].expects = Some(vp);
            self.machine.vps[vp.index()].expected = Some(lp);
        }
        for &(_, lp) in chain {
            if self.machine.lp(lp).running.is_some() {
                self.call(lp);
            }
        }
    }

    /// The VP that `lp` expects, if it is still on its way.
    pub(super) fn expects(&mut self, lp: LpId) -> Option<VpId> {
        let vp = self.machine.lp(lp).expects?;
        let comes = match self.machine.vp(vp).state {
            VpState::Ready { .. } => true,
            VpState::Running { lp, leaving, .. } => !leaving && self.machine.lp(lp).called,
            _ => false,
        };
        if comes && self.machine.may_run(vp, lp) {
            return Some(vp);
        }
        self.no_longer_expects(lp);
        None
    }

    pub(super) fn no_longer_expects(&mut self, lp: LpId) {
        if let Some(vp) = self.machine.lps[lp.index()].expects.take() {
            self.machine.vps[vp.index()].expected = None;
        }
    }

    /// `vp` does not go where it was expected; the LP that waited for it decides anew.
    pub(super) fn comes_not(&mut self, vp: VpId) {
        if let Some(lp) = self.machine.vps[vp.index()].expected {
            self.no_longer_expects(lp);
            self.call(lp);
        }
    }

    /// Where an LP idles and somebody waits who gets there by moves, it decides anew.
    pub(super) fn call_for_moves(&mut self, now: Nanos) {
        let waits = |(vp, _)| self.waits(vp);
        if self.idle == 0 || !self.machine.restricted || !self.machine.vps().any(waits) {
            return;
        }
        let serves =
            |lp: &LpId| self.machine.lp(*lp).idle && self.chain_to(now, *lp, None).is_some();
        let found = self.machine.online().find(serves);
        if let Some(lp) = found {
            self.call(lp);
        }
    }
}
