//! The lines that tell of time: phases, how soon changes took effect, and wakes.

use super::lines::{NAMED, micros, more};
use super::mark;
use crate::plan::Planned;
use crate::verdict::wakes::ENOUGH;
use crate::verdict::{Row, Span};
use apportion_hypervisor::{Action, Change};
use apportion_recording::{Check, ConvergenceEntry, RunEntry, Scope, ShareRow, Verdict};
use apportion_scheduler::Nanos;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Per guest that is not there all the time when it is, as planned.
pub(super) fn stays(text: &mut String, planned: &Planned) {
    let spec = &planned.spec;
    let mut limits: BTreeMap<usize, [Option<Nanos>; 2]> = BTreeMap::new();
    for Change { at, action } in &spec.changes {
        match action {
            Action::StartGuest { guest } => limits.entry(guest.index()).or_default()[0] = Some(*at),
            Action::StopGuest { guest } => limits.entry(guest.index()).or_default()[1] = Some(*at),
            _ => {}
        }
    }
    let told = |limits: [Option<Nanos>; 2]| match limits {
        [Some(from), Some(until)] => format!("from {from} to {until}"),
        [Some(from), None] => format!("from {from} on"),
        [None, until] => format!("until {}", until.unwrap_or(spec.duration)),
    };
    let stays = limits.into_iter();
    let stays: Vec<(usize, String)> = stays.map(|(guest, at)| (guest, told(at))).collect();
    let group = |guest: usize| &planned.experiment.guests[guest].group;
    // Mostly all guests of an entry come and go together.
    let together = stays.chunk_by(|a, b| group(a.0) == group(b.0) && a.1 == b.1);
    for some in together.clone().take(NAMED) {
        let (first, there) = &some[0];
        let _ = match some.len() {
            1 => writeln!(text, "there       {}: {there}", spec.guests[*first].name),
            count => writeln!(text, "there       {count} x {}: {there}", group(*first)),
        };
    }
    more(text, "there", together.count());
}

pub(super) fn phases(text: &mut String, run: &RunEntry, rows: &[Row]) {
    let since = |at: u64| Nanos(at).since(Nanos(run.measured_from_ns));
    for (index, phase) in run.phases.iter().enumerate() {
        let shares = |scope| {
            let of_phase = move |row: &&Row| row.is(Span::Phase(index), scope, Check::Share);
            rows.iter().filter(of_phase).map(|row| &row.share)
        };
        let largest = |a: &&ShareRow, b: &&ShareRow| a.error_pp.abs().total_cmp(&b.error_pp.abs());
        // A guest, unless it is a VP that decided.
        let decided = |row: &&ShareRow| row.verdict == phase.verdict;
        let guest = shares(Scope::Guest).filter(decided).max_by(largest);
        let vp = || shares(Scope::Vp).filter(decided).max_by(largest);
        let any = || shares(Scope::Guest).max_by(largest);
        let Some(worst) = guest.or_else(vp).or_else(any) else {
            continue;
        };
        let vp = worst.vp.map_or(String::new(), |vp| format!(" VP {vp}"));
        let _ = writeln!(
            text,
            "{:<12}{} to {}: largest error {:+.3} pp ({}{vp}: {:.2} of {:.2} %) {}",
            format!("phase {}", index + 1),
            match since(phase.from_ns) {
                Nanos::ZERO => "0s".to_owned(),
                at => at.to_string(),
            },
            since(phase.until_ns),
            worst.error_pp,
            worst.guest,
            worst.measured_pct,
            worst.expected_pct,
            mark(phase.verdict),
        );
    }
}

/// Per change the guest that took longest.
pub(super) fn convergence(text: &mut String, run: &RunEntry) {
    let of_one_change = run.convergence.chunk_by(|a, b| a.change_ns == b.change_ns);
    for entries in of_one_change {
        let at = Nanos(entries[0].change_ns).since(Nanos(run.measured_from_ns));
        let never: Vec<&str> = entries
            .iter()
            .filter(|entry| entry.converged_ms.is_none())
            .map(|entry| entry.guest.as_str())
            .collect();
        let slowest = entries.iter().filter_map(|entry| entry.converged_ms).max();
        let bound = bounds(entries);
        let looked = Nanos::from_millis(entries[0].looked_at_ms);
        let _ = match (&never[..], slowest) {
            ([], Some(slowest)) => writeln!(
                text,
                "change      at {at}: every guest within its bound from {slowest} ms on ({bound}, looked at for {looked})",
            ),
            ([one], _) => writeln!(
                text,
                "change      at {at}: {one} not within its bound ({bound}) when last looked at, after {looked}"
            ),
            (many, _) => writeln!(
                text,
                "change      at {at}: {} guests not within their bounds ({bound}) when last looked at, after {looked}",
                many.len()
            ),
        };
    }
}

/// `±4.1 ms`, or from the narrowest to the widest.
fn bounds(entries: &[ConvergenceEntry]) -> String {
    let ms = |ns: Option<u64>| format!("{:.1}", ns.unwrap_or_default() as f64 / 1e6);
    // A guest that has not started has none.
    let bounds = entries.iter().map(|entry| entry.bound_ns);
    let bounds = bounds.filter(|bound| *bound > 0);
    match (ms(bounds.clone().min()), ms(bounds.max())) {
        (least, most) if least == most => format!("±{most} ms"),
        (least, most) => format!("±{least} to {most} ms"),
    }
}

pub(super) fn wakes(text: &mut String, run: &RunEntry) {
    for entry in run.wakes.iter().take(NAMED) {
        let of = entry.told();
        if of.wakes == 0 {
            let verdict = entry.verdict.map_or("", mark);
            let _ = writeln!(text, "wakes       {}: it never woke {verdict}", entry.guest);
            continue;
        }
        let _ = match entry.undisturbed.wakes {
            0 => write!(
                text,
                "wakes       {}: none of {} undisturbed, so nothing can be told; of all:\n            ",
                entry.guest, of.wakes
            ),
            undisturbed => write!(
                text,
                "wakes       {}: {undisturbed} of {} undisturbed, ",
                entry.guest, entry.all.wakes
            ),
        };
        let _ = write!(
            text,
            "{} (p50), {} (p99), {} (max)",
            micros(of.p50_ns),
            micros(of.p99_ns),
            micros(of.max_ns),
        );
        let _ = match (entry.bound_ns, of.within_pct, entry.verdict) {
            (Some(bound), Some(within), verdict) => writeln!(
                text,
                "\n            {within:.2} % of these within {} (slice / reserve + slice + j) {}",
                micros(bound),
                verdict.map_or("", mark)
            ),
            _ => writeln!(text),
        };
        if entry.verdict == Some(Verdict::Inconclusive) {
            let _ = writeln!(
                text,
                "            fewer than {ENOUGH} undisturbed tell nothing: run it for longer"
            );
        }
    }
    more(text, "wakes", run.wakes.len());
}
