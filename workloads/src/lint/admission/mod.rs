//! Promises that cannot be kept: what a run would refuse, said beside the lines that ask for it.
//!
//! Worked out apart from the scheduler's admission, by Hall's condition instead of a flow; a test of
//! the harness holds the two together.

mod lp;
mod reserve;

use super::scene::{SAME, Scene, counted};
use crate::Action;
use crate::experiment::diagnostics::Problem;
use crate::predict::{Phase, Standing};

pub(super) use lp::lp_needed;
pub(super) use reserve::reserve_does_not_fit;

/// The part of each LP that reserves may take, so that every weight is worth something.
const PROMISED: f64 = 0.99;

/// LPs that are named and not there.
pub(super) fn missing_lp(scene: &Scene<'_>) -> Vec<Problem> {
    let (experiment, lps) = (scene.experiment, counted(scene.lps, "LP"));
    let remedy = |lp: u32| format!("use at least {} LPs, or another LP", u64::from(lp) + 1);
    let mut found = Vec::new();
    if experiment.nodes > scene.lps {
        let title = format!(
            "{} nodes are more than there are LPs: {lps}",
            experiment.nodes
        );
        found.push(scene.at_top("nodes", title, "use fewer nodes, or more LPs"));
    }
    for (index, guest) in scene.entries() {
        let greatest = guest.affinity.iter().flatten().max();
        if let Some(&lp) = greatest.filter(|lp| **lp >= scene.lps) {
            let title = format!(
                "the affinity of guest `{}` names LP {lp}, and there are {lps}",
                guest.name
            );
            found.push(scene.at_guest(index, "affinity", title, remedy(lp)));
        }
    }
    for (index, change) in experiment.changes.iter().enumerate() {
        let (key, lp) = match change.action {
            Action::LpOff { lp, .. } => ("lp_off", lp),
            Action::LpOn { lp } => ("lp_on", lp),
            _ => continue,
        };
        if lp >= scene.lps {
            let title = format!(
                "the change at {} concerns LP {lp}, and there are {lps}",
                change.at
            );
            found.push(scene.at_change(index, key, title, remedy(lp)));
        }
    }
    found
}

/// More sets of LPs than the expected shares are computed for.
pub(super) fn too_many_affinities(scene: &Scene<'_>) -> Vec<Problem> {
    let Err(error) = &scene.forecasts else {
        return Vec::new();
    };
    let mut bound = scene
        .entries()
        .filter(|(_, guest)| guest.affinity.is_some());
    let first = bound.next().map_or(0, |(index, _)| index);
    vec![scene.at_guest(
        first,
        "affinity",
        error.to_string(),
        "let guests have the same affinity",
    )]
}

/// What a guest's VPs are promised together, in LPs.
fn reserved(guest: Standing) -> f64 {
    f64::from(guest.vps) * guest.controls.reserve.percent() / 100.0
}

/// On how many LPs on line a guest may run.
fn usable(scene: &Scene<'_>, phase: &Phase, guest: usize) -> u32 {
    match &scene.experiment.guests[guest].affinity {
        None => phase.lps(),
        Some(lps) => lps
            .iter()
            .filter(|lp| phase.online.get(**lp as usize) == Some(&true))
            .count() as u32,
    }
}

/// Guests bound to so few LPs that their reserves do not fit there: Hall's
/// condition over all unions of affinities. More of these than shares can be
/// expected for are an error anyway.
fn crowded(scene: &Scene<'_>, phase: &Phase) -> Option<Vec<usize>> {
    let guests = &scene.experiment.guests;
    let bound = (0..guests.len()).filter(|guest| reserved(phase.guests[*guest]) > 0.0);
    let bound: Vec<(usize, &[u32])> = bound
        .filter_map(|guest| Some((guest, guests[guest].affinity.as_deref()?)))
        .collect();
    if scene.forecasts.is_err() {
        return None;
    }
    let mut unions: Vec<Vec<u32>> = Vec::new();
    for (_, lps) in &bound {
        let mut wider = vec![lps.to_vec()];
        for union in &unions {
            let mut both = [union, *lps].concat();
            both.sort_unstable();
            both.dedup();
            wider.push(both);
        }
        for union in wider {
            if !unions.contains(&union) {
                unions.push(union);
            }
        }
    }
    unions.iter().find_map(|union| {
        let online = union
            .iter()
            .filter(|lp| phase.online.get(**lp as usize) == Some(&true))
            .count();
        let within = bound
            .iter()
            .filter(|(_, lps)| lps.iter().all(|lp| union.contains(lp)));
        let within: Vec<usize> = within.map(|(guest, _)| *guest).collect();
        let held: f64 = within
            .iter()
            .map(|guest| reserved(phase.guests[*guest]))
            .sum();
        (held > PROMISED * online as f64 + SAME).then_some(within)
    })
}
