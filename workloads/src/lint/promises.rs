//! What a file expects and claims beside the formula.

use super::scene::{Scene, rounded};
use crate::experiment::diagnostics::Problem;
use crate::predict::Basis;

/// Shares that the file expects and the formula does not.
pub(super) fn expected_by_hand(scene: &Scene<'_>) -> Vec<Problem> {
    let shares = scene.shares();
    let tolerance = scene.experiment.tolerance_pp;
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        let Some(expected) = guest.expected else {
            continue;
        };
        let share = shares[index];
        if (expected - share).abs() > tolerance && !scene.forecasts().is_empty() {
            let title = format!(
                "guest `{}` is expected to receive {expected} %, and the formula promises it {} %",
                guest.name,
                rounded(share)
            );
            let label =
                format!("a run that keeps to the formula fails by a tolerance of {tolerance} pp");
            let help = "without this key the formula is what it is held against";
            found.push(scene.at_guest(index, "expected", title, label).help(help));
        }
    }
    found
}

/// Claims about shares that the formula contradicts.
pub(super) fn claim_against_formula(scene: &Scene<'_>) -> Vec<Problem> {
    let shares = scene.shares();
    // Of others the mean alone is known, and runs are judged by when they were awake.
    let known = |basis| matches!(basis, Basis::Endless | Basis::Declared | Basis::Slight);
    if scene.forecasts().is_empty() || !scene.demands.iter().all(|demand| known(demand.basis)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, claim) in scene.experiment.claims.iter().enumerate() {
        if claim.measure.name() != "share" || claim.of.is_some() {
            continue;
        }
        let promised: f64 = claim.guests.iter().map(|guest| shares[*guest]).sum();
        let slack = scene.experiment.tolerance_pp;
        let broken = [
            (
                "at_least",
                claim.at_least.filter(|least| promised < least - slack),
            ),
            (
                "at_most",
                claim.at_most.filter(|most| promised > most + slack),
            ),
        ];
        for (key, bound) in broken {
            let Some(bound) = bound else { continue };
            let words = key.replace('_', " ");
            let title = format!(
                "`{}` shall receive {words} {bound} %, and the formula promises {} %",
                claim.guest,
                rounded(promised)
            );
            let label = "this claim fails where the controls are kept";
            let help = "`apportion predict` shows what is promised to whom";
            found.push(scene.at_claim(index, key, title, label).help(help));
        }
    }
    found
}
