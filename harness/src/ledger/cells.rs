//! Measured time in cells: the finest pieces that any window, phase or step of convergence is made of.

use super::window::Window;
use super::{BIN, Precision};
use apportion_scheduler::Nanos;
use std::ops::Range;

/// How finely the second after a change is looked at.
pub(crate) const STEP: Nanos = Nanos::from_millis(10);
/// So many steps of it.
pub(crate) const STEPS: u64 = 100;

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) sums: Window,
    pub(crate) precision: Precision,
}

/// All cells up to the latest that something fell into.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    /// What is measured, as planned.
    pub(crate) measured: Range<Nanos>,
    /// Where one cell ends and the next begins, in order; the first and last are those of `measured`.
    borders: Vec<Nanos>,
    cells: Vec<Cell>,
    vps: usize,
}

impl Cells {
    /// For `vps` VPs and `changes` at these times after measuring begins.
    pub(crate) fn new(measured: Range<Nanos>, changes: &[Nanos], vps: usize) -> Cells {
        let length = measured.end.since(measured.start);
        let bins = (0..length.0.div_ceil(BIN.0)).map(|bin| Nanos(bin * BIN.0));
        let steps = changes
            .iter()
            .flat_map(|&at| (0..=STEPS).map(move |step| at + Nanos(step * STEP.0)));
        let mut borders: Vec<Nanos> = bins
            .chain(steps)
            .filter(|&at| at < length)
            .chain([length])
            .map(|at| measured.start + at)
            .collect();
        borders.sort_unstable();
        borders.dedup();
        Cells {
            measured,
            borders,
            cells: Vec::new(),
            vps,
        }
    }

    fn index(&self, at: Nanos) -> usize {
        self.borders.partition_point(|&border| border <= at) - 1
    }

    fn cell(&mut self, index: usize) -> &mut Cell {
        while self.cells.len() <= index {
            let from = self.cells.len();
            self.cells.push(Cell {
                sums: Window::empty(self.borders[from], self.borders[from + 1], self.vps),
                precision: Precision::default(),
            });
        }
        &mut self.cells[index]
    }

    /// Makes a border at `at`. Everything up to then has been entered, and nothing that lasts longer.
    pub(crate) fn cut(&mut self, at: Nanos) {
        let Err(index) = self.borders.binary_search(&at) else {
            return;
        };
        if !self.measured.contains(&at) {
            return;
        }
        self.borders.insert(index, at);
        if let Some(cell) = self.cells.get_mut(index - 1) {
            let end = std::mem::replace(&mut cell.sums.end, at);
            let rest = Cell {
                sums: Window::empty(at, end, self.vps),
                precision: Precision::default(),
            };
            self.cells.insert(index, rest);
        }
    }

    /// The cell that `at` falls into, if it is measured.
    pub(crate) fn at(&mut self, at: Nanos) -> Option<&mut Cell> {
        let inside = self.measured.contains(&at);
        inside.then(|| self.cell(self.index(at)))
    }

    /// Calls `add` for every cell that `start..end` touches, with the part (0 to 1) of it that falls there.
    pub(crate) fn spread(
        &mut self,
        start: Nanos,
        end: Nanos,
        mut add: impl FnMut(&mut Window, f64),
    ) {
        let length = end.since(start).0 as f64;
        let (from, until) = (start.max(self.measured.start), end.min(self.measured.end));
        if from >= until || length == 0.0 {
            return;
        }
        // `until` is exclusive: its last nanosecond decides.
        for index in self.index(from)..=self.index(until - Nanos(1)) {
            let overlap = until
                .min(self.borders[index + 1])
                .since(from.max(self.borders[index]));
            add(&mut self.cell(index).sums, overlap.0 as f64 / length);
        }
    }

    /// Hands over the cells up to `until`: all of them, or those in bins that had ended before an interruption.
    pub(crate) fn close(mut self, until: Nanos) -> Vec<Cell> {
        let until = if until >= self.measured.end {
            self.measured.end
        } else {
            let bins = until.since(self.measured.start).0 / BIN.0;
            self.measured.start + Nanos(bins * BIN.0)
        };
        let count = self.borders.partition_point(|&border| border <= until) - 1;
        if count > 0 {
            self.cell(count - 1);
        }
        self.cells.truncate(count);
        self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_divides_what_comes_from_what_has_been() {
        let ms = Nanos::from_millis;
        let mut cells = Cells::new(ms(1000)..ms(1200), &[], 0);
        let idle = |cells: &mut Cells, from, to| {
            cells.spread(ms(from), ms(to), |window, part| window.idle += part);
        };
        idle(&mut cells, 1100, 1130);
        for at in [1130, 1170, 1130, 1100, 990, 1200, 1300] {
            cells.cut(ms(at));
        }
        idle(&mut cells, 1160, 1180);
        let told = cells.close(ms(1200)).into_iter().map(|cell| cell.sums);
        let told: Vec<_> = told.map(|it| (it.start, it.end, it.idle)).collect();
        assert_eq!(
            told,
            [
                (ms(1000), ms(1100), 0.0),
                (ms(1100), ms(1130), 1.0),
                (ms(1130), ms(1170), 0.5),
                (ms(1170), ms(1200), 0.5),
            ]
        );
    }

    #[test]
    fn borders_are_those_of_bins_changes_and_steps() {
        let ms = Nanos::from_millis;
        let cells = Cells::new(ms(1000)..ms(1250), &[ms(123)], 0);
        let told: Vec<u64> = cells.borders.iter().map(|at| at.0 / 1_000_000).collect();
        let steps = (0..13).map(|step| 1123 + 10 * step);
        let mut expected: Vec<u64> = [1000, 1100, 1200, 1250].into_iter().chain(steps).collect();
        expected.sort_unstable();
        assert_eq!(told, expected);
        let whole = Cells::new(ms(1000)..ms(1250), &[ms(123)], 0).close(ms(1250));
        assert_eq!(whole.len(), expected.len() - 1);
        assert_eq!(whole.last().unwrap().sums.end, ms(1250));
        assert!(Cells::new(ms(0)..ms(250), &[], 0).close(ms(99)).is_empty());
    }
}
