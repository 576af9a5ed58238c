//! Which LPs lose more of their time than others do.

use crate::rates::{ONE, Rate};
use crate::topology::Topology;
use crate::units::{LpId, Nanos};

/// So many slices of an LP's time are remembered, older ones ever less.
pub(super) const REMEMBERED: u64 = 128;

/// So many slices beyond the average a VP that is due a whole LP bears before it moves.
const BORNE: u64 = 16;

/// What one LP lost, in ns.
#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    /// Ever.
    total: u64,
    /// Of the time remembered.
    lost: u64,
    /// The time remembered: lost, or used.
    busy: u64,
}

impl Loss {
    fn pass(&mut self, span: u64, most: u64) {
        self.busy = self.busy.saturating_add(span);
        if self.busy > most {
            self.busy /= 2;
            self.lost /= 2;
        }
    }

    /// Whether `times` the part of its time that it loses is less than what `other` loses of its own.
    fn is_below(&self, other: &Loss, times: u128) -> bool {
        let of_busy = |lost: u64, busy: u64| u128::from(lost) * u128::from(busy.max(1));
        let own = of_busy(self.lost, other.busy).saturating_mul(times);
        own < of_busy(other.lost, self.busy)
    }
}

/// What an LP and all LPs had lost at some moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    lp: LpId,
    own: u64,
    all: u64,
}

/// At the beginning.
impl Default for Mark {
    fn default() -> Mark {
        Mark {
            lp: LpId(0),
            own: 0,
            all: 0,
        }
    }
}

impl Mark {
    pub(super) fn lp(&self) -> LpId {
        self.lp
    }
}

/// What each LP lost.
#[derive(Debug)]
pub(super) struct Losses {
    slice: u64,
    of: Vec<Loss>,
    /// Sum of what they lost ever.
    total: u64,
}

impl Losses {
    pub(super) fn new(topology: &Topology, slice: Nanos) -> Losses {
        Losses {
            slice: slice.0,
            of: vec![Loss::default(); topology.lps() as usize],
            total: 0,
        }
    }

    fn remembered(&self) -> u64 {
        self.slice.saturating_mul(REMEMBERED)
    }

    pub(super) fn lost(&mut self, lp: LpId, span: Nanos) {
        let most = self.remembered();
        let loss = &mut self.of[lp.index()];
        loss.total = loss.total.saturating_add(span.0);
        loss.lost = loss.lost.saturating_add(span.0);
        loss.pass(span.0, most);
        self.total = self.total.saturating_add(span.0);
    }

    pub(super) fn used(&mut self, lp: LpId, span: Nanos) {
        let most = self.remembered();
        self.of[lp.index()].pass(span.0, most);
    }

    pub(super) fn mark(&self, lp: LpId) -> Mark {
        Mark {
            lp,
            own: self.of[lp.index()].total,
            all: self.total,
        }
    }

    /// Whether the mark's LP has lost more since than `lps` LPs did on average by more than can be borne.
    pub(super) fn is_too_much(&self, since: &Mark, lps: usize) -> bool {
        let own = self.of[since.lp.index()].total - since.own;
        let average = (self.total - since.all) / lps.max(1) as u64;
        own.saturating_sub(average) > self.slice.saturating_mul(BORNE)
    }

    /// Of `others` the one that loses least, if less than half as much as `lp`.
    /// The others' losses fade by being asked for: an idle LP is not bad for ever.
    pub(super) fn better_than(
        &mut self,
        lp: LpId,
        others: impl Iterator<Item = LpId>,
    ) -> Option<LpId> {
        let own = self.of[lp.index()];
        let mut least: Option<(LpId, Loss)> = None;
        for other in others {
            let loss = &mut self.of[other.index()];
            if least.is_none_or(|(_, least)| loss.is_below(&least, 1)) {
                least = Some((other, *loss));
            }
            loss.lost -= loss.lost / 8;
        }
        let found = least.filter(|(_, loss)| loss.is_below(&own, 2));
        found.map(|(other, _)| other)
    }
}

/// So many slices pass between two looks at what LPs lose.
const REVIEWED: u64 = 16;

/// So many slices are looked back at, older ones ever less.
const LOOKED_BACK: u64 = 512;

/// Rates follow where an LP loses so much more or less of its time than was expected.
const NOTICED: Rate = ONE / 1024;

/// What part of its time each LP is expected to lose, by what it lost lately.
#[derive(Clone, Debug)]
pub(super) struct LossRates {
    slice: u64,
    now: Nanos,
    reviewed: Nanos,
    /// The time looked back at, and what each LP lost in it, ns.
    time: u64,
    lost: Vec<u64>,
    expected: Vec<Rate>,
}

impl LossRates {
    pub(super) fn new(topology: &Topology, slice: Nanos) -> LossRates {
        LossRates {
            slice: slice.0,
            now: Nanos::ZERO,
            reviewed: Nanos::ZERO,
            time: 0,
            lost: vec![0; topology.lps() as usize],
            expected: vec![0; topology.lps() as usize],
        }
    }

    /// What an LP is expected to have left for guests.
    pub(super) fn leaves(&self, lp: LpId) -> Rate {
        ONE - self.expected[lp.index()]
    }

    /// `span` of an LP's time up to `now` was lost. Whether other losses are expected from now on: of some LP,
    /// where it matters of which, else of all together.
    pub(super) fn lost(&mut self, now: Nanos, lp: LpId, span: Nanos, each: bool) -> bool {
        let passed = match self.now {
            // The machine may begin at any time.
            Nanos::ZERO => 0,
            before => now.since(before).0,
        };
        self.time = self.time.saturating_add(passed);
        self.now = now;
        let lost = &mut self.lost[lp.index()];
        *lost = lost.saturating_add(span.0);
        if self.time > self.slice.saturating_mul(LOOKED_BACK) {
            self.time /= 2;
            self.lost.iter_mut().for_each(|lost| *lost /= 2);
        }
        let due = self.slice.saturating_mul(REVIEWED);
        if now.since(self.reviewed).0 < due || self.time < due {
            return false;
        }
        self.reviewed = now;
        let rate = |&lost: &u64| {
            let rate = u128::from(lost) * u128::from(ONE) / u128::from(self.time);
            // Something is left, always.
            rate.min(u128::from(ONE - ONE / 16)) as Rate
        };
        let rates: Vec<Rate> = self.lost.iter().map(rate).collect();
        let changed = if each {
            let pairs = rates.iter().zip(&self.expected);
            pairs
                .into_iter()
                .any(|(now, before)| now.abs_diff(*before) > NOTICED)
        } else {
            let mean = |rates: &[Rate]| rates.iter().sum::<Rate>() / rates.len().max(1) as u64;
            mean(&rates).abs_diff(mean(&self.expected)) > NOTICED
        };
        if changed {
            self.expected = rates;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice of 1 us, so that 128,000 ns are remembered. By LP what it lost and what it used.
    fn losses(of: &[(u64, u64)]) -> Losses {
        let topology = Topology::even(of.len() as u32, 1);
        let mut losses = Losses::new(&topology, Nanos(1_000));
        for (lp, &(lost, used)) in (0..).map(LpId).zip(of) {
            losses.lost(lp, Nanos(lost));
            losses.used(lp, Nanos(used));
        }
        losses
    }

    fn better(losses: &mut Losses, than: u32) -> Option<u32> {
        let others = (0..losses.of.len() as u32).filter(|&lp| lp != than);
        let found = losses.better_than(LpId(than), others.map(LpId));
        found.map(|lp| lp.0)
    }

    #[test]
    fn what_is_beyond_the_time_remembered_counts_half() {
        let remembered = |lost, used| {
            let losses = losses(&[(lost, used)]);
            (losses.of[0].lost, losses.of[0].busy)
        };
        assert_eq!(remembered(10_000, 118_000), (10_000, 128_000));
        assert_eq!(remembered(10_000, 118_001), (5_000, 64_000));
        // Of the sums there is no end.
        assert_eq!(losses(&[(10_000, 118_001)]).of[0].total, 10_000);
    }

    #[test]
    fn what_an_lp_lost_beyond_the_average_since_the_mark_may_be_too_much() {
        let mut losses = losses(&[(70_000, 0), (1_000, 0)]);
        let mark = losses.mark(LpId(0));
        assert!(!losses.is_too_much(&mark, 2));
        // 24,000 of its own, and 8,000 on average.
        losses.lost(LpId(0), Nanos(24_000));
        losses.lost(LpId(1), Nanos(8_000));
        assert!(!losses.is_too_much(&mark, 4));
        losses.lost(LpId(0), Nanos(2));
        assert!(losses.is_too_much(&mark, 4));
        // Those of fewer LPs have lost more on average.
        assert!(!losses.is_too_much(&mark, 3));
        losses.lost(LpId(1), Nanos(8));
        assert!(!losses.is_too_much(&mark, 4));
    }

    #[test]
    fn better_is_who_loses_less_than_half_as_much_and_least() {
        // Parts of their time, whatever that is: a tenth; half of that, and a trifle less.
        assert_eq!(better(&mut losses(&[(100, 900), (500, 9_500)]), 0), None);
        assert_eq!(better(&mut losses(&[(100, 900), (499, 9_501)]), 0), Some(1));
        assert_eq!(better(&mut losses(&[(499, 9_501), (100, 900)]), 1), Some(0));
        let of = [(100, 900), (40, 960), (10, 990), (20, 980)];
        assert_eq!(better(&mut losses(&of), 0), Some(2));
        // The first of equals.
        let of = [(100, 900), (10, 990), (10, 990)];
        assert_eq!(better(&mut losses(&of), 0), Some(1));
        // Nobody loses anything; nothing is known of anybody.
        assert_eq!(better(&mut losses(&[(0, 1_000), (0, 1_000)]), 0), None);
        assert_eq!(better(&mut losses(&[(0, 0), (0, 0)]), 0), None);
    }

    #[test]
    fn losses_of_those_asked_for_fade() {
        let mut losses = losses(&[(200, 800), (800, 7_200)]);
        // A fifth and a tenth, less an eighth each time: it is below half at once.
        assert_eq!(better(&mut losses, 0), None);
        assert_eq!(losses.of[1].lost, 700);
        assert_eq!(losses.of[0].lost, 200);
        assert_eq!(better(&mut losses, 0), Some(1));
    }
}
