//! One row of shares.csv against what the other files say.

use super::run::Run;
use super::sums::{Book, Sums, Totals};
use super::{AGREEMENT, Row, number};
use std::collections::BTreeMap;

/// The rows of one run.
pub(super) struct Judge<'a> {
    book: &'a Book<'a>,
    /// By window, as bits.
    known: BTreeMap<(u64, u64), Totals>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(book: &'a Book<'a>) -> Judge<'a> {
        Judge {
            book,
            known: BTreeMap::new(),
        }
    }

    /// Checks a row. Which checks there should be of the same subject and window?
    pub(super) fn check_row(&mut self, row: &Row) -> Vec<&'static str> {
        let run = self.book.run;
        let start = number(row, "window_start_ns");
        let ms = number(row, "window_ms");
        let phase = run
            .phases
            .iter()
            .find(|(from, to)| *from == start && ((to - from) / 1e6).floor() == ms);
        let window = match (ms, phase) {
            (0.0, _) => run.measured,
            (_, Some(phase)) => *phase,
            _ => (start, start + ms * 1e6),
        };
        assert!(
            window.0 >= run.measured.0 && window.1 <= run.measured.1,
            "{row:?}"
        );
        let totals = self
            .known
            .entry((window.0.to_bits(), window.1.to_bits()))
            .or_insert_with(|| self.book.totals(window));
        compare(self.book, row, window, phase.is_some(), totals)
    }
}

fn compare(
    book: &Book<'_>,
    row: &Row,
    window: (f64, f64),
    phase: bool,
    totals: &Totals,
) -> Vec<&'static str> {
    let run = book.run;
    let subject = run.subject(row, window.1);
    let sum = |of: fn(&Sums) -> f64| subject.iter().map(|&vp| of(&totals.vps[vp])).sum::<f64>();
    let all_work: f64 = totals.vps.iter().map(|vp| vp.work).sum();
    let pct = |part: f64, of: f64| if of > 0.0 { 100.0 * part / of } else { 0.0 };
    let (delivered, wall) = (totals.delivered, totals.wall);
    let share_bound = 100.0 * book.bound_ns(subject.len()) / wall;
    let received = sum(|vp| vp.received);
    let guest = run.guests.iter().position(|name| *name == row["guest"]);
    let guest = guest.unwrap();
    let (due, left) = match run.awaits_work[guest] {
        true => subject
            .iter()
            .map(|&vp| book.work_due(vp, window))
            .fold((0.0, 0.0), |sum, due| (sum.0 + due.0, sum.1 + due.1)),
        false => (sum(|vp| vp.reserve), sum(|vp| vp.reserve_left)),
    };
    let (expected, measured, bound) = match row["check"].as_str() {
        "share" => (
            match own_share(run, row) {
                Some(share) => share,
                None => pct(sum(|vp| vp.expected), delivered),
            },
            pct(received, delivered),
            share_bound,
        ),
        "cap" => {
            let n = subject.len() as f64;
            let bound = 100.0 * n * (2.0 * run.slice + book.overshoot) / wall;
            (pct(sum(|vp| vp.cap), wall), pct(received, wall), bound)
        }
        _ => {
            let paced = run.demand[guest].map_or(0.0, |_| run.burst[guest]);
            let bursts = 100.0 * subject.len() as f64 * paced / wall;
            (pct(due, wall), pct(received, wall), share_bound + bursts)
        }
    };
    for (column, value) in [
        ("expected_pct", expected),
        ("measured_pct", measured),
        ("work_pct", pct(sum(|vp| vp.work), all_work)),
        ("capacity_pct", pct(delivered, wall)),
        ("error_pp", measured - expected),
        ("bound_pp", bound),
    ] {
        let recorded = number(row, column);
        assert!(
            (recorded - value).abs() <= AGREEMENT,
            "{column}: recorded {recorded}, recomputed {value} in {row:?}"
        );
    }
    let long = row["window_ms"] == "0" || phase;
    let lost = pct(due - left, wall);
    verdict(run, row, long, (pct(delivered, wall), lost));

    let mut checks = vec!["share"];
    if sum(|vp| vp.cap) < sum(|vp| vp.present) * (1.0 - 1e-9) {
        checks.push("cap");
    }
    // A burst or a period is known over longer spans only.
    let paced = run.awaits_work[guest] || run.demand[guest].is_some();
    if run.fair && due > 0.0 && (long || !paced) {
        checks.push("reserve");
    }
    checks
}

/// What the experiment says itself of a guest over the whole run.
fn own_share(run: &Run, row: &Row) -> Option<f64> {
    let guest = run.guests.iter().position(|name| *name == row["guest"])?;
    let whole = row["window_ms"] == "0" && row["scope"] == "guest";
    run.own_share[guest].filter(|_| whole)
}

/// The verdict from the recorded figures, unless it hangs on a hair.
fn verdict(run: &Run, row: &Row, long: bool, (capacity, lost): (f64, f64)) {
    let (error, bound) = (number(row, "error_pp"), number(row, "bound_pp"));
    let guest = run
        .guests
        .iter()
        .position(|name| *name == row["guest"])
        .unwrap();
    let tolerance = run.tolerance;
    let (edges, verdict) = match (row["check"].as_str(), long) {
        ("share", true) if run.crashed.contains(&guest) => (vec![], "fail"),
        ("share", true) => {
            let told = match error.abs() {
                error if error <= tolerance => "pass",
                error if error <= bound => "inconclusive",
                _ => "fail",
            };
            (vec![tolerance, bound], told)
        }
        ("share", false) => (
            vec![bound],
            if error.abs() <= bound { "pass" } else { "fail" },
        ),
        ("cap", _) => (vec![bound], if error <= bound { "pass" } else { "fail" }),
        _ => {
            let slack = bound + if long { tolerance } else { 0.0 };
            let told = match -error {
                short if short <= slack => "pass",
                short if short <= slack + lost => "inconclusive",
                _ => "fail",
            };
            (vec![slack, slack + lost], told)
        }
    };
    // A phase as long as a window, from the same time on, cannot be told from it.
    let both =
        long && row["window_ms"] != "0" && ["100", "1000"].contains(&row["window_ms"].as_str());
    let hair = edges
        .iter()
        .any(|edge| (edge - error.abs()).abs() < AGREEMENT);
    assert!(
        both || hair || capacity == 0.0 || row["verdict"] == verdict,
        "{verdict}: {row:?}"
    );
}
