//! The accounts of VPs: what each is owed and asks for, where it waits, and how it changes class.

use super::losses::Mark;
use super::{CAP_DEPTH, Fair, Fixed, fixed, whole};
use crate::machine::Machine;
use crate::policy::Policy;
use crate::units::{LpId, Nanos, VpId};

/// One VP's account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    /// The class it belongs to, or will when it joins.
    pub(super) class: u32,
    /// In the solve.
    pub(super) joined: bool,
    /// While in the solve: what it received, on the scale of its class's fluid
    /// service, so that lag = fluid − received. Otherwise: the lag it comes back with.
    pub(super) balance: Fixed,
    /// The LP in whose queue it waits.
    pub(super) queued: Option<LpId>,
    /// Asleep, and in the solve until its lag has risen to zero: at home there.
    pub(super) lingering: Option<LpId>,
    /// CPU time since it last slept, its dispatch in progress left out.
    pub(super) burst: Fixed,
    /// What it asks for at a time: a slice, or as much as it used before it last slept, where that was less.
    pub(super) request: Fixed,
    /// Its last dispatch ended because it was spinning.
    pub(super) spinning: bool,
    /// When it began to run it was ahead, and its cap was what it was due, or nobody else waited.
    pub(super) ahead: bool,
    /// Where it runs, or ran last, and what had been lost when it came there.
    pub(super) came: Mark,
}

impl Account {
    /// Whether a VP with this lag may run ahead of others for what it asks for: it is behind, or
    /// ahead by less than half of that. A loss while it slept must not cost it its turn.
    pub(super) fn is_due(&self, lag: Fixed) -> bool {
        lag >= -self.request / 2
    }
}

impl Fair {
    /// Whether its rate is a whole LP, so that it can make up for nothing that it misses, and it is not ahead of that.
    pub(super) fn is_due_an_lp(&self, now: Nanos, vp: VpId, machine: &Machine) -> bool {
        self.classes.is_due_an_lp(self.accounts[vp.index()].class)
            && self
                .lag(now, vp, machine)
                .is_none_or(|lag| lag >= -whole(self.slice))
    }

    /// Whether `vp`, which is Ready, is behind `running` by more than a slice; or is due, and has the end of what it
    /// asks for due before that has.
    pub(super) fn comes_before(
        &self,
        now: Nanos,
        vp: VpId,
        running: VpId,
        machine: &Machine,
    ) -> bool {
        let ahead = now.since(self.now);
        let (own, other) = (&self.accounts[vp.index()], &self.accounts[running.index()]);
        let fluid = |account: &Account| self.classes.fluid_after(account.class, ahead);
        let since = machine.running_since(running);
        let ran = since.map_or(0, |since| fixed(now.since(since)));
        let (lag, behind) = (fluid(own) - own.balance, fluid(other) - other.balance - ran);
        if lag - behind > self.slice {
            return true;
        }
        if !own.is_due(lag) {
            return false;
        }
        let left = match other.request < self.slice {
            // It may have asked for the next as soon as it had the last.
            true => other.request - (other.burst + ran) % other.request,
            false => (self.slice - ran).max(0),
        };
        let rate = |account: &Account| Fixed::from(self.classes.rate(account.class));
        (own.request - lag).saturating_mul(rate(other)) < (left - behind).saturating_mul(rate(own))
    }

    /// What a cap's bucket holds.
    pub(super) fn bucket(&self) -> Fixed {
        self.slice * Fixed::from(CAP_DEPTH)
    }

    /// Nobody is behind or ahead by more than a slice any more. What is left over is everybody's.
    pub(super) fn settle(&mut self, machine: &Machine) {
        self.owed.clear();
        let excess = |vp: VpId| {
            let account = &self.accounts[vp.index()];
            let counts = account.joined && account.lingering.is_none();
            let since = machine.running_since(vp).unwrap_or(self.now);
            let lag = self.settled_lag(account) - fixed(self.now.since(since));
            counts.then(|| (vp, lag - lag.clamp(-self.slice, self.slice)))
        };
        let vps = (0..self.accounts.len() as u32).map(VpId);
        let all: Vec<(VpId, Fixed)> = vps.filter_map(excess).collect();
        for (vp, excess) in all.into_iter().filter(|(_, excess)| *excess != 0) {
            self.off_queue(vp, machine, |fair| {
                fair.accounts[vp.index()].balance += excess;
            });
            let class = self.accounts[vp.index()].class;
            self.classes.shrink_class(class, -excess);
        }
    }

    /// What a VP in the solve is owed beyond `most` goes to those that it competes with.
    pub(super) fn cut(&mut self, vp: VpId, most: Fixed) {
        let account = self.accounts[vp.index()];
        let excess = self.settled_lag(&account) - most;
        if account.joined && excess > 0 {
            self.accounts[vp.index()].balance += excess;
            self.classes.shrink_class(account.class, -excess);
        }
    }

    pub(super) fn enqueue(&mut self, vp: VpId, machine: &Machine) {
        let home = machine.vp(vp).home;
        let account = &mut self.accounts[vp.index()];
        account.queued = Some(home);
        let lag = self.classes.fluid(account.class) - account.balance;
        let ceiling = self.classes.ceiling(account.class, lag);
        self.queues
            .insert(home, account.class, account.balance, vp, ceiling);
    }

    /// Changes the account of a VP, by which it stands in a queue if it waits.
    pub(super) fn off_queue(
        &mut self,
        vp: VpId,
        machine: &Machine,
        change: impl FnOnce(&mut Fair),
    ) {
        let queued = self.accounts[vp.index()].queued.is_some();
        self.unready(self.now, vp, machine);
        change(self);
        if queued {
            self.enqueue(vp, machine);
        }
    }

    /// Whether rates depend on it: it is in the solve, under another class.
    pub(super) fn change_class(&mut self, vp: VpId, class: u32, machine: &Machine) -> bool {
        let account = self.accounts[vp.index()];
        if account.class == class {
            return false;
        }
        self.stop_lingering(vp);
        self.off_queue(vp, machine, |fair| {
            if account.joined {
                let lag = fair.settled_lag(&account);
                fair.classes.count(account.class, -1);
                fair.classes.count(class, 1);
                fair.accounts[vp.index()].balance = fair.classes.fluid(class) - lag;
            }
            fair.accounts[vp.index()].class = class;
        });
        if account.lingering.is_some() {
            let balance = self.accounts[vp.index()].balance;
            self.accounts[vp.index()].lingering = account.lingering;
            self.classes.linger(class, balance, vp);
        }
        account.joined
    }
}
