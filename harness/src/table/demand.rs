//! The lines of what guests that replay a trace demanded and received.

use crate::statistics::quantile;
use apportion_recording::{DemandRow, ExperimentEntry, Fared, ReplayEntry, counted};
use std::fmt::Write as _;

/// So many of the starved are named.
const WORST: usize = 4;

/// Of each trace what all of its guests got together, and the worst few. Writing to a String cannot fail.
pub(super) fn replays(
    text: &mut String,
    experiment: &ExperimentEntry,
    interrupted: bool,
    rows: &[DemandRow],
) {
    for entry in &experiment.replays {
        let group = |row: &&DemandRow| {
            let mut guests = experiment.guests.iter();
            guests.any(|guest| guest.name == row.guest && guest.group == entry.group)
        };
        let of_entry: Vec<&DemandRow> = rows.iter().filter(group).collect();
        if !of_entry.is_empty() {
            replay(text, entry, interrupted, &of_entry);
        }
    }
}

fn replay(text: &mut String, entry: &ReplayEntry, interrupted: bool, rows: &[&DemandRow]) {
    let sum = |of: fn(&DemandRow) -> u64| seconds(rows.iter().map(|row| of(row)).sum());
    let _ = writeln!(
        text,
        "replay      {} of {}, each times {:.3}",
        counted(rows.len() as u64, "VM"),
        entry.trace,
        entry.factor
    );
    // What the trace demands is known of the whole run.
    let demanded = match interrupted {
        true => String::new(),
        false => format!("{} demanded, ", sum(|row| row.trace_ns)),
    };
    let _ = writeln!(
        text,
        "            {demanded}{} fell due, {} received; backlog {} before, {} after",
        sum(|row| row.due_ns),
        sum(|row| row.received_ns),
        sum(|row| row.backlog_before_ns),
        sum(|row| row.backlog_ns),
    );
    let of = |fared: Fared| -> Vec<&DemandRow> {
        rows.iter()
            .filter(|row| row.fared == fared)
            .copied()
            .collect()
    };
    let (met, idle): (Vec<_>, Vec<_>) = of(Fared::Met)
        .into_iter()
        .partition(|row| part(row, interrupted).is_some());
    if !met.is_empty() {
        let mut parts: Vec<f64> = met
            .iter()
            .filter_map(|row| part(row, interrupted))
            .collect();
        parts.sort_by(f64::total_cmp);
        let _ = writeln!(
            text,
            "            {} met: received {:.1} % of {} ({:.1} to {:.1}); stretch {}",
            met.len(),
            quantile(&parts, 0.5),
            if interrupted {
                "what fell due"
            } else {
                "the trace's demand"
            },
            quantile(&parts, 0.0),
            quantile(&parts, 1.0),
            stretches(&met),
        );
    }
    if !idle.is_empty() {
        let _ = writeln!(text, "            {} demanded nothing", idle.len());
    }
    for (fared, words) in [
        (
            Fared::BeyondDue,
            "starved, having demanded more than their due",
        ),
        (
            Fared::Short,
            "starved, and short of what they were promised",
        ),
    ] {
        let mut starved = of(fared);
        if starved.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "            {} {words}; stretch of at least {}",
            starved.len(),
            stretches(&starved)
        );
        starved.sort_by_key(|row| std::cmp::Reverse(row.backlog_ns));
        for row in starved.iter().take(WORST) {
            let _ = writeln!(
                text,
                "              {} ({}): {} of {}, backlog {}",
                row.guest,
                row.vm,
                seconds(row.received_ns),
                seconds(row.due_ns + row.backlog_before_ns),
                seconds(row.backlog_ns),
            );
        }
        if starved.len() > WORST {
            let more = starved.len() - WORST;
            let _ = writeln!(text, "              and {more} more: see demand.csv");
        }
    }
}

/// What it received, as a percentage of what the trace demands, or in a run that was cut short of what fell due.
fn part(row: &DemandRow, interrupted: bool) -> Option<f64> {
    let of = if interrupted {
        row.due_ns
    } else {
        row.trace_ns
    };
    (of > 0).then(|| 100.0 * row.received_ns as f64 / of as f64)
}

/// The medians of the guests' quantiles.
fn stretches(rows: &[&DemandRow]) -> String {
    let median = |of: fn(&DemandRow) -> Option<f64>| {
        let mut all: Vec<f64> = rows.iter().filter_map(|row| of(row)).collect();
        all.sort_by(f64::total_cmp);
        quantile(&all, 0.5)
    };
    format!(
        "{:.1} (p50), {:.1} (p95)",
        median(|row| row.stretch_p50),
        median(|row| row.stretch_p95)
    )
}

fn seconds(ns: u64) -> String {
    format!("{:.2} s", ns as f64 / 1e9)
}
