//! The fluid ideal, a second time: another algorithm, another number type.
//!
//! Rates come from sorted breakpoints in floating point instead of Newton's
//! steps in fixed point, and every VP's lag is carried along by itself instead
//! of by classes. The rules of joining and leaving are those that the
//! scheduler documents. Where one of them turns on whether a lag has reached
//! zero, a difference within rounding is decided as the scheduler decided it.
//!
//! Error of the floating point: 2^-53 of at most 10^11 ns per step, so less
//! than 0.1 ns over 5,000 steps. What is allowed for is the scheduler's own
//! rounding: see [`Fluid::tolerance`].

use apportion_scheduler::{
    CAP_DEPTH_SLICES, Cap, Controls, GuestId, LpId, Nanos, ReserveModel, Scheduler, VpId, VpState,
    WeightScope,
};
use std::collections::BTreeSet;

/// What is kept of the lag of one that has all it can use, in slices.
const REMEMBERED: f64 = 128.0;

#[derive(Clone, Debug, Default)]
struct Account {
    guest: usize,
    joined: bool,
    lingering: bool,
    spinning: bool,
    /// When it was picked it was ahead, and had all that it can use, or nobody else waited; `None` where that hangs
    /// on rounding.
    ahead: Option<bool>,
    /// Owed in ns, a dispatch in progress left out.
    lag: f64,
}

/// What one VP of a guest claims and gets, in LPs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) count: f64,
    pub(crate) weight: f64,
    pub(crate) reserve: f64,
    pub(crate) upper: f64,
}

impl Claim {
    pub(crate) fn new(controls: &Controls, count: usize, scope: WeightScope) -> Claim {
        let weight = f64::from(controls.weight.get());
        // A part of a guest's weight has 16 bits after the point, by definition.
        let shared = (weight * 65536.0 / count.max(1) as f64).floor() / 65536.0;
        Claim {
            count: count as f64,
            weight: match scope {
                WeightScope::Vp => weight,
                WeightScope::Guest => shared,
            },
            reserve: controls.reserve.percent() / 100.0,
            upper: controls.cap.percent() / 100.0,
        }
    }

    pub(crate) fn at(&self, level: f64, model: ReserveModel) -> f64 {
        self.unbounded(level, model).clamp(self.reserve, self.upper)
    }

    fn unbounded(&self, level: f64, model: ReserveModel) -> f64 {
        match model {
            ReserveModel::Additive => self.reserve + level * self.weight,
            ReserveModel::Floor => level * self.weight,
        }
    }

    /// The levels between which its rate rises.
    fn rises(&self, model: ReserveModel) -> (f64, f64) {
        match model {
            ReserveModel::Additive => (0.0, (self.upper - self.reserve) / self.weight),
            ReserveModel::Floor => (self.reserve / self.weight, self.upper / self.weight),
        }
    }
}

/// How far back losses are made up for, in slices.
const MADE_UP: f64 = 128.0;

/// What the claims on some LPs come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    /// Of one VP of each claim.
    pub(crate) rates: Vec<f64>,
    /// Whether it has all it can use; `None` where that hangs on rounding.
    at_upper: Vec<Option<bool>>,
    /// All have.
    pub(crate) saturated: bool,
}

/// By walking up the sorted breakpoints.
pub(crate) fn share(lps: f64, claims: &[Claim], model: ReserveModel) -> Shares {
    let sum = |of: &dyn Fn(&Claim) -> f64| claims.iter().map(|c| c.count * of(c)).sum::<f64>();
    let (uppers, reserves) = (sum(&|c| c.upper), sum(&|c| c.reserve));
    // Controls come in parts of 10⁻⁵: sums differ by that or are equal.
    if uppers <= lps + 1e-7 {
        return Shares {
            rates: claims.iter().map(|c| c.upper).collect(),
            at_upper: vec![Some(true); claims.len()],
            // Where they take all there is no LP idles.
            saturated: uppers < lps - 1e-7,
        };
    }
    if reserves > lps + 1e-7 {
        return Shares {
            rates: claims.iter().map(|c| c.reserve * lps / reserves).collect(),
            at_upper: vec![Some(false); claims.len()],
            saturated: false,
        };
    }
    // (level, change of slope)
    let mut bends: Vec<(f64, f64)> = Vec::new();
    for claim in claims {
        let (from, to) = claim.rises(model);
        bends.push((from, claim.count * claim.weight));
        bends.push((to, -claim.count * claim.weight));
    }
    bends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut level, mut used, mut slope) = (0.0, reserves, 0.0);
    for (next, change) in bends {
        let needed = match slope > 0.0 {
            true => (lps - used) / slope,
            false => f64::INFINITY,
        };
        if level + needed <= next {
            level += needed;
            break;
        }
        used += slope * (next - level);
        level = next;
        slope += change;
    }
    let at_upper = |claim: &Claim| {
        // Where its reserve is all that it can use it has that at any level.
        let beyond = match claim.reserve < claim.upper {
            true => claim.unbounded(level, model) - claim.upper,
            false => 1.0,
        };
        (beyond.abs() > 1e-6).then_some(beyond > 0.0)
    };
    Shares {
        rates: claims.iter().map(|c| c.at(level, model)).collect(),
        at_upper: claims.iter().map(at_upper).collect(),
        saturated: false,
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bearing {
    rise: f64,
    part: f64,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Fluid {
    now: Nanos,
    began: Nanos,
    slice: f64,
    /// Those which had all they could use, and were owed more than a bucket.
    owed: BTreeSet<VpId>,
    /// Those that are on line.
    lps: Vec<LpId>,
    model: ReserveModel,
    scope: WeightScope,
    guests: Vec<Controls>,
    accounts: Vec<Account>,
    /// By guest.
    shares: Shares,
    /// By guest, what a VP's lag rises by, and the part that it bears of what is lost.
    bearing: Vec<Bearing>,
    /// Σ of what lags rise by.
    total: f64,
    /// What nobody bears of losses, since no lag rises faster than time: it is everybody's.
    unborne: f64,
    /// The part of its time that each LP is expected to lose.
    expected: Vec<f64>,
    /// What is got beyond reserves, and what was borne and not received since.
    surplus: f64,
    borne: f64,
    events: u64,
    undecided: bool,
}

impl Fluid {
    pub(crate) fn new(scheduler: &Scheduler, now: Nanos) -> Fluid {
        let config = scheduler.machine().config();
        Fluid {
            now,
            began: now,
            slice: config.slice.0 as f64,
            owed: BTreeSet::new(),
            lps: scheduler.machine().online().collect(),
            model: config.reserve_model,
            scope: config.weight_scope,
            guests: Vec::new(),
            accounts: Vec::new(),
            shares: Shares::default(),
            bearing: Vec::new(),
            total: 0.0,
            unborne: 0.0,
            expected: vec![0.0; config.topology.lps() as usize],
            surplus: 0.0,
            borne: 0.0,
            events: 0,
            undecided: false,
        }
    }

    /// What the scheduler's rounding may amount to, in ns: it keeps back a
    /// microsecond before it pays out, one step of λ is 4·10⁻⁸ of an LP, and
    /// each event rounds once.
    fn tolerance(&self) -> f64 {
        2_000.0 + 2e-7 * self.now.since(self.began).0 as f64 + 0.01 * self.events as f64
    }

    /// A rule turned on a tie that cannot be seen from outside, so that nothing was compared any more.
    pub(crate) fn gave_in(&self) -> bool {
        self.undecided
    }

    fn step(&mut self, span: f64) {
        for account in self.accounts.iter_mut().filter(|account| account.joined) {
            account.lag += self.bearing[account.guest].rise * span;
        }
        self.shrink(-self.unborne * self.expected_in_all() * span);
        let made_up = (self.surplus + self.expected_in_all()) * span;
        self.borne = (self.borne - made_up).max(0.0);
    }

    fn expected_in_all(&self) -> f64 {
        self.lps.iter().map(|lp| self.expected[lp.index()]).sum()
    }

    /// Sleepers that were ahead leave at the moment at which they have paid.
    /// What they were given beyond that is the others'. Whether it hung on
    /// rounding if one of them has paid by now.
    pub(crate) fn catch_up(&mut self, now: Nanos, scheduler: &Scheduler) -> bool {
        let mut span = now.since(self.now).0 as f64;
        self.now = self.now.max(now);
        self.events += 1;
        let mut tied = self.tied(span);
        while let Some((wait, leaving)) = self.next_to_leave(span, scheduler) {
            self.step(wait);
            span -= wait;
            let mut excess = 0.0;
            for vp in leaving {
                let account = &mut self.accounts[vp.index()];
                excess += std::mem::take(&mut account.lag);
                (account.joined, account.lingering) = (false, false);
            }
            self.solve();
            self.hand_on(-excess);
            tied |= self.tied(span);
        }
        self.step(span);
        tied
    }

    /// Who of the sleepers leaves next, within `span`, and when; those that should have left already go together.
    fn next_to_leave(&self, span: f64, scheduler: &Scheduler) -> Option<(f64, Vec<VpId>)> {
        let mut next: Option<(f64, Vec<VpId>)> = None;
        let each = (0..).map(VpId).zip(&self.accounts);
        for (vp, account) in each.filter(|(_, account)| account.lingering) {
            let rate = self.bearing[account.guest].rise;
            let end = account.lag + rate * span;
            let leaves = match scheduler.machine().vp(vp).state {
                VpState::Sleeping { .. } if end.abs() < self.tolerance() => {
                    scheduler.lag(self.now, vp) == Some(0)
                }
                _ => end >= 0.0,
            };
            if !leaves {
                continue;
            }
            let wait = (-account.lag / rate).clamp(0.0, span);
            match &mut next {
                Some((first, leaving)) if wait == *first && wait == 0.0 => leaving.push(vp),
                Some((first, _)) if wait >= *first => {}
                _ => next = Some((wait, vec![vp])),
            }
        }
        next
    }

    /// Whether it hangs on rounding if a sleeper will have paid after `span`.
    fn tied(&self, span: f64) -> bool {
        let mut lingering = self.accounts.iter().filter(|account| account.lingering);
        lingering.any(|account| {
            let end = account.lag + self.bearing[account.guest].rise * span;
            end.abs() < self.tolerance()
        })
    }

    /// What a cap's bucket holds.
    fn bucket(&self) -> f64 {
        self.slice * CAP_DEPTH_SLICES as f64
    }

    /// What one is owed beyond `most` goes to all, itself included. Whether that was anything.
    fn cut(&mut self, vp: VpId, most: f64) -> bool {
        let account = &mut self.accounts[vp.index()];
        let excess = account.lag - most;
        let cut = account.joined && excess > 0.0;
        if cut {
            account.lag = most;
            self.shrink(-excess);
        }
        cut
    }

    /// Takes time off the ideal of all in the solve, in proportion to what their lags rise by.
    fn shrink(&mut self, amount: f64) {
        if self.total <= 0.0 {
            return;
        }
        for account in self.accounts.iter_mut().filter(|account| account.joined) {
            account.lag -= amount * self.bearing[account.guest].rise / self.total;
        }
    }

    /// What somebody leaves goes to those that compete, if anybody does.
    fn hand_on(&mut self, amount: f64) {
        if !self.shares.saturated {
            self.shrink(amount);
        }
    }

    fn solve(&mut self) {
        let mut counts = vec![0; self.guests.len()];
        for account in self.accounts.iter().filter(|account| account.joined) {
            counts[account.guest] += 1;
        }
        let lps = self.lps.len() as f64;
        let whole = lps - self.expected_in_all();
        let ceiling = whole / lps;
        let claim = |(controls, count)| {
            let claim = Claim::new(controls, count, self.scope);
            Claim {
                reserve: claim.reserve.min(ceiling),
                upper: claim.upper.min(ceiling),
                ..claim
            }
        };
        let claims: Vec<Claim> = self.guests.iter().zip(counts).map(claim).collect();
        self.shares = share(whole, &claims, self.model);
        self.bear(&claims, lps, ceiling);
    }

    /// One that is due all of an LP bears what that loses, on average; the rest falls on those that get something
    /// beyond their reserves and can use more, in proportion to that.
    fn bear(&mut self, claims: &[Claim], lps: f64, ceiling: f64) {
        let shares = &self.shares;
        let each = || (0..).zip(claims);
        let at_upper = |guest: usize| shares.at_upper[guest] != Some(false);
        let is_whole = |guest: usize| at_upper(guest) && claims[guest].upper > ceiling - 1e-9;
        let by_weight =
            |guest: usize| !at_upper(guest) && shares.rates[guest] > claims[guest].reserve + 1e-9;
        let sum = |of: &dyn Fn(usize, &Claim) -> f64| -> f64 {
            each()
                .map(|(guest, claim)| claim.count * of(guest, claim))
                .sum()
        };
        let whole = sum(&|guest, _| f64::from(u8::from(is_whole(guest))));
        let received = sum(&|guest, _| shares.rates[guest]);
        self.surplus = sum(&|guest, claim| match by_weight(guest) {
            true => shares.rates[guest] - claim.reserve,
            false => 0.0,
        });
        let lost = self.expected_in_all();
        // As much as each can bear, the most burdened first.
        let most = |guest: usize| (1.0 - shares.rates[guest]).max(0.0) / lost.max(1e-12);
        let surplus = |guest: usize| shares.rates[guest] - claims[guest].reserve;
        let mut burdened: Vec<usize> = (0..claims.len())
            .filter(|&guest| claims[guest].count > 0.0 && by_weight(guest) && !is_whole(guest))
            .collect();
        let level = |guest: usize| most(guest) / surplus(guest);
        burdened.sort_by(|&a, &b| level(a).total_cmp(&level(b)));
        let mut by_surplus = vec![0.0; claims.len()];
        let (mut left, mut of) = ((1.0 - whole / lps).max(0.0), self.surplus);
        for guest in burdened {
            by_surplus[guest] = most(guest).min(left * surplus(guest) / of.max(1e-12));
            left -= by_surplus[guest] * claims[guest].count;
            of -= surplus(guest) * claims[guest].count;
        }
        let bearing = each().map(|(guest, claim)| {
            let part = if self.surplus == 0.0 && !shares.saturated {
                shares.rates[guest] / received.max(1e-12)
            } else if is_whole(guest) {
                1.0 / lps
            } else {
                by_surplus[guest]
            };
            (
                Bearing {
                    rise: shares.rates[guest] + part * lost,
                    part,
                },
                part * claim.count,
            )
        });
        let (bearing, parts): (Vec<Bearing>, Vec<f64>) = bearing.unzip();
        self.unborne = match shares.saturated {
            true => 0.0,
            false => (1.0 - parts.iter().sum::<f64>()).max(0.0),
        };
        self.bearing = bearing;
        self.total = each()
            .map(|(guest, claim)| self.bearing[guest].rise * claim.count)
            .sum();
    }

    /// Controls, guests, VPs or LPs are other ones now.
    pub(crate) fn changed(&mut self, now: Nanos, scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        let machine = scheduler.machine();
        let lps: Vec<LpId> = machine.online().collect();
        let before = (
            std::mem::replace(&mut self.lps, lps),
            std::mem::take(&mut self.guests),
        );
        self.guests = machine.guests().map(|(_, guest)| guest.controls).collect();
        let joined = self.accounts.iter().filter(|account| account.joined);
        let other = |account: &Account| self.guests[account.guest] != before.1[account.guest];
        let new_terms = self.lps != before.0 || joined.into_iter().any(other);
        for (vp, entry) in machine.vps().skip(self.accounts.len()) {
            debug_assert_eq!(vp.index(), self.accounts.len());
            self.accounts.push(Account {
                guest: entry.guest.index(),
                ..Account::default()
            });
        }
        self.solve();
        if new_terms {
            for vp in std::mem::take(&mut self.owed) {
                self.cut(vp, self.bucket());
            }
        }
    }

    /// Newcomers pay nothing of what others were owed.
    pub(crate) fn start(&mut self, now: Nanos, vps: &[VpId], scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        if !vps.is_empty() && !self.owed.is_empty() {
            self.owed.clear();
            let mut left_over = 0.0;
            for (vp, account) in (0..).map(VpId).zip(&mut self.accounts) {
                if !account.joined || account.lingering {
                    continue;
                }
                let running = match scheduler.machine().vp(vp).state {
                    VpState::Running { since, .. } => now.since(since).0 as f64,
                    _ => 0.0,
                };
                let lag = account.lag - running;
                let excess = lag - lag.clamp(-self.slice, self.slice);
                account.lag -= excess;
                left_over += excess;
            }
            self.shrink(-left_over);
        }
        self.join(now, vps, scheduler);
    }

    pub(crate) fn join(&mut self, now: Nanos, vps: &[VpId], scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        for vp in vps {
            let account = &mut self.accounts[vp.index()];
            (account.joined, account.lingering) = (true, false);
        }
        self.solve();
    }

    pub(crate) fn sleep(&mut self, now: Nanos, vp: VpId, scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        let lag = self.accounts[vp.index()].lag;
        let owes = match lag.abs() < self.tolerance() {
            true => scheduler.lag(now, vp) < Some(0),
            false => lag < 0.0,
        };
        if owes {
            self.accounts[vp.index()].lingering = true;
            return;
        }
        // As far behind as it may have to be before another node takes it.
        let slices = match scheduler.machine().config().topology.nodes() {
            1 => 1.0,
            _ => 5.0,
        };
        self.leave(vp, lag.min(slices * self.slice));
    }

    pub(crate) fn stop(&mut self, now: Nanos, vp: VpId, scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        self.leave(vp, 0.0);
    }

    fn leave(&mut self, vp: VpId, kept: f64) {
        let account = &mut self.accounts[vp.index()];
        let lag = std::mem::replace(&mut account.lag, kept);
        (account.joined, account.lingering) = (false, false);
        self.solve();
        self.hand_on(kept - lag);
    }

    pub(crate) fn charge(&mut self, now: Nanos, vp: VpId, ran: Nanos, scheduler: &Scheduler) {
        let tied = self.catch_up(now, scheduler);
        let tolerance = self.tolerance();
        let bucket = self.bucket();
        let account = &mut self.accounts[vp.index()];
        account.lag -= ran.0 as f64;
        let (lag, guest) = (account.lag, account.guest);
        let capped = self.guests[guest].cap < Cap::default();
        if self.shares.saturated {
            // Nobody competes: half a slice is kept, the rest is taken from nobody.
            account.lag = lag.clamp(-self.slice / 2.0, self.slice / 2.0);
            // Where the sleeper that left just now has not quite paid, they do compete, and
            // what is cut off goes to them.
            self.undecided |= tied && account.lag != lag;
            return;
        }
        match self.shares.at_upper[guest] {
            Some(true) if lag > bucket => {
                self.owed.insert(vp);
                // What it gives away may be what a sleeper had left to pay.
                self.undecided |= self.cut(vp, self.slice * REMEMBERED) && tied;
            }
            // What it has is all it can use but for rounding, or not quite.
            None if lag > bucket - tolerance => self.undecided = true,
            // A cap's savings, spent while nobody else wanted the LP.
            _ if lag < -bucket && capped => match account.ahead {
                Some(true) => account.lag = (-bucket).min(lag + self.slice),
                Some(false) => {}
                None => self.undecided = true,
            },
            _ => {}
        }
    }

    pub(crate) fn lost(&mut self, now: Nanos, span: Nanos, scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        // Who bears it may hang on rounding.
        let joined = self.accounts.iter().filter(|account| account.joined);
        let unclear = |account: &Account| self.shares.at_upper[account.guest].is_none();
        self.undecided |= span > Nanos::ZERO && joined.into_iter().any(unclear);
        let most = (self.surplus + self.expected_in_all()) * MADE_UP * self.slice;
        let borne = (span.0 as f64).min((most - self.borne).max(0.0));
        self.borne += borne;
        for account in self.accounts.iter_mut().filter(|account| account.joined) {
            account.lag -= borne * self.bearing[account.guest].part;
        }
        self.shrink(span.0 as f64 - borne * (1.0 - self.unborne));
        let lps = 0..self.expected.len() as u32;
        let expected: Vec<f64> = lps.map(|lp| scheduler.expected_loss(LpId(lp))).collect();
        if expected != self.expected {
            self.expected = expected;
            self.solve();
        }
    }

    /// The spinner lends to the sibling that has waited longest. `waiting` has the others' states as they were.
    pub(crate) fn spun(&mut self, vp: VpId, waiting: &[(Nanos, VpId)]) {
        self.accounts[vp.index()].spinning = true;
        let lent = (self.accounts[vp.index()].lag + self.slice).min(self.slice);
        let sibling = waiting
            .iter()
            .filter(|(_, sibling)| !self.accounts[sibling.index()].spinning)
            .min();
        if let Some((_, sibling)) = sibling
            && lent > 0.0
        {
            self.accounts[vp.index()].lag -= lent;
            self.accounts[sibling.index()].lag += lent;
        }
    }

    /// An LP on line has picked, perhaps nobody.
    pub(crate) fn picked(&mut self, now: Nanos, vp: Option<VpId>, scheduler: &Scheduler) {
        self.catch_up(now, scheduler);
        let tolerance = self.tolerance();
        let mut states = scheduler.machine().vps().map(|(_, entry)| entry.state);
        let others_wait = states.any(|state| matches!(state, VpState::Ready { .. }));
        if let Some(vp) = vp {
            let account = &mut self.accounts[vp.index()];
            account.spinning = false;
            let ahead = (account.lag.abs() > tolerance).then_some(account.lag < 0.0);
            account.ahead = match self.shares.at_upper[account.guest] {
                _ if !others_wait => ahead,
                Some(false) => Some(false),
                Some(true) => ahead,
                None => ahead.filter(|ahead| !ahead),
            };
        }
    }

    /// Every VP's lag is the scheduler's.
    pub(crate) fn compare(&self, now: Nanos, scheduler: &Scheduler) -> Result<(), String> {
        if self.undecided {
            return Ok(());
        }
        // What nobody bears is everybody's, and makes their time the longer.
        let unborne = self.unborne * self.expected_in_all() / self.total.max(1e-12);
        let passed = now.since(self.now).0 as f64 * (1.0 + unborne);
        for (vp, entry) in scheduler.machine().vps() {
            let running = match entry.state {
                VpState::Running { since, .. } => now.since(since).0 as f64,
                _ => 0.0,
            };
            let account = &self.accounts[vp.index()];
            let fluid = match account.joined {
                true => self.bearing[account.guest].rise * passed,
                false => 0.0,
            };
            let expected = account.lag + fluid - running;
            let found = scheduler.lag(now, vp).ok_or("the policy keeps no lag")?;
            // Running ahead of its first instant: rounding goes both ways.
            if (found as f64 - expected).abs() > self.tolerance() {
                return Err(format!(
                    "{vp:?} ({:?}): lag {found} ns, by the fluid model {expected:.0} ns ± {:.0} ns\n{:#?}",
                    entry.state,
                    self.tolerance(),
                    self.accounts[vp.index()],
                ));
            }
        }
        Ok(())
    }
}

/// What a call of the scheduler's does to the model is told by these.
pub(crate) fn online(scheduler: &Scheduler, lp: LpId) -> bool {
    !scheduler.machine().lp(lp).offline
}

/// The siblings of a VP that wait, and since when.
pub(crate) fn waiting_siblings(scheduler: &Scheduler, vp: VpId) -> Vec<(Nanos, VpId)> {
    let machine = scheduler.machine();
    let guest: GuestId = machine.vp(vp).guest;
    let siblings = machine.guest(guest).vps.iter().copied();
    siblings
        .filter(|&sibling| sibling != vp)
        .filter_map(|sibling| match machine.vp(sibling).state {
            VpState::Ready { since } => Some((since, sibling)),
            _ => None,
        })
        .collect()
}
