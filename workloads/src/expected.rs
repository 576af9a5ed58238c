//! The shares that guests should see, computed apart from the scheduler: bisection over floats.
//!
//! The scheduler solves the same problem in integers by Newton's steps,
//! and with affinity by maximum flow. Nothing here calls it, so that one checks
//! the other.

mod affinity;

pub use affinity::{
    MOST_AFFINITIES, TooManyAffinities, expected_of_delivered_with_affinity, expected_with_affinity,
};
pub use apportion_scheduler::ReserveModel;
use apportion_scheduler::{Controls, WeightScope};

use crate::Guest;

/// What one VP that wants to run may claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Relative claim under contention, above zero.
    pub weight: f64,
    /// Guaranteed part of one LP, 0 to 1.
    pub reserve: f64,
    /// The most it can use of one LP, 0 to 1: the lesser of its cap and its demand.
    pub upper: f64,
}

impl Claim {
    /// The claim of a VP that never sleeps.
    pub fn burning(controls: &Controls) -> Claim {
        Claim {
            weight: f64::from(controls.weight.get()),
            reserve: controls.reserve.percent() / 100.0,
            upper: controls.cap.percent() / 100.0,
        }
    }

    /// The claim of one of `vps` VPs of a guest that want to run, one or more.
    ///
    /// The weight is each VP's, or under [`WeightScope::Guest`] the guest's,
    /// which they split evenly.
    pub fn scoped(controls: &Controls, vps: u32, scope: WeightScope) -> Claim {
        let whole = Claim::burning(controls);
        let sharers = match scope {
            WeightScope::Vp => 1,
            WeightScope::Guest => vps.max(1),
        };
        Claim {
            weight: whole.weight / f64::from(sharers),
            ..whole
        }
    }

    /// No VP runs on two LPs at once, each of which delivers `ceiling` of itself, nor below nothing.
    fn bounded(self, ceiling: f64) -> Claim {
        let upper = self.upper.clamp(0.0, ceiling);
        Claim {
            upper,
            // A reserve beyond the demand is not taken up.
            reserve: self.reserve.min(upper).max(0.0),
            ..self
        }
    }

    /// What it receives where one unit of weight is worth `level`.
    fn at(&self, level: f64, model: ReserveModel) -> f64 {
        let by_weight = level * self.weight;
        match model {
            ReserveModel::Additive => self.upper.min(self.reserve + by_weight),
            ReserveModel::Floor => self.upper.min(by_weight).max(self.reserve),
        }
    }
}

/// The claims of all VPs that want to run, guest by guest.
///
/// Each guest is its controls and how many of its VPs want to run, 0 or more.
pub fn claims(guests: &[(Controls, u32)], scope: WeightScope) -> Vec<Claim> {
    guests
        .iter()
        .flat_map(|(controls, vps)| vec![Claim::scoped(controls, *vps, scope); *vps as usize])
        .collect()
}

/// The part of one LP, 0 to 1, that each claim should receive on `lps` LPs, one or more.
///
/// One `level` λ serves all claims so that the parts add up to the lesser of
/// `lps` and what the claims can use together. With weight w, reserve r and
/// upper bound u a claim receives min(u, r + λ·w) if reserves are additive and
/// max(r, min(u, λ·w)) if they are a floor.
///
/// Reserves that exceed the LPs together are scaled down to fit, as the
/// scheduler does when an LP is forced off line.
pub fn expected(lps: u32, claims: &[Claim], model: ReserveModel) -> Vec<f64> {
    let single: Vec<(Claim, u32)> = claims.iter().map(|claim| (*claim, 1)).collect();
    expected_of_delivered(lps, 1.0, &single, model)
}

/// As [`expected`], where an LP delivers only the part `delivered`, 0 to 1, of its wall time, and is lost for the rest.
///
/// The LPs hold `lps` · `delivered`, and no claim receives more than `delivered`. Reserves and caps remain parts of wall
/// time. So a loss falls on what weights give out first, and on reserves where nothing else is left.
///
/// A claim comes with the number of VPs that have it, and the result is what one of them receives.
pub fn expected_of_delivered(
    lps: u32,
    delivered: f64,
    claims: &[(Claim, u32)],
    model: ReserveModel,
) -> Vec<f64> {
    let claims: Vec<(Claim, f64)> = claims
        .iter()
        .map(|(claim, vps)| (claim.bounded(delivered), f64::from(*vps)))
        .collect();
    let capacity = f64::from(lps) * delivered;

    let reserved: f64 = claims.iter().map(|(claim, vps)| claim.reserve * vps).sum();
    if reserved > capacity {
        let scale = capacity / reserved;
        let scaled = claims.iter().map(|(claim, _)| claim.reserve * scale);
        return scaled.collect();
    }
    let usable: f64 = claims.iter().map(|(claim, vps)| claim.upper * vps).sum();
    if usable <= capacity {
        return claims.iter().map(|(claim, _)| claim.upper).collect();
    }
    let level = level(capacity, &claims, model);
    let parts = claims.iter().map(|(claim, _)| claim.at(level, model));
    parts.collect()
}

/// The percentage of `lps` LPs that each guest should receive while none of its VPs sleeps.
///
/// In the order of `guests`, 0 to 100. Against what a run delivers: a share of
/// the delivered time, idle time included. All LPs are on line, and LPs of an
/// affinity beyond `lps` count for nothing.
///
/// # Errors
/// [`TooManyAffinities`], only where guests have affinities.
pub fn guest_shares(
    lps: u32,
    guests: &[Guest],
    scope: WeightScope,
    model: ReserveModel,
) -> Result<Vec<f64>, TooManyAffinities> {
    let sizes: Vec<(Controls, u32)> = guests
        .iter()
        .map(|guest| (guest.controls, guest.vps))
        .collect();
    let claims = claims(&sizes, scope);
    let parts = if guests.iter().all(|guest| guest.affinity.is_none()) {
        expected(lps, &claims, model)
    } else {
        let of_vps = |guest: &Guest| vec![guest.affinity.clone(); guest.vps as usize];
        let allowed: Vec<Option<Vec<u32>>> = guests.iter().flat_map(of_vps).collect();
        let allowed = allowed.iter().map(|lps| lps.as_deref());
        let pinned: Vec<(Claim, Option<&[u32]>)> = claims.into_iter().zip(allowed).collect();
        expected_with_affinity(&vec![true; lps as usize], &pinned, model)?
    };
    let mut parts = parts.into_iter();
    let of_guest = |guest: &Guest| {
        let part: f64 = parts.by_ref().take(guest.vps as usize).sum();
        100.0 * part / f64::from(lps)
    };
    Ok(guests.iter().map(of_guest).collect())
}

/// The worth of one unit of weight at which the claims use up `capacity`.
///
/// What the claims receive together rises with the level, from less than the
/// capacity to more. Halving goes on until the floats between the bounds run out.
fn level(capacity: f64, claims: &[(Claim, f64)], model: ReserveModel) -> f64 {
    let worth_of_all = claims.iter().map(|(claim, _)| claim.upper / claim.weight);
    let high = worth_of_all.fold(0.0, f64::max);
    let fits = |level| {
        let used = claims
            .iter()
            .map(|(claim, vps)| claim.at(level, model) * vps);
        used.sum::<f64>() < capacity
    };
    bisect(0.0, high, fits).0
}

/// The neighbouring floats between which `fits` turns from true, at `low`, to false, at `high`.
fn bisect(mut low: f64, mut high: f64, fits: impl Fn(f64) -> bool) -> (f64, f64) {
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return (low, high);
        }
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
}
