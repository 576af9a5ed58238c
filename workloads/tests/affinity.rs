//! The expected shares of guests that are bound to LPs.

use std::time::{Duration, Instant};

use apportion_scheduler::{Cap, Controls, Reserve, Weight, WeightScope};
use apportion_workloads::Experiment;
use apportion_workloads::expected::ReserveModel::{Additive, Floor};
use apportion_workloads::expected::{
    Claim, MOST_AFFINITIES, ReserveModel, claims, expected, expected_with_affinity, guest_shares,
};
use proptest::prelude::*;

const EXACT: f64 = 1e-12;

fn claim(weight: u32, reserve: f64, upper: f64) -> Claim {
    Claim {
        weight: f64::from(weight),
        reserve,
        upper,
    }
}

fn burn(weight: u32) -> Claim {
    claim(weight, 0.0, 1.0)
}

/// What each claim should receive under either model.
fn assert_parts(online: &[bool], claims: &[(Claim, Option<&[u32]>)], parts: &[f64]) {
    for model in ReserveModel::ALL {
        assert_parts_under(model, online, claims, parts);
    }
}

fn assert_parts_under(
    model: ReserveModel,
    online: &[bool],
    claims: &[(Claim, Option<&[u32]>)],
    parts: &[f64],
) {
    let found = expected_with_affinity(online, claims, model).unwrap();
    assert_eq!(found.len(), parts.len());
    for (left, right) in found.iter().zip(parts) {
        assert!(
            (left - right).abs() < EXACT,
            "{model:?}: {found:?} for {parts:?}"
        );
    }
}

const LP_0: Option<&[u32]> = Some(&[0]);
const LP_1: Option<&[u32]> = Some(&[1]);

#[test]
fn two_share_the_lp_they_are_bound_to_and_the_third_has_the_other() {
    let claims = [(burn(100), LP_0), (burn(100), LP_0), (burn(100), None)];
    assert_parts(&[true; 2], &claims, &[0.5, 0.5, 1.0]);
}

#[test]
fn a_binding_that_is_no_hindrance_changes_nothing() {
    let claims = [(burn(100), LP_0), (burn(100), None), (burn(100), None)];
    assert_parts(&[true; 2], &claims, &[2.0 / 3.0; 3]);
}

#[test]
fn levels_rise_past_one_bottleneck_after_another() {
    // LP 0 is used up first, then LP 1, and the least weight has the third to itself.
    let both: Option<&[u32]> = Some(&[1, 0]);
    let claims = [
        (burn(100), LP_0),
        (burn(100), LP_0),
        (burn(200), LP_0),
        (burn(100), both),
        (burn(60), LP_1),
        (burn(1), None),
    ];
    assert_parts(&[true; 3], &claims, &[0.25, 0.25, 0.5, 0.625, 0.375, 1.0]);
}

#[test]
fn lps_are_used_up_together_by_claims_none_of_which_uses_them_all() {
    let pairs: [&[u32]; 4] = [&[0, 1], &[1, 2], &[2, 0], &[0, 1]];
    let claims = pairs.map(|pair| (burn(100), Some(pair)));
    assert_parts(&[true; 3], &claims, &[0.75; 4]);
}

#[test]
fn weights_reserves_and_caps_hold_among_the_bound() {
    let claims = [
        (claim(100, 0.5, 1.0), LP_0),
        (burn(100), LP_0),
        (claim(1_000, 0.0, 0.25), LP_1),
        (burn(100), None),
    ];
    let online = [true; 2];
    assert_parts_under(Additive, &online, &claims, &[0.75, 0.25, 0.25, 0.75]);
    assert_parts_under(Floor, &online, &claims, &[0.5, 0.5, 0.25, 0.75]);
}

#[test]
fn a_bound_guest_is_behind_its_weight_only_where_it_must_be() {
    // By weight alone the first would have 1.5 LPs of 2 and the third a third of what is left.
    let claims = [(burn(300), None), (burn(50), LP_1), (burn(50), LP_1)];
    assert_parts(&[true; 2], &claims, &[1.0, 0.5, 0.5]);
}

#[test]
fn reserves_are_scaled_on_the_lps_that_are_too_few_for_them() {
    let claims = [
        (claim(100, 0.9, 1.0), LP_0),
        (claim(1, 0.6, 1.0), LP_0),
        (burn(100), LP_0),
        (claim(100, 0.5, 1.0), LP_1),
        (burn(100), None),
    ];
    let online = [true; 2];
    assert_parts_under(Additive, &online, &claims, &[0.6, 0.4, 0.0, 0.75, 0.25]);
    assert_parts_under(Floor, &online, &claims, &[0.6, 0.4, 0.0, 0.5, 0.5]);
}

#[test]
fn an_lp_that_is_off_line_gives_nothing() {
    let both: Option<&[u32]> = Some(&[0, 1]);
    let claims = [
        (burn(100), LP_0),
        (claim(100, 0.5, 1.0), LP_1),
        (burn(100), both),
        (burn(100), Some(&[9])),
    ];
    assert_parts(&[true, false], &claims, &[0.5, 0.0, 0.5, 0.0]);
    assert_parts(&[false, false], &claims, &[0.0; 4]);
    assert_parts(&[], &claims, &[0.0; 4]);
    assert_parts(&[true], &[], &[]);
}

#[test]
fn more_sets_than_can_be_looked_at_are_an_error() {
    let lps: Vec<u32> = (0..13).collect();
    let bound: Vec<(Claim, Option<&[u32]>)> =
        lps.chunks(1).map(|lp| (burn(100), Some(lp))).collect();
    let most = &bound[..MOST_AFFINITIES];
    assert_parts(&[true; 13], most, &[1.0; MOST_AFFINITIES]);
    let error = expected_with_affinity(&[true; 13], &bound, Additive).unwrap_err();
    insta::assert_snapshot!(error, @"guests are bound to 13 different sets of LPs: expected shares are computed for at most 12");
    // What is off line does not count.
    let online: Vec<bool> = lps.iter().map(|lp| *lp != 3).collect();
    assert!(expected_with_affinity(&online, &bound, Additive).is_ok());
}

#[test]
fn a_thousand_vps_in_the_most_sets_take_no_time_to_speak_of() {
    // Pairs of neighbours in a ring: nearly every union is another one.
    let lps = MOST_AFFINITIES as u32;
    let pairs: Vec<[u32; 2]> = (0..lps).map(|lp| [lp, (lp + 1) % lps]).collect();
    let claims: Vec<(Claim, Option<&[u32]>)> = (0..1_000)
        .map(|i| {
            (
                burn(1 + i * 7 % 100),
                Some(&pairs[i as usize % pairs.len()][..]),
            )
        })
        .collect();
    for model in ReserveModel::ALL {
        let started = Instant::now();
        let parts = expected_with_affinity(&vec![true; pairs.len()], &claims, model).unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!((parts.iter().sum::<f64>() - f64::from(lps)).abs() < 1e-9);
    }
}

#[test]
fn a_guest_splits_its_weight_over_the_vps_that_want_to_run() {
    let controls = |weight, reserve, cap| {
        let weight = Weight::new(weight).unwrap();
        let reserve = Reserve::from_percent(reserve).unwrap();
        Controls::new(weight, reserve, Cap::from_percent(cap).unwrap()).unwrap()
    };
    let guests = [
        (controls(300, 10.0, 50.0), 3),
        (controls(100, 0.0, 100.0), 1),
        (controls(700, 0.0, 100.0), 0),
    ];
    let of_guest = [vec![claim(100, 0.1, 0.5); 3], vec![burn(100)]].concat();
    assert_eq!(claims(&guests, WeightScope::Guest), of_guest);
    let of_vp = [vec![claim(300, 0.1, 0.5); 3], vec![burn(100)]].concat();
    assert_eq!(claims(&guests, WeightScope::Vp), of_vp);
}

#[test]
fn guest_shares_heed_scope_and_affinity() {
    let text = r#"
        schema = 1
        name = "both"
        why = "A wide guest, a bound one and a free one."
        [[guest]]
        name = "wide"
        vps = 2
        [[guest]]
        name = "bound"
        vps = 2
        affinity = [0]
        [[guest]]
        name = "free"
    "#;
    let guests = Experiment::parse(text, "both.toml").unwrap().guests;
    for (scope, shares) in [
        (WeightScope::Vp, [40.0, 40.0, 20.0]),
        (WeightScope::Guest, [100.0 / 3.0; 3]),
    ] {
        let found = guest_shares(2, &guests, scope, Additive).unwrap();
        for (found, share) in found.iter().zip(shares) {
            assert!(
                (found - share).abs() < 1e-10,
                "{scope:?}: {found} for {share}"
            );
        }
    }
    // Of one LP no binding can take anything away.
    let alone = guest_shares(1, &guests, WeightScope::Vp, Additive).unwrap();
    assert!((alone[1] - 40.0).abs() < 1e-10);
}

prop_compose! {
    fn any_claim()(
        weight in 1_u32..=10_000,
        reserve in prop_oneof![Just(0.0), 0.0..=1.0],
        upper in prop_oneof![Just(1.0), 0.001..=1.0],
    ) -> Claim {
        claim(weight, reserve, upper)
    }
}

/// LPs that are on line or not, and claims with the LPs they may use.
#[derive(Clone, Debug)]
struct Bound {
    online: Vec<bool>,
    claims: Vec<(Claim, Option<Vec<u32>>)>,
}

impl Bound {
    fn parts(&self, model: ReserveModel) -> Vec<f64> {
        let claims: Vec<(Claim, Option<&[u32]>)> = self
            .claims
            .iter()
            .map(|(claim, lps)| (*claim, lps.as_deref()))
            .collect();
        expected_with_affinity(&self.online, &claims, model).unwrap()
    }

    /// By claim: what its reserve guarantees.
    fn kept(&self) -> Vec<f64> {
        let kept = |(claim, _): &(Claim, _)| claim.reserve.min(claim.upper);
        let may_run = |i: usize| (0..self.online.len()).any(|lp| self.may_use(i, lp));
        (0..self.claims.len())
            .map(|i| {
                if may_run(i) {
                    kept(&self.claims[i])
                } else {
                    0.0
                }
            })
            .collect()
    }

    fn reserves_fit(&self) -> bool {
        let kept = self.kept();
        close(self.served(&kept), kept.iter().sum())
    }

    fn may_use(&self, claim: usize, lp: usize) -> bool {
        let allowed = &self.claims[claim].1;
        self.online[lp]
            && allowed
                .as_ref()
                .is_none_or(|lps| lps.contains(&(lp as u32)))
    }

    /// The most that these parts can be served of, by augmenting paths: another way to see what fits.
    ///
    /// A flow from claims to LPs; each path is short of one LP or one part.
    fn served(&self, parts: &[f64]) -> f64 {
        let mut left: Vec<f64> = parts.to_vec();
        let mut room: Vec<f64> = self
            .online
            .iter()
            .map(|on| f64::from(u8::from(*on)))
            .collect();
        let mut flow = vec![vec![0.0; room.len()]; parts.len()];
        for (claim, left) in left.iter_mut().enumerate() {
            while *left > 1e-12 {
                let Some(path) = self.path(claim, &room, &flow) else {
                    break;
                };
                // Claim and LP by turns, forward at even places.
                let lp_at_end = path[path.len() - 1];
                let mut pushed = left.min(room[lp_at_end]);
                for back in path[1..].chunks_exact(2) {
                    pushed = pushed.min(flow[back[1]][back[0]]);
                }
                for step in path.chunks_exact(2) {
                    flow[step[0]][step[1]] += pushed;
                }
                for back in path[1..].chunks_exact(2) {
                    flow[back[1]][back[0]] -= pushed;
                }
                *left -= pushed;
                room[lp_at_end] -= pushed;
            }
        }
        parts.iter().sum::<f64>() - left.iter().sum::<f64>()
    }

    /// From `claim` over LPs and the claims that hold them to an LP with room.
    fn path(&self, claim: usize, room: &[f64], flow: &[Vec<f64>]) -> Option<Vec<usize>> {
        let mut seen = vec![false; room.len()];
        let mut open = vec![vec![claim]];
        while let Some(path) = open.pop() {
            let holder = path[path.len() - 1];
            for lp in 0..room.len() {
                if seen[lp] || !self.may_use(holder, lp) {
                    continue;
                }
                seen[lp] = true;
                let to_lp = [&path[..], &[lp]].concat();
                if room[lp] > 1e-12 {
                    return Some(to_lp);
                }
                let holders = (0..flow.len()).filter(|&other| flow[other][lp] > 1e-12);
                open.extend(holders.map(|other| [&to_lp[..], &[other]].concat()));
            }
        }
        None
    }
}

prop_compose! {
    fn any_bound()(
        online in prop::collection::vec(prop::bool::weighted(0.8), 1..6),
    )(
        sets in prop::collection::vec(prop::collection::vec(0..online.len() as u32, 1..4), 1..5),
        claims in prop::collection::vec(
            (any_claim(), prop::option::weighted(0.7, any::<prop::sample::Index>())),
            1..16,
        ),
        online in Just(online),
    ) -> Bound {
        let claims = claims
            .into_iter()
            .map(|(claim, set)| (claim, set.map(|set| set.get(&sets).clone())))
            .collect();
        Bound { online, claims }
    }
}

fn any_model() -> impl Strategy<Value = ReserveModel> {
    prop_oneof![Just(Additive), Just(Floor)]
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

proptest! {
    #[test]
    fn where_all_is_allowed_it_is_as_without_affinity(
        lps in 1_u32..=16,
        claims in prop::collection::vec(any_claim(), 0..40),
        said in any::<bool>(),
        model in any_model(),
    ) {
        let all: Vec<u32> = (0..lps).collect();
        let bound: Vec<_> = claims.iter().map(|claim| (*claim, said.then_some(&all[..]))).collect();
        let parts = expected_with_affinity(&vec![true; lps as usize], &bound, model).unwrap();
        for (part, plain) in parts.iter().zip(expected(lps, &claims, model)) {
            prop_assert!(close(*part, plain));
        }
    }

    #[test]
    fn what_is_promised_fits_and_nothing_usable_is_left(bound in any_bound(), model in any_model()) {
        let parts = bound.parts(model);
        let total: f64 = parts.iter().sum();
        prop_assert!(close(bound.served(&parts), total));
        let uppers: Vec<f64> = bound.claims.iter().map(|(claim, _)| claim.upper).collect();
        prop_assert!(close(bound.served(&uppers), total));
    }

    #[test]
    fn nobody_leaves_its_bounds(bound in any_bound(), model in any_model()) {
        let parts = bound.parts(model);
        let (kept, fits) = (bound.kept(), bound.reserves_fit());
        for ((part, kept), (claim, _)) in parts.iter().zip(&kept).zip(&bound.claims) {
            prop_assert!((0.0..=claim.upper).contains(part));
            prop_assert!(!fits || *part >= kept - 1e-9);
        }
    }

    #[test]
    fn nobody_could_have_more_at_the_cost_of_one_who_is_better_off(
        bound in any_bound(),
        model in any_model(),
    ) {
        // Max-min: if a claim below its upper bound can be given more by taking from
        // another one, then that one is at its reserve or stands at no higher level.
        let mut bound = bound;
        while !bound.reserves_fit() {
            bound.claims.iter_mut().for_each(|(claim, _)| claim.reserve /= 2.0);
        }
        let parts = bound.parts(model);
        let kept = bound.kept();
        let level = |i: usize| {
            let base = if model == Additive { kept[i] } else { 0.0 };
            (parts[i] - base) / bound.claims[i].0.weight
        };
        let step = 1e-6;
        for poor in 0..parts.len() {
            if parts[poor] + step > bound.claims[poor].0.upper {
                continue;
            }
            for rich in 0..parts.len() {
                let above_reserve = parts[rich] - step > kept[rich];
                if rich == poor || !above_reserve || level(rich) <= level(poor) + 1e-9 {
                    continue;
                }
                // A claim held up by its reserve stands above the level of its weight.
                let mut moved = parts.clone();
                moved[poor] += step;
                moved[rich] -= step;
                let by_reserve = model == Floor && parts[poor] <= kept[poor] + 1e-9;
                let served = bound.served(&moved);
                prop_assert!(
                    by_reserve || served < moved.iter().sum::<f64>() - step / 2.0,
                    "{poor} could take from {rich}: {parts:?}"
                );
            }
        }
    }

    #[test]
    fn more_weight_never_means_less(
        bound in any_bound(),
        chosen in any::<prop::sample::Index>(),
        factor in 1.0..100.0,
        model in any_model(),
    ) {
        let chosen = chosen.index(bound.claims.len());
        let before = bound.parts(model)[chosen];
        let mut bound = bound;
        bound.claims[chosen].0.weight *= factor;
        prop_assert!(bound.parts(model)[chosen] >= before - 1e-9);
    }

    #[test]
    fn an_lp_more_never_means_less_for_all_together(bound in any_bound(), model in any_model()) {
        let before: f64 = bound.parts(model).iter().sum();
        let mut bound = bound;
        bound.online.fill(true);
        prop_assert!(bound.parts(model).iter().sum::<f64>() >= before - 1e-9);
    }
}
