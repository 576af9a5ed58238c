//! Runs and phases too short for what they shall show.

use apportion_abi::Payload;
use apportion_scheduler::Nanos;

use super::scene::{Scene, counted, rounded};
use crate::bounds::lag_limit;
use crate::experiment::diagnostics::Problem;
use crate::limits;
use crate::predict::{Basis, GuestForecast};

/// A shorter phase has hardly a window to be judged by.
const SHORT: Nanos = Nanos::from_millis(1_000);

/// Tolerances within the error that the design allows.
///
/// How late kicks come is not known before the run.
pub(super) fn bound_above_tolerance(scene: &Scene<'_>) -> Vec<Problem> {
    let experiment = scene.experiment;
    let (slice, tolerance) = (experiment.slice, experiment.tolerance_pp);
    let bound = |phase: &crate::predict::Phase| {
        let vps = phase
            .guests
            .iter()
            .map(|guest| guest.vps)
            .max()
            .unwrap_or(0);
        let lag = lag_limit(phase.lps(), experiment.nodes, slice, Nanos::ZERO);
        let of = phase.length().0 as f64 * f64::from(phase.lps());
        (100.0 * f64::from(vps) * 2.0 * lag / of, vps)
    };
    let worst = scene
        .phases
        .iter()
        .filter(|phase| phase.lps() > 0)
        .max_by(|a, b| bound(a).0.total_cmp(&bound(b).0));
    let Some(phase) = worst else {
        return Vec::new();
    };
    let (pp, vps) = bound(phase);
    if pp <= tolerance {
        return Vec::new();
    }
    let length = phase.length();
    let what = match scene.phases.len() {
        1 => format!("{length} of measuring"),
        _ => format!("the phase from {} to {}", phase.from, phase.until),
    };
    let title = format!(
        "{what} is too short for a tolerance of {tolerance} pp: a guest's share may be off by {} pp",
        rounded(pp)
    );
    // Round seconds are what people write.
    let enough = (length.0 as f64 * pp / tolerance / 1e9).ceil() * 1e9;
    let label = match enough <= limits::DURATION.highest.0 as f64 {
        true => format!(
            "use at least {}, a shorter slice, or a tolerance of {} pp",
            Nanos(enough as u64),
            rounded(pp)
        ),
        false => format!("use a tolerance of {} pp", rounded(pp)),
    };
    let help = format!(
        "100 x {} x 2 x b / ({length} x {}), where b is {} and how late kicks come on top",
        counted(vps, "VP"),
        counted(phase.lps(), "LP"),
        match phase.lps() {
            1 => format!("a slice of {slice}"),
            _ if experiment.nodes > 1 => format!("six slices of {slice}, on several nodes,"),
            _ => format!("twice a slice of {slice}, on several LPs,"),
        }
    );
    let began = scene
        .experiment
        .changes
        .iter()
        .position(|change| change.at == phase.from);
    let problem = match began {
        Some(change) => scene.at_change(change, "at", title, label),
        None => scene.at_top("duration", title, label),
    };
    vec![problem.help(help)]
}

/// Guests whose whole share lies within the tolerance.
pub(super) fn tolerance_hides_guest(scene: &Scene<'_>) -> Vec<Problem> {
    let tolerance = scene.experiment.tolerance_pp;
    // What is known on average only may be next to nothing at times, and who is due nothing cannot get less.
    let known = |guest: &GuestForecast| !matches!(guest.demand.basis, Basis::Mean | Basis::Unread);
    let small = |share: &f64| *share > 0.0 && *share <= tolerance;
    let least = scene.forecasts().iter().flat_map(|forecast| {
        let parts = scene.parts(forecast).into_iter().zip(&forecast.guests);
        let of = parts.enumerate().map(|(index, (part, guest))| {
            let lps = part * f64::from(guest.vps);
            (100.0 * lps / f64::from(forecast.lps.max(1)), index, guest)
        });
        of.filter(|(share, _, guest)| small(share) && known(guest))
            .map(|(share, index, _)| (share, index))
            .collect::<Vec<_>>()
    });
    let Some((share, guest)) = least.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return Vec::new();
    };
    let title = format!(
        "guest `{}` is due {} % of the LPs: with a tolerance of {tolerance} pp it would pass with nothing",
        scene.name(guest),
        rounded(share)
    );
    let fifth = rounded(share / 5.0).max(0.001);
    let label = format!("use a tolerance well below its share, such as `tolerance_pp = {fifth}`");
    let place = scene.places.top("tolerance_pp");
    vec![match place {
        Some(_) => scene.at_top("tolerance_pp", title, label),
        None => scene
            .at_guest(guest, "name", title, label)
            .help("without a line `tolerance_pp` it is 0.5"),
    }]
}

/// Phases that are over before much can be seen.
pub(super) fn short_phase(scene: &Scene<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    if scene.phases.len() < 2 {
        return found;
    }
    for phase in scene.phases.iter().filter(|phase| phase.length() < SHORT) {
        let title = format!(
            "the phase from {} to {} is only {} long",
            phase.from,
            phase.until,
            phase.length()
        );
        let begun = scene
            .experiment
            .changes
            .iter()
            .position(|change| change.at == phase.from);
        let ended = scene
            .experiment
            .changes
            .iter()
            .position(|change| change.at == phase.until);
        let label = match (begun, ended) {
            (Some(_), None) => "use an earlier time, or a longer duration",
            _ => "leave a second at least between changes",
        };
        let Some(change) = begun.or(ended) else {
            continue;
        };
        let help =
            format!("shares over less than {SHORT} are judged by a wide bound, and say little");
        found.push(scene.at_change(change, "at", title, label).help(help));
    }
    found
}

/// Measuring from the very start.
pub(super) fn no_warm_up(scene: &Scene<'_>) -> Vec<Problem> {
    if scene.experiment.warm_up > Nanos::ZERO {
        return Vec::new();
    }
    let title = "without warm-up the start of the guests is measured, too";
    let label = "remove this key for 1s, unless guests have work to finish";
    vec![scene.at_top("warm_up", title, label)]
}

/// Guests that would have to be served within a slice to get what they are expected to.
pub(super) fn short_bursts(scene: &Scene<'_>) -> Vec<Problem> {
    let slice = scene.experiment.slice;
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        // What arrives for other payloads is done later.
        let Payload::OnOff { on, .. } = guest.payload else {
            continue;
        };
        let burst = Nanos(on.0);
        if burst < slice && scene.ever_contended() {
            let title = format!(
                "the bursts of guest `{}` are shorter than a slice: {burst} of {slice}",
                guest.name
            );
            let label = "use longer bursts, or a shorter slice";
            let help = "who waits for a slice after each awakening measures below what is expected of him while awake";
            found.push(scene.at_guest(index, "on", title, label).help(help));
        }
    }
    found
}
