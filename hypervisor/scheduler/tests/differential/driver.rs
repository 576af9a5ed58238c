//! Drives the real scheduler through a mix in virtual time, as dispatchers with latencies and losses would.

mod accounts;
mod changes;

use super::demand::{Demand, Piece};
use super::idle::IdleWatch;
use super::log::{Log, PIECES, VpLog};
use super::mix::{Behaviour, Change, Mix, Terms, lp_set};
use super::random::Dice;
use apportion_scheduler::{
    After, Config, Decision, LpId, Nanos, NewGuest, PolicyKind, Scheduler, Topology, VpId,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps without any time going by after which the run counts as a livelock.
const AT_ONCE: u32 = 100_000;

#[derive(Clone, Copy, Debug)]
struct Dispatch {
    vp: usize,
    since: u64,
    /// When its slice, late as it is, is over.
    slice_end: u64,
    lost: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lp {
    dispatch: Option<Dispatch>,
    /// When it answers a call.
    called: Option<u64>,
    /// It does nothing before.
    stalled_until: u64,
    /// Lost while idle, to be reported at the end of the stall.
    idle_loss: Option<u64>,
    /// Since when it has waited for a VP to come over.
    awaiting: Option<u64>,
}

/// One VP.
#[derive(Debug)]
struct Vp {
    piece: Piece,
    present: bool,
    demand: Demand,
    /// Up to when `reserved` is summed.
    seen: f64,
    reserved: f64,
    received: u64,
    /// Received beyond the cap since the start, and the least of it at any begin of a dispatch.
    cap_account: f64,
    least_account: f64,
    account_at: u64,
}

pub(crate) struct Driver<'a> {
    mix: &'a Mix,
    scheduler: Scheduler,
    now: u64,
    lps: Vec<Lp>,
    vps: Vec<Vp>,
    terms: Vec<Terms>,
    dice: Dice,
    /// Arrivals that wake their VP from outside.
    wakes: BinaryHeap<Reverse<(u64, usize)>>,
    idle: IdleWatch,
    log: Log,
}

/// The log of the whole run, or why it did not end.
pub(crate) fn run(mix: &Mix) -> Result<Log, String> {
    let mut driver = Driver::new(mix);
    driver.begin();
    driver.run()?;
    Ok(driver.log)
}

impl<'a> Driver<'a> {
    fn new(mix: &'a Mix) -> Driver<'a> {
        let mut config = Config::new(mix.lps, Nanos(mix.slice), PolicyKind::Fair);
        config.topology = Topology::even(mix.lps, mix.nodes);
        config.reserve_model = mix.model;
        config.weight_scope = mix.scope;
        Driver {
            mix,
            scheduler: Scheduler::new(config),
            now: 0,
            lps: vec![Lp::default(); mix.lps as usize],
            vps: Vec::new(),
            terms: mix.guests.iter().map(|guest| guest.terms).collect(),
            dice: Dice::new(mix.seed ^ 0x5EED),
            wakes: BinaryHeap::new(),
            idle: IdleWatch::default(),
            log: Log::new(mix.duration as f64, mix.lps as usize),
        }
    }

    fn time(&self) -> Nanos {
        Nanos(self.now)
    }

    fn begin(&mut self) {
        for lp in 0..self.lps.len() {
            self.pick(lp);
        }
        for (index, guest) in self.mix.guests.iter().enumerate() {
            let new = NewGuest {
                name: format!("g{index}"),
                vps: guest.vps,
                controls: guest.terms.controls(),
                affinity: guest.affinity.map(lp_set),
            };
            let id = self.scheduler.define_guest(self.time(), &new);
            let vps = self.scheduler.machine().guest(id).vps.clone();
            self.know(&vps, index);
        }
        for guest in 0..self.mix.guests.len() {
            if self.mix.guests[guest].begins == 0 {
                self.change(Change::Start { guest });
            }
        }
        self.take_calls();
    }

    /// Makes room for new VPs, not yet present.
    fn know(&mut self, vps: &[VpId], guest: usize) {
        for vp in vps {
            assert_eq!(vp.index(), self.vps.len(), "VPs are numbered in order");
            let demand = Demand::new(self.mix.guests[guest].behaviour, 0, 0, 0.0);
            let piece = Piece {
                due: f64::INFINITY,
                work: 0.0,
            };
            self.log.vps.push(VpLog {
                guest,
                demand: demand.clone(),
                pieces: Vec::new(),
                service: vec![0.0; self.log.waking.len()],
                reserved: vec![0.0; self.log.waking.len()],
                dispatched: vec![0.0; PIECES],
                lost: vec![0.0; PIECES],
                over_cap: 0.0,
            });
            self.vps.push(Vp {
                piece,
                present: false,
                demand,
                seen: 0.0,
                reserved: 0.0,
                received: 0,
                cap_account: 0.0,
                least_account: 0.0,
                account_at: 0,
            });
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let begins = self.mix.guests.iter().enumerate();
        let starts = begins
            .filter(|(_, guest)| guest.begins > 0)
            .map(|(index, guest)| (guest.begins, Change::Start { guest: index }));
        let mut changes: Vec<(u64, Change)> = starts.chain(self.mix.changes.clone()).collect();
        changes.sort_by_key(|&(at, _)| at);
        let mut changes = changes.into_iter().peekable();
        let mut stalls = self.mix.stalls.iter().peekable();
        let mut border = 0;
        let mut at_once = 0;
        while border < self.log.borders.len() {
            let next_border = self.log.borders[border].floor() as u64;
            let (lp_at, lp) = self.next_lp();
            let change_at = changes.peek().map_or(u64::MAX, |&(at, _)| at);
            let stall_at = stalls.peek().map_or(u64::MAX, |stall| stall.at);
            let wake_at = self.wakes.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
            let earliest = lp_at.min(change_at).min(stall_at).min(wake_at);
            let at = earliest.min(next_border).max(self.now);
            at_once = if at > self.now { 0 } else { at_once + 1 };
            if at_once > AT_ONCE {
                return Err(format!("livelock at {} ns", self.now));
            }
            self.watch(at);
            self.now = at;
            if earliest > next_border {
                self.sample();
                border += 1;
            } else if lp_at == earliest {
                self.step(lp);
            } else if wake_at == earliest {
                let Some(Reverse((_, vp))) = self.wakes.pop() else {
                    continue;
                };
                if self.vps[vp].present {
                    self.scheduler.wake(self.time(), VpId(vp as u32));
                }
            } else if change_at == earliest {
                if let Some((_, change)) = changes.next() {
                    self.change(change);
                }
            } else if let Some(stall) = stalls.next() {
                self.stall(stall.lp as usize, stall.span);
            }
            self.take_calls();
        }
        for dispatch in self.lps.iter().filter_map(|lp| lp.dispatch) {
            let (since, now) = (dispatch.since as f64, self.now as f64);
            self.log.dispatch(dispatch.vp, since, now);
        }
        Ok(())
    }

    /// When an LP next does something, and which.
    fn next_lp(&self) -> (u64, usize) {
        let each = self.lps.iter().enumerate().map(|(index, lp)| {
            let id = LpId(index as u32);
            let end = lp.dispatch.map(|dispatch| self.end_of(dispatch));
            let has_dispatcher = end.is_some() || !self.scheduler.machine().lp(id).offline;
            let timer = self.scheduler.next_timer(id).filter(|_| has_dispatcher);
            let timer = timer.map(|at| at.0);
            let next = [end, lp.called, timer, lp.idle_loss.map(|_| 0)];
            let next = next.into_iter().flatten().min().unwrap_or(u64::MAX);
            (next.max(lp.stalled_until), index)
        });
        each.min().unwrap_or((u64::MAX, 0))
    }

    /// When a dispatch ends by itself: its piece is done, or its slice is over.
    fn end_of(&self, dispatch: Dispatch) -> u64 {
        let begin = dispatch.since + dispatch.lost;
        let work = self.vps[dispatch.vp].piece.work;
        let done = (begin as f64 + work).min(u64::MAX as f64 / 2.0) as u64;
        done.min(dispatch.slice_end.max(begin))
    }

    fn step(&mut self, lp: usize) {
        if let Some(span) = self.lps[lp].idle_loss.take() {
            self.scheduler
                .lost(self.time(), LpId(lp as u32), Nanos(span));
        }
        let called = self.lps[lp].called.is_some_and(|at| at <= self.now);
        match self.lps[lp].dispatch {
            Some(dispatch) if called || self.end_of(dispatch) <= self.now => {
                self.leave(lp, dispatch);
                self.pick(lp);
            }
            None if called => self.pick(lp),
            _ => self.scheduler.tick(self.time(), LpId(lp as u32)),
        }
    }

    fn take_calls(&mut self) {
        let called: Vec<LpId> = self.scheduler.take_calls().collect();
        self.scheduler.take_happened();
        for id in called {
            let late = self.dice.below(self.mix.latency + 1);
            let lp = &mut self.lps[id.index()];
            if lp.called.is_none() {
                lp.called = Some(self.now + late);
                if lp.dispatch.is_none() {
                    self.idle.waking += late as f64;
                }
            }
        }
    }

    fn leave(&mut self, lp: usize, dispatch: Dispatch) {
        self.lps[lp].dispatch = None;
        let wall = self.now - dispatch.since;
        let lost = dispatch.lost.min(wall);
        let ran = wall - lost;
        let entered = dispatch.since + self.mix.overhead.min(wall);
        let since = dispatch.since as f64;
        self.log.lose(lp, Some(dispatch.vp), since, entered as f64);
        self.log.dispatch(dispatch.vp, since, self.now as f64);
        self.charge_cap(dispatch.vp, ran);
        let vp = &mut self.vps[dispatch.vp];
        vp.received += ran;
        vp.piece.work -= ran as f64;
        let after = match vp.present && vp.piece.work < 0.5 {
            true => self.finish_piece(dispatch.vp),
            false => After::Run,
        };
        let id = LpId(lp as u32);
        self.scheduler.charge(self.time(), id, Nanos(ran), after);
        if lost > 0 {
            self.scheduler.lost(self.time(), id, Nanos(lost));
        }
        self.note_lag(dispatch.vp);
    }

    fn finish_piece(&mut self, vp: usize) -> After {
        self.accrue(vp);
        let now = self.now as f64;
        let piece = self.vps[vp].demand.after(now);
        self.vps[vp].piece = piece;
        self.log.vps[vp].pieces.push(piece);
        if piece.due <= now {
            return After::Run;
        }
        let due = piece.due.ceil() as u64;
        let guest = self.log.vps[vp].guest;
        if let Behaviour::Bursts { .. } = self.mix.guests[guest].behaviour {
            self.wakes.push(Reverse((due, vp)));
            return After::Sleep { until: None };
        }
        let until = Some(Nanos(due));
        After::Sleep { until }
    }

    fn pick(&mut self, lp: usize) {
        self.lps[lp].called = None;
        let id = LpId(lp as u32);
        if let Some(since) = self.lps[lp].awaiting.take() {
            let now = self.time();
            self.scheduler.lost(now, id, Nanos(self.now - since));
            self.log.lose(lp, None, since as f64, self.now as f64);
        }
        let decision = self.scheduler.pick(self.time(), id);
        if decision == Decision::Await {
            self.lps[lp].awaiting = Some(self.now);
        }
        let Decision::Run { vp, until, .. } = decision else {
            return;
        };
        self.log.dispatches += 1;
        self.note_lag(vp.index());
        self.open_cap_account(vp.index());
        let late = self.dice.below(self.mix.overshoot + 1);
        self.lps[lp].dispatch = Some(Dispatch {
            vp: vp.index(),
            since: self.now,
            slice_end: until.0.saturating_add(late),
            lost: self.mix.overhead,
        });
        debug_assert!(self.vps[vp.index()].piece.due <= self.now as f64);
    }

    fn stall(&mut self, lp: usize, span: u64) {
        let from = self.now.max(self.lps[lp].stalled_until);
        let state = &mut self.lps[lp];
        state.stalled_until = from + span;
        match &mut state.dispatch {
            Some(dispatch) => dispatch.lost += span,
            None => *state.idle_loss.get_or_insert(0) += span,
        }
        let vp = state.dispatch.map(|dispatch| dispatch.vp);
        self.log.lose(lp, vp, from as f64, (from + span) as f64);
    }
}
