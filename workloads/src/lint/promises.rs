//! What a file expects and claims beside the formula.

use apportion_scheduler::PolicyKind;

use super::scene::{Scene, rounded};
use crate::experiment::diagnostics::Problem;
use crate::predict::Basis;
use crate::{Claim, Experiment};

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

/// Claims about shares that the formula contradicts: of the share itself, or as a factor of another run's.
pub(super) fn claim_against_formula(scene: &Scene<'_>) -> Vec<Problem> {
    let Some(shares) = promised(scene) else {
        return Vec::new();
    };
    let slack = scene.experiment.tolerance_pp;
    let mut found = Vec::new();
    for (index, claim) in scene.experiment.claims.iter().enumerate() {
        if claim.measure.name() != "share" {
            continue;
        }
        let share = sum(&shares, &claim.guests);
        let other = match &claim.of {
            Some(_) => match of_other(scene, claim) {
                Some(other) => Some(other),
                // It is compared with itself, or with a run that the formula does not tell of.
                None => continue,
            },
            None => None,
        };
        // What both runs may miss the formula by is no contradiction.
        let at = |bound: f64, slack: f64| match other {
            Some(other) => bound * (other + slack).max(0.0),
            None => bound,
        };
        let broken = [
            (
                "at_least",
                claim.at_least.filter(|it| share + slack < at(*it, -slack)),
            ),
            (
                "at_most",
                claim.at_most.filter(|it| share - slack > at(*it, slack)),
            ),
        ];
        for (key, bound) in broken {
            let Some(bound) = bound else { continue };
            let (guest, words, share) = (&claim.guest, key.replace('_', " "), rounded(share));
            let title = match other {
                None => format!(
                    "`{guest}` shall receive {words} {bound} %, and the formula promises {share} %"
                ),
                Some(other) => format!(
                    "`{guest}` shall receive {words} {bound} x what it does in the other run, and the formula promises \
                     {share} % and there {} %",
                    rounded(other)
                ),
            };
            let label = "this claim fails where the controls are kept";
            let help = "`apportion predict` shows what is promised to whom";
            found.push(scene.at_claim(index, key, title, label).help(help));
        }
    }
    found
}

/// By guest, what the formula promises over the whole run, where it does so whatever guests do.
fn promised(scene: &Scene<'_>) -> Option<Vec<f64>> {
    // Of others the mean alone is known, and runs are judged by when they were awake.
    let known = |basis| matches!(basis, Basis::Endless | Basis::Declared | Basis::Slight);
    let all = scene.demands.iter().all(|demand| known(demand.basis));
    (all && !scene.forecasts().is_empty()).then(|| scene.shares())
}

/// What the formula promises the guests of a claim in the run that it compares with; nothing where one of the two is
/// a yardstick, which misses the formula by design.
fn of_other(scene: &Scene<'_>, claim: &Claim) -> Option<f64> {
    let mut other = scene.experiment.reference(claim).ok()??;
    let fair = |experiment: &Experiment| experiment.policy == PolicyKind::Fair;
    if !fair(scene.experiment) || !fair(&other) {
        return None;
    }
    // What options of the command line say holds for both, where the claim does not say it.
    let said = |key: &str| claim.of.iter().flatten().any(|it| it.key() == key);
    if !said("duration") {
        other.duration = scene.experiment.duration;
    }
    let lps = other.lps.filter(|_| said("lps")).unwrap_or(scene.lps);
    let meant: Vec<usize> = (0..other.guests.len())
        .filter(|guest| other.guests[*guest].is_called(&claim.guest))
        .collect();
    Some(sum(&promised(&Scene::new(&other, lps))?, &meant))
}

fn sum(shares: &[f64], guests: &[usize]) -> f64 {
    guests.iter().map(|guest| shares[*guest]).sum()
}
