//! One experiment: what changed and how soon it took effect, and how long guests that woke had to wait.

use super::{Chapter, marked};
use crate::markdown::{number, one_line, signed, time, trimmed};
use apportion_recording::{ActionEntry, ChangeEntry, GuestEntry, RunEntry, WakeStatistics};
use std::fmt::Write as _;

/// The sections on phases, changes and wakes; empty where there are none.
pub(super) fn render(chapter: &Chapter) -> String {
    let mut text = String::new();
    if !chapter.metrics.phases.is_empty() {
        let _ = write!(text, "\n### Phases\n\n{}", phases(chapter));
    }
    if !chapter.experiment.changes.is_empty() {
        let _ = write!(text, "\n### Changes\n\n{}", changes(chapter));
    }
    if chapter.runs.iter().any(|run| !run.wakes.is_empty()) {
        let _ = write!(text, "\n### Wakes\n\n{}", wakes(chapter));
    }
    text
}

/// A guest as `changes` leave it.
pub(super) fn after(guest: &GuestEntry, changes: &[ChangeEntry]) -> GuestEntry {
    let mut after = guest.clone();
    for change in changes {
        match &change.action {
            ActionEntry::Controls {
                guest,
                weight,
                reserve_pct,
                cap_pct,
            } if *guest == after.name => {
                (after.weight, after.reserve_pct, after.cap_pct) =
                    (*weight, *reserve_pct, *cap_pct);
            }
            ActionEntry::AddVp { guest } if *guest == after.name => after.vps += 1,
            _ => {}
        }
    }
    after
}

fn phases(chapter: &Chapter) -> String {
    let lines = chapter.metrics.phases.iter();
    let limited = lines.clone().any(|line| line.check != "share");
    let mut table = chapter.table().words("phase").words("guest");
    if limited {
        table = table.words("check");
    }
    table = table
        .numbers("weight")
        .numbers("expected %")
        .numbers("measured %")
        .numbers("error pp")
        .numbers("bound pp")
        .words("verdict");
    for line in lines.filter(|line| line.vp.is_none()) {
        let Some(phase) = line.phase else { continue };
        let run = chapter.run(line.repetition);
        let mut cells = vec![
            run.map_or_else(String::new, |run| named(run, phase)),
            line.guest.clone(),
        ];
        if limited {
            cells.push(line.check.clone());
        }
        cells.extend([
            line.weight.to_string(),
            number(line.expected_pct, 3),
            number(line.measured_pct, 3),
            signed(line.error_pp, 3),
            number(line.bound_pp, 3),
            marked(&line.verdict),
        ]);
        table.row(chapter.row(line.repetition).into_iter().chain(cells));
    }
    format!(
        "{}\nA phase is the time between two changes. Each is judged as a whole run is.\n",
        table.render()
    )
}

/// `2 (5 s to 10 s)`, counted from when measuring began.
pub(super) fn named(run: &RunEntry, phase: usize) -> String {
    let since = |at: u64| time(at.saturating_sub(run.measured_from_ns) as f64);
    let number = phase + 1;
    match run.phases.get(phase) {
        Some(of) => format!("{number} ({} to {})", since(of.from_ns), since(of.until_ns)),
        None => number.to_string(),
    }
}

fn changes(chapter: &Chapter) -> String {
    let experiment = chapter.experiment;
    let mut text = String::from("As planned, counted from when measuring began:\n\n");
    let mut done = 0;
    for together in experiment.changes.chunk_by(|a, b| a.at_ns == b.at_ns) {
        let (before, since) = experiment.changes[..done + together.len()].split_at(done);
        let mut told: Vec<String> = Vec::new();
        for change in since {
            let what = described(&change.action, &experiment.guests, before, since);
            // All that changes of a guest is told at once.
            if !told.contains(&what) {
                told.push(what);
            }
        }
        done += together.len();
        let at = time(together[0].at_ns as f64);
        let _ = writeln!(text, "* at {at}: {}", one_line(&told.join("; ")));
    }
    for run in &chapter.runs {
        if let Some(kept) = run.reserves_kept_pct {
            let _ = writeln!(
                text,
                "\nToo few LPs were left on line in repetition {}: reserves were scaled down to {} % at the least.",
                run.repetition,
                number(kept, 1)
            );
        }
    }
    if chapter.runs.iter().all(|run| run.convergence.is_empty()) {
        return text;
    }
    let mut table = chapter
        .table()
        .numbers("change at")
        .words("guest")
        .numbers("within its bound from")
        .numbers("bound")
        .numbers("looked at for");
    for run in &chapter.runs {
        for entry in &run.convergence {
            let at = entry.change_ns.saturating_sub(run.measured_from_ns);
            let cells = [
                time(at as f64),
                entry.guest.clone(),
                entry
                    .converged_ms
                    .map_or("never".to_owned(), |ms| format!("{ms} ms")),
                format!("±{}", time(entry.bound_ns as f64)),
                time(entry.looked_at_ms as f64 * 1e6),
            ];
            table.row(chapter.row(run.repetition.into()).into_iter().chain(cells));
        }
    }
    let _ = write!(
        text,
        "\n{}\nFrom then on, in steps of 10 ms, the CPU time that the guest received since the change stayed\n\
         within its bound, n · 2b, of what it should have, for as long as that was looked at: 1 s, or until\n\
         the next change or the end.\n",
        table.render()
    );
    text
}

/// What an action does; to a guest, all that `changes` do to it after `before`.
fn described(
    action: &ActionEntry,
    guests: &[GuestEntry],
    before: &[ChangeEntry],
    changes: &[ChangeEntry],
) -> String {
    let name = match action {
        ActionEntry::Controls { guest, .. } | ActionEntry::AddVp { guest } => guest,
        ActionEntry::Interrupts { guest, count } => {
            return format!("{guest}: {count} interrupts per VP");
        }
        ActionEntry::GuestStart { guest } => return format!("{guest} starts"),
        ActionEntry::GuestStop { guest } => return format!("{guest} is stopped"),
        ActionEntry::LpOff { lp, force: false } => return format!("LP {lp} goes off line"),
        ActionEntry::LpOff { lp, force: true } => return format!("LP {lp} is forced off line"),
        ActionEntry::LpOn { lp } => return format!("LP {lp} comes back"),
    };
    let Some(guest) = guests.iter().find(|guest| guest.name == *name) else {
        return name.clone();
    };
    let was = after(guest, before);
    let is = after(&was, changes);
    let figures = [
        ("weight", f64::from(was.weight), f64::from(is.weight)),
        ("reserve %", was.reserve_pct, is.reserve_pct),
        ("cap %", was.cap_pct, is.cap_pct),
        ("VPs", f64::from(was.vps), f64::from(is.vps)),
    ];
    let turned: Vec<String> = figures
        .into_iter()
        .filter(|(_, was, is)| was != is)
        .map(|(what, was, is)| format!("{what} {}→{}", trimmed(was, 3), trimmed(is, 3)))
        .collect();
    match turned.is_empty() {
        true => format!("{name}: as before"),
        false => format!("{name}: {}", turned.join(", ")),
    }
}

fn wakes(chapter: &Chapter) -> String {
    let mut table = chapter
        .table()
        .words("guest")
        .numbers("wakes")
        .numbers("undisturbed")
        .words("figures of")
        .numbers("p50")
        .numbers("p99")
        .numbers("max")
        .numbers("bound")
        .numbers("within it %")
        .words("verdict");
    let mut untold = false;
    for run in &chapter.runs {
        for entry in &run.wakes {
            let of = entry.told();
            let all = entry.undisturbed.wakes == 0;
            untold |= all;
            let figure = |ns: fn(&WakeStatistics) -> u64| match of.wakes {
                0 => "–".to_owned(),
                _ => time(ns(of) as f64),
            };
            let cells = [
                entry.guest.clone(),
                entry.all.wakes.to_string(),
                entry.undisturbed.wakes.to_string(),
                if all { "all" } else { "the undisturbed" }.to_owned(),
                figure(|of| of.p50_ns),
                figure(|of| of.p99_ns),
                figure(|of| of.max_ns),
                entry
                    .bound_ns
                    .map_or("–".to_owned(), |bound| time(bound as f64)),
                of.within_pct
                    .map_or("–".to_owned(), |within| number(within, 2)),
                match entry.verdict {
                    Some(verdict) => marked(&verdict.to_string()),
                    None => "–".to_owned(),
                },
            ];
            table.row(chapter.row(run.repetition.into()).into_iter().chain(cells));
        }
    }
    let mut text = format!(
        "From when a VP was due to wake to when it had its burst or a whole slice:\n\n{}\n\
         The bound is slice ÷ reserve + slice + j; without a reserve there is none. A wake is disturbed if\n\
         meanwhile the host visibly took time on any LP. The verdict is on the undisturbed ones.\n",
        table.render()
    );
    if untold {
        text.push_str(
            "Where no wake was undisturbed nothing can be told: the figures are those of all wakes.\n",
        );
    }
    text
}
