//! The experiments of a sweep, side by side.

use super::mark;
use crate::exit::worst;
use crate::plan::{Plan, Planned};
use crate::statistics::mean;
use crate::verdict::{Gathered, Row, Span, by_experiment};
use apportion_recording::{Check, RunEntry, Scope, ServiceEntry, time};
use apportion_workloads::Guest;
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use std::collections::HashMap;

/// What is told of the guests of an entry, before the verdict.
const FIGURES: [&str; 5] = ["guests", "measured %", "error pp", "wait", "stretch"];

/// A table per family with more than one experiment; a row per experiment and entry of guests.
pub(crate) fn sweeps(plan: &Plan, runs: &[RunEntry], rows: &Gathered) -> Option<String> {
    let families = plan
        .runs
        .chunk_by(|a, b| a.experiment.family == b.experiment.family);
    let tables = families.filter(|family| family.len() > 1);
    let runs = by_experiment(runs);
    let tables: Vec<String> = tables.map(|family| sweep(family, &runs, rows)).collect();
    (!tables.is_empty()).then(|| tables.join("\n"))
}

fn sweep(family: &[Planned], runs: &HashMap<&str, Vec<&RunEntry>>, rows: &Gathered) -> String {
    let mut keys: Vec<String> = Vec::new();
    for setting in family.iter().flat_map(|it| &it.experiment.point) {
        if !keys.contains(&setting.key()) {
            keys.push(setting.key());
        }
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    // Most are keys of guests.
    let short = |key: &String| key.strip_prefix("guest.").unwrap_or(key).to_owned();
    let mut header: Vec<String> = keys.iter().map(short).collect();
    header.extend(FIGURES.map(str::to_owned));
    header.push("verdict".to_owned());
    table.set_header(header);
    for planned in family {
        let point = Point {
            planned,
            runs: runs.get(planned.name()).map_or(&[], Vec::as_slice),
            rows: rows.of(planned.name()),
        };
        let guests = &planned.experiment.guests;
        for entry in guests.chunk_by(|a, b| a.group == b.group) {
            let values = keys.iter().map(|key| point.value(key));
            table.add_row(values.chain(point.figures(entry)));
        }
    }
    let last = keys.len() + FIGURES.len();
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != keys.len() && index < last {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!(
        "\n{}, per guest: largest error, mean wait per dispatch; empty: as the file or --set says\n\n{table}",
        family[0].experiment.family
    )
}

/// One experiment of a sweep, with all of its repetitions.
struct Point<'a> {
    planned: &'a Planned,
    runs: &'a [&'a RunEntry],
    rows: &'a [Row],
}

impl Point<'_> {
    /// What it has for a key that is swept.
    fn value(&self, key: &str) -> String {
        let mut point = self.planned.experiment.point.iter();
        let setting = point.find(|setting| setting.key() == key);
        setting.map_or_else(String::new, |it| it.value().to_owned())
    }

    /// What the guests of one entry make of it: means over these and over repetitions.
    fn figures(&self, entry: &[Guest]) -> [String; FIGURES.len() + 1] {
        let named = |name: &str| entry.iter().any(|guest| guest.name == name);
        let rows = self.rows.iter().filter(|row| named(&row.share.guest));
        let shares = rows
            .clone()
            .filter(|row| row.is(Span::Whole, Scope::Guest, Check::Share))
            .map(|row| &row.share);
        let measured: Vec<f64> = shares.clone().map(|share| share.measured_pct).collect();
        let errors = shares.map(|share| share.error_pp);
        let error = errors.max_by(|a, b| a.abs().total_cmp(&b.abs()));
        let verdict = worst(rows.filter(|row| row.counts).map(|row| row.share.verdict));
        let served = self.runs.iter().flat_map(|run| &run.service);
        let served: Vec<&ServiceEntry> = served.filter(|it| named(&it.guest)).collect();
        let told = |of: fn(&ServiceEntry) -> Option<f64>, tell: fn(f64) -> String| {
            let values: Vec<f64> = served.iter().filter_map(|it| of(it)).collect();
            match values[..] {
                [] => "-".to_owned(),
                _ => tell(mean(&values)),
            }
        };
        [
            match entry {
                [one] => one.group.clone(),
                several => format!("{} x {}", several.len(), several[0].group),
            },
            format!("{:.3}", mean(&measured)),
            format!("{:+.3}", error.unwrap_or_default()),
            told(|it| it.wait_per_dispatch_ns, time),
            told(|it| it.stretch, |stretch| format!("{stretch:.2}")),
            format!("{} {verdict}", mark(verdict)),
        ]
    }
}
