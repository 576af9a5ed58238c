//! What the formula promises over time: solved anew whenever somebody sleeps, wakes, has done its work, or is changed.

use super::delivery::Delivery;
use super::oracle::{EQUAL, Oracle};
use super::state::{Rates, State, Turn};
use super::window::{Window, merge};
use super::wishes::awaits_work;
use crate::plan::Roster;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::{GuestId, Nanos};

/// The promise of a run.
#[derive(Debug)]
pub(super) struct Promise<'a> {
    course: Course<'a>,
    oracle: Oracle,
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
            course: Course::new(State::new(spec, roster, awaits), turns, Nanos::ZERO),
            oracle: Oracle::new(spec, demands),
        }
    }

    /// Adds the promise to `windows`, which follow each other and those before. What LPs lose is told by pieces of at
    /// most [`BIN`](super::BIN), cut where changes are due or made by hand: `same_piece` says whether two windows are
    /// of one piece. A longer window expects the sum of its pieces, so that a loss counts where it happened, as it does
    /// in the scheduler's own account.
    ///
    /// Returns the least part of the reserves that the LPs on line left room for, where it is below 1.
    pub(super) fn settle(
        &mut self,
        windows: &mut [Window],
        same_piece: impl Fn(&Window, &Window) -> bool,
    ) -> Option<f64> {
        let mut reserves: f64 = 1.0;
        for piece in windows.chunk_by_mut(same_piece) {
            reserves = reserves.min(self.course.pass_piece(piece, &mut self.oracle));
        }
        (reserves < 1.0 - EQUAL).then_some(reserves)
    }
}

/// The promise on its way through time.
#[derive(Clone, Debug)]
pub(super) struct Course<'a> {
    state: State,
    /// Those of the present state, once they are asked for.
    rates: Option<Rates>,
    /// Those that are to come.
    turns: &'a [(Nanos, Turn)],
    /// On the engine's clock, ns.
    now: f64,
}

impl<'a> Course<'a> {
    pub(super) fn new(state: State, turns: &'a [(Nanos, Turn)], now: Nanos) -> Course<'a> {
        Course {
            state,
            rates: None,
            turns,
            now: now.0 as f64,
        }
    }

    /// Turns that are still to come.
    pub(super) fn into_rest(self) -> (State, &'a [(Nanos, Turn)]) {
        (self.state, self.turns)
    }

    /// Passes through a piece of time. Returns the least part of the reserves that there was room for.
    pub(super) fn pass_piece(&mut self, piece: &mut [Window], oracle: &mut Oracle) -> f64 {
        let Some(sums) = merge(piece) else { return 1.0 };
        let online = self.online(&sums);
        let promised = match Delivery::is_known(&sums, &online) {
            true => 0.0,
            false => {
                let mut whole = [Window::empty(sums.start, sums.end, sums.vps.len(), 0)];
                let mut ahead = self.clone();
                ahead.pass(&mut whole, &Delivery::WHOLE, oracle);
                whole[0].total(|vp| vp.expected)
            }
        };
        let delivery = Delivery::new(&sums, &online, promised);
        self.pass(piece, &delivery, oracle)
    }

    /// By LP, for how many ns of a window to come it is on line.
    fn online(&self, window: &Window) -> Vec<f64> {
        let (start, end) = (window.start.0 as f64, window.end.0 as f64);
        let mut online = self.state.online.clone();
        let mut since = vec![start; online.len()];
        let mut sums = vec![0.0; online.len()];
        for (at, turn) in self.turns.iter().take_while(|(at, _)| *at < window.end) {
            if let Turn::Lp(lp, turned) = turn {
                let at = (at.0 as f64).max(start);
                let was_online = std::mem::replace(&mut online[lp.index()], *turned);
                let from = std::mem::replace(&mut since[lp.index()], at);
                sums[lp.index()] += if was_online { at - from } else { 0.0 };
            }
        }
        for ((sum, online), since) in sums.iter_mut().zip(online).zip(since) {
            *sum += if online { end - since } else { 0.0 };
        }
        sums
    }

    /// Passes through `windows`, where LPs deliver so much of their time. Returns the least part of the reserves that
    /// there was room for.
    fn pass(&mut self, windows: &mut [Window], delivery: &Delivery, oracle: &mut Oracle) -> f64 {
        let mut reserves: f64 = 1.0;
        self.rates = None;
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
                let rates = self
                    .rates
                    .get_or_insert_with(|| self.state.rates(delivery, oracle));
                reserves = reserves.min(rates.reserves_kept);
                let turns = self
                    .turns
                    .first()
                    .map_or(end, |(at, _)| end.min(at.0 as f64));
                let (to_turn, to_done) = (turns - self.now, self.state.until_done(rates));
                rates.add(to_turn.min(to_done), window);
                let done = self.state.work(rates, to_turn.min(to_done));
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
