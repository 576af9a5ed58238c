//! What weights are worth, and beside whose.

use apportion_scheduler::{PolicyKind, WeightScope};

use super::scene::{SAME, Scene, counted, percent, rounded};
use crate::Guest;
use crate::experiment::diagnostics::Problem;

/// From this part of the LPs on, reserves leave hardly anything.
const NEARLY_ALL: f64 = 0.9;

/// More than this a run refuses.
const ALL_PROMISED: f64 = 0.99 + SAME;

/// What a guest claims with all its VPs.
fn claim(guest: &Guest) -> u64 {
    u64::from(guest.controls.weight.get()) * u64::from(guest.vps)
}

/// Guests that seem to be favoured and are not.
pub(super) fn inverted_claims(scene: &Scene<'_>) -> Vec<Problem> {
    if scene.scope() == WeightScope::Guest || !scene.ever_contended() {
        return Vec::new();
    }
    let pairs = scene
        .entries()
        .flat_map(|one| scene.entries().map(move |other| (one, other)));
    let inverted = pairs.filter(|((_, one), (_, other))| {
        one.controls.weight > other.controls.weight && claim(one) < claim(other)
    });
    // The pair that is furthest from what it seems to be.
    let worst = inverted.max_by(|(a, b), (c, d)| {
        let gap = |one: &Guest, other: &Guest| claim(other) as f64 / claim(one) as f64;
        gap(a.1, b.1).total_cmp(&gap(c.1, d.1))
    });
    let Some(((index, one), (other_index, other))) = worst else {
        return Vec::new();
    };
    let title = format!(
        "guest `{}` has the larger weight and the smaller claim: {} against {} of `{}`",
        one.name,
        claim(one),
        claim(other),
        other.name
    );
    let product = |guest: &Guest| {
        format!(
            "{} x {}",
            guest.controls.weight.get(),
            counted(guest.vps, "VP")
        )
    };
    let problem = scene.at_guest(index, "weight", title, product(one));
    let problem = match scene.places.guest(other_index, "vps") {
        Some(place) => problem.context(place, product(other)),
        None => problem,
    };
    vec![problem.help("a weight is each VP's: raise it, or use `weight_scope = \"guest\"`, by which it is the guest's")]
}

/// Weights that count more often for one guest than for another.
pub(super) fn claims_per_vp(scene: &Scene<'_>) -> Vec<Problem> {
    if scene.scope() == WeightScope::Guest || !scene.ever_contended() {
        return Vec::new();
    }
    let vps = |(_, guest): &(usize, &Guest)| guest.vps;
    let (Some(wide), Some(narrow)) = (
        scene.entries().max_by_key(vps),
        scene.entries().min_by_key(vps),
    ) else {
        return Vec::new();
    };
    if wide.1.vps == narrow.1.vps {
        return Vec::new();
    }
    let title = format!(
        "weights are compared across guests with different numbers of VPs: `{}` has {}, `{}` has {}",
        wide.1.name, wide.1.vps, narrow.1.name, narrow.1.vps
    );
    let label = format!(
        "each VP claims {}, the guest {}",
        wide.1.controls.weight.get(),
        claim(wide.1)
    );
    let even = rounded(claim(wide.1) as f64 / f64::from(narrow.1.vps));
    let help = format!(
        "`{}` claims {}, and with weight {even} it would claim as much; under `weight_scope = \"guest\"` VPs do not count",
        narrow.1.name,
        claim(narrow.1)
    );
    vec![scene.at_guest(wide.0, "vps", title, label).help(help)]
}

/// Weights that no VP can turn into CPU time.
pub(super) fn more_than_an_lp(scene: &Scene<'_>) -> Vec<Problem> {
    let Some(forecast) = scene
        .forecasts()
        .first()
        .filter(|forecast| scene.contended(forecast))
    else {
        return Vec::new();
    };
    // With reserves a weight alone is worth nothing that could be said so simply.
    if forecast.reserved() > 0.0
        || forecast
            .guests
            .iter()
            .any(|guest| !guest.demand.is_endless())
    {
        return Vec::new();
    }
    let all: u64 = forecast
        .guests
        .iter()
        .map(|guest| guest.claim(scene.scope()))
        .sum();
    let parts = scene.parts(forecast);
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        let of = &forecast.guests[index];
        let worth = of.claim(scene.scope()) as f64 / all as f64 * f64::from(forecast.lps)
            / f64::from(of.vps.max(1));
        if guest.affinity.is_some() || parts[index] < 1.0 - SAME || worth < 1.0 + SAME {
            continue;
        }
        let title = format!(
            "weight {} of guest `{}` is worth {} of an LP to each VP, and a VP uses one at most",
            guest.controls.weight.get(),
            guest.name,
            percent(worth)
        );
        let label = "the rest of it is shared among the others";
        let help = "more VPs, or fewer LPs, would let it use what its weight is worth";
        found.push(scene.at_guest(index, "weight", title, label).help(help));
    }
    found
}

/// Weights of guests that never meet.
pub(super) fn never_compared(scene: &Scene<'_>) -> Vec<Problem> {
    let guests = &scene.experiment.guests;
    // By guest the lowest guest that it meets, directly or by others.
    let mut meets: Vec<usize> = (0..guests.len()).collect();
    let root = |meets: &[usize], mut guest: usize| {
        while meets[guest] != guest {
            guest = meets[guest];
        }
        guest
    };
    let mut first_on = vec![None; scene.lps as usize];
    let mut anywhere = None;
    for (index, guest) in guests.iter().enumerate() {
        let mut join = |other: &mut Option<usize>| {
            let (a, b) = (
                root(&meets, index),
                root(&meets, *other.get_or_insert(index)),
            );
            meets[a.max(b)] = a.min(b);
        };
        match &guest.affinity {
            None => join(&mut anywhere),
            Some(lps) => {
                for lp in lps.iter().filter(|lp| **lp < scene.lps) {
                    join(&mut first_on[*lp as usize]);
                }
            }
        }
    }
    if anywhere.is_some() {
        // Who may run anywhere meets all.
        return Vec::new();
    }
    let of = |index: usize| (root(&meets, index), guests[index].controls.weight);
    let apart = scene.entries().find_map(|(index, _)| {
        let (island, weight) = of(index);
        let other = scene
            .entries()
            .find(|(other, _)| of(*other).0 != island && of(*other).1 != weight)?;
        Some((index, other.0))
    });
    let Some((one, other)) = apart else {
        return Vec::new();
    };
    let title = format!(
        "the weights of `{}` and `{}` are never compared: they share no LP",
        scene.name(one),
        scene.name(other)
    );
    let label = "a weight counts beside those on the same LPs only";
    let problem = scene.at_guest(one, "weight", title, label);
    let places = [one, other].map(|guest| scene.places.guest(guest, "affinity"));
    let problem = places
        .into_iter()
        .flatten()
        .fold(problem, |problem, place| problem.context(place, "its LPs"));
    vec![problem.help("widen an affinity, or let weights differ within the same LPs")]
}

/// Controls that nobody looks at.
pub(super) fn blind_policy(scene: &Scene<'_>) -> Vec<Problem> {
    let mut weights = scene
        .experiment
        .guests
        .iter()
        .map(|guest| guest.controls.weight);
    let first = weights.next();
    let differ = weights.any(|weight| Some(weight) != first);
    if scene.experiment.policy != PolicyKind::RoundRobin || !differ {
        return Vec::new();
    }
    let title = "policy `round-robin` ignores weights: shares follow the number of VPs";
    let label = "expect verdict fail, or use `policy = \"fair\"`";
    vec![scene.at_top("policy", title, label)]
}

/// Reserves that are nearly everything.
pub(super) fn little_by_weight(scene: &Scene<'_>) -> Vec<Problem> {
    let nearly_all = |forecast: &&crate::predict::Forecast| {
        let part = forecast.reserved() / f64::from(forecast.lps);
        (NEARLY_ALL..=ALL_PROMISED).contains(&part)
    };
    let Some(forecast) = scene.forecasts().iter().find(nearly_all) else {
        return Vec::new();
    };
    let left = f64::from(forecast.lps) - forecast.reserved();
    let title = format!(
        "reserves hold {} of {}: weights decide on {} of an LP",
        rounded(forecast.reserved()),
        counted(forecast.lps, "LP"),
        percent(left)
    );
    let first = forecast
        .guests
        .iter()
        .position(|guest| guest.controls.reserve.percent() > 0.0);
    let label = "lower this, or give it more LPs, if weights shall count";
    vec![scene.at_guest(first.unwrap_or(0), "reserve", title, label)]
}
