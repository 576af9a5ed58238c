//! What experiments claim besides shares, against what their runs gave: the rows of claims.csv.

use super::{Gathered, by_experiment, guest_shares, is_at_least, is_at_most};
use crate::plan::{Plan, Planned, Pledge};
use crate::statistics::quantile;
use apportion_recording::{ClaimRow, ResultEntry, RunEntry, ServiceEntry, ShareRow, Verdict};
use apportion_workloads::{Measure, Together, Unit};
use std::collections::HashMap;

/// One row per claim.
pub(crate) fn claims(plan: &Plan, runs: &[RunEntry], rows: &Gathered) -> Vec<ClaimRow> {
    let runs = by_experiment(runs);
    let figures = Figures { runs, rows };
    let pledges = plan.pledges.iter();
    pledges
        .map(|pledge| judge(plan, pledge, &figures))
        .collect()
}

fn judge(plan: &Plan, pledge: &Pledge, figures: &Figures<'_>) -> ClaimRow {
    let planned = &plan.runs[pledge.run];
    let of = pledge.of.map(|other| &plan.runs[other]);
    let claim = &pledge.claim;
    let repetitions = 1..=planned.experiment.repetitions;
    let figure = |of: &Planned, repetition| figures.of(of, repetition, claim.measure, &claim.guest);
    let own: Vec<f64> = repetitions
        .clone()
        .filter_map(|it| figure(planned, it))
        .collect();
    let mut others = Vec::new();
    let mut factors = Vec::new();
    for repetition in repetitions {
        let other = of.and_then(|of| figure(of, repetition));
        others.extend(other);
        // Of nothing there is no factor.
        let pair = figure(planned, repetition).zip(other.filter(|other| *other > 0.0));
        factors.extend(pair.map(|(own, other)| own / other));
    }
    // Those that gave nothing might have been those that break it.
    let looked_at = if of.is_some() { &factors } else { &own };
    let whole = looked_at.len() == planned.experiment.repetitions as usize;
    let judged = median(looked_at);
    let holds = |figure: f64| {
        claim
            .at_least
            .is_none_or(|least| is_at_least(figure, least))
            && claim.at_most.is_none_or(|most| is_at_most(figure, most))
    };
    ClaimRow {
        experiment: planned.name().to_owned(),
        claim: claim.number,
        guest: claim.guest.clone(),
        measure: claim.measure.name().to_owned(),
        unit: unit(claim.measure).to_owned(),
        of: of.map(|of| of.name().to_owned()),
        at_least: claim.at_least,
        at_most: claim.at_most,
        repetitions: own.len() as u32,
        value: median(&own),
        value_min: own.iter().copied().reduce(f64::min),
        value_max: own.iter().copied().reduce(f64::max),
        of_value: median(&others),
        factor: median(&factors),
        factor_min: factors.iter().copied().reduce(f64::min),
        factor_max: factors.iter().copied().reduce(f64::max),
        verdict: match judged {
            None => Verdict::Inconclusive,
            Some(figure) if holds(figure) && whole => Verdict::Pass,
            Some(figure) if holds(figure) => Verdict::Inconclusive,
            Some(_) => Verdict::Fail,
        },
    }
}

fn unit(measure: Measure) -> &'static str {
    match measure.unit() {
        Unit::Percent => "%",
        Unit::PerSecond => "per_s",
        Unit::Time => "ns",
        Unit::Ratio => "ratio",
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

/// Where figures come from.
struct Figures<'a> {
    runs: HashMap<&'a str, Vec<&'a RunEntry>>,
    rows: &'a Gathered,
}

impl Figures<'_> {
    /// What one repetition gave for the guests of this name, if it gave it for all of them.
    fn of(&self, planned: &Planned, repetition: u32, measure: Measure, name: &str) -> Option<f64> {
        let mut runs = self.runs.get(planned.name())?.iter();
        let run = runs.find(|run| run.repetition == repetition)?;
        let guests = planned.experiment.guests.iter();
        let each: Option<Vec<f64>> = guests
            .filter(|guest| guest.is_called(name))
            .map(|guest| self.of_guest(run, measure, &guest.name))
            .collect();
        each?.into_iter().reduce(match measure.together() {
            Together::Sum => |all, one| all + one,
            Together::Max => f64::max,
        })
    }

    fn of_guest(&self, run: &RunEntry, measure: Measure, guest: &str) -> Option<f64> {
        let served = || {
            run.service
                .iter()
                .find(|it: &&ServiceEntry| it.guest == guest)
        };
        match measure.name() {
            "share" => {
                let mut rows = guest_shares(self.rows.of(&run.experiment));
                let of = |row: &&ShareRow| row.repetition == run.repetition && row.guest == guest;
                rows.find(of).map(|row| row.measured_pct)
            }
            "work" => {
                let seconds = (run.measured_until_ns - run.measured_from_ns) as f64 / 1e9;
                let work = served()?.work as f64;
                (seconds > 0.0).then(|| work / seconds)
            }
            "wait_per_dispatch" => served()?.wait_per_dispatch_ns,
            "stretch" => served()?.stretch,
            reported => {
                let suffix = match measure.unit() {
                    Unit::Time => "_ns",
                    Unit::PerSecond => "_per_s",
                    Unit::Percent | Unit::Ratio => "",
                };
                let mut results = run.results.iter();
                let of_guest = results.find(|it: &&ResultEntry| it.guest == guest)?;
                of_guest.values.get(&format!("{reported}{suffix}")).copied()
            }
        }
    }
}
