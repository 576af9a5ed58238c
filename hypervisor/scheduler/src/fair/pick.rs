//! The choice: who runs next on an LP.

use super::at_home::AtHome;
use super::queues::{Ceiling, Queue};
use super::{Fair, Fixed};
use crate::machine::Machine;
use crate::rates::{RATE_BITS, Rate};
use crate::units::{LpId, VpId};
use std::cmp::{Ordering, Reverse};

/// How far behind a VP must be, in slices, before another NUMA node takes it
/// over. On its own node it need only be behind at all. The price of staying:
/// this much lag between nodes.
pub(super) const NODE_MARGIN: Fixed = 4;

/// The component whose VPs are looked at; all of them where there is one only.
pub(super) type Among = Option<u32>;

/// A Ready VP that may run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) vp: VpId,
    pub(super) lag: Fixed,
    pub(super) rate: Rate,
}

impl Candidate {
    /// EEVDF: the earlier virtual deadline (slice − lag)/φ first, compared without dividing.
    pub(super) fn by_deadline(&self, other: &Candidate, slice: Fixed) -> Ordering {
        let left = (slice - self.lag) * Fixed::from(other.rate);
        let right = (slice - other.lag) * Fixed::from(self.rate);
        left.cmp(&right).then(self.vp.cmp(&other.vp))
    }

    /// (slice − lag)/φ: how long it may wait for the end of its next slice.
    pub(super) fn deadline(&self, slice: Fixed) -> Fixed {
        ((slice - self.lag) << RATE_BITS) / Fixed::from(self.rate.max(1))
    }

    /// The more behind first.
    pub(super) fn by_lag(&self, other: &Candidate) -> Ordering {
        other.lag.cmp(&self.lag).then(self.vp.cmp(&other.vp))
    }
}

/// Replaces `best` by `candidate` where that is better.
pub(super) fn improve(
    best: &mut Option<Candidate>,
    candidate: Candidate,
    compare: impl Fn(&Candidate, &Candidate) -> Ordering,
) {
    if best.is_none_or(|best| compare(&candidate, &best) == Ordering::Less) {
        *best = Some(candidate);
    }
}

impl Fair {
    /// Whoever competes for the LP; where guests are bound to some LPs and none of those waits, whoever may run here.
    /// One of those that is due all of an LP comes first then: it can make up for no turn that it loses, and
    /// for others an LP is found by moving it.
    pub(super) fn best(&mut self, lp: LpId, machine: &Machine) -> Option<VpId> {
        let among = machine.restricted.then(|| self.classes.component_of(lp));
        if machine.restricted
            && let Some(found) = self.due_an_lp(lp, machine)
        {
            return Some(found);
        }
        let mut found = self.choose_among(among, lp, machine);
        if found.is_none() && machine.restricted {
            found = self.choose_among(None, lp, machine);
        }
        let mut chosen = found?;
        let here = machine.lp(lp);
        let asks_for_less = |vp: &&VpId| self.accounts[vp.index()].request < self.slice;
        let left = here.left.iter().filter(asks_for_less);
        for &vp in here.called_for.iter().chain(left) {
            if let Some(called) = self.called(vp, lp, machine)
                && self.is_due_before(&called, &chosen)
            {
                chosen = called;
            }
        }
        Some(chosen.vp)
    }

    /// Where there is room for all whoever is due first. Else whoever at home here is due all of an LP; then in
    /// this order, "behind" meaning a lag of zero or more:
    ///
    /// 0. waiting at another LP of the node and more than a slice behind, or on another node
    ///    and behind by more than the margin there, and in either case more than who comes next
    ///    here (the most behind: rescue). Were it not compared, a VP that is due all of an LP
    ///    would lose turns that it can never make up for to some that are less behind;
    /// 1. at home here and behind (the earliest deadline);
    /// 2. at home elsewhere on the node, and behind or less ahead than who is at home here, by
    ///    a slice (the most behind: pull). The other order lets VPs run ahead here while others
    ///    fall behind there. Where nobody is at home here: anybody;
    /// 3. on another node and less ahead than who is at home here, by the margin, or anybody;
    /// 4. at home here and ahead (the earliest deadline): work conservation.
    fn choose_among(&mut self, among: Among, lp: LpId, machine: &Machine) -> Option<Candidate> {
        if self.classes.is_saturated(lp) {
            return self.due_first(among, lp, machine);
        }
        let node = self.queues.node_of(lp);
        let margin = NODE_MARGIN * self.slice;
        let AtHome { whole, next } = self.at_home(among, lp, machine);
        if whole.is_some() {
            return whole;
        }
        let (behind, ahead) = match next {
            Some(next) if next.lag >= 0 => (Some(next), None),
            next => (None, next),
        };
        let next = behind.map_or(0, |behind| behind.lag);
        let late = self
            .most_behind(among, lp, node, next.max(self.slice), machine)
            .or_else(|| self.on_another_node(among, lp, next.max(margin), machine));
        if let Some(found) = late.or(behind) {
            return Some(found);
        }
        // What is at home here may be beaten by so much; where nothing is, by anything.
        let beaten = |by: Fixed| ahead.map_or(Fixed::MIN, |ahead| ahead.lag + by);
        let (pulled, fetched) = (beaten(self.slice).min(-1), beaten(margin));
        self.most_behind(among, lp, node, pulled, machine)
            .or_else(|| self.on_another_node(among, lp, fetched, machine))
            .or(ahead)
    }

    /// A VP for which `lp` was called, or that has just left it, where it can be its choice: what was lost since it was called, the call
    /// included, must not cost it its turn.
    fn called(&self, vp: VpId, lp: LpId, machine: &Machine) -> Option<Candidate> {
        let account = &self.accounts[vp.index()];
        let here = account.queued.is_some() && machine.may_run(vp, lp);
        let among = machine.restricted.then(|| self.classes.component_of(lp));
        let candidate = self.candidate(account.class, account.balance, vp);
        (here && self.is_among(among, account.class) && candidate.lag >= -account.request)
            .then_some(candidate)
    }

    /// Whether a candidate has the end of what it asks for due before another has, or is behind and the other is not.
    fn is_due_before(&self, candidate: &Candidate, other: &Candidate) -> bool {
        let request = |of: &Candidate| self.accounts[of.vp.index()].request;
        let left = (request(candidate) - candidate.lag).saturating_mul(Fixed::from(other.rate));
        let right = (request(other) - other.lag).saturating_mul(Fixed::from(candidate.rate));
        (candidate.lag >= 0 && other.lag < 0) || left < right
    }

    /// Of those that compete for `lp` and are due all of an LP, and not ahead of that, the one most behind, at home
    /// here or not.
    fn due_an_lp(&self, lp: LpId, machine: &Machine) -> Option<VpId> {
        let component = self.classes.component_of(lp);
        let mut best: Option<(Candidate, bool)> = None;
        for at in machine.online() {
            for (class, queue) in self.queues.at(at) {
                if !self.classes.is_due_an_lp(class) || self.classes.component(class) != component {
                    continue;
                }
                let Some((balance, vp)) = self.comes(queue, lp, machine) else {
                    continue;
                };
                let found = (self.candidate(class, balance, vp), at == lp);
                if found.0.lag < -self.slice {
                    continue;
                }
                let better = |best: (Candidate, bool)| {
                    found.1.cmp(&best.1).then(best.0.by_lag(&found.0)) == Ordering::Greater
                };
                if best.is_none_or(better) {
                    best = Some(found);
                }
            }
        }
        best.map(|(candidate, _)| candidate.vp)
    }

    /// Where there is room for all, everybody's deadline can be kept, whoever is ahead: the earliest first. To
    /// wait behind some that are due later would cost a VP with a high cap more than its bucket holds, for good.
    fn due_first(&self, among: Among, lp: LpId, machine: &Machine) -> Option<Candidate> {
        let topology = &machine.config.topology;
        let own = topology.node_of(lp);
        let mut best: Option<(Fixed, Candidate)> = None;
        let nodes = (0..topology.nodes()).filter(|&node| self.queues.on_node(node) > 0);
        for (node, at) in nodes.flat_map(|node| topology.lps_of(node).map(move |at| (node, at))) {
            // What a move costs, so that it is worth it.
            let cost = match node == own {
                _ if at == lp => 0,
                true => self.slice / 2,
                false => self.slice,
            };
            for (class, queue) in self.queues.at(at) {
                if !self.is_among(among, class) {
                    continue;
                }
                let Some((balance, vp)) = self.comes(queue, lp, machine) else {
                    continue;
                };
                let candidate = self.candidate(class, balance, vp);
                let due = candidate.deadline(self.slice) + cost;
                if best.is_none_or(|(first, best)| (due, vp) < (first, best.vp)) {
                    best = Some((due, candidate));
                }
            }
        }
        best.map(|(_, candidate)| candidate)
    }

    /// The most behind of a queue that may come to `lp`: all of a class may run there, or none.
    fn comes(&self, queue: &Queue, lp: LpId, machine: &Machine) -> Option<(Fixed, VpId)> {
        let (_, first) = queue.first()?;
        let stays = |&(_, vp): &(Fixed, VpId)| self.gone[lp.index()] != Some(vp);
        let mut may_run = queue.iter().filter(|_| machine.may_run(first, lp));
        may_run.find(stays)
    }

    pub(super) fn is_among(&self, among: Among, class: u32) -> bool {
        among.is_none_or(|component| self.classes.component(class) == component)
    }

    pub(super) fn candidate(&self, class: u32, balance: Fixed, vp: VpId) -> Candidate {
        Candidate {
            vp,
            lag: self.classes.fluid(class) - balance,
            rate: self.classes.rate(class),
        }
    }

    /// The most behind of those at home on other LPs of `node`, if by more than `threshold`.
    fn most_behind(
        &mut self,
        among: Among,
        lp: LpId,
        node: u32,
        threshold: Fixed,
        machine: &Machine,
    ) -> Option<Candidate> {
        if self.queues.on_node(node) == 0 {
            return None;
        }
        // What waits somewhere says little of what may run here.
        if machine.restricted {
            return self.most_behind_of_all(among, lp, node, threshold, machine);
        }
        let found = self.most_behind_by_ceilings(lp, node, threshold, machine);
        debug_assert!({
            let lag = |found: Option<Candidate>| found.map_or(threshold, |found| found.lag);
            let all = self.most_behind_of_all(among, lp, node, threshold, machine);
            let missed = (lag(all) - lag(found)) >> RATE_BITS;
            (0..=Fixed::from(Ceiling::ROUNDING)).contains(&missed)
        });
        found
    }

    /// By looking everywhere.
    fn most_behind_of_all(
        &self,
        among: Among,
        lp: LpId,
        node: u32,
        threshold: Fixed,
        machine: &Machine,
    ) -> Option<Candidate> {
        let mut best = None;
        let others = machine.config.topology.lps_of(node);
        for other in others.filter(|&other| other != lp) {
            self.scan(among, lp, other, threshold, &mut best, machine);
        }
        best
    }

    /// Best first: LPs are looked at from the highest ceiling down, which
    /// lowers theirs to what is there, until none is above what was found but
    /// for rounding.
    fn most_behind_by_ceilings(
        &mut self,
        lp: LpId,
        node: u32,
        threshold: Fixed,
        machine: &Machine,
    ) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        let topology = &machine.config.topology;
        let tau = self.classes.one_tau();
        // Where nobody can be so far behind yet nobody need look.
        let late = threshold >= self.slice;
        if late && !self.queues.may_be_behind_on(node, threshold, tau) {
            return None;
        }
        let mut looks = std::mem::take(&mut self.looks);
        let (queues, lowest) = (&self.queues, threshold >> RATE_BITS);
        looks.extend(
            topology
                .lps_of(node)
                .filter(|&other| {
                    other != lp && (!late || queues.may_be_behind(other, threshold, tau))
                })
                .map(|other| (Reverse(queues.ceiling(other).at(tau)), other))
                .filter(|(ceiling, _)| Fixed::from(ceiling.0) > lowest),
        );
        looks.sort_unstable();
        for (Reverse(ceiling), other) in looks.drain(..) {
            let highest = best.map_or(threshold, |best| best.lag) >> RATE_BITS;
            // Where nobody waits nothing can be had, whatever would do.
            let least = Fixed::from(i64::MIN);
            let highest = (highest + Fixed::from(Ceiling::ROUNDING)).max(least);
            if Fixed::from(ceiling) <= highest {
                break;
            }
            let ceiling = self.scan(None, lp, other, threshold, &mut best, machine);
            self.queues.set_ceiling(other, ceiling);
        }
        self.looks = looks;
        self.queues.renew_node(node, topology);
        best
    }

    /// Looks through what waits at `other`; its ceiling.
    fn scan(
        &self,
        among: Among,
        lp: LpId,
        other: LpId,
        threshold: Fixed,
        best: &mut Option<Candidate>,
        machine: &Machine,
    ) -> Ceiling {
        let mut ceiling = Ceiling::NOBODY;
        for (class, queue) in self.queues.at(other) {
            let Some((balance, first)) = queue.first() else {
                continue;
            };
            let head = self.candidate(class, balance, first);
            ceiling.raise(self.classes.ceiling(class, head.lag));
            // All of a class may run here, or none.
            if !self.is_among(among, class) || !machine.may_run(first, lp) {
                continue;
            }
            let comes = |&(_, vp): &(Fixed, VpId)| self.gone[lp.index()] != Some(vp);
            let Some((balance, vp)) = queue.iter().find(comes) else {
                continue;
            };
            let candidate = self.candidate(class, balance, vp);
            if candidate.lag > threshold {
                improve(best, candidate, Candidate::by_lag);
            }
        }
        ceiling
    }

    /// The most behind of those on other nodes, if by more than `threshold`.
    fn on_another_node(
        &mut self,
        among: Among,
        lp: LpId,
        threshold: Fixed,
        machine: &Machine,
    ) -> Option<Candidate> {
        let own = self.queues.node_of(lp);
        let mut best: Option<Candidate> = None;
        for node in (0..machine.config.topology.nodes()).filter(|&node| node != own) {
            let floor = best.map_or(threshold, |best| best.lag);
            let found = self.most_behind(among, lp, node, floor, machine);
            if let Some(found) = found {
                improve(&mut best, found, Candidate::by_lag);
            }
        }
        best
    }
}
