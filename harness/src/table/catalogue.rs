//! The shipped experiments, as `apportion list` shows them.

use super::trim_lines;
use crate::plan::engines;
use apportion_scheduler::Nanos;
use apportion_workloads::{Experiment, Guest, suite};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// How wide it is where nobody tells how wide a terminal is.
const COLUMNS: u16 = 100;

/// One row per experiment, as wide as the terminal.
pub(crate) fn catalogue(experiments: &[Experiment]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(COLUMNS);
    }
    table.set_header([
        "",
        "NAME",
        "LPS",
        "ENGINE",
        "TIME",
        "GUESTS (WEIGHT, VPS), WHY",
    ]);
    for experiment in experiments {
        let of_suite = suite().iter().any(|one| one.name == experiment.name);
        table.add_row([
            if of_suite { "*" } else { "" }.to_owned(),
            experiment.name.clone(),
            experiment
                .lps
                .map_or("all".to_owned(), |lps| lps.to_string()),
            engines(experiment).to_owned(),
            time(experiment),
            format!("{}\n{}", guests(experiment), experiment.why),
        ]);
    }
    for column in table.column_iter_mut().take(5).skip(2).step_by(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let of_suite: Nanos = suite()
        .iter()
        .fold(Nanos::ZERO, |sum, one| sum + length(one));
    format!(
        "{}\n\n\
         * the suite, {of_suite} in all: what runs where no experiment is named\n\
         ENGINE: which can run it, KVM where the host has as many LPs\n\
         TIME: warm-up and measured time of all that it runs: repetitions, points of a sweep, what claims compare with",
        trim_lines(&table.to_string())
    )
}

/// `2 x production (200, 2 VPs), test (50)`.
fn guests(experiment: &Experiment) -> String {
    // The guests of one entry follow each other.
    let entries = experiment.guests.chunk_by(|a, b| a.group == b.group);
    let entries = entries.map(|guests| {
        let count = match guests.len() {
            1 => String::new(),
            count => format!("{count} x "),
        };
        let Guest {
            group,
            controls,
            vps,
            ..
        } = &guests[0];
        let vps = match vps {
            1 => String::new(),
            vps => format!(", {vps} VPs"),
        };
        format!("{count}{group} ({}{vps})", controls.weight.get())
    });
    entries.collect::<Vec<_>>().join(", ")
}

fn time(experiment: &Experiment) -> String {
    let once = experiment.warm_up + experiment.duration;
    match u64::from(experiment.repetitions) * experiment.runs() as u64 {
        1 => once.to_string(),
        runs => format!("{runs} x {once}"),
    }
}

/// Of all repetitions, and all that it stands for.
fn length(experiment: &Experiment) -> Nanos {
    let once = experiment.warm_up + experiment.duration;
    Nanos(once.0 * u64::from(experiment.repetitions) * experiment.runs() as u64)
}
