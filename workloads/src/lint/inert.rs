//! Controls and changes that alter nothing.
//!
//! Whether one does is found by trying: what would everybody receive without it?

use apportion_abi::Payload;
use apportion_scheduler::{Cap, Controls, Nanos, Reserve, ReserveModel, Weight, WeightScope};

use super::scene::{SAME, Scene, counted, percent};
use crate::Action;
use crate::experiment::diagnostics::Problem;
use crate::predict::{Basis, Phase, Reading};

/// How much of its cap a VP may use at once.
const BUCKET: u64 = apportion_scheduler::CAP_DEPTH_SLICES;

/// Weights and reserves where nobody competes.
pub(super) fn no_contention(scene: &Scene<'_>) -> Vec<Problem> {
    if scene.forecasts.is_err() || scene.ever_contended() {
        return Vec::new();
    }
    let said = |(index, _): (usize, _)| {
        let keys = ["weight", "reserve"].into_iter();
        keys.filter_map(move |key| {
            Some((
                index,
                key,
                scene.said(index, key, scene.experiment.duration)?,
            ))
        })
    };
    let mut said = scene.entries().flat_map(said);
    let Some((guest, key, _)) = said.next() else {
        return Vec::new();
    };
    let most = |of: &dyn Fn(&crate::predict::Forecast) -> f64| {
        scene.forecasts().iter().map(of).fold(0.0, f64::max)
    };
    let usable = super::scene::rounded(most(&|forecast| forecast.usable()));
    let vps = most(&|forecast| {
        forecast
            .guests
            .iter()
            .map(|guest| f64::from(guest.vps))
            .sum()
    });
    let title = format!(
        "this {key} decides nothing: everybody gets all it wants, {usable} of {}",
        counted(scene.lps, "LP")
    );
    let label = "add guests or VPs that want more, or use fewer LPs";
    let problem = said.fold(
        scene.at_guest(guest, key, title, label),
        |problem, (_, key, place)| problem.context(place, format!("nor does this {key}")),
    );
    vec![if vps > f64::from(scene.lps) {
        problem.help("where bursts coincide it decides who waits, which is in no share")
    } else {
        problem.help("weights and reserves count where more VPs want to run than there are LPs")
    }]
}

/// Caps that are never reached.
pub(super) fn cap(scene: &Scene<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    let all_burn = scene.demands.iter().all(|demand| demand.is_endless());
    for (index, guest) in scene.entries() {
        let cap = guest.controls.cap;
        let part = cap.percent() / 100.0;
        if cap == Cap::default() || scene.changed(index) {
            continue;
        }
        let demand = scene.demands[index];
        let at_once =
            burst(guest.payload).is_some_and(|burst| burst <= BUCKET * scene.experiment.slice.0);
        if demand.basis == Basis::Declared && demand.part <= part && at_once {
            let wants = percent(demand.part);
            let title = format!(
                "cap {} % of guest `{}` is never reached: it wants {wants} of an LP",
                cap.percent(),
                guest.name
            );
            let label = format!("use less than {wants}, or remove this key");
            found.push(scene.at_guest(index, "cap", title, label));
            continue;
        }
        let without = scene.parts_if(|phase| {
            set(scene, phase, index, |controls| {
                controls.cap = Cap::default()
            })
        });
        if all_burn && without.is_some_and(|parts| scene.same(&parts)) {
            let most = scene
                .forecasts()
                .iter()
                .map(|forecast| scene.parts(forecast)[index]);
            let gets = percent(most.fold(0.0, f64::max));
            let title = format!(
                "cap {} % of guest `{}` is never reached: the others leave it {gets} of an LP",
                cap.percent(),
                guest.name
            );
            let label = format!("use less than {gets}, or remove this key");
            let help = "a cap counts where others leave more than that: they never sleep here";
            found.push(scene.at_guest(index, "cap", title, label).help(help));
        }
    }
    found
}

/// The longest piece of work that a VP with this payload wants at once, in ns, where that is known.
fn burst(payload: Payload) -> Option<u64> {
    match payload {
        Payload::Periodic { run, .. } | Payload::Probe { run, .. } => Some(run.0),
        Payload::Bursts {
            run, random: false, ..
        } => Some(run.0),
        _ => None,
    }
}

/// Reserves that nobody would notice the absence of.
pub(super) fn reserve(scene: &Scene<'_>) -> Vec<Problem> {
    let all_burn = scene.demands.iter().all(|demand| demand.is_endless());
    if !all_burn || !scene.ever_contended() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        let reserve = guest.controls.reserve;
        if reserve == Reserve::default() || scene.changed(index) {
            continue;
        }
        let without = scene.parts_if(|phase| {
            set(scene, phase, index, |controls| {
                controls.reserve = Reserve::default()
            })
        });
        if without.is_some_and(|parts| scene.same(&parts)) {
            let parts = scene
                .forecasts()
                .iter()
                .map(|forecast| scene.parts(forecast)[index]);
            let gets = percent(parts.fold(1.0, f64::min));
            let title = format!(
                "reserve {} % of guest `{}` changes nothing",
                reserve.percent(),
                guest.name
            );
            let label = format!("its weight gives it {gets} of an LP without");
            let help = match scene.experiment.reserve_model {
                ReserveModel::Floor => {
                    format!("raise it above {gets}, or use `reserve_model = \"additive\"`")
                }
                ReserveModel::Additive => "it has all that it can use without".to_owned(),
            };
            found.push(scene.at_guest(index, "reserve", title, label).help(help));
        }
    }
    found
}

/// Reserves of guests that want less.
pub(super) fn idle_reserve(scene: &Scene<'_>) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, guest) in scene.entries() {
        let (reserve, wants) = (
            guest.controls.reserve.percent() / 100.0,
            scene.demands[index].part,
        );
        if reserve > wants + SAME {
            let title = format!(
                "guest `{}` reserves {} of an LP and wants {}",
                guest.name,
                percent(reserve),
                percent(wants)
            );
            let label = "no other guest can reserve what it leaves unused, though they use it";
            let help =
                "a reserve above demand shortens the wait after each awakening, and nothing else";
            found.push(scene.at_guest(index, "reserve", title, label).help(help));
        }
    }
    found
}

/// Weights that were chosen and do not differ.
pub(super) fn equal_weights(scene: &Scene<'_>) -> Vec<Problem> {
    let mut weights = scene
        .phases
        .iter()
        .flat_map(|phase| phase.guests.iter().map(|guest| guest.controls.weight));
    let Some(first) = weights.next() else {
        return Vec::new();
    };
    if scene.experiment.guests.len() < 2
        || first == Weight::default()
        || weights.any(|weight| weight != first)
    {
        return Vec::new();
    }
    let title = format!(
        "all guests have weight {}: that is the same as no weight at all",
        first.get()
    );
    vec![scene.at_guest(
        0,
        "weight",
        title,
        "give one of them another weight, or remove this key from all",
    )]
}

/// Changes after which everything is as before.
pub(super) fn change(scene: &Scene<'_>) -> Vec<Problem> {
    let mut phase = Phase::first(scene.experiment, scene.lps);
    let mut found = Vec::new();
    for (index, change) in scene.experiment.changes.iter().enumerate() {
        let before = phase.clone();
        phase.apply(&change.action);
        let (key, what) = match &change.action {
            Action::Controls { guest, .. } => {
                ("guest", format!("`{guest}` has these controls by then"))
            }
            // An LP that is not there is another rule's.
            Action::LpOff { lp, .. } | Action::LpOn { lp } if *lp >= scene.lps => continue,
            Action::LpOff { lp, .. } => ("lp_off", format!("LP {lp} is off line by then")),
            Action::LpOn { lp } => ("lp_on", format!("LP {lp} is on line by then")),
            _ => continue,
        };
        if phase == before {
            let title = format!("the change at {} alters nothing: {what}", change.at);
            found.push(scene.at_change(
                index,
                key,
                title,
                "remove this change, or say what it shall alter",
            ));
        }
    }
    found
}

/// A choice between two readings that are the same here.
pub(super) fn reading(scene: &Scene<'_>) -> Vec<Problem> {
    let forecasts = scene.forecasts();
    if forecasts.is_empty() {
        return Vec::new();
    }
    let own = Reading::of(scene.experiment);
    let agrees = |other: &Reading| {
        let mut guests = forecasts.iter().flat_map(|forecast| &forecast.guests);
        guests.all(|guest| (guest.part(own) - guest.part(*other)).abs() < SAME)
    };
    let models = ReserveModel::ALL.map(|reserve_model| Reading {
        reserve_model,
        ..own
    });
    let scopes = WeightScope::ALL.map(|weight_scope| Reading {
        weight_scope,
        ..own
    });
    let choices = [
        ("reserve_model", models, "guests with a reserve compete"),
        (
            "weight_scope",
            scopes,
            "guests with different numbers of VPs compete",
        ),
    ];
    let mut found = Vec::new();
    for (key, readings, where_they_differ) in choices {
        if scene.places.top(key).is_some() && readings.iter().all(agrees) {
            let title = format!("`{key}` makes no difference here");
            let label = "both readings give the same shares: remove this key";
            let help = format!("they differ where {where_they_differ}: see `apportion predict`");
            found.push(scene.at_top(key, title, label).help(help));
        }
    }
    found
}

/// Gives all guests of an entry other controls: what one line of the file does.
fn set(scene: &Scene<'_>, phase: &mut Phase, first: usize, alter: impl Fn(&mut Controls)) {
    let guests = scene.experiment.guests.iter().zip(&mut phase.guests);
    let group = &scene.experiment.guests[first].group;
    let meant = guests.filter(|(guest, _)| guest.group == *group);
    meant.for_each(|(_, standing)| alter(&mut standing.controls));
}

impl Scene<'_> {
    /// Whether a change gives the guest other controls: then there is something to see.
    fn changed(&self, guest: usize) -> bool {
        let first = |phase: &Phase| phase.guests[guest].controls;
        self.phases
            .iter()
            .any(|phase| phase.from > Nanos::ZERO && first(phase) != first(&self.phases[0]))
    }
}
