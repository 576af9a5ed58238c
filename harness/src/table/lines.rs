//! The lines below the table of a run, none longer than a terminal of 100 columns is wide.
//!
//! Writing to a String cannot fail.

use super::changes::{convergence, phases, stays, wakes};
use super::demand::replays;
use super::mark;
use super::results::results;
use crate::ledger::BIN;
use crate::statistics::quantile;
use crate::verdict::{Judge, Row, Span, WINDOWS};
use apportion_recording::{Check, DemandRow, ExperimentEntry, RunEntry, Scope, ShareRow, Verdict};
use apportion_scheduler::Nanos;
use std::fmt::Write as _;

/// So many guests are named one by one.
pub(super) const NAMED: usize = 8;

/// Idle time while a VP waits is worth a line from this part of the LPs' time on, %.
const IDLE_TOLD_PCT: f64 = 0.01;

/// All of them.
pub(super) fn describe(
    text: &mut String,
    judge: &Judge<'_>,
    run: &RunEntry,
    rows: &[Row],
    demand: &[DemandRow],
) {
    let experiment = judge.planned.entry();
    for ceiling in experiment.ceilings().iter().take(NAMED) {
        let _ = writeln!(text, "expected    {ceiling}");
    }
    affinities(text, &experiment);
    stays(text, judge.planned);
    machine(text, judge, run);
    for length in WINDOWS {
        windows(text, length, judge.planned.spec.guests.len(), rows);
    }
    caps(text, rows);
    reserves(text, run, rows);
    phases(text, run, rows);
    convergence(text, run);
    wakes(text, run);
    replays(text, &experiment, run.interrupted, demand);
    results(text, run, demand, NAMED);
    for crash in &run.crashed {
        let _ = writeln!(text, "crashed     {crash}");
    }
    let slice_ns = judge.planned.spec.slice.0;
    if judge.engine == "kvm"
        && let Some((why, meaning)) = run.calibration.busy_host(slice_ns)
    {
        let _ = writeln!(text, "warning     {why}:\n            {meaning}");
    }
    let _ = match run.interrupted {
        // What was cut short is not judged as a whole.
        true => write!(
            text,
            "- incomplete: interrupted, no verdict; so far {}",
            run.verdict
        ),
        false => write!(text, "{} {}", mark(run.verdict), run.verdict),
    };
    if !run.crashed.is_empty() {
        text.push_str(": a guest crashed");
    } else if let Some(row) = rows.first() {
        let phases = if run.phases.is_empty() {
            ""
        } else {
            " and phase"
        };
        let tolerance = row.share.tolerance_pp;
        let _ = write!(
            text,
            " (tolerance {tolerance} pp, per guest, per VP{phases})"
        );
    }
}

fn machine(text: &mut String, judge: &Judge<'_>, run: &RunEntry) {
    let (calibration, noise) = (&run.calibration, &run.noise);
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
        let (limit, slice) = (calibration.lag_limit_ns, judge.planned.spec.slice);
        let _ = write!(
            text,
            "; max |lag| {lag:.2} slices (b = {:.2})",
            limit as f64 / slice.0 as f64
        );
    }
    text.push('\n');
    let idleness = &run.idleness;
    if noise.idle_while_ready_pct > IDLE_TOLD_PCT || idleness.verdict == Some(Verdict::Fail) {
        let (lasting, bound) = (Nanos(idleness.lasting_ns), Nanos(idleness.bound_ns));
        let _ = writeln!(
            text,
            "idle        {:.3} s of LPs beside a VP that waited and could have run (at most {:.3} s) {}",
            lasting.0 as f64 / 1e9,
            bound.0 as f64 / 1e9,
            idleness.verdict.map_or("", mark)
        );
    }
}

/// The distribution of the errors of so many guests over windows of one length.
fn windows(text: &mut String, length: Nanos, guests: usize, rows: &[Row]) {
    let of_length: Vec<&ShareRow> = rows
        .iter()
        .filter(|row| row.is(Span::Window(length), Scope::Guest, Check::Share))
        .map(|row| &row.share)
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

/// Per guest with a cap what it received, and its largest excess over any of the shortest windows.
fn caps(text: &mut String, rows: &[Row]) {
    let whole: Vec<&ShareRow> = of_whole(rows, Check::Cap);
    for row in whole.iter().take(NAMED) {
        let windows = rows
            .iter()
            .filter(|other| other.is(Span::Window(BIN), Scope::Guest, Check::Cap))
            .filter(|other| other.share.guest == row.guest)
            .map(|other| (other.share.error_pp, other.share.bound_pp));
        let _ = write!(
            text,
            "cap         {}: {:.2} of at most {:.2} % of wall time {}",
            row.guest,
            row.measured_pct,
            row.expected_pct,
            mark(row.verdict)
        );
        let _ = match windows.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((excess, bound)) if excess <= 0.0 => {
                writeln!(text, "; over {BIN} never above it (bound {bound:.2} pp)")
            }
            Some((excess, bound)) => writeln!(
                text,
                "; over {BIN} up to {excess:+.2} pp (bound {bound:.2})"
            ),
            None => writeln!(text),
        };
    }
    more(text, "cap", whole.len());
}

fn reserves(text: &mut String, run: &RunEntry, rows: &[Row]) {
    let whole = of_whole(rows, Check::Reserve);
    for row in whole.iter().take(NAMED) {
        let _ = writeln!(
            text,
            "reserve     {}: {:.2} of at least {:.2} % of wall time {}",
            row.guest,
            row.measured_pct,
            row.expected_pct,
            mark(row.verdict)
        );
    }
    more(text, "reserve", whole.len());
    if let Some(kept) = run.reserves_kept_pct {
        let _ = writeln!(
            text,
            "reserve     scaled down to {kept:.1} % at the least: too few LPs were left on line"
        );
    }
}

fn of_whole(rows: &[Row], check: Check) -> Vec<&ShareRow> {
    rows.iter()
        .filter(|row| row.is(Span::Whole, Scope::Guest, check))
        .map(|row| &row.share)
        .collect()
}

pub(super) fn more(text: &mut String, what: &str, guests: usize) {
    if guests > NAMED {
        let _ = writeln!(
            text,
            "{what:<12}and {} more guests: see the recording",
            guests - NAMED
        );
    }
}

/// Per guest with an affinity its LPs.
fn affinities(text: &mut String, experiment: &ExperimentEntry) {
    let guests = experiment.guests.iter();
    let bound = guests.filter_map(|guest| Some((&guest.name, guest.affinity.as_ref()?)));
    for (name, lps) in bound.clone().take(NAMED) {
        let lps: Vec<String> = lps.iter().map(u32::to_string).collect();
        let _ = writeln!(text, "affinity    {name}: LPs {}", lps.join(", "));
    }
    more(text, "affinity", bound.count());
}

pub(super) fn micros(ns: u64) -> String {
    format!("{:.0} us", ns as f64 / 1e3)
}
