//! Shares by weight: one absolute rate per VP from the solve, EEVDF on these rates.
//!
//! In the fluid ideal a runnable VP with rate φ receives φ·Δτ, where τ is wall
//! time less what the LPs lost (overhead, root, neighbours, steal), a loss
//! hitting everyone in proportion to φ: `Δτ = Δt − lost / Σφ`. A VP's lag is
//! that ideal less what it received. Because τ is one number for all, bringing
//! a VP's lag up to date costs O(1), and only a change of the runnable set
//! touches every VP.
//!
//! Without the loss term each VP would be promised time that no LP had to
//! give, and lag would drift for ever.

use crate::policy::Policy;
use crate::rates::{Claim, ONE, RATE_BITS, Rate, solve};
use crate::units::{LpId, Nanos, VpId};
use crate::vps::{VpState, VpTable};
use std::cmp::Ordering;

/// Nanoseconds with [`RATE_BITS`] bits after the binary point.
type Fixed = i128;

fn fixed(span: Nanos) -> Fixed {
    // 2^60 ns are 36 years: keeps every product below 2^127.
    Fixed::from(span.0.min(1 << 60)) << RATE_BITS
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Fair {
    lps: u32,
    /// The length of a request in the sense of EEVDF, and the lag beyond which a waiting VP is rescued.
    slice: Fixed,
    /// τ at `at`.
    tau: Fixed,
    at: Nanos,
    /// Σφ over the runnable VPs.
    total: Rate,
    accounts: Vec<Account>,
}

/// One VP's account.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// φ; zero while not runnable.
    rate: Rate,
    /// Lag when τ was `since`, dispatches charged since then already taken off.
    lag: Fixed,
    since: Fixed,
    /// Begin of the dispatch in progress.
    running_since: Option<Nanos>,
}

impl Account {
    /// Lag at (`now`, `tau`).
    fn lag_at(&self, now: Nanos, tau: Fixed) -> Fixed {
        let in_progress = self
            .running_since
            .map_or(0, |start| fixed(now.since(start)));
        let fluid = ((tau - self.since) * Fixed::from(self.rate)) >> RATE_BITS;
        self.lag + fluid - in_progress
    }
}

/// A Ready VP as [`Fair::pick`] sees it.
#[derive(Clone, Copy)]
struct Candidate {
    vp: VpId,
    class: Class,
    lag: Fixed,
    rate: Rate,
}

/// In which order candidates are taken. "Behind" means lag ≥ 0: owed time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Waiting for another LP and more than a slice behind.
    Rescue,
    /// At home here and behind.
    Home,
    /// At home elsewhere and behind. Before [`Class::HomeAhead`]: the other
    /// order lets VPs run ahead here while others fall behind there.
    Pull,
    /// At home here, ahead: work conservation.
    HomeAhead,
    /// At home elsewhere, ahead.
    PullAhead,
}

impl Candidate {
    /// The better choice is less.
    fn compare(&self, other: &Candidate, slice: Fixed) -> Ordering {
        self.class.cmp(&other.class).then_with(|| match self.class {
            // EEVDF: the earliest virtual deadline (slice − lag)/φ, compared without dividing.
            Class::Home | Class::HomeAhead => {
                let left = (slice - self.lag).saturating_mul(Fixed::from(other.rate));
                left.cmp(&(slice - other.lag).saturating_mul(Fixed::from(self.rate)))
            }
            Class::Rescue | Class::Pull | Class::PullAhead => other.lag.cmp(&self.lag),
        })
    }
}

impl Fair {
    pub(crate) fn new(lps: u32, slice: Nanos) -> Fair {
        Fair {
            lps,
            slice: fixed(slice),
            tau: 0,
            at: Nanos::ZERO,
            total: 0,
            accounts: Vec::new(),
        }
    }

    /// τ at `now`.
    fn tau_at(&self, now: Nanos) -> Fixed {
        self.tau + fixed(now.since(self.at))
    }

    fn advance(&mut self, now: Nanos) {
        self.tau = self.tau_at(now);
        self.at = self.at.max(now);
    }

    /// Takes `amount` of CPU time off the fluid ideal, from everyone in proportion to φ.
    fn shrink(&mut self, amount: Fixed) {
        if self.total > 0 {
            self.tau -= amount * Fixed::from(ONE) / Fixed::from(self.total);
        }
    }
}

impl Policy for Fair {
    fn changed(&mut self, now: Nanos, vps: &VpTable) {
        self.advance(now);
        self.accounts.resize(vps.len(), Account::default());
        // Everyone up to date with the old rates, those that left taken out.
        let mut left_with = 0;
        for (vp, entry) in vps.iter() {
            let account = &mut self.accounts[vp.index()];
            let settled = Account {
                running_since: None,
                ..*account
            };
            account.lag = settled.lag_at(now, self.tau);
            account.since = self.tau;
            account.rate = 0;
            if entry.state == VpState::Suspended {
                left_with += account.lag;
                account.lag = 0;
            }
        }
        let runnable: Vec<VpId> = vps.runnable().map(|(vp, _)| vp).collect();
        let claims: Vec<Claim> = runnable
            .iter()
            .map(|&vp| Claim {
                weight: vps.get(vp).controls.weight.get(),
                upper: ONE,
            })
            .collect();
        let rates = solve(self.lps, &claims);
        self.total = rates.iter().sum();
        for (&vp, &rate) in runnable.iter().zip(&rates) {
            self.accounts[vp.index()].rate = rate;
        }
        // What the leavers were owed, the others have received: Σ lag stays zero.
        self.shrink(-left_with);
    }

    fn pick(&mut self, now: Nanos, lp: LpId, vps: &VpTable) -> Option<VpId> {
        self.advance(now);
        let best = vps
            .ready()
            .map(|(vp, entry)| {
                let account = &self.accounts[vp.index()];
                let lag = account.lag_at(now, self.tau);
                let class = match (entry.home == lp, lag >= 0) {
                    (false, true) if lag > self.slice => Class::Rescue,
                    (true, true) => Class::Home,
                    (false, true) => Class::Pull,
                    (true, false) => Class::HomeAhead,
                    (false, false) => Class::PullAhead,
                };
                Candidate {
                    vp,
                    class,
                    lag,
                    rate: account.rate,
                }
            })
            .min_by(|a, b| a.compare(b, self.slice))?;
        self.accounts[best.vp.index()].running_since = Some(now);
        Some(best.vp)
    }

    fn charge(&mut self, now: Nanos, vp: VpId, ran: Nanos) {
        self.advance(now);
        let account = &mut self.accounts[vp.index()];
        account.lag -= fixed(ran);
        account.running_since = None;
        // A VP that is due a whole LP cannot catch up, there is no more to
        // have: what its LP lost beyond its part of the loss goes to the others.
        let excess = account.lag_at(now, self.tau) - self.slice;
        if account.rate == ONE && excess > 0 {
            account.lag -= excess;
            self.shrink(-excess);
        }
    }

    fn lost(&mut self, now: Nanos, _: LpId, span: Nanos) {
        self.advance(now);
        self.shrink(fixed(span));
    }

    fn lag(&self, now: Nanos, vp: VpId) -> Option<i64> {
        let lag = self.accounts.get(vp.index())?.lag_at(now, self.tau_at(now)) >> RATE_BITS;
        Some(lag.clamp(Fixed::from(i64::MIN), Fixed::from(i64::MAX)) as i64)
    }
}
