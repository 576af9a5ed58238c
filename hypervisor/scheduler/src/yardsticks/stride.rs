//! Stride scheduling: Waldspurger and Weihl, "Stride Scheduling: Deterministic
//! Proportional-Share Resource Management", MIT/LCS/TM-528, 1995.
//!
//! A VP's pass grows by `stride1·ran/weight`, the global pass by
//! `stride1·ran/Σ weight`; the lowest pass runs next. There is one queue for
//! all LPs. Who stops competing (it sleeps, or its cap holds it) keeps its
//! distance from the global pass, the paper's `remain`, and comes back with it.
//! A new VP starts at the global pass, where the paper gives it a stride more.
//! Where weights are the guests', a VP's part is looked at when it becomes Ready.
//!
//! Left out, because the paper knows one processor: weights worth more than
//! one LP. Such a VP's pass falls behind all others', and the global pass runs
//! slower than theirs (Chandra and others, "Surplus Fair Scheduling", OSDI 2000).

use super::weights::weight;
use crate::machine::Machine;
use crate::policy::{Leave, Policy};
use crate::units::{LpId, Nanos, VpId};

/// Bits after the binary point of a pass in ns per unit of a weight.
const STRIDE1_BITS: u32 = 40;

/// How far `ran` of CPU time carries the pass of one with this weight, or of several with this sum of weights.
fn advance(ran: Nanos, weight: u64) -> i128 {
    (i128::from(ran.0) << STRIDE1_BITS) / i128::from(weight.max(1))
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    /// While it competes: its pass. Otherwise: how far beyond the global pass it comes back.
    pass: i128,
    /// What it competes with; 0 while it does not.
    weight: u64,
}

/// Picks the lowest pass.
#[derive(Debug, Default)]
pub(crate) struct Stride {
    global_pass: i128,
    /// Σ weight of those that compete: the Ready and the Running.
    weights: u64,
    clients: Vec<Client>,
}

impl Stride {
    fn enter(&mut self, vp: VpId, machine: &Machine) {
        let client = &mut self.clients[vp.index()];
        client.pass += self.global_pass;
        client.weight = weight(vp, machine);
        self.weights += client.weight;
    }

    fn exit(&mut self, vp: VpId) {
        let client = &mut self.clients[vp.index()];
        client.pass -= self.global_pass;
        self.weights -= std::mem::take(&mut client.weight);
    }
}

impl Policy for Stride {
    fn join(&mut self, _: Nanos, _: &[VpId], _: &Machine) {}

    fn leave(&mut self, _: Nanos, vp: VpId, how: Leave, _: &Machine) {
        if how == Leave::Stops {
            self.clients[vp.index()].pass = 0;
        }
    }

    fn ready(&mut self, _: Nanos, vp: VpId, machine: &Machine) {
        self.enter(vp, machine);
    }

    fn unready(&mut self, _: Nanos, vp: VpId, _: &Machine) {
        self.exit(vp);
    }

    /// A changed weight changes the distance from the global pass by the inverse ratio, as in the paper.
    fn changed(&mut self, _: Nanos, machine: &Machine) {
        self.clients
            .resize(machine.vps().count(), Client::default());
        for (vp, _) in machine.vps() {
            let client = &mut self.clients[vp.index()];
            if client.weight == 0 {
                continue;
            }
            let new = weight(vp, machine);
            let remain = client.pass - self.global_pass;
            client.pass = self.global_pass
                + remain.saturating_mul(i128::from(client.weight)) / i128::from(new);
            self.weights = self.weights - client.weight + new;
            client.weight = new;
        }
    }

    fn choose(&mut self, _: Nanos, lp: LpId, machine: &Machine) -> Option<VpId> {
        machine
            .ready_for(lp)
            .min_by_key(|vp| self.clients[vp.index()].pass)
    }

    fn charge(&mut self, _: Nanos, vp: VpId, ran: Nanos, _: &Machine) {
        self.global_pass += advance(ran, self.weights);
        let client = &mut self.clients[vp.index()];
        client.pass += advance(ran, client.weight);
        // Back at once, by `ready`, if it runs on.
        self.exit(vp);
    }

    fn lost(&mut self, _: Nanos, _: LpId, _: Nanos) {}

    fn spun(&mut self, _: Nanos, _: VpId, _: &Machine) {}
}
