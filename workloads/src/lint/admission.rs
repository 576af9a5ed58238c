//! Promises that cannot be kept: what a run would refuse, said beside the lines that ask for it.
//!
//! Worked out apart from the scheduler's admission, by Hall's condition instead of a flow; a test of
//! the harness holds the two together.

use std::ops::Range;

use super::scene::{SAME, Scene, counted, percent};
use crate::Action;
use crate::experiment::diagnostics::Problem;
use crate::predict::{Phase, Standing};

/// The part of each LP that reserves may take, so that every weight is worth something.
const PROMISED: f64 = 0.99;

const PROMISED_HELP: &str =
    "reserves take at most 99 % of each LP, so that every weight is worth something";

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

/// The first reserve that cannot be promised, as guests and changes come.
pub(super) fn reserve_does_not_fit(scene: &Scene<'_>) -> Vec<Problem> {
    let all = Phase::first(scene.experiment, scene.lps);
    let mut phase = all.clone();
    phase.guests.iter_mut().for_each(|guest| guest.vps = 0);
    for (guest, standing) in all.guests.iter().enumerate() {
        phase.guests[guest] = *standing;
        let wanted = Wanted {
            scene,
            phase: &phase,
            guest,
            change: None,
        };
        if let Some(problem) = wanted.refusal() {
            return vec![problem];
        }
    }
    for (index, change) in scene.experiment.changes.iter().enumerate() {
        let (Action::Controls { guests, .. }
        | Action::AddVps { guests, .. }
        | Action::StartGuests { guests }) = &change.action
        else {
            phase.apply(&change.action);
            continue;
        };
        let mut after = phase.clone();
        after.apply(&change.action);
        for &guest in guests {
            let before = phase.guests[guest];
            phase.guests[guest] = after.guests[guest];
            if covers(before, phase.guests[guest]) {
                continue;
            }
            let wanted = Wanted {
                scene,
                phase: &phase,
                guest,
                change: Some(index),
            };
            if let Some(problem) = wanted.refusal() {
                return vec![problem];
            }
        }
    }
    Vec::new()
}

/// Whether `after` asks for no more than `before` did: that is always possible.
fn covers(before: Standing, after: Standing) -> bool {
    after.controls.reserve <= before.controls.reserve && after.vps <= before.vps
}

/// The reserve of one guest, when all others are as they are.
struct Wanted<'s, 'e> {
    scene: &'s Scene<'e>,
    phase: &'s Phase,
    guest: usize,
    /// Which asks for it; the guest itself does where there is none.
    change: Option<usize>,
}

impl Wanted<'_, '_> {
    fn refusal(&self) -> Option<Problem> {
        let (phase, guest) = (self.phase, self.guest);
        let wanted = reserved(phase.guests[guest]);
        if wanted == 0.0 {
            return None;
        }
        let (name, vps) = (self.scene.name(guest), phase.guests[guest].vps);
        let usable = usable(self.scene, phase, guest);
        if vps > usable {
            let title = format!(
                "guest `{name}` has {vps} VPs and may use {}: its reserve cannot be guaranteed",
                counted(usable, "LP")
            );
            let label = format!("use reserve 0, or at most {usable} VPs");
            let help = "no more VPs than LPs run at once";
            return Some(self.at(title, label).help(help));
        }
        let lps = phase.lps();
        let total = PROMISED * f64::from(lps);
        let others: f64 = (0..phase.guests.len())
            .filter(|other| *other != guest)
            .map(|other| reserved(phase.guests[other]))
            .sum();
        if others + wanted > total + SAME {
            let title = format!(
                "guest `{name}` needs {} of an LP in reserves, and of the {} that {} can promise {} is left",
                percent(wanted),
                percent(total),
                counted(lps, "LP"),
                percent((total - others).max(0.0)),
            );
            let problem = self.at(title, "lower this, use fewer VPs, or give it more LPs");
            return Some(self.holders(problem).help(PROMISED_HELP));
        }
        let crowded = crowded(self.scene, phase)?;
        let names: Vec<String> = crowded
            .iter()
            .map(|guest| format!("`{}`", self.scene.name(*guest)))
            .collect();
        let title = format!(
            "the reserves of {} do not fit on the LPs that these guests may use",
            names.join(", ")
        );
        let problem = self.at(title, "lower a reserve, or widen an affinity");
        Some(self.holders(problem).help(PROMISED_HELP))
    }

    /// Where the file asks for it.
    fn at(&self, title: String, label: impl Into<String>) -> Problem {
        let scene = self.scene;
        match self.change {
            Some(change) => {
                let mut keys = ["reserve", "add_vps"].into_iter();
                let key = keys.find(|key| scene.places.change(change, key).is_some());
                let at = scene.experiment.changes[change].at;
                scene.at_change(
                    change,
                    key.unwrap_or("at"),
                    format!("the change at {at} is refused: {title}"),
                    label,
                )
            }
            None => scene.at_guest(self.guest, "reserve", title, label),
        }
    }

    /// With who holds the rest, each entry once.
    fn holders(&self, mut problem: Problem) -> Problem {
        let now = self.change.map_or(Default::default(), |change| {
            self.scene.experiment.changes[change].at
        });
        let mut places: Vec<(Range<usize>, Vec<usize>)> = Vec::new();
        for guest in (0..self.phase.guests.len()).filter(|guest| *guest != self.guest) {
            if reserved(self.phase.guests[guest]) == 0.0 {
                continue;
            }
            let Some(place) = self.scene.said(guest, "reserve", now) else {
                continue;
            };
            match places.iter_mut().find(|(known, _)| *known == place) {
                Some((_, guests)) => guests.push(guest),
                None => places.push((place, vec![guest])),
            }
        }
        for (place, guests) in places {
            let held: f64 = guests
                .iter()
                .map(|guest| reserved(self.phase.guests[*guest]))
                .sum();
            let who = match guests[..] {
                [one] => format!("`{}` holds", self.scene.name(one)),
                _ => format!(
                    "{} guests of `{}` hold",
                    guests.len(),
                    self.scene.experiment.guests[guests[0]].group
                ),
            };
            problem = problem.context(place, format!("{who} {}", percent(held)));
        }
        problem
    }
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

/// The first LP that is to go off line and cannot.
pub(super) fn lp_needed(scene: &Scene<'_>) -> Vec<Problem> {
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
    if let Some(guest) = guests().find(|guest| usable(scene, phase, *guest) == 0) {
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
