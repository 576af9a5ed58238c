//! Time in cells: the finest pieces that any window, phase or step of convergence is made of.

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

/// All cells up to the latest that something fell into, from the start of the guests on.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    /// What is measured, as planned.
    pub(crate) measured: Range<Nanos>,
    /// Where one cell ends and the next begins, in order, from the start of the guests to the end of `measured`.
    borders: Vec<Nanos>,
    cells: Vec<Cell>,
    vps: usize,
    /// LPs that are told apart, 0 where none is.
    lps: usize,
}

impl Cells {
    /// For `vps` VPs that start at `start` on `lps` LPs that are told apart, and `changes` at these times after
    /// measuring begins.
    pub(crate) fn new(
        start: Nanos,
        measured: Range<Nanos>,
        changes: &[Nanos],
        (vps, lps): (usize, usize),
    ) -> Cells {
        let warm_up = measured.start.since(start);
        let before = (1..warm_up.0.div_ceil(BIN.0)).map(|bin| measured.start - Nanos(bin * BIN.0));
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
            .chain(before)
            .chain([start])
            .collect();
        borders.sort_unstable();
        borders.dedup();
        Cells {
            measured,
            borders,
            cells: Vec::new(),
            vps,
            lps,
        }
    }

    fn index(&self, at: Nanos) -> usize {
        self.borders.partition_point(|&border| border <= at) - 1
    }

    fn cell(&mut self, index: usize) -> &mut Cell {
        while self.cells.len() <= index {
            let from = self.cells.len();
            self.cells.push(Cell {
                sums: Window::empty(
                    self.borders[from],
                    self.borders[from + 1],
                    self.vps,
                    self.lps,
                ),
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
                sums: Window::empty(at, end, self.vps, self.lps),
                precision: Precision::default(),
            };
            self.cells.insert(index, rest);
        }
    }

    /// Begin of the first.
    pub(crate) fn start(&self) -> Nanos {
        self.borders[0]
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
        let (from, until) = (start.max(self.start()), end.min(self.measured.end));
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

    /// Hands over the sums of the warm-up, and the measured cells up to `until`: all of them, or those in bins that
    /// had ended before an interruption.
    pub(crate) fn close(mut self, until: Nanos) -> (Vec<Window>, Vec<Cell>) {
        let Range { start, end } = self.measured;
        let until = if until >= end {
            end
        } else {
            start + Nanos(until.since(start).0 / BIN.0 * BIN.0)
        };
        let count = |until| self.borders.partition_point(|&border| border <= until) - 1;
        let (warm_up, count) = (count(start), count(until));
        if count > 0 {
            self.cell(count - 1);
        }
        self.cells.truncate(count);
        let measured = self.cells.split_off(warm_up);
        let warm_up = self.cells.into_iter().map(|cell| cell.sums).collect();
        (warm_up, measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_divides_what_comes_from_what_has_been() {
        let ms = Nanos::from_millis;
        let mut cells = Cells::new(ms(1000), ms(1000)..ms(1200), &[], (0, 0));
        let idle = |cells: &mut Cells, from, to| {
            cells.spread(ms(from), ms(to), |window, part| window.idle += part);
        };
        idle(&mut cells, 1100, 1130);
        for at in [1130, 1170, 1130, 1100, 990, 1200, 1300] {
            cells.cut(ms(at));
        }
        idle(&mut cells, 1160, 1180);
        let told = cells.close(ms(1200)).1.into_iter().map(|cell| cell.sums);
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
        let cells = Cells::new(ms(730), ms(1000)..ms(1250), &[ms(123)], (0, 0));
        let told: Vec<u64> = cells.borders.iter().map(|at| at.0 / 1_000_000).collect();
        let steps = (0..13).map(|step| 1123 + 10 * step);
        let mut expected: Vec<u64> = [730, 800, 900, 1000, 1100, 1200, 1250]
            .into_iter()
            .chain(steps)
            .collect();
        expected.sort_unstable();
        assert_eq!(told, expected);
        let whole = Cells::new(ms(730), ms(1000)..ms(1250), &[ms(123)], (0, 0));
        let (warm_up, measured) = whole.close(ms(1250));
        assert_eq!((warm_up.len(), measured.len()), (3, expected.len() - 1 - 3));
        assert_eq!(measured.last().unwrap().sums.end, ms(1250));
        let interrupted = Cells::new(ms(0), ms(100)..ms(350), &[], (0, 0));
        let (warm_up, measured) = interrupted.close(ms(199));
        assert_eq!((warm_up.len(), measured.len()), (1, 0));
    }
}
