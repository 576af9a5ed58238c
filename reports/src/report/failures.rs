//! What failed, or could not be told, by name.

use super::Chapter;
use super::changes::named;
use crate::markdown::{number, one_line, signed, time, trimmed};
use crate::metrics::ShareLine;
use apportion_recording::{ClaimRow, IdlenessEntry, RunEntry, Verdict, WakeEntry};

/// More of them are counted only.
const NAMED: usize = 12;

/// What of a run came out as a verdict other than pass.
pub(super) struct Findings<'a> {
    /// Guests that crashed: `GUEST, VP N`.
    pub(super) crashes: Vec<String>,
    /// Checks of shares, caps and reserves, but for the shares of crashed guests.
    pub(super) checks: Vec<&'a ShareLine>,
    /// Guests whose wakes were judged so.
    pub(super) wakes: Vec<&'a WakeEntry>,
    /// LPs that idled beside VPs that waited, where that was judged so.
    pub(super) idleness: Option<&'a IdlenessEntry>,
}

impl Chapter<'_> {
    /// What came out as `verdict` in one of its runs.
    pub(super) fn findings<'a>(&'a self, run: &'a RunEntry, verdict: Verdict) -> Findings<'a> {
        let word = verdict.to_string();
        let crashes = run.crashed.iter().filter(|_| verdict == Verdict::Fail);
        let crashed = |line: &ShareLine| {
            line.check == "share" && run.crashed.iter().any(|crash| crash.guest == line.guest)
        };
        let judged = |entry: &&WakeEntry| entry.verdict == Some(verdict);
        Findings {
            crashes: crashes
                .map(|crash| format!("{}, VP {}", crash.guest, crash.vp))
                .collect(),
            checks: self
                .metrics
                .checks()
                .filter(|line| line.repetition == u64::from(run.repetition))
                .filter(|line| line.verdict == word && !crashed(line))
                .collect(),
            wakes: run.wakes.iter().filter(judged).collect(),
            idleness: Some(&run.idleness).filter(|it| it.verdict == Some(verdict)),
        }
    }
}

/// A list of everything in `chapters` that came out as `verdict`; empty where nothing did.
pub(super) fn list(chapters: &[Chapter], claims: &[ClaimRow], verdict: Verdict) -> String {
    let mut items: Vec<String> = Vec::new();
    for chapter in chapters {
        for run in &chapter.runs {
            let place = place(chapter, run, chapters.len() > 1);
            let findings = chapter.findings(run, verdict);
            items.extend(
                findings
                    .crashes
                    .iter()
                    .map(|it| format!("{place}crash: {it}")),
            );
            items.extend(
                findings
                    .checks
                    .iter()
                    .filter(|line| !told_by_guest(line, &findings.checks))
                    .map(|line| format!("{place}{}", check(run, line))),
            );
            items.extend(
                findings
                    .wakes
                    .iter()
                    .map(|it| format!("{place}{}", wakes(it))),
            );
            items.extend(
                findings
                    .idleness
                    .iter()
                    .map(|it| format!("{place}{}", idleness(it))),
            );
        }
    }
    let judged = claims.iter().filter(|it| it.verdict == verdict);
    items.extend(judged.map(|it| format!("claim: {it}")));
    let more = items.len().saturating_sub(NAMED);
    items.truncate(NAMED);
    if more > 0 {
        items.push(format!(
            "{more} more: see the tables below and `shares.csv`"
        ));
    }
    items
        .iter()
        .map(|item| format!("* {}\n", one_line(item)))
        .collect()
}

/// `live-weight, repetition 2: `, as far as there are others.
fn place(chapter: &Chapter, run: &RunEntry, several: bool) -> String {
    let name = several.then(|| chapter.experiment.name.clone());
    let repetition = chapter
        .repeated()
        .then(|| format!("repetition {}", run.repetition));
    let parts: Vec<String> = name.into_iter().chain(repetition).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!("{}: ", parts.join(", ")),
    }
}

/// Whether a VP's line says no more than that its guest's is among `lines`, too.
fn told_by_guest(line: &ShareLine, lines: &[&ShareLine]) -> bool {
    line.vp.is_some()
        && lines.iter().any(|of| {
            of.vp.is_none()
                && (of.phase, &of.guest, &of.check) == (line.phase, &line.guest, &line.check)
        })
}

fn check(run: &RunEntry, line: &ShareLine) -> String {
    let mut who = line.guest.clone();
    if let Some(vp) = line.vp {
        who = format!("{who}, VP {vp}");
    }
    if let Some(phase) = line.phase {
        who = format!("phase {}, {who}", named(run, phase));
    }
    let (measured, expected) = (number(line.measured_pct, 3), number(line.expected_pct, 3));
    let error = signed(line.error_pp, 3);
    let bound = number(line.bound_pp, 3);
    match line.check.as_str() {
        "cap" => format!(
            "{who}: {measured} of at most {expected} % of wall time (cap), {error} pp (bound {bound} pp)"
        ),
        "reserve" => format!(
            "{who}: {measured} of at least {expected} % of wall time (reserve), {error} pp (bound {bound} pp)"
        ),
        _ => format!(
            "{who}: {measured} instead of {expected} %, {error} pp (tolerance {} pp, bound {bound} pp)",
            trimmed(line.tolerance_pp, 3)
        ),
    }
}

fn idleness(entry: &IdlenessEntry) -> String {
    let (lasting, bound) = (time(entry.lasting_ns as f64), time(entry.bound_ns as f64));
    format!("LPs idled for {lasting} beside VPs that waited and could have run, {bound} at most")
}

fn wakes(entry: &WakeEntry) -> String {
    let of = &entry.undisturbed;
    let bound = time(entry.bound_ns.map_or(f64::NAN, |bound| bound as f64));
    match of.within_pct {
        Some(within) => format!(
            "wakes of {}: {} % of {} undisturbed ones within {bound}",
            entry.guest,
            number(within, 2),
            of.wakes
        ),
        None => format!(
            "wakes of {}: none of {} was undisturbed",
            entry.guest, entry.all.wakes
        ),
    }
}
