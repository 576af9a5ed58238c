//! The expected shares where LPs are lost for a part of their time: answers worked out by hand.

use apportion_workloads::expected::ReserveModel::{Additive, Floor};
use apportion_workloads::expected::{
    Claim, ReserveModel, expected_of_delivered, expected_of_delivered_with_affinity,
};

fn claim(weight: u32, reserve: f64, upper: f64) -> (Claim, u32) {
    let claim = Claim {
        weight: f64::from(weight),
        reserve,
        upper,
    };
    (claim, 1)
}

fn burn(weight: u32) -> (Claim, u32) {
    claim(weight, 0.0, 1.0)
}

fn assert_close(found: &[f64], parts: &[f64]) {
    let close = |(found, part): (&f64, &f64)| (found - part).abs() < 1e-12;
    assert_eq!(found.len(), parts.len());
    assert!(
        found.iter().zip(parts).all(close),
        "{found:?} for {parts:?}"
    );
}

fn assert_parts(lps: u32, delivered: f64, claims: &[(Claim, u32)], parts: &[f64]) {
    for model in ReserveModel::ALL {
        assert_close(&expected_of_delivered(lps, delivered, claims, model), parts);
    }
}

#[test]
fn weights_share_what_is_delivered() {
    let claims = [burn(100), burn(200), burn(700)];
    assert_parts(1, 0.9, &claims, &[0.09, 0.18, 0.63]);
    // A VP that is due a whole LP has what an LP delivers.
    assert_parts(2, 0.9, &[burn(10), burn(1), burn(1)], &[0.9, 0.45, 0.45]);
    assert_parts(2, 0.0, &claims, &[0.0; 3]);
}

#[test]
fn a_loss_falls_on_a_reserve_where_nothing_else_is_left() {
    let claims = [claim(100, 0.9, 1.0), burn(100)];
    let of = |delivered, model| expected_of_delivered(1, delivered, &claims, model);
    assert_close(&of(0.95, Additive), &[0.925, 0.025]);
    assert_close(&of(0.95, Floor), &[0.9, 0.05]);
    assert_parts(1, 0.9, &claims, &[0.9, 0.0]);
    assert_parts(1, 0.85, &claims, &[0.85, 0.0]);
    let both = [claim(1, 0.6, 1.0), claim(100, 0.3, 1.0), burn(100)];
    assert_parts(1, 0.6, &both, &[0.4, 0.2, 0.0]);
}

#[test]
fn a_capped_vp_has_its_cap_while_others_have_slack() {
    let claims = [claim(1000, 0.0, 0.25), burn(100), burn(100)];
    assert_parts(1, 0.9, &claims, &[0.25, 0.325, 0.325]);
    // Two LPs that are not full: what a burner has is what an LP delivers.
    assert_parts(2, 0.9, &[burn(100), claim(100, 0.0, 0.5)], &[0.9, 0.5]);
    assert_parts(2, 0.4, &[burn(100), claim(100, 0.0, 0.5)], &[0.4, 0.4]);
}

#[test]
fn a_claim_of_several_vps_is_that_of_each() {
    let several = [(burn(200).0, 3), (claim(100, 0.1, 0.2).0, 2)];
    let single = [
        &several[..1],
        &several[..1],
        &several[..1],
        &several[1..],
        &several[1..],
    ];
    let single: Vec<(Claim, u32)> = single.iter().map(|claims| (claims[0].0, 1)).collect();
    for model in ReserveModel::ALL {
        let each = expected_of_delivered(2, 0.7, &single, model);
        let parts = expected_of_delivered(2, 0.7, &several, model);
        assert_close(&[parts[0], parts[1]], &[each[0], each[3]]);
    }
}

#[test]
fn bound_vps_have_what_their_own_lps_deliver() {
    let parts = |claims: &[(Claim, Option<&[u32]>)], parts: &[f64]| {
        for model in ReserveModel::ALL {
            let lps = [Some(0.8), Some(1.0), None];
            assert_close(
                &expected_of_delivered_with_affinity(&lps, claims, model).unwrap(),
                parts,
            );
        }
    };
    let (burner, left, right) = (burn(100).0, Some(&[0][..]), Some(&[1][..]));
    parts(&[(burner, left), (burner, right)], &[0.8, 1.0]);
    parts(
        &[(burner, left), (burner, right), (burner, None)],
        &[0.6; 3],
    );
    // One that may use both has their mean at the most.
    parts(&[(burner, left), (burner, None)], &[0.8, 0.9]);
    parts(&[(burner, Some(&[2][..])), (burner, None)], &[0.0, 0.9]);
}
