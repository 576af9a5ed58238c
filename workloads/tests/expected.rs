//! The expected shares: known answers, and what holds for all of them.

use std::time::{Duration, Instant};

use apportion_workloads::expected::ReserveModel::{Additive, Floor};
use apportion_workloads::expected::{Claim, ReserveModel, expected};
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

/// One row: what it shows, LPs, claims, and the parts of one LP under either model.
struct Known {
    case: &'static str,
    lps: u32,
    claims: Vec<Claim>,
    additive: Vec<f64>,
    floor: Vec<f64>,
}

fn same(case: &'static str, lps: u32, claims: Vec<Claim>, parts: Vec<f64>) -> Known {
    Known {
        case,
        lps,
        claims,
        floor: parts.clone(),
        additive: parts,
    }
}

fn known_answers() -> Vec<Known> {
    let burning = |weights: &[u32]| {
        weights
            .iter()
            .map(|weight| burn(*weight))
            .collect::<Vec<_>>()
    };
    let reserved = |reserves: &[f64]| -> Vec<Claim> {
        reserves
            .iter()
            .map(|reserve| claim(100, *reserve, 1.0))
            .collect()
    };
    vec![
        same("TLFS", 1, burning(&[100, 200, 700]), vec![0.1, 0.2, 0.7]),
        same(
            "three weights",
            1,
            burning(&[100, 150, 250]),
            vec![0.2, 0.3, 0.5],
        ),
        same(
            "production and test, 2 VPs each",
            2,
            burning(&[200, 200, 200, 200, 50, 50, 50, 50]),
            vec![0.4, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1],
        ),
        same("seven equal", 1, burning(&[100; 7]), vec![1.0 / 7.0; 7]),
        same(
            "one weight above one LP",
            2,
            burning(&[10, 1, 1]),
            vec![1.0, 0.5, 0.5],
        ),
        same(
            "greatest against least weight",
            4,
            burning(&[10_000, 1, 1, 1, 1, 1, 1, 1]),
            [vec![1.0], vec![3.0 / 7.0; 7]].concat(),
        ),
        same(
            "three equal on two LPs",
            2,
            burning(&[100; 3]),
            vec![2.0 / 3.0; 3],
        ),
        Known {
            case: "one reserve of a half",
            lps: 1,
            claims: reserved(&[0.5, 0.0, 0.0, 0.0]),
            additive: vec![0.625, 0.125, 0.125, 0.125],
            floor: [vec![0.5], vec![1.0 / 6.0; 3]].concat(),
        },
        same(
            "a cap against a weight",
            1,
            vec![claim(1_000, 0.0, 0.25), burn(100), burn(100)],
            vec![0.25, 0.375, 0.375],
        ),
        Known {
            case: "Friedman's reserves, 4 guests with 2 VPs each",
            lps: 4,
            claims: reserved(&[0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]),
            additive: [vec![0.75; 4], vec![0.25; 4]].concat(),
            floor: vec![0.5; 8],
        },
        same(
            "fewer VPs than LPs",
            4,
            burning(&[1, 10_000]),
            vec![1.0, 1.0],
        ),
        same(
            "a demand below the reserve leaves the rest to others",
            1,
            vec![claim(100, 0.5, 0.2), burn(100)],
            vec![0.2, 0.8],
        ),
        same(
            "reserves beyond the LPs are scaled",
            1,
            vec![claim(1, 0.9, 1.0), claim(9_999, 0.6, 1.0), burn(100)],
            vec![0.6, 0.4, 0.0],
        ),
        same("nobody", 3, vec![], vec![]),
    ]
}

#[test]
fn known_answers_come_out_to_the_last_digits() {
    for known in known_answers() {
        for (model, parts) in [(Additive, &known.additive), (Floor, &known.floor)] {
            let found = expected(known.lps, &known.claims, model);
            assert_eq!(found.len(), parts.len(), "{}", known.case);
            for (found, part) in found.iter().zip(parts) {
                let error = (found - part).abs();
                assert!(
                    error < EXACT,
                    "{}, {model:?}: {found} for {part}",
                    known.case
                );
            }
        }
    }
}

#[test]
fn ten_thousand_vps_take_no_time_to_speak_of() {
    let weight = |i: u32| 1 + (i * 7_919) % 10_000;
    let claims: Vec<Claim> = (0..10_000)
        .map(|i| claim(weight(i), 0.01, 1.0 - f64::from(i % 90) / 100.0))
        .collect();
    for model in [Additive, Floor] {
        let started = Instant::now();
        let parts = expected(1_024, &claims, model);
        assert!(started.elapsed() < Duration::from_secs(2));
        assert!((parts.iter().sum::<f64>() - 1_024.0).abs() < 1e-8);
    }
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

fn any_model() -> impl Strategy<Value = ReserveModel> {
    prop_oneof![Just(Additive), Just(Floor)]
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-9
}

proptest! {
    #[test]
    fn all_is_given_out_and_nobody_leaves_its_bounds(
        lps in 1_u32..=16,
        claims in prop::collection::vec(any_claim(), 0..40),
        model in any_model(),
    ) {
        let parts = expected(lps, &claims, model);
        let usable: f64 = claims.iter().map(|claim| claim.upper).sum();
        prop_assert!(close(parts.iter().sum(), usable.min(f64::from(lps))));

        let kept = |claim: &Claim| claim.reserve.min(claim.upper);
        let fits = claims.iter().map(kept).sum::<f64>() <= f64::from(lps);
        for (part, claim) in parts.iter().zip(&claims) {
            prop_assert!((0.0..=claim.upper).contains(part));
            prop_assert!(!fits || *part >= kept(claim) - EXACT);
        }
    }

    #[test]
    fn the_order_of_claims_does_not_matter(
        lps in 1_u32..=16,
        (claims, order) in prop::collection::vec(any_claim(), 1..40).prop_flat_map(|claims| {
            let order: Vec<usize> = (0..claims.len()).collect();
            (Just(claims), Just(order).prop_shuffle())
        }),
        model in any_model(),
    ) {
        let parts = expected(lps, &claims, model);
        let shuffled: Vec<Claim> = order.iter().map(|&i| claims[i]).collect();
        for (part, &i) in expected(lps, &shuffled, model).iter().zip(&order) {
            prop_assert!(close(*part, parts[i]));
        }
    }

    #[test]
    fn only_the_ratio_of_weights_matters(
        lps in 1_u32..=16,
        claims in prop::collection::vec(any_claim(), 1..40),
        factor in 0.001..1_000.0,
        model in any_model(),
    ) {
        let scaled: Vec<Claim> = claims
            .iter()
            .map(|claim| Claim { weight: claim.weight * factor, ..*claim })
            .collect();
        let pairs = expected(lps, &claims, model).into_iter().zip(expected(lps, &scaled, model));
        for (before, after) in pairs {
            prop_assert!(close(before, after));
        }
    }

    #[test]
    fn more_weight_never_means_less_and_never_helps_another(
        lps in 1_u32..=16,
        claims in prop::collection::vec(any_claim(), 1..40),
        chosen in any::<prop::sample::Index>(),
        factor in 1.0..100.0,
        model in any_model(),
    ) {
        let chosen = chosen.index(claims.len());
        let before = expected(lps, &claims, model);
        let mut claims = claims;
        claims[chosen].weight *= factor;
        let after = expected(lps, &claims, model);
        for (i, (before, after)) in before.iter().zip(&after).enumerate() {
            if i == chosen {
                prop_assert!(*after >= before - 1e-9);
            } else {
                prop_assert!(*after <= before + 1e-9);
            }
        }
    }

    #[test]
    fn without_reserves_the_models_agree(
        lps in 1_u32..=16,
        weights in prop::collection::vec(1_u32..=10_000, 1..40),
    ) {
        let claims: Vec<Claim> = weights.iter().map(|weight| burn(*weight)).collect();
        let floor = expected(lps, &claims, Floor);
        for (additive, floor) in expected(lps, &claims, Additive).iter().zip(&floor) {
            prop_assert!(close(*additive, *floor));
        }
    }
}
