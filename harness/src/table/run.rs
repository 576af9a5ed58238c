//! The table of one run.

use super::{lines, mark};
use crate::plan::Planned;
use crate::verdict::{Judge, Row, guest_shares, of_guest};
use apportion_hypervisor::Action;
use apportion_recording::{DemandRow, RunEntry, ShareRow, Verdict, counted};
use apportion_scheduler::{Controls, GuestId, Nanos, Reserve, WeightScope};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use std::collections::HashSet;
use std::fmt::Display;

/// What a terminal shows in a line.
pub(super) const COLUMNS: usize = 100;

/// Of an entry with more guests than these the worst are shown.
const MANY: usize = 16;
/// So many of them.
const WORST: usize = 4;

/// One run: a row per guest, then what the machine delivered and how precisely.
pub(crate) fn run(
    judge: &Judge<'_>,
    entry: &RunEntry,
    rows: &[Row],
    demand: &[DemandRow],
) -> String {
    let mut text = head(judge, entry);
    if rows.is_empty() {
        text.push_str("nothing was measured: the run was stopped during its warm-up");
        return text;
    }
    text.push_str(&guests(judge, entry, rows));
    text.push_str("\n\n");
    lines::describe(&mut text, judge, entry, rows, demand);
    text
}

fn head(judge: &Judge<'_>, entry: &RunEntry) -> String {
    let spec = &judge.planned.spec;
    let simulated = judge.engine != "kvm";
    let mut items = vec![format!("policy {}", spec.policy)];
    let all = Promises::of(judge);
    if all.reserves {
        items.push(format!("reserves {}", spec.reserve_model.name()));
    }
    if spec.weight_scope == WeightScope::Guest {
        items.push("weights per guest".to_owned());
    }
    items.push(counted(spec.lps.into(), "LP"));
    if spec.nodes > 1 {
        items.push(format!("{} nodes", spec.nodes));
    }
    items.push(format!("slice {}", spec.slice));
    items.push(format!(
        "{} {}{}",
        if simulated { "simulated" } else { "measured" },
        judge.closed.measured.end.since(judge.closed.measured.start),
        if entry.interrupted {
            " (interrupted)"
        } else {
            ""
        },
    ));
    let mut text = format!("\n{} {}:", judge.planned.name(), entry.repetition);
    if simulated {
        text.push_str(&format!(
            " engine {}: virtual time, nothing was measured\n ",
            judge.engine
        ));
    }
    let mut width = text.lines().last().map_or(0, |line| line.chars().count());
    for (index, item) in items.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        if width + item.len() + 2 > COLUMNS {
            text.push_str("\n ");
            width = 1;
        }
        text.push(' ');
        text.push_str(item);
        width += item.len() + 2;
    }
    text.push_str("\n\n");
    text
}

/// Which controls any guest has at any time.
struct Promises {
    reserves: bool,
    caps: bool,
}

impl Promises {
    fn of(judge: &Judge<'_>) -> Promises {
        let planned = judge.planned;
        let begin = planned.spec.guests.iter().map(|guest| guest.controls);
        let later = planned
            .spec
            .changes
            .iter()
            .filter_map(|change| match change.action {
                Action::SetControls { controls, .. } => Some(controls),
                _ => None,
            });
        let done = judge.closed.new_controls();
        let all: Vec<Controls> = begin.chain(later).chain(done).collect();
        Promises {
            reserves: all.iter().any(|of| of.reserve > Reserve::default()),
            caps: all.iter().any(|of| of.cap < Controls::default().cap),
        }
    }
}

fn guests(judge: &Judge<'_>, run: &RunEntry, rows: &[Row]) -> String {
    let planned = judge.planned;
    let promises = Promises::of(judge);
    let mut header = vec!["guest", "weight", "VPs"];
    header.extend(promises.reserves.then_some("reserve"));
    header.extend(promises.caps.then_some("cap"));
    header.extend(["expected %", "measured %", "error pp", "bound pp"]);
    // It would make the table too wide beside the other controls.
    let with_work = !promises.reserves && !promises.caps;
    header.extend(with_work.then_some("work %"));
    header.push("verdict");
    let numbers = header.len() - 2;
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(header);
    let all: Vec<_> = guest_shares(rows).zip(planned.roster.guests()).collect();
    let shown = shown(planned, &all);
    for &(row, guest) in all.iter().filter(|(_, guest)| shown.contains(guest)) {
        let (first, last) = controls(judge, guest);
        let vps = planned.roster.initial_vps_of(guest).count();
        let mut cells = vec![
            row.guest.clone(),
            turning(first.weight.get(), last.weight.get()),
            turning(vps, planned.roster.vps_of(guest).len()),
        ];
        if promises.reserves {
            cells.push(turning(first.reserve.percent(), last.reserve.percent()));
        }
        if promises.caps {
            cells.push(turning(first.cap.percent(), last.cap.percent()));
        }
        cells.extend([
            format!("{:.2}", row.expected_pct),
            format!("{:.3}", row.measured_pct),
            format!("{:+.3}", row.error_pp),
            format!("{:.3}", row.bound_pp),
        ]);
        if with_work {
            cells.push(format!("{:.3}", row.work_pct));
        }
        cells.push(
            if run.crashed.iter().any(|crash| crash.guest == row.guest) {
                format!("{} crashed", mark(Verdict::Fail))
            } else {
                let verdict = of_guest(rows, &row.guest);
                format!("{} {verdict}", mark(verdict))
            },
        );
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(1).take(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = table.to_string();
    let hidden = all.len() - shown.len();
    if hidden > 0 {
        text.push_str(&format!(
            "\n{hidden} more guests like these have smaller errors: see shares.csv"
        ));
    }
    text
}

/// Of an entry with many guests those with the largest errors, else all.
fn shown(planned: &Planned, all: &[(&ShareRow, GuestId)]) -> HashSet<GuestId> {
    let group = |guest: GuestId| &planned.experiment.guests[guest.index()].group;
    all.chunk_by(|a, b| group(a.1) == group(b.1))
        .flat_map(|of_entry| {
            let mut of_entry = of_entry.to_vec();
            if of_entry.len() > MANY {
                let error = |row: &ShareRow| -row.error_pp.abs();
                of_entry.sort_by(|a, b| error(a.0).total_cmp(&error(b.0)));
                of_entry.truncate(WORST);
            }
            of_entry.into_iter().map(|(_, guest)| guest)
        })
        .collect()
}

/// A guest's controls at the beginning and at the end, whoever changed them.
fn controls(judge: &Judge<'_>, guest: GuestId) -> (Controls, Controls) {
    let first = judge.planned.spec.guests[guest.index()].controls;
    let last = judge.closed.controls(guest, first, Nanos(u64::MAX));
    (first, last)
}

/// `50`, or `50→200` where it changes.
fn turning<T: Display + PartialEq>(first: T, last: T) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}→{last}")
    }
}
