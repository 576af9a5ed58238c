//! Shares, means and window errors: queries on `shares.csv` and `summary.csv`.

use super::columns::{counts, numbers, reals, texts};
use super::{of_experiment, quantile, rank};
use crate::frames::Frames;
use apportion_recording::{ExperimentEntry, RunEntry};
use polars::prelude::{
    DataFrame, DataType, Expr, IntoLazy as _, LazyFrame, PolarsResult, col, len, lit, when,
};

/// The lengths of the windows over which the distribution of the error is told.
const WINDOWS_MS: [u64; 2] = [100, 1_000];

/// One check over the whole measured time, or a phase, of one repetition.
#[derive(Clone, Debug, PartialEq)]
pub struct ShareLine {
    /// Counted from 1.
    pub repetition: u64,
    /// The phase, counted from 0; `None` for the whole run.
    pub phase: Option<usize>,
    /// The guest's name.
    pub guest: String,
    /// The VP within its guest; `None` for the guest as a whole.
    pub vp: Option<u64>,
    /// Weight of each VP as the time ends.
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

/// The checks beside `share`.
const LIMITS: [&str; 2] = ["cap", "reserve"];

/// How far windows went beyond a cap or a reserve.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitWindowsLine {
    /// `cap` or `reserve`.
    pub check: String,
    /// Its errors are signed: above the cap, or below the reserve, is positive.
    pub windows: WindowLine,
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
    let mut lines = share_lines(&frame, None)?;
    lines.sort_by_key(|line| (line.repetition, rank(experiment, &line.guest), line.vp));
    Ok(lines)
}

/// The rows for each phase of `runs`, in the order repetition, phase, guest, VP.
pub(super) fn phases(
    frames: &Frames,
    experiment: &ExperimentEntry,
    runs: &[&RunEntry],
) -> PolarsResult<Vec<ShareLine>> {
    let mut all = Vec::new();
    for run in runs {
        for (index, phase) in run.phases.iter().enumerate() {
            let length_ms = phase.until_ns.saturating_sub(phase.from_ns) / 1_000_000;
            let is = |name: &str, value: u64| col(name).eq(lit(value as i64));
            let of_phase = is("repetition", run.repetition.into())
                .and(is("window_start_ns", phase.from_ns))
                .and(is("window_ms", length_ms));
            let rows = frames.shares.clone().lazy();
            let frame = rows
                .filter(of_experiment(experiment).and(of_phase))
                .collect()?;
            let mut lines = share_lines(&frame, Some(index))?;
            lines.sort_by_key(|line| {
                let check = LIMITS.iter().position(|check| *check == line.check);
                (check, rank(experiment, &line.guest), line.vp)
            });
            // A window of the same length from the same time on stands behind its phase in the file.
            lines.dedup_by(|a, b| (&a.guest, a.vp, &a.check) == (&b.guest, b.vp, &b.check));
            all.extend(lines);
        }
    }
    Ok(all)
}

fn share_lines(frame: &DataFrame, phase: Option<usize>) -> PolarsResult<Vec<ShareLine>> {
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
            phase,
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
    let rows = over_windows(frames, experiment, "share").with_column(magnitude.alias("magnitude"));
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

/// How far windows went beyond caps and reserves: per length each guest, then each VP.
pub(super) fn limit_windows(
    frames: &Frames,
    experiment: &ExperimentEntry,
) -> PolarsResult<Vec<LimitWindowsLine>> {
    let mut lines = Vec::new();
    for check in LIMITS {
        let error = col("error_pp");
        // A cap holds from above, a reserve from below.
        let beyond = match check {
            "cap" => error,
            _ => lit(0.0) - error,
        };
        let rows = over_windows(frames, experiment, check).with_column(beyond.alias("magnitude"));
        let each = distribution(rows, &[col("window_ms"), col("guest"), col("vp")])?;
        lines.extend(
            window_lines(&each, true)?
                .into_iter()
                .map(|windows| LimitWindowsLine {
                    check: check.to_owned(),
                    windows,
                }),
        );
    }
    lines.sort_by_key(|line| {
        let of = &line.windows;
        let guest = of.guest.as_ref().map(|guest| rank(experiment, guest));
        (of.window_ms, of.vp.is_some(), guest, of.vp)
    });
    Ok(lines)
}

/// The rows of one check over windows.
fn over_windows(frames: &Frames, experiment: &ExperimentEntry, check: &str) -> LazyFrame {
    // Phases between changes are windows, too, each of its own length.
    let [short, long] = WINDOWS_MS.map(|length| col("window_ms").eq(lit(length)));
    frames.shares.clone().lazy().filter(
        of_experiment(experiment)
            .and(short.or(long))
            .and(col("check").eq(lit(check))),
    )
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
