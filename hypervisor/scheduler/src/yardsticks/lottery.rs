//! Lottery scheduling: Waldspurger and Weihl, "Lottery Scheduling: Flexible
//! Proportional-Share Resource Management", OSDI 1994.
//!
//! A VP holds as many tickets as its weight, and each pick draws one among the
//! tickets of the Ready VPs that may run on the LP. Who used only a part f of
//! its slice holds compensation tickets until it next runs: 1/f times its
//! tickets in all, so that it gets its share of the time and not of the draws.
//! Left out: ticket transfers, currencies beyond `weight-scope`, inflation.

use super::weights::weight;
use crate::machine::{Config, Machine};
use crate::policy::{Leave, Policy};
use crate::random::Random;
use crate::units::{LpId, Nanos, VpId};

/// The most by which compensation multiplies, so that 64 bits hold the tickets
/// of a million VPs. Who runs still less of its slices gets less than its share.
const MOST_COMPENSATION: u64 = 1_000;

/// Draws lots.
#[derive(Debug)]
pub(crate) struct Lottery {
    random: Random,
    slice: u64,
    /// By VP, what it used of its last slice, in ns; a whole slice where there was none.
    used: Vec<u64>,
}

impl Lottery {
    pub(crate) fn new(config: &Config) -> Lottery {
        Lottery {
            random: Random::new(config.seed),
            slice: config.slice.0,
            used: Vec::new(),
        }
    }

    fn tickets(&self, vp: VpId, machine: &Machine) -> u64 {
        let tickets = u128::from(weight(vp, machine)) * u128::from(self.slice);
        let used = u128::from(self.used[vp.index()]);
        u64::try_from(tickets / used).unwrap_or(u64::MAX)
    }
}

impl Policy for Lottery {
    fn join(&mut self, _: Nanos, _: &[VpId], _: &Machine) {}

    fn leave(&mut self, _: Nanos, vp: VpId, how: Leave, _: &Machine) {
        if how == Leave::Stops {
            self.used[vp.index()] = self.slice;
        }
    }

    fn ready(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    fn unready(&mut self, _: Nanos, _: VpId, _: &Machine) {}

    fn changed(&mut self, _: Nanos, machine: &Machine) {
        self.used.resize(machine.vps().count(), self.slice);
    }

    fn choose(&mut self, _: Nanos, lp: LpId, machine: &Machine) -> Option<VpId> {
        let all = machine
            .ready_for(lp)
            .map(|vp| self.tickets(vp, machine))
            .sum();
        let mut winner = self.random.below(all);
        machine.ready_for(lp).find(|&vp| {
            let tickets = self.tickets(vp, machine);
            let found = winner < tickets;
            winner = winner.saturating_sub(tickets);
            found
        })
    }

    fn charge(&mut self, _: Nanos, vp: VpId, ran: Nanos, _: &Machine) {
        let least = self.slice.div_ceil(MOST_COMPENSATION);
        self.used[vp.index()] = ran.0.clamp(least, self.slice);
    }

    fn lost(&mut self, _: Nanos, _: LpId, _: Nanos) {}

    fn spun(&mut self, _: Nanos, _: VpId, _: &Machine) {}
}
