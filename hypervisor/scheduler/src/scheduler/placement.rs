//! Where VPs are at home, and which LP is called for one that is Ready.

use super::Scheduler;
use super::moves::Chain;
use crate::machine::{Guest, VpState};
use crate::units::{GuestId, LpId, Nanos, VpId};

impl Scheduler {
    /// The node for a guest of so many VPs: of those that can hold it, the one
    /// with the fewest VPs per LP; `None` where it fits on none.
    pub(super) fn node_for(&self, guest: &Guest, vps: u32) -> Option<u32> {
        let topology = &self.machine.config.topology;
        let usable = |node: u32| {
            topology
                .lps_of(node)
                .filter(|&lp| guest.may_use(lp) && !self.machine.lp(lp).offline)
        };
        let load = |node: u32| -> (u64, u64) {
            let placed = usable(node).map(|lp| u64::from(self.placed[lp.index()]));
            (placed.sum(), usable(node).count() as u64)
        };
        (0..topology.nodes())
            .filter(|&node| usable(node).count() >= vps as usize)
            .min_by(|&a, &b| {
                let ((in_a, lps_a), (in_b, lps_b)) = (load(a), load(b));
                (in_a * lps_b).cmp(&(in_b * lps_a))
            })
    }

    /// Of the LPs that a guest may use, on its node where it has one, the one with the fewest VPs.
    pub(super) fn emptiest_lp(&self, id: GuestId) -> LpId {
        let guest = self.machine.guest(id);
        let topology = &self.machine.config.topology;
        let usable = |lp: &LpId| guest.may_use(*lp) && !self.machine.lp(*lp).offline;
        let fewest = |lps: &mut dyn Iterator<Item = LpId>| {
            lps.filter(usable).min_by_key(|lp| self.placed[lp.index()])
        };
        guest
            .node
            .and_then(|node| fewest(&mut topology.lps_of(node)))
            .or_else(|| fewest(&mut self.machine.online()))
            // Admission leaves every guest an LP; one that is not there needs none.
            .unwrap_or(LpId(0))
    }

    pub(super) fn set_home(&mut self, vp: VpId, lp: LpId) {
        let before = std::mem::replace(&mut self.machine.vps[vp.index()].home, lp);
        if self.machine.guest_of(vp).is_here() {
            self.placed[before.index()] -= 1;
            self.placed[lp.index()] += 1;
        }
    }

    /// Gives a VP another home where its own may not be used any more: LPs go off line, affinities change.
    pub(super) fn rehome(&mut self, now: Nanos, vp: VpId) {
        if let Some(expected) = self.machine.vp(vp).expected
            && !self.machine.may_run(vp, expected)
        {
            self.comes_not(vp);
        }
        let home = self.machine.vp(vp).home;
        if self.machine.may_run(vp, home) {
            return;
        }
        let state = self.machine.vp(vp).state;
        if let VpState::Ready { .. } = state {
            self.policy.unready(now, vp, &self.machine);
        }
        let next = self.emptiest_lp(self.machine.vp(vp).guest);
        self.set_home(vp, next);
        match state {
            VpState::Ready { .. } => {
                self.cancel_timer(vp);
                self.policy.ready(now, vp, &self.machine);
                self.place(now, vp);
            }
            VpState::Running { lp, .. } => self.call(lp),
            VpState::Held { until } | VpState::Sleeping { until: Some(until) } => {
                self.cancel_timer(vp);
                self.set_timer(vp, until);
            }
            VpState::Sleeping { until: None } | VpState::Suspended => {}
        }
    }

    /// Finds an LP for a VP that has become Ready: an idle one, or one whose VP it outranks.
    pub(super) fn place(&mut self, now: Nanos, vp: VpId) {
        if self.machine.vp(vp).expected.is_some() || self.place_on_idle(vp) {
            return;
        }
        let placed = if self.machine.restricted {
            self.place_by_moves(now, vp)
        } else {
            self.preempt_for(now, vp)
        };
        if !placed {
            self.look_again(now, vp);
        }
    }

    /// Finds an LP for a VP that is Ready once it may preempt others, if it is to wait for no whole slices.
    pub(super) fn look_again(&mut self, now: Nanos, vp: VpId) {
        if let Some(wait) = self.policy.preempts_in(now, vp, &self.machine) {
            self.cancel_timer(vp);
            self.set_timer(vp, now + wait);
        }
    }

    /// Calls its home if that is idle, or another idle LP, those of its node first.
    pub(super) fn place_on_idle(&mut self, vp: VpId) -> bool {
        if self.idle == 0 {
            return false;
        }
        let home = self.machine.vp(vp).home;
        let topology = &self.machine.config.topology;
        let idle = |lp: &LpId| self.machine.lp(*lp).idle && self.machine.may_run(vp, *lp);
        let found = Some(home)
            .filter(idle)
            .or_else(|| topology.lps_of(topology.node_of(home)).find(idle))
            .or_else(|| self.machine.online().find(idle));
        if let Some(lp) = found {
            self.call_for(lp, vp);
        }
        found.is_some()
    }

    /// Of the LPs of its node whose VPs it preempts, calls the one whose VP is outranked most.
    fn preempt_for(&mut self, now: Nanos, vp: VpId) -> bool {
        let home = self.machine.vp(vp).home;
        let topology = &self.machine.config.topology;
        let least = topology
            .lps_of(topology.node_of(home))
            .filter(|&lp| self.machine.may_run(vp, lp) && !self.machine.lp(lp).called)
            .filter_map(|lp| {
                let running = self.machine.lp(lp).running?;
                let other = self.policy.urgency(now, running, &self.machine)?;
                let preempts = self.policy.preempts(now, vp, running, &self.machine);
                preempts.then_some((other, lp))
            })
            // Among equals its home, so that it stays there.
            .min_by_key(|&(other, lp)| (other, lp != home, lp));
        if let Some((_, lp)) = least {
            self.call_for(lp, vp);
        }
        least.is_some()
    }

    /// Of the LPs to which it gets, by moves of others where need be, takes an
    /// idle one, or that whose VP is outranked most, if it preempts that.
    fn place_by_moves(&mut self, now: Nanos, vp: VpId) -> bool {
        let home = self.machine.vp(vp).home;
        let slice = i64::try_from(self.slice().0).unwrap_or(i64::MAX);
        let mut least = None;
        for chain in self.chains_from(vp) {
            let Some(&(_, lp)) = chain.last() else {
                continue;
            };
            let entry = self.machine.lp(lp);
            if entry.idle {
                self.make_way_and_call(&chain);
                return true;
            }
            let Some(running) = entry.running.filter(|_| !entry.called) else {
                continue;
            };
            let Some(urgency) = self.policy.urgency(now, running, &self.machine) else {
                continue;
            };
            if !self.policy.preempts(now, vp, running, &self.machine) {
                continue;
            }
            // A move must be worth a slice. Among equals the fewest moves, and its home.
            let cost = if chain.len() > 1 { slice } else { 0 };
            let key = (urgency.saturating_add(cost), chain.len(), lp != home, lp);
            if least.as_ref().is_none_or(|(least, _)| key < *least) {
                least = Some((key, chain));
            }
        }
        if let Some((_, chain)) = &least {
            self.make_way_and_call(chain);
        }
        least.is_some()
    }

    /// The LP at the end of a chain decides anew; if others have to move, it expects the last of them.
    fn make_way_and_call(&mut self, chain: &Chain) {
        if chain.len() > 1 {
            self.make_way(chain);
        }
        if let Some(&(vp, lp)) = chain.last() {
            self.call_for(lp, vp);
        }
    }

    /// Finds idle LPs for the VPs for which `lp` was called and which it did not take. They preempt nobody
    /// again: one that does not come first where it was called for it would not elsewhere, for ever.
    pub(super) fn place_called_for(&mut self, lp: LpId) {
        if self.machine.lps[lp.index()].called_for.is_empty() {
            return;
        }
        for vp in std::mem::take(&mut self.machine.lps[lp.index()].called_for) {
            if self.is_ready(vp) {
                self.place_on_idle(vp);
            }
        }
    }

    pub(super) fn is_ready(&self, vp: VpId) -> bool {
        matches!(self.machine.vp(vp).state, VpState::Ready { .. })
    }

    /// `lp` has to decide anew, for the sake of `vp`.
    fn call_for(&mut self, lp: LpId, vp: VpId) {
        self.call(lp);
        self.machine.lps[lp.index()].called_for.push(vp);
    }

    /// `lp` has to decide anew.
    pub(super) fn call(&mut self, lp: LpId) {
        self.not_idle(lp);
        let entry = &mut self.machine.lps[lp.index()];
        if !entry.called {
            entry.called = true;
            self.calls.push(lp);
        }
    }

    pub(super) fn not_idle(&mut self, lp: LpId) {
        let idle = &mut self.machine.lps[lp.index()].idle;
        self.idle -= usize::from(*idle);
        *idle = false;
    }
}
