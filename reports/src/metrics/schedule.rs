//! How the scheduler worked: queries on `dispatches.csv` and `events.csv`,
//! over the measured time of each repetition.

use super::columns::{counts, reals};
use super::{of_experiment, quantile, wall_ns};
use crate::frames::Frames;
use apportion_recording::{ExperimentEntry, RunEntry};
use polars::prelude::{
    Column, DataFrame, DataType, Expr, IntoLazy as _, JoinArgs, JoinType, LazyFrame, PolarsResult,
    SortMultipleOptions, col, len, lit, when,
};
use std::collections::HashMap;

/// How often one repetition dispatched, over all its LPs.
#[derive(Clone, Debug, PartialEq)]
pub struct PaceLine {
    /// Counted from 1.
    pub repetition: u64,
    /// Dispatches begun per second and LP.
    pub dispatches_per_second_per_lp: f64,
    /// Dispatches of a VP on another LP than its previous one, per second and LP.
    pub migrations_per_second_per_lp: f64,
    /// Median CPU time charged per dispatch, ns; `NaN` without dispatches.
    pub median_ran_ns: f64,
}

/// Where the time of one LP went in one repetition.
#[derive(Clone, Debug, PartialEq)]
pub struct LpLine {
    /// Counted from 1.
    pub repetition: u64,
    /// The LP, counted from 0.
    pub lp: u64,
    /// Dispatches begun per second.
    pub dispatches_per_second: f64,
    /// Of these, by VPs that ran on another LP before, per second.
    pub migrations_per_second: f64,
    /// Charged to guests, % of wall time.
    pub guest_pct: f64,
    /// Nothing to run, % of wall time.
    pub idle_pct: f64,
    /// The rest, % of wall time.
    pub lost_pct: f64,
}

/// The largest lag that any VP had in one period of the measured time.
#[derive(Clone, Debug, PartialEq)]
pub struct LagLine {
    /// Counted from 1.
    pub repetition: u64,
    /// The period, counted from 0.
    pub period: u64,
    /// Largest |lag| in slices.
    pub max_slices: f64,
}

/// The length of a [`LagLine`]'s period, ns.
pub const LAG_PERIOD_NS: u64 = 10_000_000_000;

const PER_SECOND: f64 = 1e9;

/// One line per repetition.
pub(super) fn pace(
    frames: &Frames,
    experiment: &ExperimentEntry,
    runs: &[&RunEntry],
) -> PolarsResult<Vec<PaceLine>> {
    let frame = dispatches(frames, experiment, runs)?
        .filter(col("begun"))
        .group_by([col("repetition")])
        .agg([
            len().alias("dispatches"),
            col("migrated").sum().alias("migrations"),
            quantile(col("ran_ns"), 0.5).alias("ran"),
        ])
        .collect()?;
    let repetition = counts(&frame, "repetition")?;
    let dispatches = reals(&frame, "dispatches")?;
    let migrations = reals(&frame, "migrations")?;
    let ran = reals(&frame, "ran")?;
    Ok(runs
        .iter()
        .map(|run| {
            let lp_seconds = wall_ns(run) as f64 / PER_SECOND * lps_of(run).count() as f64;
            let row = repetition
                .iter()
                .position(|&repetition| repetition == Some(run.repetition.into()));
            let value = |column: &[f64], absent| row.map_or(absent, |i| column[i]);
            PaceLine {
                repetition: run.repetition.into(),
                dispatches_per_second_per_lp: value(&dispatches, 0.0) / lp_seconds,
                migrations_per_second_per_lp: value(&migrations, 0.0) / lp_seconds,
                median_ran_ns: value(&ran, f64::NAN),
            }
        })
        .collect())
}

/// One line per repetition and LP, LPs that ran nothing included.
pub(super) fn lps(
    frames: &Frames,
    experiment: &ExperimentEntry,
    runs: &[&RunEntry],
) -> PolarsResult<Vec<LpLine>> {
    let by = [col("repetition"), col("lp")];
    let begun = dispatches(frames, experiment, runs)?
        .group_by(by.clone())
        .agg([
            col("begun").sum().alias("dispatches"),
            col("begun").and(col("migrated")).sum().alias("migrations"),
            col("inside_ns").sum().alias("guest"),
        ])
        .collect()?;
    let idle = idle(frames, experiment, runs)?
        .group_by(by)
        .agg([col("inside_ns").sum().alias("idle")])
        .collect()?;
    let dispatches = by_lp(&begun, "dispatches")?;
    let migrations = by_lp(&begun, "migrations")?;
    let guest = by_lp(&begun, "guest")?;
    let idle = by_lp(&idle, "idle")?;

    let line = |run: &RunEntry, lp: u64| {
        let key = (u64::from(run.repetition), lp);
        let of = |map: &HashMap<_, f64>| map.get(&key).copied().unwrap_or_default();
        let wall = wall_ns(run) as f64;
        let guest_pct = 100.0 * of(&guest) / wall;
        let idle_pct = 100.0 * of(&idle) / wall;
        LpLine {
            repetition: key.0,
            lp,
            dispatches_per_second: of(&dispatches) * PER_SECOND / wall,
            migrations_per_second: of(&migrations) * PER_SECOND / wall,
            guest_pct,
            idle_pct,
            lost_pct: 100.0 - guest_pct - idle_pct,
        }
    };
    Ok(runs
        .iter()
        .flat_map(|run| lps_of(run).map(|lp| line(run, lp)))
        .collect())
}

/// One line per repetition and period of [`LAG_PERIOD_NS`] in which lag was recorded.
pub(super) fn lag(
    frames: &Frames,
    experiment: &ExperimentEntry,
    runs: &[&RunEntry],
) -> PolarsResult<Vec<LagLine>> {
    let slice_ns = experiment.slice_ns.max(1) as f64;
    // A row speaks of the time before it: one that falls on a border ends a period.
    // The cast cuts; polars' floor_div panics without its feature round_series.
    let since = real(col("t_ns") - col("from_ns") - lit(1));
    let period = (since / lit(LAG_PERIOD_NS as f64)).cast(DataType::Int64);
    let value = col("value");
    let magnitude = when(value.clone().lt(lit(0)))
        .then(lit(0) - value.clone())
        .otherwise(value);
    let frame = within(events(frames, experiment, "lag"), runs)?
        .filter(
            col("t_ns")
                .gt(col("from_ns"))
                .and(col("t_ns").lt_eq(col("until_ns"))),
        )
        .group_by([col("repetition"), period.alias("period")])
        .agg([magnitude.max().alias("lag")])
        .sort(["repetition", "period"], SortMultipleOptions::default())
        .collect()?;
    let repetition = counts(&frame, "repetition")?;
    let period = counts(&frame, "period")?;
    let lag = reals(&frame, "lag")?;
    Ok((0..frame.height())
        .map(|i| LagLine {
            repetition: repetition[i].unwrap_or_default(),
            period: period[i].unwrap_or_default(),
            max_slices: lag[i] / slice_ns,
        })
        .collect())
}

fn lps_of(run: &RunEntry) -> impl Iterator<Item = u64> {
    0..run.lp_cpus.len() as u64
}

/// The experiment's dispatches, each with `begun` (starts in the measured
/// time), `migrated` (its VP ran on another LP before, warm-up included) and
/// `inside_ns` (CPU time charged in the measured time).
fn dispatches(
    frames: &Frames,
    experiment: &ExperimentEntry,
    runs: &[&RunEntry],
) -> PolarsResult<LazyFrame> {
    let same = |name: &str| col(name).eq(col(name).shift(lit(1)));
    let migrated = same("repetition")
        .and(same("guest"))
        .and(same("vp"))
        .and(same("lp").not())
        .fill_null(lit(false));
    let rows = frames
        .dispatches
        .clone()
        .lazy()
        .filter(of_experiment(experiment))
        .sort(
            ["repetition", "guest", "vp", "start_ns"],
            SortMultipleOptions::default(),
        )
        .with_column(migrated.alias("migrated"));
    let begun = col("start_ns")
        .gt_eq(col("from_ns"))
        .and(col("start_ns").lt(col("until_ns")));
    let length = col("end_ns") - col("start_ns");
    let inside = when(length.clone().gt(lit(0)))
        .then(real(col("ran_ns")) * overlap(col("start_ns"), col("end_ns")) / real(length))
        .when(col("begun"))
        .then(real(col("ran_ns")))
        .otherwise(lit(0.0));
    Ok(within(rows, runs)?
        .with_column(begun.alias("begun"))
        .with_column(inside.alias("inside_ns")))
}

/// The experiment's idle periods, each with `inside_ns` (its part in the measured time).
fn idle(
    frames: &Frames,
    experiment: &ExperimentEntry,
    runs: &[&RunEntry],
) -> PolarsResult<LazyFrame> {
    let inside = overlap(col("t_ns") - col("value"), col("t_ns"));
    Ok(within(events(frames, experiment, "idle"), runs)?.with_column(inside.alias("inside_ns")))
}

fn events(frames: &Frames, experiment: &ExperimentEntry, kind: &str) -> LazyFrame {
    frames.events.clone().lazy().filter(
        of_experiment(experiment)
            .and(col("kind").eq(lit(kind)))
            .and(col("value").is_not_null()),
    )
}

/// The rows of `runs`, with their measured time as `from_ns` and `until_ns`.
fn within(rows: LazyFrame, runs: &[&RunEntry]) -> PolarsResult<LazyFrame> {
    let column = |name: &str, of: fn(&RunEntry) -> u64| {
        let values: Vec<i64> = runs.iter().map(|run| of(run) as i64).collect();
        Column::new(name.into(), values)
    };
    let borders = DataFrame::new(
        runs.len(),
        vec![
            column("repetition", |run| run.repetition.into()),
            column("from_ns", |run| run.measured_from_ns),
            column("until_ns", |run| run.measured_until_ns),
        ],
    )?;
    let key = [col("repetition")];
    Ok(rows.join(
        borders.lazy(),
        key.clone(),
        key,
        JoinArgs::new(JoinType::Inner),
    ))
}

/// How much of `[start, end)` lies in the measured time, ns, as a real number.
fn overlap(start: Expr, end: Expr) -> Expr {
    let first = when(start.clone().gt(col("from_ns")))
        .then(start)
        .otherwise(col("from_ns"));
    let last = when(end.clone().lt(col("until_ns")))
        .then(end)
        .otherwise(col("until_ns"));
    let length = last - first;
    real(
        when(length.clone().gt(lit(0)))
            .then(length)
            .otherwise(lit(0)),
    )
}

fn real(expr: Expr) -> Expr {
    expr.cast(DataType::Float64)
}

/// A column by repetition and LP.
fn by_lp(frame: &DataFrame, name: &str) -> PolarsResult<HashMap<(u64, u64), f64>> {
    let repetition = counts(frame, "repetition")?;
    let lp = counts(frame, "lp")?;
    let value = reals(frame, name)?;
    Ok((0..frame.height())
        .filter_map(|i| Some(((repetition[i]?, lp[i]?), value[i])))
        .collect())
}
