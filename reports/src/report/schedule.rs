//! One experiment: how precisely the scheduler worked and where the LPs' time went.

use super::Chapter;
use super::windows::span;
use crate::markdown::{Table, count, number, time};
use crate::metrics::{LAG_PERIOD_NS, LagLine, wall_ns};
use apportion_recording::RunEntry;
use std::fmt::Write as _;

/// More repetitions than this get a row each instead of a column.
const COLUMNS: usize = 6;

/// Lag is shown in no more rows than this; longer runs have longer periods.
const LAG_ROWS: u64 = 30;

/// The sections on scheduling.
pub(super) fn render(chapter: &Chapter) -> String {
    let runs: Vec<&RunEntry> = chapter
        .runs
        .iter()
        .copied()
        .filter(|run| wall_ns(run) > 0)
        .collect();
    let mut text = format!("### Scheduling precision\n\n{}", precision(chapter, &runs));
    if let Some(lag) = lag(chapter, &runs) {
        let _ = write!(text, "\n{lag}");
    }
    let _ = write!(
        text,
        "\n### Where the LPs' time went\n\n{}",
        time_of_lps(chapter)
    );
    text
}

fn precision(chapter: &Chapter, runs: &[&RunEntry]) -> String {
    let header = [
        "j: kick overshoot p99",
        "kick overshoot p50",
        "kick overshoot max",
        "capacity %",
        "steal %",
        "involuntary switches",
        "dispatches/s per LP",
        "migrations/s per LP",
        "median run per dispatch",
        "work per CPU second",
        "guests' clock error max",
    ];
    let rows: Vec<Vec<String>> = runs
        .iter()
        .zip(&chapter.metrics.pace)
        .map(|(run, pace)| {
            vec![
                time(run.calibration.kick_overshoot_p99_ns as f64),
                time(run.calibration.kick_overshoot_p50_ns as f64),
                time(run.calibration.kick_overshoot_max_ns as f64),
                number(run.calibration.capacity_pct, 2),
                number(run.noise.steal_pct, 2),
                run.noise.involuntary_switches.to_string(),
                number(pace.dispatches_per_second_per_lp, 1),
                number(pace.migrations_per_second_per_lp, 2),
                time(pace.median_ran_ns),
                count(run.calibration.work_per_cpu_second),
                run.noise
                    .clock_error_ns
                    .map_or("–".to_owned(), |error| time(error as f64)),
            ]
        })
        .collect();
    let mut table;
    if runs.len() > COLUMNS {
        table = Table::new().numbers("rep");
        for name in header {
            table = table.numbers(name);
        }
        for (run, row) in runs.iter().zip(rows) {
            table.row(std::iter::once(run.repetition.to_string()).chain(row));
        }
    } else {
        table = columns_per_run(chapter, runs, "measured in the run itself");
        for (i, name) in header.into_iter().enumerate() {
            let values = rows.iter().map(|row| row[i].clone());
            table.row(std::iter::once(name.to_owned()).chain(values));
        }
    }
    table.render()
}

/// A table with one column of numbers per run.
fn columns_per_run(chapter: &Chapter, runs: &[&RunEntry], first: &str) -> Table {
    let mut table = Table::new().words(first);
    for run in runs {
        table = table.numbers(if chapter.repeated() {
            format!("rep {}", run.repetition)
        } else {
            "value".to_owned()
        });
    }
    table
}

/// The largest lag per period, so that a drift would show.
fn lag(chapter: &Chapter, runs: &[&RunEntry]) -> Option<String> {
    let lines = &chapter.metrics.lag;
    let last = lines.iter().map(|line| line.period).max()?;
    let per_row = last / LAG_ROWS + 1;
    let seconds = per_row * (LAG_PERIOD_NS / 1_000_000_000);
    let mut table = columns_per_run(chapter, runs, "from second");
    for row in 0..=last / per_row {
        let values = runs.iter().map(|run| {
            lines
                .iter()
                .filter(|line| line.repetition == u64::from(run.repetition))
                .filter(|line| line.period / per_row == row)
                .map(|line| line.max_slices)
                .reduce(f64::max)
                .map_or("–".to_owned(), |slices| number(slices, 3))
        });
        table.row(std::iter::once((row * seconds).to_string()).chain(values));
    }
    let exceeded: Vec<&RunEntry> = runs
        .iter()
        .copied()
        .filter(|run| {
            let limit = limit_in_slices(chapter, run);
            let of_run = |line: &&LagLine| line.repetition == u64::from(run.repetition);
            lines
                .iter()
                .filter(of_run)
                .any(|line| line.max_slices > limit)
        })
        .collect();
    let limits = runs.iter().map(|run| limit_in_slices(chapter, run));
    let mut text = format!(
        "Largest |lag| of any VP in slices, per {seconds} s of measured time (the limit b is {} slices):\n\n{}",
        span(limits, 2),
        table.render()
    );
    if let Some(latest) = exceeded
        .iter()
        .map(|run| run.calibration.kick_overshoot_max_ns)
        .max()
    {
        let _ = write!(
            text,
            "\nThe lag went beyond the limit, which takes the 99th percentile of the kick overshoot as j;\n\
             the latest kick was {} late.\n",
            time(latest as f64)
        );
    }
    Some(text)
}

/// b, in slices.
fn limit_in_slices(chapter: &Chapter, run: &RunEntry) -> f64 {
    run.calibration.lag_limit_ns as f64 / chapter.experiment.slice_ns.max(1) as f64
}

fn time_of_lps(chapter: &Chapter) -> String {
    let mut table = chapter.table().numbers("LP");
    if !chapter.simulated {
        table = table.numbers("host CPU");
    }
    table = table
        .numbers("guests %")
        .numbers("idle %")
        .numbers("lost %")
        .numbers("dispatches/s")
        .numbers("migrations/s");
    for line in &chapter.metrics.lps {
        let run = chapter.run(line.repetition);
        let cpu = run.and_then(|run| run.lp_cpus.get(line.lp as usize));
        let mut row = chapter.row(line.repetition);
        row.push(line.lp.to_string());
        if !chapter.simulated {
            row.push(cpu.map_or("–".to_owned(), u32::to_string));
        }
        row.extend([
            number(line.guest_pct, 3),
            number(line.idle_pct, 3),
            number(line.lost_pct, 3),
            number(line.dispatches_per_second, 1),
            number(line.migrations_per_second, 2),
        ]);
        table.row(row);
    }
    let mut text = table.render();
    text.push_str(
        "\nPercentages of wall time. Lost is what reached neither a guest nor idle: switching,\n\
         the root's own work, other processes and steal.\n",
    );
    text
}
