//! The experiments of a sweep, side by side.

use super::{mark, time};
use crate::exit::worst;
use crate::plan::{Plan, Planned};
use crate::statistics::mean;
use crate::verdict::{Row, Span};
use apportion_recording::{Check, RunEntry, Scope, ShareRow, Verdict};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

/// A table per family with more than one experiment; a row per experiment and entry of guests.
pub(crate) fn sweeps(plan: &Plan, runs: &[RunEntry], rows: &[Row]) -> Option<String> {
    let families = plan
        .runs
        .chunk_by(|a, b| a.experiment.family == b.experiment.family);
    let tables = families.filter(|family| family.len() > 1);
    let tables: Vec<String> = tables.map(|family| sweep(family, runs, rows)).collect();
    (!tables.is_empty()).then(|| tables.join("\n"))
}

fn sweep(family: &[Planned], runs: &[RunEntry], rows: &[Row]) -> String {
    let mut keys: Vec<String> = Vec::new();
    for setting in family.iter().flat_map(|it| &it.experiment.point) {
        if !keys.contains(&setting.key()) {
            keys.push(setting.key());
        }
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let mut header = keys.clone();
    let figures = [
        "guests",
        "expected %",
        "measured %",
        "error pp",
        "wait/dispatch",
        "stretch",
    ];
    header.extend(figures.map(str::to_owned));
    header.push("verdict".to_owned());
    table.set_header(header);
    for planned in family {
        let of_point = |row: &&Row| row.share.experiment == planned.name();
        let rows: Vec<&Row> = rows.iter().filter(of_point).collect();
        let runs: Vec<&RunEntry> = runs
            .iter()
            .filter(|it| it.experiment == planned.name())
            .collect();
        let guests = &planned.experiment.guests;
        for entry in guests.chunk_by(|a, b| a.group == b.group) {
            let named = |name: &str| entry.iter().any(|guest| guest.name == name);
            let of_entry = |row: &&&Row| named(&row.share.guest);
            let shares: Vec<&ShareRow> = rows
                .iter()
                .filter(|row| row.is(Span::Whole, Scope::Guest, Check::Share))
                .filter(of_entry)
                .map(|row| &row.share)
                .collect();
            let column = |of: fn(&ShareRow) -> f64| {
                mean(&shares.iter().map(|it| of(it)).collect::<Vec<_>>())
            };
            let errors = shares.iter().map(|row| row.error_pp);
            let error = errors
                .max_by(|a, b| a.abs().total_cmp(&b.abs()))
                .unwrap_or_default();
            let served: Vec<_> = runs.iter().flat_map(|run| &run.service).collect();
            let served: Vec<_> = served.into_iter().filter(|it| named(&it.guest)).collect();
            let waits: Vec<f64> = served
                .iter()
                .filter_map(|it| it.wait_per_dispatch_ns)
                .collect();
            let stretches: Vec<f64> = served.iter().filter_map(|it| it.stretch).collect();
            let told = |values: &[f64], tell: fn(f64) -> String| match values {
                [] => "-".to_owned(),
                values => tell(mean(values)),
            };
            let verdict: Verdict = worst(
                rows.iter()
                    .filter(of_entry)
                    .filter(|row| row.counts)
                    .map(|row| row.share.verdict),
            );
            let mut cells: Vec<String> = keys
                .iter()
                .map(|key| {
                    let mut point = planned.experiment.point.iter();
                    let setting = point.find(|setting| setting.key() == *key);
                    setting.map_or_else(String::new, |it| it.value().to_owned())
                })
                .collect();
            cells.push(match entry.len() {
                1 => entry[0].group.clone(),
                several => format!("{several} x {}", entry[0].group),
            });
            cells.extend([
                format!("{:.2}", column(|row| row.expected_pct)),
                format!("{:.3}", column(|row| row.measured_pct)),
                format!("{error:+.3}"),
                told(&waits, time),
                told(&stretches, |stretch| format!("{stretch:.2}")),
                format!("{} {verdict}", mark(verdict)),
            ]);
            table.add_row(cells);
        }
    }
    let last = keys.len() + 1 + figures.len() - 1;
    for (index, column) in table.column_iter_mut().enumerate() {
        if index != keys.len() && index < last {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!(
        "\n{}, per guest; the error that is largest:\n\n{table}",
        family[0].experiment.family
    )
}
