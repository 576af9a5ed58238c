//! Shares, means and window errors: queries on `shares.csv` and `summary.csv`.

use super::columns::{counts, numbers, reals, texts};
use super::{of_experiment, quantile, rank};
use crate::frames::Frames;
use apportion_recording::ExperimentEntry;
use polars::prelude::{
    DataFrame, DataType, Expr, IntoLazy as _, LazyFrame, PolarsResult, col, len, lit, when,
};

/// The lengths of the windows over which the distribution of the error is told.
const WINDOWS_MS: [u64; 2] = [100, 1_000];

/// One check over the whole measured time of one repetition.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareLine {
    /// Counted from 1.
    pub repetition: u64,
    /// The guest's name.
    pub guest: String,
    /// The VP within its guest; `None` for the guest as a whole.
    pub vp: Option<u64>,
    /// Weight of each VP.
    pub weight: u64,
    /// `share`, `cap` or `reserve`.
    pub check: String,
    /// What the formula promises, % of delivered time (cap, reserve: of wall time).
    pub expected_pct: f64,
    /// What was received, % of the same.
    pub measured_pct: f64,
    /// Part of all guests' counted work, %.
    pub work_pct: f64,
    /// Delivered time, % of wall time.
    pub capacity_pct: f64,
    /// Measured minus expected, percentage points.
    pub error_pp: f64,
    /// What the scheduler's lag limit allows, percentage points.
    pub bound_pp: f64,
    /// What the experiment allows, percentage points.
    pub tolerance_pp: f64,
    /// `pass`, `fail`, `inconclusive` or `skipped`.
    pub verdict: String,
}

/// One guest over all repetitions.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanLine {
    /// The guest's name.
    pub guest: String,
    /// Weight of each VP.
    pub weight: u64,
    /// Its number of VPs.
    pub vps: u64,
    /// How many repetitions were measured.
    pub repetitions: u64,
    /// What the formula promises, % of delivered time.
    pub expected_pct: f64,
    /// Mean of what was received, % of delivered time.
    pub measured_pct: f64,
    /// The 95 % confidence interval of that mean, %.
    pub ci95_pct: Option<(f64, f64)>,
    /// Mean part of all guests' counted work, %.
    pub work_pct: f64,
    /// The largest error of any repetition, signed, percentage points.
    pub worst_error_pp: f64,
    /// The worst verdict of any repetition.
    pub verdict: String,
}

/// The distribution of |error| over the windows of one length, all repetitions together.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowLine {
    /// The windows' length in ms.
    pub window_ms: u64,
    /// The guest's name; `None` for all guests together.
    pub guest: Option<String>,
    /// The VP within its guest; `None` for the guest as a whole.
    pub vp: Option<u64>,
    /// How many errors the line speaks of.
    pub windows: u64,
    /// Median of |error|, percentage points.
    pub median_pp: f64,
    /// 95th percentile of |error|, percentage points.
    pub p95_pp: f64,
    /// Largest |error|, percentage points.
    pub max_pp: f64,
    /// Smallest and largest bound among them (it differs by repetition and VPs), percentage points.
    pub bound_pp: (f64, f64),
    /// How many lie outside their own bound, %.
    pub outside_pct: f64,
}

/// The rows for the whole run, in the order repetition, guest, VP.
pub(super) fn whole_run(
    frames: &Frames,
    experiment: &ExperimentEntry,
) -> PolarsResult<Vec<ShareLine>> {
    let frame = frames
        .shares
        .clone()
        .lazy()
        .filter(of_experiment(experiment).and(col("window_ms").eq(lit(0))))
        .collect()?;
    let mut lines = share_lines(&frame)?;
    lines.sort_by_key(|line| (line.repetition, rank(experiment, &line.guest), line.vp));
    Ok(lines)
}

fn share_lines(frame: &DataFrame) -> PolarsResult<Vec<ShareLine>> {
    let repetition = counts(frame, "repetition")?;
    let guest = texts(frame, "guest")?;
    let vp = counts(frame, "vp")?;
    let weight = counts(frame, "weight")?;
    let check = texts(frame, "check")?;
    let expected = reals(frame, "expected_pct")?;
    let measured = reals(frame, "measured_pct")?;
    let work = reals(frame, "work_pct")?;
    let capacity = reals(frame, "capacity_pct")?;
    let error = reals(frame, "error_pp")?;
    let bound = reals(frame, "bound_pp")?;
    let tolerance = reals(frame, "tolerance_pp")?;
    let verdict = texts(frame, "verdict")?;
    Ok((0..frame.height())
        .map(|i| ShareLine {
            repetition: repetition[i].unwrap_or_default(),
            guest: guest[i].clone(),
            vp: vp[i],
            weight: weight[i].unwrap_or_default(),
            check: check[i].clone(),
            expected_pct: expected[i],
            measured_pct: measured[i],
            work_pct: work[i],
            capacity_pct: capacity[i],
            error_pp: error[i],
            bound_pp: bound[i],
            tolerance_pp: tolerance[i],
            verdict: verdict[i].clone(),
        })
        .collect())
}

/// The rows of `summary.csv`.
pub(super) fn means(frames: &Frames, experiment: &ExperimentEntry) -> PolarsResult<Vec<MeanLine>> {
    let frame = frames
        .summary
        .clone()
        .lazy()
        .filter(of_experiment(experiment))
        .collect()?;
    let guest = texts(&frame, "guest")?;
    let weight = counts(&frame, "weight")?;
    let vps = counts(&frame, "vps")?;
    let repetitions = counts(&frame, "repetitions")?;
    let expected = reals(&frame, "expected_pct")?;
    let measured = reals(&frame, "measured_pct")?;
    let low = numbers(&frame, "ci95_low_pct")?;
    let high = numbers(&frame, "ci95_high_pct")?;
    let work = reals(&frame, "work_pct")?;
    let worst = reals(&frame, "worst_error_pp")?;
    let verdict = texts(&frame, "verdict")?;
    let mut lines: Vec<MeanLine> = (0..frame.height())
        .map(|i| MeanLine {
            guest: guest[i].clone(),
            weight: weight[i].unwrap_or_default(),
            vps: vps[i].unwrap_or_default(),
            repetitions: repetitions[i].unwrap_or_default(),
            expected_pct: expected[i],
            measured_pct: measured[i],
            ci95_pct: low[i].zip(high[i]),
            work_pct: work[i],
            worst_error_pp: worst[i],
            verdict: verdict[i].clone(),
        })
        .collect();
    lines.sort_by_key(|line| rank(experiment, &line.guest));
    Ok(lines)
}

/// Window errors: per length all guests together, then each guest, then each VP.
pub(super) fn windows(
    frames: &Frames,
    experiment: &ExperimentEntry,
) -> PolarsResult<Vec<WindowLine>> {
    let error = col("error_pp");
    let magnitude = when(error.clone().lt(lit(0.0)))
        .then(lit(0.0) - error.clone())
        .otherwise(error);
    // Phases between changes are windows, too, each of its own length.
    let [short, long] = WINDOWS_MS.map(|length| col("window_ms").eq(lit(length)));
    let regular = short.or(long);
    let rows = frames
        .shares
        .clone()
        .lazy()
        .filter(
            of_experiment(experiment)
                .and(regular)
                .and(col("check").eq(lit("share"))),
        )
        .with_column(magnitude.alias("magnitude"));
    let guests = rows.clone().filter(col("scope").eq(lit("guest")));
    let each = distribution(rows, &[col("window_ms"), col("guest"), col("vp")])?;
    let all = distribution(guests, &[col("window_ms")])?;

    let mut lines = window_lines(&all, false)?;
    lines.extend(window_lines(&each, true)?);
    lines.sort_by_key(|line| {
        let guest = line.guest.as_ref().map(|guest| rank(experiment, guest));
        (line.window_ms, line.vp.is_some(), guest, line.vp)
    });
    Ok(lines)
}

fn distribution(rows: LazyFrame, by: &[Expr]) -> PolarsResult<DataFrame> {
    let outside = col("magnitude").gt(col("bound_pp")).cast(DataType::Float64);
    rows.group_by(by)
        .agg([
            len().alias("windows"),
            quantile(col("magnitude"), 0.5).alias("median"),
            quantile(col("magnitude"), 0.95).alias("p95"),
            col("magnitude").max().alias("max"),
            col("bound_pp").min().alias("bound_low"),
            col("bound_pp").max().alias("bound_high"),
            (outside.mean() * lit(100.0)).alias("outside"),
        ])
        .collect()
}

fn window_lines(frame: &DataFrame, named: bool) -> PolarsResult<Vec<WindowLine>> {
    let window_ms = counts(frame, "window_ms")?;
    let (guest, vp) = if named {
        (texts(frame, "guest")?, counts(frame, "vp")?)
    } else {
        (Vec::new(), Vec::new())
    };
    let windows = counts(frame, "windows")?;
    let median = reals(frame, "median")?;
    let p95 = reals(frame, "p95")?;
    let max = reals(frame, "max")?;
    let low = reals(frame, "bound_low")?;
    let high = reals(frame, "bound_high")?;
    let outside = reals(frame, "outside")?;
    Ok((0..frame.height())
        .map(|i| WindowLine {
            window_ms: window_ms[i].unwrap_or_default(),
            guest: guest.get(i).cloned(),
            vp: vp.get(i).copied().flatten(),
            windows: windows[i].unwrap_or_default(),
            median_pp: median[i],
            p95_pp: p95[i],
            max_pp: max[i],
            bound_pp: (low[i], high[i]),
            outside_pct: outside[i],
        })
        .collect())
}
