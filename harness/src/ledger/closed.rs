//! The sums of a run that has ended, cut as its reader wants them.

use super::window::merge;
use super::{BIN, Idled, Precision, STEP, STEPS, Wake, Window};
use apportion_scheduler::{Controls, GuestId, Nanos, VpId};
use std::ops::Range;

/// The sums of a run that has ended.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(super) cells: Vec<Window>,
    /// What was measured.
    pub(crate) measured: Range<Nanos>,
    /// By VP: CPU time received before that, ns.
    pub(crate) warmed_up: Vec<f64>,
    /// By VP: how many times the work that arrived for it it was charged, at least 1.
    pub(crate) work_scale: Vec<f64>,
    /// By VP: when work arrived for it, and how much it wanted of it, ns; empty for one that awaits none.
    pub(super) arrivals: Vec<Vec<(Nanos, f64)>>,
    /// When changes were due, each time once.
    pub(super) changes: Vec<Nanos>,
    /// By VP: when it began to exist.
    pub(super) begun: Vec<Option<Nanos>>,
    /// By VP: when its guest was stopped or crashed.
    pub(super) gone: Vec<Option<Nanos>>,
    /// New controls, in order of time.
    pub(super) controls: Vec<(Nanos, GuestId, Controls)>,
    /// How precisely.
    pub(crate) precision: Precision,
    /// Those of VPs that wake once in a period.
    pub(crate) wakes: Vec<Wake>,
    /// For how long LPs idled although a VP that was Ready could have run.
    pub(crate) idled: Idled,
    /// The least part of the reserves that forced changes left room for, where it was below 1.
    pub(crate) reserves_kept: Option<f64>,
}

/// Of a run that was never begun.
impl Default for Closed {
    fn default() -> Closed {
        Closed {
            cells: Vec::new(),
            measured: Nanos::ZERO..Nanos::ZERO,
            warmed_up: Vec::new(),
            work_scale: Vec::new(),
            arrivals: Vec::new(),
            changes: Vec::new(),
            begun: Vec::new(),
            gone: Vec::new(),
            controls: Vec::new(),
            precision: Precision::default(),
            wakes: Vec::new(),
            idled: Idled::default(),
            reserves_kept: None,
        }
    }
}

impl Closed {
    /// The whole measured time; `None` where nothing was measured.
    pub(crate) fn whole(&self) -> Option<Window> {
        merge(&self.cells)
    }

    /// Consecutive windows of `length`, a multiple of [`BIN`]; a shorter rest is left out.
    pub(crate) fn windows(&self, length: Nanos) -> impl Iterator<Item = Window> {
        debug_assert!(length.0.is_multiple_of(BIN.0));
        let whole = self.measured.end.since(self.measured.start).0 / length.0;
        (0..whole).filter_map(move |index| {
            let start = self.measured.start + Nanos(index * length.0);
            self.between(start..start + length)
        })
    }

    /// The spans between changes; none where nothing changes.
    pub(crate) fn phases(&self) -> Vec<Window> {
        if self.changes.is_empty() {
            return Vec::new();
        }
        let Range { start, end } = self.measured;
        let changes = self.changes.iter().copied().filter(|at| *at < end);
        let borders: Vec<Nanos> = [start].into_iter().chain(changes).chain([end]).collect();
        let phase = |pair: &[Nanos]| self.between(pair[0]..pair[1]);
        borders.windows(2).filter_map(phase).collect()
    }

    /// For each change that was measured: when it was due, and the sums from
    /// then on over 1, 2, 3 … steps, up to the next change and at most [`STEPS`].
    pub(crate) fn after_changes(&self) -> impl Iterator<Item = (Nanos, Vec<Window>)> {
        let due = self.changes.iter().enumerate();
        let measured = due.filter(|(_, at)| **at < self.measured.end);
        measured.map(|(index, &at)| {
            let next = self.changes.get(index + 1).copied();
            let end = next.map_or(self.measured.end, |next| next.min(self.measured.end));
            let mut sums: Vec<Window> = Vec::new();
            for step in 0..STEPS {
                let from = at + Nanos(step * STEP.0);
                if from + STEP > end {
                    break;
                }
                let Some(more) = self.between(from..from + STEP) else {
                    break;
                };
                let mut sum = sums.last().unwrap_or(&more).clone();
                if step > 0 {
                    sum.extend(&more);
                }
                sums.push(sum);
            }
            (at, sums)
        })
    }

    /// The sums over a span whose ends are borders of cells.
    fn between(&self, span: Range<Nanos>) -> Option<Window> {
        let from = self.cells.partition_point(|cell| cell.start < span.start);
        let to = self.cells.partition_point(|cell| cell.end <= span.end);
        merge(self.cells.get(from..to)?)
    }

    /// When a VP began to exist; `None` where it did not.
    pub(crate) fn begun(&self, vp: VpId) -> Option<Nanos> {
        *self.begun.get(vp.index())?
    }

    /// When a VP ceased to exist, its guest having been stopped or having crashed; `None` where it did not.
    pub(crate) fn gone(&self, vp: VpId) -> Option<Nanos> {
        *self.gone.get(vp.index())?
    }

    /// Whether a VP had begun to exist before `until`.
    pub(crate) fn has_begun(&self, vp: VpId, until: Nanos) -> bool {
        self.begun(vp).is_some_and(|at| at < until)
    }

    /// All controls that guests were given on the way.
    pub(crate) fn new_controls(&self) -> impl Iterator<Item = Controls> {
        self.controls.iter().map(|(_, _, controls)| *controls)
    }

    /// A guest's controls just before `until`, having begun with `initial`.
    pub(crate) fn controls(&self, guest: GuestId, initial: Controls, until: Nanos) -> Controls {
        let before = |(at, of, _): &&(Nanos, GuestId, Controls)| *of == guest && *at < until;
        self.controls
            .iter()
            .rfind(before)
            .map_or(initial, |(_, _, controls)| *controls)
    }
}
