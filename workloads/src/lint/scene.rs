//! What a rule looks at: the experiment, where its text says what, and what it should show.

use std::ops::Range;

use apportion_scheduler::{Nanos, WeightScope};

use super::places::Places;
use crate::expected::TooManyAffinities;
use crate::experiment::diagnostics::Problem;
use crate::experiment::sources::Sources;
use crate::predict::{Demand, Forecast, GuestForecast, Phase, Reading, forecast, phases};
use crate::{Action, Experiment, Guest};

/// Shares that differ by less are the same.
pub(super) const SAME: f64 = 1e-9;

/// An experiment with all that rules ask about it.
pub(super) struct Scene<'e> {
    pub(super) experiment: &'e Experiment,
    pub(super) lps: u32,
    pub(super) places: Places,
    /// What the places point into.
    pub(super) sources: Sources,
    pub(super) phases: Vec<Phase>,
    /// By phase.
    pub(super) forecasts: Result<Vec<Forecast>, TooManyAffinities>,
    /// By guest.
    pub(super) demands: Vec<Demand>,
}

impl<'e> Scene<'e> {
    pub(super) fn new(experiment: &'e Experiment, lps: u32) -> Scene<'e> {
        let phases = phases(experiment, lps);
        let guests = experiment.guests.iter();
        let (places, sources) = Places::of(experiment);
        Scene {
            experiment,
            lps,
            places,
            sources,
            forecasts: phases
                .iter()
                .map(|phase| forecast(experiment, phase))
                .collect(),
            phases,
            demands: guests.map(Demand::of).collect(),
        }
    }

    /// What each phase should show; nothing where that cannot be computed.
    pub(super) fn forecasts(&self) -> &[Forecast] {
        self.forecasts.as_deref().unwrap_or_default()
    }

    /// By guest, what each of its VPs receives as the experiment reads its controls.
    pub(super) fn parts(&self, forecast: &Forecast) -> Vec<f64> {
        let own = Reading::of(self.experiment);
        let part = |guest: &GuestForecast| guest.part(own);
        forecast.guests.iter().map(part).collect()
    }

    /// What each VP would receive in each phase, were the phases these.
    pub(super) fn parts_if(&self, change: impl Fn(&mut Phase)) -> Option<Vec<Vec<f64>>> {
        let phases = self.phases.iter().map(|phase| {
            let mut phase = phase.clone();
            change(&mut phase);
            let forecast = forecast(self.experiment, &phase).ok()?;
            Some(self.parts(&forecast))
        });
        phases.collect()
    }

    /// Whether these parts are those that are to be expected.
    pub(super) fn same(&self, parts: &[Vec<f64>]) -> bool {
        let now = self
            .forecasts()
            .iter()
            .flat_map(|forecast| self.parts(forecast));
        now.zip(parts.iter().flatten())
            .all(|(a, b)| (a - b).abs() < SAME)
    }

    /// Whether somebody receives less than it can use in this phase.
    pub(super) fn contended(&self, forecast: &Forecast) -> bool {
        let parts = self.parts(forecast);
        let mut guests = forecast.guests.iter().zip(parts);
        guests.any(|(guest, part)| guest.vps > 0 && part < guest.upper() - SAME)
    }

    /// Whether somebody receives less than it can use at some time.
    pub(super) fn ever_contended(&self) -> bool {
        self.forecasts()
            .iter()
            .any(|forecast| self.contended(forecast))
    }

    /// The first guest of each entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, &'e Guest)> {
        let guests = &self.experiment.guests;
        let is_first =
            move |index: usize| index == 0 || guests[index - 1].group != guests[index].group;
        guests
            .iter()
            .enumerate()
            .filter(move |(index, _)| is_first(*index))
    }

    /// Where `key` of a guest is said last before `before`: by a change or by its entry.
    pub(super) fn said(&self, guest: usize, key: &str, before: Nanos) -> Option<Range<usize>> {
        let changes = self.experiment.changes.iter().enumerate().rev();
        let by_change =
            changes
                .filter(|(_, change)| change.at <= before)
                .find_map(|(index, change)| {
                    let meant = match &change.action {
                        Action::Controls { guests, .. } | Action::AddVps { guests, .. } => {
                            guests.contains(&guest)
                        }
                        _ => false,
                    };
                    self.places.change(index, key).filter(|_| meant)
                });
        by_change.or_else(|| self.places.guest(guest, key))
    }

    /// A problem at a key of a guest, or at its name where the key is not there.
    pub(super) fn at_guest(
        &self,
        guest: usize,
        key: &str,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Problem {
        let place = self.said(guest, key, self.experiment.duration);
        problem(
            place.or_else(|| self.places.guest(guest, "name")),
            title,
            label,
        )
    }

    /// A problem at a key of the experiment itself.
    pub(super) fn at_top(
        &self,
        key: &str,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Problem {
        problem(self.places.top(key), title, label)
    }

    /// A problem at a key of a change.
    pub(super) fn at_change(
        &self,
        change: usize,
        key: &str,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Problem {
        problem(self.places.change(change, key), title, label)
    }

    /// A problem at a key of a claim.
    pub(super) fn at_claim(
        &self,
        claim: usize,
        key: &str,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Problem {
        problem(self.places.claim(claim, key), title, label)
    }

    /// By guest, what the formula promises over the whole run, in percent of the LPs' time.
    pub(super) fn shares(&self) -> Vec<f64> {
        let mut received = vec![0.0; self.experiment.guests.len()];
        let mut there = 0.0;
        for (phase, forecast) in self.phases.iter().zip(self.forecasts()) {
            let length = phase.length().0 as f64;
            there += length * f64::from(forecast.lps);
            let parts = self.parts(forecast).into_iter().zip(&forecast.guests);
            for (sum, (part, guest)) in received.iter_mut().zip(parts) {
                *sum += length * part * f64::from(guest.vps);
            }
        }
        received
            .iter()
            .map(|sum| 100.0 * sum / there.max(1.0))
            .collect()
    }

    pub(super) fn name(&self, guest: usize) -> &'e str {
        &self.experiment.guests[guest].name
    }

    pub(super) fn scope(&self) -> WeightScope {
        self.experiment.weight_scope
    }
}

fn problem(
    place: Option<Range<usize>>,
    title: impl Into<String>,
    label: impl Into<String>,
) -> Problem {
    match place {
        Some(place) => Problem::at(place, title, label),
        // Said by nobody: a default, or something from outside.
        None => Problem::at(0..0, title, label),
    }
}

/// A part of one LP in percent, without needless decimals.
pub(super) fn percent(part: f64) -> String {
    format!("{} %", rounded(100.0 * part))
}

/// So many of something.
pub(super) fn counted(number: u32, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Up to three decimals.
pub(super) fn rounded(number: f64) -> f64 {
    // The sum of nothing is -0.
    (number * 1_000.0).round() / 1_000.0 + 0.0
}
