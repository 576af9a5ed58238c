//! The rows of shares.csv: for the whole run, each phase and each window what every guest and VP received.

use super::bounds::{self, Bounds};
use super::{Row, Span, WINDOWS};
use crate::ledger::{Closed, Due, VpSums, Window, awaits_work, declared_demand, periodic_burst};
use crate::plan::Planned;
use apportion_abi::hypercall::notifies;
use apportion_hypervisor::Payload;
use apportion_recording::{Check, Scope, ShareRow, Verdict};
use apportion_scheduler::{GuestId, PolicyKind, VpId};

/// Relative differences below this are rounding.
const ROUNDING: f64 = 1e-9;

/// One repetition of one experiment, for the rows.
pub(crate) struct Judge<'a> {
    pub(crate) planned: &'a Planned,
    pub(crate) repetition: u32,
    pub(crate) engine: &'a str,
    pub(crate) closed: &'a Closed,
    /// Guests that crashed: they fail, however little they were promised.
    pub(crate) crashed: &'a [GuestId],
}

/// Whom a row speaks of: VPs of one guest.
struct Subject<'a> {
    guest: GuestId,
    vp: Option<u32>,
    vps: &'a [VpId],
}

impl Judge<'_> {
    /// The rows of the whole run first, then those of phases, then those of each
    /// window length. None where nothing was measured.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let phases = self.closed.phases();
        if let Some(whole) = self.closed.whole() {
            self.judge(&whole, Span::Whole, phases.is_empty(), &mut rows);
        }
        for (index, phase) in phases.iter().enumerate() {
            self.judge(phase, Span::Phase(index), true, &mut rows);
        }
        for length in WINDOWS {
            for window in self.closed.windows(length) {
                self.judge(&window, Span::Window(length), false, &mut rows);
            }
        }
        rows
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            lps: self.planned.spec.lps,
            nodes: self.planned.spec.nodes,
            slice: self.planned.spec.slice,
            overshoot: self.closed.precision.overshoot(0.99),
        }
    }

    fn judge(&self, window: &Window, span: Span, counts: bool, rows: &mut Vec<Row>) {
        for guest in self.planned.roster.guests() {
            let begun = |vp: &VpId| self.closed.has_begun(*vp, window.end);
            let all = self.planned.roster.vps_of(guest).iter().copied();
            let vps: Vec<VpId> = all.filter(begun).collect();
            let each = vps.iter().enumerate().map(|(index, _)| Subject {
                guest,
                vp: Some(index as u32),
                vps: &vps[index..=index],
            });
            let together = Subject {
                guest,
                vp: None,
                vps: &vps,
            };
            for subject in [together].into_iter().chain(each) {
                let counts = self.counts(counts, span, &subject);
                let shares = self.checks(window, span, &subject);
                rows.extend(shares.into_iter().map(|share| Row {
                    span,
                    counts,
                    share,
                }));
            }
        }
    }

    /// Whether the run's verdict depends on a subject's rows over `span`, where it does on others'.
    fn counts(&self, counts: bool, span: Span, subject: &Subject<'_>) -> bool {
        let counts = match self.own_share(subject.guest) {
            // Said of the guest over the whole run, whatever the formula makes of phases and VPs.
            Some(_) => span == Span::Whole && subject.vp.is_none(),
            None => counts,
        };
        counts && !self.lends(subject)
    }

    /// The share that the experiment expects of a guest in place of the formula's.
    fn own_share(&self, guest: GuestId) -> Option<f64> {
        self.planned.experiment.guests.get(guest.index())?.expected
    }

    /// Whether it is a VP whose guest moves time from one of its VPs to another
    /// of its own will, by saying that they spin: only the guest is promised something then.
    fn lends(&self, subject: &Subject<'_>) -> bool {
        let payload = self.planned.spec.guests[subject.guest.index()].payload;
        let says = matches!(payload, Payload::Spin { threshold, .. } if notifies(threshold));
        says && subject.vp.is_some()
    }

    /// The share, and cap and reserve where there is one to check.
    fn checks(&self, window: &Window, span: Span, subject: &Subject<'_>) -> Vec<ShareRow> {
        let sum = |of: fn(&VpSums) -> f64| window.sum(subject.vps, of);
        let (present, cap) = (sum(|vp| vp.present), sum(|vp| vp.cap));
        let mut rows = vec![self.share(window, span, subject)];
        if cap < present * (1.0 - ROUNDING) {
            rows.push(self.cap(window, span, subject));
        }
        if self.planned.spec.policy == PolicyKind::Fair
            && let Some(due) = self.reserve_due(window, span, subject)
        {
            rows.push(self.reserve(window, span, subject, due));
        }
        rows
    }

    fn share(&self, window: &Window, span: Span, subject: &Subject<'_>) -> ShareRow {
        let delivered = window.delivered();
        let expected = match self.own_share(subject.guest) {
            Some(all) if span == Span::Whole && subject.vp.is_none() => all,
            _ => percent(window.expected(subject.vps), delivered),
        };
        let measured = percent(window.sum(subject.vps, |vp| vp.received), delivered);
        let bound = self.bounds().share_pp(subject.vps.len(), window.wall);
        let error = measured - expected;
        let verdict = match span {
            Span::Whole | Span::Phase(_) if self.crashed.contains(&subject.guest) => Verdict::Fail,
            _ if self.lends(subject) => Verdict::Skipped,
            _ if delivered == 0.0 => Verdict::Inconclusive,
            Span::Whole | Span::Phase(_) => {
                bounds::long_share(error, self.planned.experiment.tolerance_pp, bound)
            }
            Span::Window(_) => bounds::window_share(error, bound),
        };
        ShareRow {
            expected_pct: expected,
            measured_pct: measured,
            error_pp: error,
            bound_pp: bound,
            verdict,
            ..self.row(window, span, subject, Check::Share)
        }
    }

    fn cap(&self, window: &Window, span: Span, subject: &Subject<'_>) -> ShareRow {
        let expected = percent(window.sum(subject.vps, |vp| vp.cap), window.wall);
        let measured = percent(window.sum(subject.vps, |vp| vp.received), window.wall);
        let bound = self.bounds().cap_pp(subject.vps.len(), window.wall);
        ShareRow {
            expected_pct: expected,
            measured_pct: measured,
            error_pp: measured - expected,
            bound_pp: bound,
            verdict: bounds::cap(measured - expected, bound),
            ..self.row(window, span, subject, Check::Cap)
        }
    }

    /// What its reserve gives a subject over a window; `None` where that is nothing, or where the window is too short
    /// to tell: work that arrives and periods that begin are known only over longer spans.
    fn reserve_due(&self, window: &Window, span: Span, subject: &Subject<'_>) -> Option<Due> {
        let payload = self.planned.spec.guests[subject.guest.index()].payload;
        let paced = awaits_work(payload) || declared_demand(payload).is_some();
        let sum = |of: fn(&VpSums) -> f64| window.sum(subject.vps, of);
        if sum(|vp| vp.reserve) == 0.0 || (paced && matches!(span, Span::Window(_))) {
            return None;
        }
        let mut due = Due {
            whole: sum(|vp| vp.reserve),
            left: sum(|vp| vp.reserve_left),
        };
        if awaits_work(payload) {
            due = Due::default();
            for vp in subject.vps {
                let of_vp = self.closed.work_due(*vp, window.start..window.end);
                due.whole += of_vp.whole;
                due.left += of_vp.left;
            }
        }
        (due.whole > 0.0).then_some(due)
    }

    fn reserve(&self, window: &Window, span: Span, subject: &Subject<'_>, due: Due) -> ShareRow {
        let (expected, left) = (
            percent(due.whole, window.wall),
            percent(due.left, window.wall),
        );
        let measured = percent(window.sum(subject.vps, |vp| vp.received), window.wall);
        // A burst of the last period may not have begun.
        let payload = self.planned.spec.guests[subject.guest.index()].payload;
        let burst = periodic_burst(payload).unwrap_or_default().0 as f64;
        let bursts = percent(subject.vps.len() as f64 * burst, window.wall);
        let bound = self.bounds().share_pp(subject.vps.len(), window.wall) + bursts;
        let slack = match span {
            Span::Window(_) => bound,
            Span::Whole | Span::Phase(_) => bound + self.planned.experiment.tolerance_pp,
        };
        ShareRow {
            expected_pct: expected,
            measured_pct: measured,
            error_pp: measured - expected,
            bound_pp: bound,
            verdict: bounds::reserve(measured - expected, slack, expected - left),
            ..self.row(window, span, subject, Check::Reserve)
        }
    }

    /// What all checks of one subject over one window have in common.
    fn row(&self, window: &Window, span: Span, subject: &Subject<'_>, check: Check) -> ShareRow {
        let Planned {
            experiment, spec, ..
        } = self.planned;
        let guest = &spec.guests[subject.guest.index()];
        let controls = self
            .closed
            .controls(subject.guest, guest.controls, window.end);
        ShareRow {
            experiment: experiment.name.clone(),
            repetition: self.repetition,
            engine: self.engine.to_owned(),
            policy: spec.policy.to_string(),
            scope: match subject.vp {
                Some(_) => Scope::Vp,
                None => Scope::Guest,
            },
            guest: guest.name.clone(),
            vp: subject.vp,
            weight: controls.weight.get(),
            reserve_pct: controls.reserve.percent(),
            cap_pct: controls.cap.percent(),
            check,
            window_ms: match span {
                Span::Whole => 0,
                Span::Phase(_) | Span::Window(_) => window.length().0 / 1_000_000,
            },
            window_start_ns: window.start.0,
            work_pct: percent(
                window.sum(subject.vps, |vp| vp.work),
                window.total(|vp| vp.work),
            ),
            capacity_pct: percent(window.delivered(), window.wall),
            tolerance_pp: experiment.tolerance_pp,
            ..ShareRow::default()
        }
    }
}

fn percent(part: f64, of: f64) -> f64 {
    if of > 0.0 { 100.0 * part / of } else { 0.0 }
}
