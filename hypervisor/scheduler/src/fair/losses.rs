//! Which LPs lose more of their time than others do.

use crate::topology::Topology;
use crate::units::{LpId, Nanos};

/// So many slices of an LP's time are remembered, older ones ever less.
const REMEMBERED: u64 = 128;

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

    /// By how many ns the mark's LP has lost more since than `lps` LPs did on average.
    pub(super) fn beyond_average(&self, since: &Mark, lps: usize) -> u64 {
        let own = self.of[since.lp.index()].total - since.own;
        own.saturating_sub((self.total - since.all) / lps.max(1) as u64)
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
