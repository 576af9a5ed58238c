//! Tables for people, on stdout.

use crate::ledger::Closed;
use crate::plan::Planned;
use crate::statistics::quantile;
use crate::verdict::{WINDOWS, lag_limit, whole_run_rows};
use apportion_recording::{RunEntry, Scope, ShareRow, Verdict};
use apportion_scheduler::Nanos;
use apportion_workloads::Experiment;
use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Writes `text` to stdout. A reader that has gone away is no error: `apportion list | head` is fine.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to stderr, where somebody reads it.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The shipped experiments.
pub(crate) fn catalogue(experiments: &[Experiment]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["NAME", "LPS", "VPS", "GUESTS (WEIGHT)", "WHY"]);
    for experiment in experiments {
        let vps: u32 = experiment.guests.iter().map(|guest| guest.vps).sum();
        let guests: Vec<String> = experiment
            .guests
            .iter()
            .map(|guest| format!("{} ({})", guest.name, guest.controls.weight.get()))
            .collect();
        table.add_row([
            experiment.name.clone(),
            experiment
                .lps
                .map_or("all".to_owned(), |lps| lps.to_string()),
            vps.to_string(),
            guests.join("\n"),
            experiment.why.clone(),
        ]);
    }
    trim_lines(&table.to_string())
}

fn trim_lines(text: &str) -> String {
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
}

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✓",
        Verdict::Fail => "✗",
        Verdict::Inconclusive => "?",
        Verdict::Skipped => "-",
    }
}

/// One run: a row per guest, then what the machine delivered and how precisely.
pub(crate) fn run(
    planned: &Planned,
    entry: &RunEntry,
    closed: &Closed,
    rows: &[ShareRow],
) -> String {
    let spec = &planned.spec;
    let mut text = format!(
        "\n{} {}: policy {}, {} LP{}, slice {}, measured {}{}\n\n",
        planned.name(),
        entry.repetition,
        spec.policy,
        spec.lps,
        if spec.lps == 1 { "" } else { "s" },
        spec.slice,
        closed.measured.end.since(closed.measured.start),
        if entry.interrupted {
            " (interrupted)"
        } else {
            ""
        },
    );
    if rows.is_empty() {
        text.push_str("nothing was measured: the run was stopped during its warm-up\n");
        return text;
    }
    text.push_str(&guests(planned, entry, rows));
    text.push_str("\n\n");
    describe(&mut text, planned, entry, closed, rows);
    text
}

fn guests(planned: &Planned, run: &RunEntry, rows: &[ShareRow]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "guest",
        "weight",
        "VPs",
        "expected %",
        "measured %",
        "error pp",
        "bound pp",
        "work %",
        "verdict",
    ]);
    let guest_rows = whole_run_rows(rows).filter(|row| row.scope == Scope::Guest);
    for (row, guest) in guest_rows.zip(&planned.spec.guests) {
        table.add_row([
            row.guest.clone(),
            row.weight.to_string(),
            guest.vps.to_string(),
            format!("{:.2}", row.expected_pct),
            format!("{:.3}", row.measured_pct),
            format!("{:+.3}", row.error_pp),
            format!("{:.3}", row.bound_pp),
            format!("{:.3}", row.work_pct),
            if run.crashed.iter().any(|crash| crash.guest == row.guest) {
                format!("{} crashed", mark(Verdict::Fail))
            } else {
                format!("{} {}", mark(row.verdict), row.verdict)
            },
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(7) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The lines below the table, none longer than a terminal of 100 columns is
/// wide. Writing to a String cannot fail.
fn describe(
    text: &mut String,
    planned: &Planned,
    run: &RunEntry,
    closed: &Closed,
    rows: &[ShareRow],
) {
    let (calibration, noise) = (&run.calibration, &run.noise);
    for note in ceilings(planned, rows) {
        let _ = writeln!(text, "expected    {note}");
    }
    let _ = writeln!(
        text,
        "delivered   {:.2} % of the LPs' wall time, of which shares are parts; \
         steal {:.2} %",
        calibration.capacity_pct, noise.steal_pct,
    );
    let _ = writeln!(
        text,
        "kicks       late by {} (p50), {} (p99: j), {} (max); {} involuntary switches",
        micros(calibration.kick_overshoot_p50_ns),
        micros(calibration.kick_overshoot_p99_ns),
        micros(calibration.kick_overshoot_max_ns),
        noise.involuntary_switches,
    );
    let _ = write!(
        text,
        "VPs         {:.1} migrations/s per LP",
        noise.migrations_per_second_per_lp
    );
    if let Some(lag) = noise.max_lag_slices {
        let spec = &planned.spec;
        let limit = lag_limit(spec.lps, spec.slice, closed.precision.overshoot(0.99));
        let _ = write!(
            text,
            "; max |lag| {lag:.2} slices (b = {:.2})",
            limit / spec.slice.0 as f64
        );
    }
    text.push('\n');
    for length in WINDOWS {
        windows(text, length, planned.spec.guests.len(), rows);
    }
    for crash in &run.crashed {
        let _ = writeln!(text, "crashed     {crash}");
    }
    let _ = write!(text, "{} {}", mark(run.verdict), run.verdict);
    let _ = match rows.first() {
        _ if !run.crashed.is_empty() => write!(text, ": a guest crashed"),
        Some(row) => write!(
            text,
            " (tolerance {} pp, per guest and per VP)",
            row.tolerance_pp
        ),
        None => Ok(()),
    };
}

/// The distribution of the errors of so many guests over windows of one length.
fn windows(text: &mut String, length: Nanos, guests: usize, rows: &[ShareRow]) {
    let window_ms = length.0 / 1_000_000;
    let of_length: Vec<&ShareRow> = rows
        .iter()
        .filter(|row| row.window_ms == window_ms && row.scope == Scope::Guest)
        .collect();
    if of_length.is_empty() {
        return;
    }
    let mut errors: Vec<f64> = of_length.iter().map(|row| row.error_pp.abs()).collect();
    errors.sort_by(f64::total_cmp);
    let outside = of_length
        .iter()
        .filter(|row| row.verdict != Verdict::Pass)
        .count();
    let _ = writeln!(
        text,
        "{:<12}error median {:.3}, p95 {:.3}, max {:.3} pp; {:.2} % of {} x {} outside their bound",
        format!("per {length}"),
        quantile(&errors, 0.5),
        quantile(&errors, 0.95),
        quantile(&errors, 1.0),
        100.0 * outside as f64 / of_length.len() as f64,
        of_length.len() / guests,
        guests,
    );
}

/// Where a guest's weight alone would give it more than its VPs can use.
fn ceilings(planned: &Planned, rows: &[ShareRow]) -> Vec<String> {
    let claim = |weight: u32, vps: u32| f64::from(weight) * f64::from(vps);
    let guests = &planned.spec.guests;
    let all: f64 = guests
        .iter()
        .map(|guest| claim(guest.controls.weight.get(), guest.vps))
        .sum();
    let ceiling = |vps: u32| 100.0 * f64::from(vps) / f64::from(planned.spec.lps);
    whole_run_rows(rows)
        .filter(|row| row.scope == Scope::Guest)
        .zip(guests)
        .filter_map(|(row, guest)| {
            let by_weight = 100.0 * claim(row.weight, guest.vps) / all;
            (by_weight > ceiling(guest.vps)).then(|| {
                format!(
                    "{}: {by_weight:.2} % by weight, but its {} VP(s) can use {:.2} %, one LP each",
                    guest.name,
                    guest.vps,
                    ceiling(guest.vps)
                )
            })
        })
        .collect()
}

fn micros(ns: u64) -> String {
    format!("{:.0} us", ns as f64 / 1e3)
}
