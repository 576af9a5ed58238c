//! The tables of what an experiment should show.
//!
//! Writing to a String cannot fail.

mod sheet;

use self::sheet::{Line, Sheet, VISIBLE_PP, gap};
use crate::predict::Prediction;
use apportion_scheduler::{Nanos, WeightScope};
use apportion_workloads::predict::{GuestForecast, Reading};
use apportion_workloads::{Guest, Setting};
use std::fmt::Write as _;

/// What reserves may take of each LP, in percent.
const PROMISED_PCT: f64 = 99.0;

/// One experiment: a table per phase, then what was assumed.
pub(crate) fn prediction(prediction: &Prediction, by_vp: bool) -> String {
    let experiment = &prediction.experiment;
    let own = Reading::of(experiment);
    let mut text = format!(
        "{}{}: {}, reserves {}, weights per {}",
        experiment.name,
        settings(&experiment.settings),
        lps(prediction.lps),
        own.reserve_model.name(),
        match own.weight_scope {
            WeightScope::Vp => "VP",
            WeightScope::Guest => "guest",
        }
    );
    for (index, phase) in prediction.phases.iter().enumerate() {
        if prediction.phases.len() > 1 {
            let _ = write!(
                text,
                "\n\nphase {}: {} to {}, {} on line",
                index + 1,
                if phase.from == Nanos::ZERO {
                    "0s".to_owned()
                } else {
                    phase.from.to_string()
                },
                phase.until,
                lps(phase.lps)
            );
        }
        let sheet = Sheet {
            guests: &experiment.guests,
            phase,
            own,
            by_vp,
        };
        let _ = write!(text, "\n\n{}\n\n", sheet.table());
        text.push_str(&sheet.told());
    }
    affinities(&mut text, &experiment.guests);
    by_hand(&mut text, &experiment.guests);
    for (who, assumption) in assumptions(prediction) {
        let _ = write!(text, "\nassumed     {who}: {assumption}");
    }
    text
}

/// What options made of the file.
fn settings(settings: &[Setting]) -> String {
    let settings: Vec<String> = settings.iter().map(Setting::to_string).collect();
    match settings.is_empty() {
        true => String::new(),
        false => format!(" with {}", settings.join(", ")),
    }
}

fn lps(number: u32) -> String {
    match number {
        1 => "1 LP".to_owned(),
        _ => format!("{number} LPs"),
    }
}

impl Sheet<'_> {
    /// What is to be said below the table.
    fn told(&self) -> String {
        let phase = self.phase;
        let mut text = match self.by_vp {
            true => "shares      of each VP in % of one LP".to_owned(),
            false => format!("shares      in % of {}", lps(phase.lps)),
        };
        let _ = write!(
            text,
            "; *: as this experiment reads its controls\nreadings    {}",
            self.readings()
        );
        let claims: u64 = phase
            .guests
            .iter()
            .map(|guest| guest.claim(self.own.weight_scope))
            .sum();
        let _ = match self.own.weight_scope {
            WeightScope::Vp => write!(text, "\nclaims      weight x VPs, {claims} together"),
            WeightScope::Guest => write!(
                text,
                "\nclaims      weight, whatever the VPs; {claims} together"
            ),
        };
        let (usable, there) = (phase.usable(), f64::from(phase.lps));
        let own = self.own;
        let short = |guest: &GuestForecast| guest.part(own) < guest.upper() - VISIBLE_PP / 100.0;
        let _ = write!(text, "\ndemand      {usable:.2} of {}: ", lps(phase.lps));
        text.push_str(if phase.guests.iter().any(short) {
            "contended"
        } else {
            "everybody gets all it wants"
        });
        let reserved = 100.0 * phase.reserved();
        if reserved > 0.0 {
            let most = PROMISED_PCT * there;
            let _ = match reserved > most {
                false => write!(
                    text,
                    "\nreserves    {reserved:.1} of the {most:.0} % of an LP that can be promised"
                ),
                true => write!(
                    text,
                    "\nreserves    {reserved:.1} % of an LP where {most:.0} % can be promised: refused, or \
                     scaled down by force"
                ),
            };
        }
        text
    }

    /// Where the readings differ, and by how much.
    fn readings(&self) -> String {
        let lines: Vec<Line<'_>> = self.lines().into_iter().filter(|line| !line.sum).collect();
        // Of equals the first.
        let widest = lines
            .iter()
            .rev()
            .map(|line| (gap(self.shares(line)), &line.name));
        match widest.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((gap, name)) if gap >= VISIBLE_PP => {
                format!("differ where there is a ≠, most for {name}: by {gap:.2} points")
            }
            _ => "all four agree".to_owned(),
        }
    }
}

/// Per entry with an affinity its LPs.
fn affinities(text: &mut String, guests: &[Guest]) {
    for entry in guests.chunk_by(|a, b| a.group == b.group) {
        if let Some(lps) = &entry[0].affinity {
            let lps: Vec<String> = lps.iter().map(u32::to_string).collect();
            let _ = write!(
                text,
                "\naffinity    {}: LPs {}",
                entry[0].group,
                lps.join(", ")
            );
        }
    }
}

/// Per entry whose share the file says, what a run holds it against.
fn by_hand(text: &mut String, guests: &[Guest]) {
    for entry in guests.chunk_by(|a, b| a.group == b.group) {
        if let Some(share) = entry[0].expected {
            let group = &entry[0].group;
            let _ = write!(
                text,
                "\nexpected    {group}: {share} % over the whole run, by its file"
            );
        }
    }
}

/// What was assumed of whom, each assumption once.
fn assumptions(prediction: &Prediction) -> Vec<(String, &'static str)> {
    let mut assumed: Vec<(Vec<&str>, &'static str)> = Vec::new();
    let Some(phase) = prediction.phases.first() else {
        return Vec::new();
    };
    for (guest, forecast) in prediction.experiment.guests.iter().zip(&phase.guests) {
        let Some(assumption) = forecast.demand.basis.assumption() else {
            continue;
        };
        match assumed.iter_mut().find(|(_, known)| *known == assumption) {
            Some((who, _)) if who.last() == Some(&guest.group.as_str()) => {}
            Some((who, _)) => who.push(&guest.group),
            None => assumed.push((vec![&guest.group], assumption)),
        }
    }
    let named = assumed.into_iter();
    named
        .map(|(who, assumption)| (who.join(", "), assumption))
        .collect()
}
