//! Shares by weight, reserve and cap: absolute rates from one solve, EEVDF on these rates.
//!
//! In the fluid ideal a runnable VP receives what its rate gives, less its part
//! of what the LPs lost (overhead, root, neighbours, steal); see `solving.rs`. A
//! VP's lag is that ideal less what it received. Without the loss term each VP
//! would be promised time that no LP had to give, and lag would drift for ever.
//!
//! VPs with equal claims form a class: they have one φ and one fluid service,
//! so that a VP's own account is a constant while it waits, a class's VPs wait
//! in an order that no re-solve changes, and a re-solve touches classes only.

mod accounts;
mod at_home;
mod classes;
mod component;
mod heads;
mod losses;
mod pick;
mod queues;
mod solving;

use crate::caps::DEPTH as CAP_DEPTH;
use crate::machine::{Config, Machine, VpState};
use crate::policy::{Leave, Policy};
use crate::rates::{ONE, RATE_BITS};
use crate::topology::Topology;
use crate::units::{LpId, Nanos, VpId};
use accounts::Account;
use classes::Classes;
use losses::Losses;
use queues::Queues;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// No request counts as less than this part of a slice.
const SHORTEST_REQUEST: Fixed = 64;

/// By how many slices a VP must be further behind than another for a third one to be moved for it.
const MOVE_MARGIN: Fixed = 2;

/// Nanoseconds with [`RATE_BITS`] bits after the binary point.
type Fixed = i128;

fn fixed(span: Nanos) -> Fixed {
    // 2^60 ns are 36 years: keeps every product below 2^127.
    Fixed::from(span.0.min(1 << 60)) << RATE_BITS
}

/// Whole nanoseconds, for people.
fn whole(lag: Fixed) -> i64 {
    (lag >> RATE_BITS).clamp(Fixed::from(i64::MIN), Fixed::from(i64::MAX)) as i64
}

/// So many slices of lag a sleeper keeps at the most: as many as it may have to be behind before an LP takes it, so
/// that short sleepers are not kept waiting for a margin that they never reach.
fn kept(topology: &Topology) -> Fixed {
    match topology.nodes() {
        1 => 1,
        _ => 1 + pick::NODE_MARGIN,
    }
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Fair {
    /// The length of a request in the sense of EEVDF, and the lag beyond which a waiting VP is rescued.
    slice: Fixed,
    /// The most lag that a sleeper keeps.
    kept: Fixed,
    now: Nanos,
    classes: Classes,
    accounts: Vec<Account>,
    queues: Queues,
    losses: Losses,
    /// By LP, who has just moved away from it: it is not there for the LP's next choice.
    gone: Vec<Option<VpId>>,
    /// Whoever had all that it could use, and was behind by more than a bucket nevertheless.
    owed: BTreeSet<VpId>,
    /// By guest.
    members: Vec<Members>,
    /// Kept for its memory.
    looks: Vec<(Reverse<i64>, LpId)>,
}

/// A guest's VPs in the class that they belong to.
#[derive(Clone, Copy, Debug, Default)]
struct Members {
    vps: u32,
    class: u32,
}

impl Fair {
    pub(crate) fn new(config: &Config) -> Fair {
        Fair {
            slice: fixed(config.slice),
            kept: fixed(config.slice) * kept(&config.topology),
            now: Nanos::ZERO,
            classes: Classes::new(config),
            accounts: Vec::new(),
            queues: Queues::new(&config.topology, config.slice),
            losses: Losses::new(&config.topology, config.slice),
            gone: vec![None; config.topology.lps() as usize],
            owed: BTreeSet::new(),
            members: Vec::new(),
            looks: Vec::new(),
        }
    }

    /// Lag of a VP in the solve, its dispatch in progress left out.
    fn settled_lag(&self, account: &Account) -> Fixed {
        self.classes.fluid(account.class) - account.balance
    }

    /// Brings the fluid ideal up to `now`, and lets each sleeper that was ahead
    /// leave the solve at the moment at which it has paid: from then on the
    /// others' rates are higher, however late somebody looks.
    fn advance(&mut self, now: Nanos) {
        let mut span = fixed(now.since(self.now));
        self.now = self.now.max(now);
        if self.classes.lingerers > 0 {
            self.let_go();
            while span > 0
                && let Some(wait) = self.classes.next_to_leave(span)
            {
                self.classes.advance(wait);
                span -= wait;
                self.let_go();
            }
        }
        if span > 0 {
            self.classes.advance(span);
        }
    }

    /// Brings the rates up to date after the set of VPs or their claims has changed.
    fn resolve(&mut self) {
        self.classes.solve();
        let (tau, rate) = (self.classes.one_tau(), self.classes.highest_rise());
        self.queues.renew_ceilings(tau, rate);
    }

    /// VPs whose sleep began with a debt leave the solve once it is paid. What
    /// they were given beyond that belongs to those that remain, and may be all
    /// that another sleeper needs.
    fn let_go(&mut self) {
        loop {
            let mut left = Vec::new();
            while let Some((vp, class)) = self.classes.has_paid() {
                let account = &mut self.accounts[vp.index()];
                let excess = self.classes.fluid(class) - account.balance;
                let home = account.lingering.take();
                (account.joined, account.balance) = (false, 0);
                self.classes.remove_lingering(class, vp);
                self.classes.count(class, -1);
                left.extend(home.map(|home| (class, home, excess)));
            }
            if left.is_empty() {
                return;
            }
            self.resolve();
            for (class, home, excess) in left {
                self.classes.shrink_rest(class, home, -excess);
            }
        }
    }

    fn stop_lingering(&mut self, vp: VpId) {
        let account = &mut self.accounts[vp.index()];
        if account.lingering.take().is_some() {
            self.classes.remove_lingering(account.class, vp);
        }
    }
}

impl Policy for Fair {
    fn join(&mut self, now: Nanos, vps: &[VpId], _: &Machine) {
        self.advance(now);
        let mut joined = false;
        for &vp in vps {
            self.stop_lingering(vp);
            let account = &mut self.accounts[vp.index()];
            if account.joined {
                continue;
            }
            account.joined = true;
            account.balance = self.classes.fluid(account.class) - account.balance;
            self.classes.count(account.class, 1);
            joined = true;
        }
        if joined {
            self.resolve();
        }
    }

    /// Newcomers pay nothing of old debts: what was owed to those that could not use it is settled first.
    fn start(&mut self, now: Nanos, vps: &[VpId], machine: &Machine) {
        self.advance(now);
        if !vps.is_empty() && !self.owed.is_empty() {
            self.settle(machine);
        }
        self.join(now, vps, machine);
    }

    fn leave(&mut self, now: Nanos, vp: VpId, how: Leave, machine: &Machine) {
        self.advance(now);
        let account = &mut self.accounts[vp.index()];
        let burst = std::mem::take(&mut account.burst);
        account.request = match how {
            // One that was not served tells nothing.
            Leave::Sleeps if burst == 0 => account.request,
            Leave::Sleeps => burst.clamp(self.slice / SHORTEST_REQUEST, self.slice),
            Leave::Stops => self.slice,
        };
        let account = self.accounts[vp.index()];
        let lag = if account.joined {
            self.settled_lag(&account)
        } else {
            account.balance
        };
        if how == Leave::Sleeps && lag < 0 {
            self.accounts[vp.index()].lingering = Some(machine.vp(vp).home);
            self.classes.linger(account.class, account.balance, vp);
            return;
        }
        self.stop_lingering(vp);
        // A sleeper keeps what it is owed, up to a limit; a leaver keeps nothing.
        let kept = match how {
            Leave::Sleeps => lag.min(self.kept),
            Leave::Stops => 0,
        };
        let account = &mut self.accounts[vp.index()];
        account.balance = kept;
        if std::mem::take(&mut account.joined) {
            self.classes.count(account.class, -1);
        }
        let class = account.class;
        self.resolve();
        let home = machine.vp(vp).home;
        self.classes.shrink_rest(class, home, kept - lag);
    }

    fn ready(&mut self, now: Nanos, vp: VpId, machine: &Machine) {
        self.advance(now);
        self.enqueue(vp, machine);
    }

    fn unready(&mut self, _: Nanos, vp: VpId, _: &Machine) {
        let account = &mut self.accounts[vp.index()];
        if let Some(lp) = account.queued.take() {
            self.queues.remove(lp, account.class, account.balance, vp);
        }
    }

    fn changed(&mut self, now: Nanos, machine: &Machine) {
        self.advance(now);
        let mut stale = self.classes.set_online(machine);
        let fresh = Account {
            request: self.slice,
            ..Account::default()
        };
        self.accounts.resize(machine.vps.len(), fresh);
        for (id, guest) in machine.guests() {
            // Guests change class as a whole: their VPs take their lags along.
            if self.members.len() <= id.index() {
                self.members.push(Members::default());
            }
            let leaves = |vp: &VpId| !self.accounts[vp.index()].joined;
            if !guest.is_here() && guest.vps.iter().all(leaves) {
                let known = &mut self.members[id.index()];
                let vps = std::mem::take(&mut known.vps);
                // One that was not let in yet has no class.
                if vps > 0 {
                    self.classes.exit(known.class, vps);
                }
                continue;
            }
            let known = self.members[id.index()];
            if known.vps as usize == guest.vps.len() && self.classes.suits(known.class, guest) {
                continue;
            }
            let members = Members {
                vps: guest.vps.len() as u32,
                class: self.classes.of(id, guest),
            };
            self.classes.enter(members.class, members.vps);
            for &vp in &guest.vps {
                stale |= self.change_class(vp, members.class, machine);
            }
            self.members[id.index()] = members;
            self.classes.exit(known.class, known.vps);
        }
        if stale {
            self.resolve();
            // What was at a VP's expense under the old terms is not made up for under the new ones.
            for vp in std::mem::take(&mut self.owed) {
                self.off_queue(vp, machine, |fair| fair.cut(vp, fair.bucket()));
            }
        }
    }

    fn choose(&mut self, now: Nanos, lp: LpId, machine: &Machine) -> Option<VpId> {
        self.advance(now);
        let vp = self.best(lp, machine);
        self.gone[lp.index()] = None;
        vp
    }

    fn run(&mut self, now: Nanos, vp: VpId, lp: LpId, _: &Machine) {
        self.advance(now);
        let account = &mut self.accounts[vp.index()];
        account.spinning = false;
        if account.came.lp() != lp {
            account.came = self.losses.mark(lp);
        }
        if let Some(lp) = account.queued.take() {
            self.queues.remove(lp, account.class, account.balance, vp);
        }
        let (at_upper, _) = self.classes.limits(account.class);
        let ahead = self.classes.fluid(account.class) < account.balance;
        account.ahead = ahead && (at_upper || self.queues.are_empty());
    }

    fn charge(&mut self, now: Nanos, vp: VpId, ran: Nanos, machine: &Machine) {
        self.advance(now);
        let (slice, bucket) = (self.slice, self.bucket());
        self.losses.used(self.accounts[vp.index()].came.lp(), ran);
        let account = &mut self.accounts[vp.index()];
        account.balance += fixed(ran);
        account.burst += fixed(ran);
        if account.burst > slice {
            account.request = slice;
        }
        let lag = self.classes.fluid(account.class) - account.balance;
        // What a cap saved up while others ran may be spent while they sleep, or once that cap is what the VP is due. The
        // ideal knows no such savings: without this the account would sink for
        // ever, and the VP starve once somebody comes.
        let spent = account.ahead && machine.vp(vp).bucket.is_some() && lag < -bucket;
        match self.classes.limits(account.class) {
            // Where everybody has all that they can use nobody competes: what one
            // gets beyond its rate (a cap's saved tokens, a loss that others bore)
            // is taken from nobody, what it misses nobody has. Half a slice is
            // kept, to tell who is to give way when somebody comes.
            (_, true) => account.balance += lag - lag.clamp(-slice / 2, slice / 2),
            // A VP that has all it can use cannot catch up with what its LP lost
            // beyond its part of the loss. It is not made to give way to others when
            // theirs lose more instead, up to what is remembered of losses: stalls
            // that hit all LPs alike would all be at its expense.
            (true, false) if lag > bucket => {
                self.owed.insert(vp);
                self.cut(vp, slice * Fixed::from(losses::REMEMBERED));
            }
            _ if spent => account.balance += (lag + bucket).max(-slice),
            _ => {}
        }
    }

    /// A VP that is due all of an LP cannot make up for what the LP loses, and
    /// never waits for another LP to fetch it. Where it has lost too much more
    /// than others it changes places with who runs where less is lost.
    fn moves(&mut self, vp: VpId, machine: &Machine) -> Option<LpId> {
        let lp = machine.vp(vp).home;
        let account = &mut self.accounts[vp.index()];
        let due_an_lp = self.classes.is_due_an_lp(account.class);
        if due_an_lp && !self.losses.is_too_much(&account.came, self.classes.lps()) {
            return None;
        }
        account.came = self.losses.mark(lp);
        if !due_an_lp {
            return None;
        }
        let topology = &machine.config.topology;
        let others = topology.lps_of(topology.node_of(lp));
        let others = others.filter(|&other| other != lp && machine.may_run(vp, other));
        let next = self.losses.better_than(lp, others);
        self.gone[lp.index()] = next.map(|_| vp);
        next
    }

    fn lost(&mut self, now: Nanos, lp: LpId, span: Nanos) {
        self.advance(now);
        self.losses.lost(lp, span);
        if self.classes.lose(now, lp, span) {
            self.resolve();
        }
    }

    fn expected_loss(&self, lp: LpId) -> f64 {
        (ONE - self.classes.leaves(lp)) as f64 / ONE as f64
    }

    /// Lends lag inside one guest: the spinner's to the sibling that has waited
    /// longest and may hold the lock. Σ lag is unchanged: other guests pay nothing.
    fn spun(&mut self, now: Nanos, vp: VpId, machine: &Machine) {
        self.advance(now);
        self.accounts[vp.index()].spinning = true;
        let spinner = self.accounts[vp.index()];
        let lent = (self.settled_lag(&spinner) + self.slice).min(self.slice);
        let waiting_since = |&sibling: &VpId| match machine.vp(sibling).state {
            VpState::Ready { since } if !self.accounts[sibling.index()].spinning => Some(since),
            _ => None,
        };
        let preempted = machine
            .guest_of(vp)
            .vps
            .iter()
            .copied()
            .filter(|&sibling| sibling != vp)
            .filter_map(|sibling| Some((waiting_since(&sibling)?, sibling)))
            .min();
        if let Some((_, sibling)) = preempted
            && lent > 0
        {
            self.accounts[vp.index()].balance += lent;
            self.off_queue(sibling, machine, |fair| {
                fair.accounts[sibling.index()].balance -= lent;
            });
        }
    }

    fn lag(&self, now: Nanos, vp: VpId, machine: &Machine) -> Option<i64> {
        let account = self.accounts.get(vp.index())?;
        if !account.joined {
            return Some(whole(account.balance));
        }
        let ahead = now.since(self.now);
        let fluid = self.classes.fluid_after(account.class, ahead);
        let running = machine
            .running_since(vp)
            .map_or(0, |since| fixed(now.since(since)));
        Some(whole(fluid - account.balance - running))
    }

    fn urgency(&self, now: Nanos, vp: VpId, machine: &Machine) -> Option<i64> {
        self.lag(now, vp, machine)
    }

    /// One that is due all of an LP loses no turn where others can be moved.
    fn preempts(&self, now: Nanos, vp: VpId, running: VpId, machine: &Machine) -> bool {
        if machine.restricted && self.is_due_an_lp(now, running, machine) {
            return false;
        }
        self.comes_before(now, vp, running, machine)
    }

    /// One that asks for less than a slice waits for no whole slices of others once it is due.
    fn preempts_in(&self, now: Nanos, vp: VpId, _: &Machine) -> Option<Nanos> {
        let account = &self.accounts[vp.index()];
        let rate = self.classes.rate(account.class);
        if account.request >= self.slice || rate == 0 {
            return None;
        }
        let ahead = now.since(self.now);
        let lag = self.classes.fluid_after(account.class, ahead) - account.balance;
        let missing = (-account.request / 2 - lag).max(0);
        let wait = missing / Fixed::from(rate) + 1;
        (missing > 0).then(|| Nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// Whoever competes for `lp` comes before others; among equals a move must
    /// be worth it, since each takes the LP's time and the moved VP's.
    fn prefers_move(
        &self,
        now: Nanos,
        lp: LpId,
        waiting: VpId,
        direct: VpId,
        machine: &Machine,
    ) -> bool {
        let component = self.classes.component_of(lp);
        let class = |vp: VpId| self.accounts[vp.index()].class;
        let competes = |vp: VpId| self.classes.component(class(vp)) == component;
        if competes(waiting) != competes(direct) {
            return competes(waiting);
        }
        if self.is_due_an_lp(now, direct, machine) {
            return false;
        }
        let lag = |vp: VpId| self.lag(now, vp, machine).unwrap_or(0);
        lag(waiting).saturating_sub(lag(direct)) > whole(MOVE_MARGIN * self.slice)
    }
}

const _: () = assert!(ONE == 1 << RATE_BITS);
