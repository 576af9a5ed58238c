//! Measured against expected: the rows of shares.csv and summary.csv, each with its bound and its verdict.

use crate::exit::worst;
use crate::ledger::{BIN, Closed, Window};
use crate::plan::Planned;
use crate::statistics::{ci95, mean};
use apportion_hypervisor::GuestSpec;
use apportion_recording::{Check, Scope, ShareRow, SummaryRow, Verdict};
use apportion_scheduler::{GuestId, Nanos, VpId};

/// The windows over which the distribution of the error is told, besides the whole run.
pub(crate) const WINDOWS: [Nanos; 2] = [BIN, Nanos::from_millis(1_000)];

/// b: the lag in ns that a VP can have by design, q + j on one LP and twice that on several.
pub(crate) fn lag_limit(lps: u32, slice: Nanos, overshoot: Nanos) -> f64 {
    (slice + overshoot).0 as f64 * if lps == 1 { 1.0 } else { 2.0 }
}

/// The largest error, in percentage points of the delivered time of `lps` LPs,
/// that a guest of `vps` VPs can have over `window`: each VP's lag is at most
/// b at either end.
pub(crate) fn bound_pp(lps: u32, vps: u32, slice: Nanos, overshoot: Nanos, window: Nanos) -> f64 {
    let b = lag_limit(lps, slice, overshoot);
    100.0 * f64::from(vps) * 2.0 * b / (window.0 as f64 * f64::from(lps))
}

/// On the whole run: within tolerance, or outside it by more than the bound explains, or neither.
fn whole_run(error_pp: f64, tolerance_pp: f64, bound_pp: f64) -> Verdict {
    if error_pp.abs() <= tolerance_pp {
        Verdict::Pass
    } else if error_pp.abs() <= bound_pp {
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    }
}

/// One repetition of one experiment, for the rows.
pub(crate) struct Judge<'a> {
    pub(crate) planned: &'a Planned,
    pub(crate) repetition: u32,
    pub(crate) engine: &'a str,
    pub(crate) closed: &'a Closed,
    /// Guests that crashed: they fail, however little they were promised.
    pub(crate) crashed: &'a [GuestId],
}

impl Judge<'_> {
    /// The rows of the whole run first, then those of each window length. None where nothing was measured.
    pub(crate) fn rows(&self) -> Vec<ShareRow> {
        let mut rows = Vec::new();
        if let Some(whole) = self.closed.whole() {
            self.judge(&whole, 0, &mut rows);
        }
        for length in WINDOWS {
            for window in self.closed.windows(length) {
                self.judge(&window, length.0 / 1_000_000, &mut rows);
            }
        }
        rows
    }

    fn judge(&self, window: &Window, window_ms: u64, rows: &mut Vec<ShareRow>) {
        for guest in (0..self.planned.spec.guests.len() as u32).map(GuestId) {
            let vps: Vec<usize> = self.planned.spec.vps_of(guest).map(VpId::index).collect();
            rows.push(self.row(window, window_ms, guest, None, &vps));
            for (index, &vp) in vps.iter().enumerate() {
                rows.push(self.row(window, window_ms, guest, Some(index as u32), &[vp]));
            }
        }
    }

    fn row(
        &self,
        window: &Window,
        window_ms: u64,
        guest: GuestId,
        vp: Option<u32>,
        vps: &[usize],
    ) -> ShareRow {
        let Planned { experiment, spec } = self.planned;
        let sum = |values: &[f64]| vps.iter().map(|&vp| values[vp]).sum::<f64>();
        let percent = |part: f64, of: f64| if of > 0.0 { 100.0 * part / of } else { 0.0 };
        let (delivered, wall) = (window.delivered(), window.wall(spec.lps));
        // The formula's rates, less everyone's part of what the LPs lost, as a
        // part of what they delivered. Where the formula leaves no LP idle the
        // loss cancels out.
        let promised: f64 = window.promised.iter().sum();
        let kept = percent((promised - (wall - delivered)).max(0.0), promised) / 100.0;
        let expected_pct = percent(sum(&window.promised) * kept, delivered);
        let measured_pct = percent(sum(&window.received), delivered);
        let error_pp = measured_pct - expected_pct;
        let bound_pp = bound_pp(
            spec.lps,
            vps.len() as u32,
            spec.slice,
            self.closed.precision.overshoot(0.99),
            window.end.since(window.start),
        );
        let tolerance_pp = experiment.tolerance_pp;
        let crashed = self.crashed.contains(&guest);
        let verdict = if window_ms == 0 && crashed {
            Verdict::Fail
        } else if delivered == 0.0 {
            Verdict::Inconclusive
        } else if window_ms == 0 {
            whole_run(error_pp, tolerance_pp, bound_pp)
        } else if error_pp.abs() <= bound_pp {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        let GuestSpec { name, controls, .. } = &spec.guests[guest.index()];
        ShareRow {
            experiment: experiment.name.clone(),
            repetition: self.repetition,
            engine: self.engine.to_owned(),
            policy: spec.policy.to_string(),
            scope: if vp.is_some() {
                Scope::Vp
            } else {
                Scope::Guest
            },
            guest: name.clone(),
            vp,
            weight: controls.weight.get(),
            reserve_pct: controls.reserve.percent(),
            cap_pct: controls.cap.percent(),
            check: Check::Share,
            window_ms,
            window_start_ns: window.start.0,
            expected_pct,
            measured_pct,
            work_pct: percent(sum(&window.work), window.work.iter().sum()),
            capacity_pct: percent(delivered, wall),
            error_pp,
            bound_pp,
            tolerance_pp,
            verdict,
        }
    }
}

/// The verdict of one repetition: the worst of its rows over the whole run.
pub(crate) fn of_run(rows: &[ShareRow]) -> Verdict {
    worst(whole_run_rows(rows).map(|row| row.verdict))
}

/// The rows over the whole run.
pub(crate) fn whole_run_rows(rows: &[ShareRow]) -> impl Iterator<Item = &ShareRow> {
    rows.iter().filter(|row| row.window_ms == 0)
}

/// One row per guest of `planned` over all its repetitions; `rows` are whole-run rows of scope guest.
pub(crate) fn summarise(planned: &Planned, rows: &[ShareRow]) -> Vec<SummaryRow> {
    let of_guest = |name: &str| -> Vec<&ShareRow> {
        rows.iter()
            .filter(|row| row.experiment == planned.name() && row.guest == name)
            .collect()
    };
    planned
        .spec
        .guests
        .iter()
        .filter_map(|guest| {
            let rows = of_guest(&guest.name);
            let first = *rows.first()?;
            let column =
                |of: fn(&ShareRow) -> f64| rows.iter().map(|row| of(row)).collect::<Vec<_>>();
            let measured = column(|row| row.measured_pct);
            let interval = ci95(&measured);
            let worst_error_pp = column(|row| row.error_pp)
                .into_iter()
                .max_by(|a, b| a.abs().total_cmp(&b.abs()))
                .unwrap_or_default();
            Some(SummaryRow {
                experiment: first.experiment.clone(),
                engine: first.engine.clone(),
                policy: first.policy.clone(),
                guest: guest.name.clone(),
                weight: first.weight,
                vps: guest.vps,
                repetitions: rows.len() as u32,
                expected_pct: mean(&column(|row| row.expected_pct)),
                measured_pct: mean(&measured),
                ci95_low_pct: interval.map(|(low, _)| low),
                ci95_high_pct: interval.map(|(_, high)| high),
                work_pct: mean(&column(|row| row.work_pct)),
                worst_error_pp,
                tolerance_pp: first.tolerance_pp,
                verdict: worst(rows.iter().map(|row| row.verdict)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_documented_formula() {
        let (q, j) = (Nanos::from_millis(1), Nanos::from_micros(50));
        let window = Nanos::from_millis(1_000);
        // One LP: 100 · 1 · 2 · 1.05 ms / 1 s.
        assert!((bound_pp(1, 1, q, j, window) - 0.21).abs() < 1e-12);
        // Two LPs, two VPs: b doubles, the VPs double, the LPs halve.
        assert!((bound_pp(2, 2, q, j, window) - 0.42).abs() < 1e-12);
    }

    #[test]
    fn a_verdict_fails_only_beyond_tolerance_and_bound() {
        assert_eq!(whole_run(0.4, 0.5, 0.1), Verdict::Pass);
        assert_eq!(whole_run(-0.6, 0.5, 0.1), Verdict::Fail);
        assert_eq!(whole_run(0.6, 0.5, 0.7), Verdict::Inconclusive);
    }
}
