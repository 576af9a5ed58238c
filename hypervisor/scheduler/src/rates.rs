//! The solve: from weights, reserves and caps to one absolute rate per claim.
//!
//! One λ serves all claims, so that `Σ x = min(capacity, Σ u)`:
//! additive `x = min(u, r + λ·w)`, floor `x = clamp(λ·w, r, u)`. What a claim
//! gets rises with λ, so λ is found by Newton's steps on the piecewise linear
//! sum, kept inside a shrinking bracket: exact in integers, a few passes over
//! the claims, and the same answer from whatever it starts.

use crate::controls::{Controls, FULL, ReserveModel};

/// A rate in parts of one LP: 2^32 is a whole LP.
pub(crate) type Rate = u64;

/// Bits after the binary point of a [`Rate`].
pub(crate) const RATE_BITS: u32 = 32;

/// One whole LP.
pub(crate) const ONE: Rate = 1 << RATE_BITS;

/// Bits after the binary point of a claim's weight, which may be a part of a guest's.
const WEIGHT_BITS: u32 = 16;

/// Bits after the binary point of λ, in [`Rate`] per unit of a claim's weight:
/// one step of λ is worth 4·10⁻⁸ of an LP at the most, to a weight of 10000.
const LEVEL_BITS: u32 = 24;

/// What some VPs with equal claims bring to the solve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// How many there are.
    pub(crate) count: u32,
    /// At least 1, with [`WEIGHT_BITS`] after the point.
    pub(crate) weight: u32,
    pub(crate) reserve: Rate,
    /// The most it can use, at most [`ONE`].
    pub(crate) upper: Rate,
}

impl Claim {
    /// Of `count` VPs under `controls`, each with the weight divided by `shared_by`, on LPs of which each has
    /// `ceiling` to give.
    pub(crate) fn new(controls: &Controls, count: u32, shared_by: u32, ceiling: Rate) -> Claim {
        let parts = |parts: u32| u64::from(parts) * ONE / u64::from(FULL);
        let weight = (controls.weight.get() << WEIGHT_BITS) / shared_by.max(1);
        Claim {
            count,
            weight: weight.max(1),
            reserve: parts(controls.reserve.parts()).min(ceiling),
            upper: parts(controls.cap.parts()).min(ceiling),
        }
    }

    /// What each of them gets at a level.
    fn at(&self, level: u64, model: ReserveModel) -> Rate {
        let by_weight = (u128::from(level) * u128::from(self.weight)) >> LEVEL_BITS;
        let by_weight = by_weight.min(u128::from(ONE)) as Rate;
        match model {
            ReserveModel::Additive => (self.reserve + by_weight).min(self.upper),
            ReserveModel::Floor => by_weight.clamp(self.reserve, self.upper),
        }
    }
}

/// What a solve found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Solved {
    /// λ; where the next solve may begin.
    level: u64,
    /// `min(capacity, Σ u)`. The rates add up to a trifle less: each is rounded down.
    pub(crate) capacity: u64,
    /// Every claim has all it can use, and there is more than that: nobody competes.
    pub(crate) saturated: bool,
}

/// Sets `rates` to what each of `claims` gets of LPs that have `whole` to give;
/// `last` is where to begin looking, which changes the time taken and nothing else.
///
/// Reserves beyond that are scaled down to fit.
pub(crate) fn solve(
    whole: u64,
    claims: &[Claim],
    model: ReserveModel,
    last: Solved,
    rates: &mut Vec<Rate>,
) -> Solved {
    let (mut reserved, mut uppers, mut vps) = (0, 0, 0);
    for claim in claims {
        vps += u64::from(claim.count);
        reserved += claim.reserve * u64::from(claim.count);
        uppers += claim.upper * u64::from(claim.count);
    }
    rates.clear();
    if uppers <= whole {
        rates.extend(claims.iter().map(|claim| claim.upper));
        return Solved {
            level: last.level,
            capacity: uppers,
            // Each upper bound is rounded down.
            saturated: uppers + vps < whole,
        };
    }
    if reserved > whole {
        let scaled = |claim: &Claim| {
            (u128::from(claim.reserve) * u128::from(whole) / u128::from(reserved)) as Rate
        };
        rates.extend(claims.iter().map(scaled));
        return Solved {
            level: 0,
            capacity: whole,
            saturated: false,
        };
    }
    let level = level(whole, claims, model, last.level);
    rates.extend(claims.iter().map(|claim| claim.at(level, model)));
    Solved {
        level,
        capacity: whole,
        saturated: false,
    }
}

/// The highest level at which the claims together get no more than `capacity`,
/// which is at least their reserves and less than all they can use.
fn level(capacity: u64, claims: &[Claim], model: ReserveModel, guess: u64) -> u64 {
    // At `low` they get no more than `capacity`; at `high`, where even the
    // lightest has a whole LP by weight alone, all they can use.
    let lightest = claims.iter().map(|claim| claim.weight).min().unwrap_or(1);
    let mut low = 0;
    let mut high = (ONE << LEVEL_BITS).div_ceil(u64::from(lightest));
    let mut next = guess;
    // Where rounding makes the sum flat Newton's step is none: stride then.
    let mut stride = 1;
    while high - low > 1 {
        let level = if low < next && next < high {
            next
        } else {
            low + (high - low) / 2
        };
        let (used, slope) = match model {
            ReserveModel::Additive => sums(level, claims, model, |_, _| true),
            ReserveModel::Floor => sums(level, claims, model, |claim, rate| {
                rate > claim.reserve || claim.reserve == 0
            }),
        };
        let gap = u128::from(used.abs_diff(capacity)) << LEVEL_BITS;
        let step = match u64::try_from(gap) {
            Ok(gap) => gap.checked_div(slope).unwrap_or(0),
            Err(_) => gap.checked_div(u128::from(slope)).unwrap_or(0) as u64,
        };
        stride = if step > 1 { 1 } else { 2 * stride };
        if used <= capacity {
            low = level;
            next = level.saturating_add(step.max(stride));
        } else {
            high = level;
            next = level.saturating_sub(step.max(stride));
        }
    }
    low
}

/// What the claims get at a level, and by how much that rises with it; `rises`
/// tells of one below what it can use whether it does.
fn sums(
    level: u64,
    claims: &[Claim],
    model: ReserveModel,
    rises: impl Fn(&Claim, Rate) -> bool,
) -> (u64, u64) {
    let (mut used, mut slope) = (0, 0);
    for claim in claims {
        let count = u64::from(claim.count);
        let rate = claim.at(level, model);
        used += rate * count;
        let rises = rate < claim.upper && rises(claim, rate);
        slope += count * u64::from(claim.weight) * u64::from(rises);
    }
    (used, slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::{Cap, Reserve, Weight};
    use proptest::prelude::*;

    fn claim(count: u32, weight: u32, reserve: f64, cap: f64) -> Claim {
        let controls = Controls::new(
            Weight::new(i64::from(weight)).unwrap(),
            Reserve::from_percent(reserve).unwrap(),
            Cap::from_percent(cap).unwrap(),
        );
        Claim::new(&controls.unwrap(), count, 1, ONE)
    }

    fn burning(weights: &[u32]) -> Vec<Claim> {
        let claims = weights.iter();
        claims.map(|&weight| claim(1, weight, 0.0, 100.0)).collect()
    }

    fn whole(lps: u32) -> u64 {
        u64::from(lps) * ONE
    }

    fn solved(lps: u32, claims: &[Claim], model: ReserveModel) -> Vec<f64> {
        let mut rates = Vec::new();
        solve(whole(lps), claims, model, Solved::default(), &mut rates);
        rates.iter().map(|&r| r as f64 / ONE as f64).collect()
    }

    fn assert_rates(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (rate, expected) in got.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-8, "{got:?} for {expected}");
        }
    }

    #[test]
    fn known_answers_of_weights() {
        // (LPs, weights, LPs received by each VP)
        let cases: &[(u32, &[u32], &[f64])] = &[
            (1, &[100, 200, 700], &[0.1, 0.2, 0.7]),
            (1, &[100, 150, 250], &[0.2, 0.3, 0.5]),
            (2, &[10, 1, 1], &[1.0, 0.5, 0.5]),
            (2, &[1, 1, 1], &[2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]),
            (3, &[5, 7], &[1.0, 1.0]),
            (1, &[], &[]),
        ];
        for model in ReserveModel::ALL {
            for (lps, weights, expected) in cases {
                assert_rates(&solved(*lps, &burning(weights), model), expected);
            }
            let eight = [claim(1, 10_000, 0.0, 100.0), claim(7, 1, 0.0, 100.0)];
            assert_rates(&solved(4, &eight, model), &[1.0, 3.0 / 7.0]);
        }
    }

    #[test]
    fn known_answers_of_reserve_and_cap() {
        use ReserveModel::{Additive, Floor};
        let half = [claim(1, 100, 50.0, 100.0), claim(3, 100, 0.0, 100.0)];
        assert_rates(&solved(1, &half, Additive), &[0.625, 0.125]);
        assert_rates(&solved(1, &half, Floor), &[0.5, 0.5 / 3.0]);
        let pair = [claim(4, 100, 50.0, 100.0), claim(4, 100, 0.0, 100.0)];
        assert_rates(&solved(4, &pair, Additive), &[0.75, 0.25]);
        assert_rates(&solved(4, &pair, Floor), &[0.5, 0.5]);
        let capped = [claim(1, 1000, 0.0, 25.0), claim(2, 100, 0.0, 100.0)];
        for model in ReserveModel::ALL {
            assert_rates(&solved(1, &capped, model), &[0.25, 0.375]);
        }
        // Forced: one LP is left for reserves of two.
        let forced = [claim(2, 100, 75.0, 100.0), claim(1, 100, 50.0, 100.0)];
        assert_rates(&solved(1, &forced, Additive), &[0.375, 0.25]);
    }

    #[test]
    fn nobody_competes_only_where_more_is_left_than_caps_allow() {
        let satisfied = |count| {
            let claims = [claim(count, 100, 0.0, 10.0)];
            let last = Solved::default();
            solve(ONE, &claims, ReserveModel::Additive, last, &mut Vec::new()).saturated
        };
        // Ten times 10 % is a whole LP, although each is rounded down.
        assert!(satisfied(9));
        assert!(!satisfied(10));
        assert!(!satisfied(11));
    }

    #[test]
    fn a_shared_weight_is_a_part_of_it() {
        let controls = Controls::with_weight(Weight::new(100).unwrap());
        let claims = [
            Claim::new(&controls, 4, 4, ONE),
            Claim::new(&controls, 1, 1, ONE),
        ];
        assert_rates(
            &solved(1, &claims, ReserveModel::Additive),
            &[1.0 / 8.0, 0.5],
        );
    }

    fn claims() -> impl Strategy<Value = Vec<Claim>> {
        let one = (1u32..20, 1u32..=10_000, 0u32..=100, 1u32..=100)
            .prop_map(|(n, w, r, u)| claim(n, w, f64::from(r.min(u)), f64::from(u)));
        prop::collection::vec(one, 0..60)
    }

    proptest! {
        #[test]
        fn rates_use_the_capacity_and_stay_in_bounds(
            lps in 1u32..64, claims in claims(), floor in any::<bool>(),
        ) {
            let model = ReserveModel::ALL[usize::from(floor)];
            let mut rates = Vec::new();
            let solved = solve(whole(lps), &claims, model, Solved::default(), &mut rates);
            let each = || rates.iter().zip(&claims);
            let used: u64 = each().map(|(rate, claim)| rate * u64::from(claim.count)).sum();
            prop_assert!(used <= solved.capacity);
            // Each VP's rate is rounded down, and so is λ.
            let rounding: u64 = claims
                .iter()
                .map(|claim| u64::from(claim.count) * (2 + u64::from(claim.weight >> LEVEL_BITS)))
                .sum();
            prop_assert!(solved.capacity - used <= rounding, "{} of {}", used, solved.capacity);
            let reserved: u64 = claims.iter().map(|c| c.reserve * u64::from(c.count)).sum();
            for (rate, claim) in each() {
                prop_assert!(*rate <= claim.upper);
                prop_assert!(*rate >= claim.reserve || reserved > u64::from(lps) << RATE_BITS);
            }
        }

        #[test]
        fn it_does_not_matter_where_it_begins(
            lps in 1u32..8, claims in claims(), floor in any::<bool>(), level in 0u64..=u64::MAX,
        ) {
            let model = ReserveModel::ALL[usize::from(floor)];
            let (mut first, mut second) = (Vec::new(), Vec::new());
            let solved = solve(whole(lps), &claims, model, Solved::default(), &mut first);
            let elsewhere = Solved { level, ..Solved::default() };
            solve(whole(lps), &claims, model, elsewhere, &mut second);
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(solve(whole(lps), &claims, model, solved, &mut second), solved);
            prop_assert_eq!(first, second);
        }
    }
}
