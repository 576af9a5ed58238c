//! What the formula promises over time: solved anew whenever somebody sleeps, wakes, has done its work, or is changed.

use super::oracle::{EQUAL, Oracle};
use super::state::{Rates, State, Turn};
use super::window::{Kept, Window, expect, merge};
use super::wishes::awaits_work;
use crate::plan::Roster;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::{GuestId, Nanos};

/// What is lost may differ so much, ns, from what is missing to promises: a hundred thousandth of a piece of time.
const PRECISION: f64 = 1e3;

/// Of a piece of time so many attempts are made to find what is kept of promises.
const ATTEMPTS: u32 = 100;

/// The promise of a run.
#[derive(Debug)]
pub(super) struct Promise<'a> {
    course: Course<'a>,
    oracle: Oracle,
    /// Whether there are VPs that want to run while work is left for them.
    awaits_work: bool,
}

impl<'a> Promise<'a> {
    /// With `demands` as parts of an LP, by guest, where they are known so; `turns` are in order of time.
    pub(super) fn new(
        spec: &RunSpec,
        roster: &Roster,
        demands: Vec<Option<f64>>,
        turns: &'a [(Nanos, Turn)],
    ) -> Promise<'a> {
        let awaits = |guest: GuestId| awaits_work(spec.guests[guest.index()].payload);
        Promise {
            course: Course {
                state: State::new(spec, roster, awaits),
                rates: None,
                turns,
                now: 0.0,
            },
            oracle: Oracle::new(spec, demands),
            awaits_work: roster.guests().any(awaits),
        }
    }

    /// Adds the promise to `windows`, which follow each other and those before, and works out what of it each VP may
    /// expect. What is lost is told by pieces of at most [`BIN`](super::BIN), cut where changes are due or made by
    /// hand: `same_piece` says whether two windows are of one piece. A longer window expects the sum of its pieces,
    /// so that a loss counts where it happened, as it does in the scheduler's own account.
    ///
    /// Returns the least part of the reserves that the LPs on line left room for, where it is below 1.
    pub(super) fn settle(
        &mut self,
        windows: &mut [Window],
        same_piece: impl Fn(&Window, &Window) -> bool,
    ) -> Option<f64> {
        let mut reserves: f64 = 1.0;
        for piece in windows.chunk_by_mut(same_piece) {
            // When work is done depends on what is lost meanwhile.
            let kept = if self.awaits_work {
                self.kept(piece)
            } else {
                Kept::ALL
            };
            reserves = reserves.min(self.course.pass(piece, kept, &mut self.oracle));
            expect(piece);
        }
        (reserves < 1.0 - EQUAL).then_some(reserves)
    }

    /// What of the promise is kept in a piece of time, so that what is missing to promises is what was lost.
    fn kept(&mut self, piece: &[Window]) -> Kept {
        let mut with = |carrying, limited| {
            let mut windows = piece.to_vec();
            let kept = Kept { carrying, limited };
            self.course
                .clone()
                .pass(&mut windows, kept, &mut self.oracle);
            merge(&windows).unwrap_or_else(|| Window::empty(Nanos::ZERO, Nanos::ZERO, 0))
        };
        let whole = with(1.0, 1.0);
        let (lost, delivered) = (whole.wall - whole.delivered(), whole.delivered());
        let carrying = crossing(-lost, whole.kept().carrying, |kept| {
            (1.0 - kept) * with(kept, 1.0).total(|vp| vp.carrying) - lost
        });
        if carrying > 0.0 {
            return Kept {
                carrying,
                limited: 1.0,
            };
        }
        // More was lost than those that it is missing to had.
        let beyond = |kept, sums: &Window| delivered - kept * sums.total(|vp| vp.limited);
        let others = with(0.0, 1.0);
        let guess = others.kept().limited;
        let limited = crossing(beyond(1.0, &others), guess, |kept| {
            beyond(kept, &with(0.0, kept))
        });
        Kept { carrying, limited }
    }
}

/// Where between 0 and 1 `f`, which falls, is zero, perhaps near `guess`; the end that is nearest to it where it is
/// nowhere so. `below` is what it is at 1.
fn crossing(mut below: f64, guess: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    let mut high = 1.0;
    if below >= -PRECISION {
        return high;
    }
    let (mut low, mut above) = (guess, f(guess));
    if above.abs() <= PRECISION {
        return guess;
    }
    if above < 0.0 {
        (high, below) = (low, above);
        (low, above) = (0.0, f(0.0));
        if above <= PRECISION {
            return low;
        }
    }
    // By the Illinois method: an end that stays counts for half.
    let mut last = 0.0;
    for _ in 0..ATTEMPTS {
        let at = low + (high - low) * above / (above - below);
        let value = f(at);
        if value.abs() <= PRECISION {
            return at;
        }
        if value > 0.0 {
            (low, above) = (at, value);
            if last > 0.0 {
                below /= 2.0;
            }
        } else {
            (high, below) = (at, value);
            if last < 0.0 {
                above /= 2.0;
            }
        }
        last = value;
    }
    (low + high) / 2.0
}

/// The promise on its way through time.
#[derive(Clone, Debug)]
struct Course<'a> {
    state: State,
    /// Those of the present state, once they are asked for.
    rates: Option<Rates>,
    /// Those that are to come.
    turns: &'a [(Nanos, Turn)],
    /// On the engine's clock, ns.
    now: f64,
}

impl Course<'_> {
    /// Passes through `windows`, so much of promises being kept. Returns the least part of the reserves that there
    /// was room for.
    fn pass(&mut self, windows: &mut [Window], kept: Kept, oracle: &mut Oracle) -> f64 {
        let mut reserves: f64 = 1.0;
        for window in windows {
            let end = window.end.0 as f64;
            self.now = self.now.max(window.start.0 as f64);
            while self.now < end {
                while let Some(((at, turn), rest)) = self.turns.split_first()
                    && at.0 as f64 <= self.now
                {
                    self.state.apply(*turn);
                    self.rates = None;
                    self.turns = rest;
                }
                let rates = self.rates.get_or_insert_with(|| self.state.rates(oracle));
                reserves = reserves.min(rates.reserves_kept);
                let turns = self
                    .turns
                    .first()
                    .map_or(end, |(at, _)| end.min(at.0 as f64));
                let (to_turn, to_done) = (turns - self.now, self.state.until_done(rates, kept));
                rates.add(to_turn.min(to_done), window);
                let done = self.state.work(rates, kept, to_turn.min(to_done));
                self.now = if to_done < to_turn {
                    self.now + to_done
                } else {
                    turns
                };
                if done {
                    self.rates = None;
                }
            }
        }
        reserves
    }
}
