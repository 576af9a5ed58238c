//! Reserves that cannot be promised, as guests and changes come.

use std::ops::Range;

use super::super::scene::{SAME, Scene, counted, percent};
use super::{PROMISED, crowded, reserved, usable};
use crate::Action;
use crate::experiment::diagnostics::Problem;
use crate::predict::{Phase, Standing};

const HELP: &str = "reserves take at most 99 % of each LP, so that every weight is worth something";

/// The first reserve that cannot be promised, as guests and changes come.
pub(in super::super) fn reserve_does_not_fit(scene: &Scene<'_>) -> Vec<Problem> {
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
        let (name, vps) = (self.scene.name(guest), phase.guests[guest].vps);
        let usable = usable(self.scene, phase, guest);
        // An LP that is never there is another rule's.
        if vps > 0 && usable == 0 && self.change.is_some() {
            let title = format!("none of the LPs that guest `{name}` may use is on line");
            return Some(self.at(title, "bring one on line before, or widen its affinity"));
        }
        if wanted == 0.0 {
            return None;
        }
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
            return Some(self.holders(problem).help(HELP));
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
        Some(self.holders(problem).help(HELP))
    }

    /// Where the file asks for it.
    fn at(&self, title: String, label: impl Into<String>) -> Problem {
        let scene = self.scene;
        match self.change {
            Some(change) => {
                let mut keys = ["reserve", "add_vps", "start"].into_iter();
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
