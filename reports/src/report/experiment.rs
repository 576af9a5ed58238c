//! One experiment: its controls and the shares over the whole run.

use super::changes::{self, after};
use super::windows::span;
use super::{Chapter, marked, results, schedule};
use crate::markdown::{Table, number, one_line, signed, time, trimmed};
use crate::metrics::{ShareLine, wall_ns};
use apportion_recording::{GuestEntry, RunEntry, Verdict, counted};
use std::fmt::Write as _;

/// The experiment's chapter.
pub(super) fn render(chapter: &Chapter) -> String {
    let experiment = chapter.experiment;
    let mut text = format!("## {}: {}\n\n", experiment.name, marked(&chapter.verdict()));
    let why = one_line(&experiment.why);
    if !why.is_empty() {
        let _ = writeln!(text, "> {why}\n");
    }
    let _ = writeln!(text, "{}\n", chapter.rules());
    for warning in chapter.warnings() {
        let _ = writeln!(text, "{warning}\n");
    }
    if chapter.runs.is_empty() {
        text.push_str("Not run: nothing was measured.\n");
        return text;
    }
    if chapter.metrics.guests.is_empty() {
        text.push_str("Stopped before measuring began: nothing was measured.\n");
    } else {
        text.push_str(&chapter.whole_run());
    }
    text.push_str(&results::render(chapter));
    text.push_str(&changes::render(chapter));
    if !chapter.metrics.windows.is_empty() {
        let _ = write!(text, "\n{}", chapter.windows());
    }
    if !chapter.metrics.pace.is_empty() {
        let _ = write!(text, "\n{}", schedule::render(chapter));
    }
    text
}

/// A guest's payload with its parameters: `periodic (period 20 ms, run 1 ms)`.
fn payload(guest: &GuestEntry) -> String {
    let parameters: Vec<String> = guest
        .parameters
        .iter()
        .map(|(name, &value)| match name.strip_suffix("_ns") {
            Some(name) => format!("{name} {}", time(value as f64)),
            None => format!("{name} {value}"),
        })
        .collect();
    let mut text = match parameters.is_empty() {
        true => guest.payload.clone(),
        false => format!("{} ({})", guest.payload, parameters.join(", ")),
    };
    if guest.processor != "host" {
        let _ = write!(text, ", processor {}", guest.processor);
    }
    if guest.ticks > 0 {
        let _ = write!(text, ", {} ticks/s per VP", guest.ticks);
    }
    text
}

/// The LPs that a guest may run on.
fn lps(guest: &GuestEntry) -> String {
    match &guest.affinity {
        Some(lps) => lps
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        None => "all".to_owned(),
    }
}

impl Chapter<'_> {
    /// The worst verdict of its runs, once all of them have ended as planned.
    pub(super) fn verdict(&self) -> String {
        let planned = self.experiment.repetitions as usize;
        if self.runs.is_empty() {
            return "not run".to_owned();
        }
        if self.runs.len() < planned || self.runs.iter().any(|run| run.interrupted) {
            return "incomplete".to_owned();
        }
        let order = [
            Verdict::Fail,
            Verdict::Inconclusive,
            Verdict::Skipped,
            Verdict::Pass,
        ];
        let worst = order
            .into_iter()
            .find(|&verdict| self.runs.iter().any(|run| run.verdict == verdict));
        worst.unwrap_or_default().to_string()
    }

    /// Its run with this number.
    pub(super) fn run(&self, repetition: u64) -> Option<&RunEntry> {
        let mut runs = self.runs.iter();
        runs.find(|run| u64::from(run.repetition) == repetition)
            .copied()
    }

    /// Whether tables need a column that tells repetitions apart.
    pub(super) fn repeated(&self) -> bool {
        self.runs.len() > 1
    }

    /// A table with that column, where it is needed.
    pub(super) fn table(&self) -> Table {
        let table = Table::new();
        if self.repeated() {
            table.numbers("rep")
        } else {
            table
        }
    }

    /// The beginning of a row of such a table.
    pub(super) fn row(&self, repetition: u64) -> Vec<String> {
        let repetition = self.repeated().then(|| repetition.to_string());
        repetition.into_iter().collect()
    }

    /// Whether VPs have anything to add to what their guests say.
    pub(super) fn has_smp(&self) -> bool {
        self.experiment.guests.iter().any(|guest| guest.vps > 1)
    }

    /// What `tell` says of a guest: `50`, or `50→200` where that changes by the planned end.
    fn turning(&self, guest: &str, tell: impl Fn(&GuestEntry) -> String) -> String {
        let mut guests = self.experiment.guests.iter();
        let Some(first) = guests.find(|entry| entry.name == guest) else {
            return "–".to_owned();
        };
        let last = after(first, &self.experiment.changes);
        match (tell(first), tell(&last)) {
            (first, last) if first == last => first,
            (first, last) => format!("{first}→{last}"),
        }
    }

    /// Every guest, with the controls of the beginning and of the end.
    fn all_controls(&self) -> impl Iterator<Item = GuestEntry> {
        let guests = self.experiment.guests.iter();
        guests.flat_map(|guest| [guest.clone(), after(guest, &self.experiment.changes)])
    }

    /// What was run, and under which rules the expected values hold.
    fn rules(&self) -> String {
        let experiment = self.experiment;
        let mut items = vec![
            format!("Policy {}", experiment.policy),
            format!("reserve model {}", experiment.reserve_model),
            match experiment.weight_scope.as_str() {
                "guest" => "weights per guest".to_owned(),
                _ => "weights per VP".to_owned(),
            },
            format!(
                "{} in {}",
                counted(experiment.lps.into(), "LP"),
                counted(experiment.nodes.into(), "node")
            ),
            format!("slices of {}", time(experiment.slice_ns as f64)),
            format!(
                "{} {} after {} of warm-up",
                time(experiment.duration_ns as f64),
                if self.simulated {
                    "simulated"
                } else {
                    "measured"
                },
                time(experiment.warm_up_ns as f64)
            ),
            counted(experiment.repetitions.into(), "repetition"),
            format!("tolerance {} pp", trimmed(experiment.tolerance_pp, 3)),
        ];
        if self.simulated {
            items.push(format!(
                "a host that takes {} per dispatch and kicks up to {} late",
                time(experiment.simulator.overhead_ns as f64),
                time(experiment.simulator.kick_latency_ns as f64)
            ));
        }
        let mut text = items.join(" · ");
        let of_one_kind = |a: &GuestEntry, b: &GuestEntry| {
            let kind = |it: &GuestEntry| (it.group.clone(), payload(it));
            kind(a) == kind(b)
        };
        text.push_str("\n\nPayloads:");
        for (index, guests) in experiment.guests.chunk_by(of_one_kind).enumerate() {
            let comma = if index > 0 { ";" } else { "" };
            let who = match guests {
                [one] => one.name.clone(),
                many => format!("{} × {}", many.len(), many[0].group),
            };
            let _ = write!(text, "{comma} {who}: {}", payload(&guests[0]));
        }
        text.push('.');
        for ceiling in experiment.ceilings() {
            let _ = write!(text, "\n\nExpected of {ceiling}.");
        }
        text
    }

    /// The run's host, if it was too busy: why, and what that means.
    pub(super) fn busy_host(&self, run: &RunEntry) -> Option<(String, &'static str)> {
        let measured = !self.simulated && wall_ns(run) > 0;
        let calibration = measured.then_some(&run.calibration)?;
        calibration.busy_host(self.experiment.slice_ns)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for run in &self.runs {
            if let Some((why, meaning)) = self.busy_host(run) {
                warnings.push(format!(
                    "**Busy host in repetition {}:** {why}: {meaning}.",
                    run.repetition
                ));
            }
            if run.interrupted {
                warnings.push(format!(
                    "**Repetition {} was interrupted** after {} of its {}.",
                    run.repetition,
                    time(wall_ns(run) as f64),
                    time(self.experiment.duration_ns as f64),
                ));
            }
            for crash in &run.crashed {
                warnings.push(format!(
                    "**Guest crashed in repetition {}:** {}",
                    run.repetition,
                    one_line(&crash.to_string())
                ));
            }
        }
        warnings
    }

    fn whole_run(&self) -> String {
        let mut text = format!(
            "### Whole run\n\n{}",
            self.shares(&self.metrics.guests, false)
        );
        let capacities = self.metrics.guests.iter().map(|line| line.capacity_pct);
        let _ = writeln!(
            text,
            "\nShares are percentages of delivered time, which was {} % of wall time (`capacity_pct`).\n\
             Error is measured minus expected. The bound is what slices and late kicks (j) explain over it.\n\
             Within ±{} pp passes; outside both that and the bound fails; in between, the run was too\n\
             short to tell.",
            span(capacities, 2),
            trimmed(self.experiment.tolerance_pp, 3),
        );
        let later = |line: &ShareLine| line.phase > Some(0);
        if self.metrics.phases.iter().any(later) {
            text.push_str(
                "Something changed meanwhile, so the verdict is that of the phases below.\n",
            );
        }
        if self.metrics.means.iter().any(|mean| mean.repetitions > 1) {
            let _ = write!(
                text,
                "\nOver all repetitions, with the 95 % confidence interval of the mean:\n\n{}",
                self.means()
            );
        }
        if self.has_smp() {
            let _ = write!(
                text,
                "\nEach VP, whole run:\n\n{}",
                self.shares(&self.metrics.vps, true)
            );
        }
        if !self.metrics.limits.is_empty() {
            let _ = write!(
                text,
                "\nCaps and reserves, as percentages of wall time:\n\n{}",
                self.limits()
            );
            if !self.metrics.limit_windows.is_empty() {
                let _ = write!(
                    text,
                    "\nFarthest beyond them over windows (above a cap, below a reserve; a negative number: never):\n\n{}",
                    self.limit_windows()
                );
            }
        }
        text
    }

    fn shares(&self, lines: &[ShareLine], by_vp: bool) -> String {
        let reserves = self.all_controls().any(|guest| guest.reserve_pct > 0.0);
        let affinities = self.all_controls().any(|guest| guest.affinity.is_some());
        let caps = self.all_controls().any(|guest| guest.cap_pct < 100.0);
        let mut table = self.table().words("guest").numbers("weight");
        if reserves {
            table = table.numbers("reserve %");
        }
        if caps {
            table = table.numbers("cap %");
        }
        if affinities {
            table = table.words("on LPs");
        }
        table = table
            .numbers(if by_vp { "VP" } else { "VPs" })
            .numbers("expected %")
            .numbers("measured %")
            .numbers("error pp")
            .numbers("bound pp")
            .numbers("work %")
            .words("verdict");
        for line in lines {
            let control = |of: fn(&GuestEntry) -> f64| {
                self.turning(&line.guest, |guest| trimmed(of(guest), 3))
            };
            let mut row = self.row(line.repetition);
            row.extend([line.guest.clone(), control(|guest| guest.weight.into())]);
            if reserves {
                row.push(control(|guest| guest.reserve_pct));
            }
            if caps {
                row.push(control(|guest| guest.cap_pct));
            }
            if affinities {
                row.push(self.turning(&line.guest, lps));
            }
            row.push(
                line.vp
                    .map_or_else(|| control(|guest| guest.vps.into()), |vp| vp.to_string()),
            );
            row.extend([
                number(line.expected_pct, 3),
                number(line.measured_pct, 3),
                signed(line.error_pp, 3),
                number(line.bound_pp, 3),
                number(line.work_pct, 3),
                marked(&line.verdict),
            ]);
            table.row(row);
        }
        table.render()
    }

    fn means(&self) -> String {
        let mut table = Table::new()
            .words("guest")
            .numbers("weight")
            .numbers("VPs")
            .numbers("reps")
            .numbers("expected %")
            .numbers("mean %")
            .words("95 % CI")
            .numbers("worst error pp")
            .numbers("work %")
            .words("verdict");
        for line in &self.metrics.means {
            let interval = line.ci95_pct.map_or("–".to_owned(), |(low, high)| {
                format!("{} … {}", number(low, 3), number(high, 3))
            });
            table.row([
                line.guest.clone(),
                self.turning(&line.guest, |guest| guest.weight.to_string()),
                self.turning(&line.guest, |guest| guest.vps.to_string()),
                line.repetitions.to_string(),
                number(line.expected_pct, 3),
                number(line.measured_pct, 3),
                interval,
                signed(line.worst_error_pp, 3),
                number(line.work_pct, 3),
                marked(&line.verdict),
            ]);
        }
        table.render()
    }

    fn limits(&self) -> String {
        let mut table = Table::new()
            .numbers("rep")
            .words("guest")
            .words("VP")
            .words("check")
            .numbers("promised %")
            .numbers("measured %")
            .numbers("error pp")
            .words("verdict");
        for line in &self.metrics.limits {
            table.row([
                line.repetition.to_string(),
                line.guest.clone(),
                line.vp.map_or("all".to_owned(), |vp| vp.to_string()),
                line.check.clone(),
                number(line.expected_pct, 3),
                number(line.measured_pct, 3),
                signed(line.error_pp, 3),
                marked(&line.verdict),
            ]);
        }
        table.render()
    }
}
