//! The numbers of a report: polars queries over the frames, answers as small
//! plain structs, guests in the manifest's order.
//!
//! Every median and percentile here is the one with linear interpolation
//! between the two nearest ranks: of n sorted values, number (n − 1)·p + 1.

mod columns;
mod schedule;
mod shares;

pub use schedule::{LAG_PERIOD_NS, LagLine, LpLine, PaceLine};
pub use shares::{LimitWindowsLine, MeanLine, ShareLine, WindowLine};

use crate::frames::Frames;
use apportion_recording::{ExperimentEntry, RunEntry};
use polars::prelude::{Expr, PolarsResult, QuantileMethod, col, lit};

/// Everything that the report says of one experiment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Whole run, one line per repetition and guest.
    pub guests: Vec<ShareLine>,
    /// Whole run, one line per repetition and VP.
    pub vps: Vec<ShareLine>,
    /// Caps and reserves over the whole run; percentages of one check are of wall time.
    pub limits: Vec<ShareLine>,
    /// All checks over phases, one line per repetition, phase and guest or VP.
    pub phases: Vec<ShareLine>,
    /// Over all repetitions, one line per guest.
    pub means: Vec<MeanLine>,
    /// Errors over windows: per window length all guests, then each guest, then each VP.
    pub windows: Vec<WindowLine>,
    /// Caps and reserves over windows: per window length each guest, then each VP.
    pub limit_windows: Vec<LimitWindowsLine>,
    /// One line per repetition.
    pub pace: Vec<PaceLine>,
    /// One line per repetition and LP.
    pub lps: Vec<LpLine>,
    /// One line per repetition and period.
    pub lag: Vec<LagLine>,
}

impl Metrics {
    /// Works them out for `experiment`, of which `runs` are the repetitions that were run.
    ///
    /// # Errors
    /// Where polars refuses a query.
    pub fn of(
        frames: &Frames,
        experiment: &ExperimentEntry,
        runs: &[&RunEntry],
    ) -> PolarsResult<Metrics> {
        let shares = shares::whole_run(frames, experiment)?;
        let (limits, shares): (Vec<_>, Vec<_>) =
            shares.into_iter().partition(|line| line.check != "share");
        let (vps, guests) = shares.into_iter().partition(|line| line.vp.is_some());
        let measured: Vec<&RunEntry> = runs
            .iter()
            .copied()
            .filter(|run| wall_ns(run) > 0)
            .collect();
        Ok(Metrics {
            guests,
            vps,
            limits,
            phases: shares::phases(frames, experiment, &measured)?,
            means: shares::means(frames, experiment)?,
            windows: shares::windows(frames, experiment)?,
            limit_windows: shares::limit_windows(frames, experiment)?,
            pace: schedule::pace(frames, experiment, &measured)?,
            lps: schedule::lps(frames, experiment, &measured)?,
            lag: schedule::lag(frames, experiment, &measured)?,
        })
    }

    /// Every check that counts, of guests, of VPs, of caps and reserves: those
    /// over phases where there are some, else those over the whole run.
    pub fn checks(&self) -> impl Iterator<Item = &ShareLine> {
        let whole = self.guests.iter().chain(&self.vps).chain(&self.limits);
        whole.filter(|_| self.phases.is_empty()).chain(&self.phases)
    }
}

/// The measured time of a run in ns; 0 where it was stopped in its warm-up.
pub fn wall_ns(run: &RunEntry) -> u64 {
    run.measured_until_ns.saturating_sub(run.measured_from_ns)
}

/// The position of a guest in the manifest; unknown ones go last.
fn rank(experiment: &ExperimentEntry, guest: &str) -> usize {
    experiment
        .guests
        .iter()
        .position(|entry| entry.name == guest)
        .unwrap_or(usize::MAX)
}

/// The rows of one experiment.
fn of_experiment(experiment: &ExperimentEntry) -> Expr {
    col("experiment").eq(lit(experiment.name.as_str()))
}

/// The quantile `p` (0..=1) of `expr`, by linear interpolation.
fn quantile(expr: Expr, p: f64) -> Expr {
    expr.quantile(lit(p), QuantileMethod::Linear)
}
