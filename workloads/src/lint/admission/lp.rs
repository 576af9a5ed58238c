//! LPs that cannot go off line.

use super::super::scene::{SAME, Scene, counted, percent};
use super::{PROMISED, crowded, reserved, usable};
use crate::Action;
use crate::experiment::diagnostics::Problem;
use crate::predict::Phase;

/// The first LP that is to go off line and cannot.
pub(in super::super) fn lp_needed(scene: &Scene<'_>) -> Vec<Problem> {
    let mut phase = Phase::first(scene.experiment, scene.lps);
    for (index, change) in scene.experiment.changes.iter().enumerate() {
        phase.apply(&change.action);
        let Action::LpOff { lp, force } = change.action else {
            continue;
        };
        if lp >= scene.lps {
            continue;
        }
        if let Some((why, remedy)) = needed(scene, &phase, force) {
            let title = format!("LP {lp} cannot be taken off line at {}: {why}", change.at);
            return vec![scene.at_change(index, "lp_off", title, remedy)];
        }
    }
    Vec::new()
}

/// Why an LP that is off line in `phase` would have to stay, and what to do.
fn needed(scene: &Scene<'_>, phase: &Phase, force: bool) -> Option<(String, &'static str)> {
    let lps = phase.lps();
    if lps == 0 {
        return Some((
            "it is the last one".to_owned(),
            "bring another one on line first",
        ));
    }
    let guests = || 0..phase.guests.len();
    let stranded =
        |guest: &usize| phase.guests[*guest].vps > 0 && usable(scene, phase, *guest) == 0;
    if let Some(guest) = guests().find(stranded) {
        return Some((
            format!("guest `{}` may use no other", scene.name(guest)),
            "widen its affinity",
        ));
    }
    if force {
        return None;
    }
    let held: f64 = phase.guests.iter().copied().map(reserved).sum();
    let total = PROMISED * f64::from(lps);
    if held > total + SAME {
        let why = format!(
            "reserves of {} of an LP are promised, and {} can promise {}",
            percent(held),
            counted(lps, "LP"),
            percent(total)
        );
        return Some((
            why,
            "lower a reserve, or add `force = true`, which scales all reserves down",
        ));
    }
    let squeezed = guests().find(|guest| {
        reserved(phase.guests[*guest]) > 0.0
            && phase.guests[*guest].vps > usable(scene, phase, *guest)
    });
    if let Some(guest) = squeezed {
        let vps = phase.guests[guest].vps;
        let why = format!(
            "guest `{}` has a reserve on {vps} VPs, and {} would be left to it",
            scene.name(guest),
            counted(usable(scene, phase, guest), "LP")
        );
        return Some((why, "set its reserve to 0, or add `force = true`"));
    }
    let crowded = crowded(scene, phase)?;
    let names: Vec<&str> = crowded.into_iter().map(|guest| scene.name(guest)).collect();
    let why = format!(
        "the reserves of {} need the LPs that these guests may use",
        names.join(", ")
    );
    Some((
        why,
        "lower a reserve, widen an affinity, or add `force = true`",
    ))
}
