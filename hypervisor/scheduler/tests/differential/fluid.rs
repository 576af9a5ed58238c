//! Generalised processor sharing of a mix: every VP that has work receives its rate at every instant.

mod rates;

use super::demand::{Demand, Piece};
use super::log::{Applied, Log};
use super::mix::{Behaviour, Mix, Terms};
use std::ops::AddAssign;

/// Work below which a piece is done, in ns.
const DONE: f64 = 1e-3;

/// What a cap may save for a VP that could not use it, in slices: a real one may exceed it by this over any window.
pub(crate) const CREDIT: f64 = 2.0;

/// Where pieces of work come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// They arrive when they did in the real run: what the scheduler made of
    /// the wants that it really met.
    Real,
    /// Sleeps follow the fluid's own completions: what was promised.
    Own,
    /// As [`Source::Own`], each VP on a server of its own as fast as its reserve.
    Reserved,
}

/// What a VP that is due all of an LP can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OneLp {
    /// What the LPs that it ran on had to give.
    Own,
    /// What the LPs that it may use have to give, on average.
    Mean,
    /// The same, of the time for which losses are made up for.
    Remembered,
}

#[derive(Clone, Debug)]
struct FluidVp {
    guest: usize,
    present: bool,
    backlog: f64,
    /// Of [`Source::Own`].
    demand: Demand,
    upcoming: Option<Piece>,
    /// Of [`Source::Real`]: pieces that have arrived.
    arrived: usize,
    /// When the present piece was taken up, and its work.
    begun: (f64, f64),
    rate: f64,
    service: f64,
    /// What its cap has saved; while there is some, it may run faster than its cap.
    credit: f64,
    /// Its cap, summed over time.
    capped: f64,
    slack: Slack,
}

/// By how much a real run of a closed-loop VP may differ, in ns of work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slack {
    pub(crate) behind: f64,
    pub(crate) ahead: f64,
}

/// One VP, by border.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    pub(crate) service: Vec<f64>,
    pub(crate) slack: Vec<Slack>,
    /// Its cap, summed over time.
    pub(crate) capped: Vec<f64>,
    /// Whether its rate was its cap, or more, since the border before.
    pub(crate) at_cap: Vec<bool>,
}

/// What the model gives.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) courses: Vec<Course>,
    /// Reserves had to shrink at some time.
    pub(crate) shrank: bool,
    /// Some LP was idle, in part, at every moment.
    pub(crate) had_room: bool,
}

struct Fluid<'a> {
    mix: &'a Mix,
    log: &'a Log,
    source: Source,
    credit: f64,
    one_lp: OneLp,
    now: f64,
    piece: usize,
    vps: Vec<FluidVp>,
    terms: Vec<Terms>,
    allowed: Vec<u64>,
    online: u64,
    outcome: Outcome,
    was_at_cap: Vec<bool>,
    /// Something that rates depend on has changed.
    stale: bool,
}

/// `credit` is the most that caps save, in slices.
pub(crate) fn run(mix: &Mix, log: &Log, source: Source, credit: f64, one_lp: OneLp) -> Outcome {
    let vps = log.vps.iter().map(|vp| FluidVp {
        guest: vp.guest,
        present: false,
        backlog: 0.0,
        demand: vp.demand.clone(),
        upcoming: None,
        arrived: 0,
        begun: (0.0, 0.0),
        rate: 0.0,
        service: 0.0,
        credit: credit * mix.slice as f64,
        capped: 0.0,
        slack: Slack::default(),
    });
    let everywhere = u64::MAX >> (64 - mix.lps);
    let mut fluid = Fluid {
        mix,
        log,
        source,
        credit,
        one_lp,
        now: 0.0,
        piece: 0,
        vps: vps.collect(),
        terms: mix.guests.iter().map(|guest| guest.terms).collect(),
        allowed: mix
            .guests
            .iter()
            .map(|guest| guest.affinity.unwrap_or(everywhere))
            .collect(),
        online: everywhere,
        outcome: Outcome {
            courses: vec![Course::default(); log.vps.len()],
            shrank: false,
            had_room: true,
        },
        was_at_cap: vec![true; log.vps.len()],
        stale: true,
    };
    fluid.run();
    fluid.outcome
}

impl Fluid<'_> {
    fn run(&mut self) {
        let mut applied = self.log.applied.iter().peekable();
        loop {
            if std::mem::take(&mut self.stale) {
                self.solve();
            }
            let border = self.log.borders[self.piece];
            let change = applied.peek().map_or(f64::INFINITY, |(at, _)| *at);
            let own = (0..self.vps.len()).map(|vp| self.next_of(vp));
            let at = own.fold(border.min(change), f64::min).max(self.now);
            self.advance(at);
            if change <= at {
                if let Some((_, change)) = applied.next() {
                    self.apply(*change);
                }
                continue;
            }
            for vp in 0..self.vps.len() {
                self.update(vp);
            }
            if border <= at {
                self.note();
                self.piece += 1;
                self.stale = true;
                if self.piece == self.log.borders.len() {
                    return;
                }
            }
        }
    }

    fn upcoming(&self, vp: usize) -> Option<Piece> {
        match self.source {
            Source::Own | Source::Reserved => self.vps[vp].upcoming,
            Source::Real => self.log.vps[vp].pieces.get(self.vps[vp].arrived).copied(),
        }
    }

    /// When a VP's work is done, or its next piece arrives.
    fn next_of(&self, index: usize) -> f64 {
        let vp = &self.vps[index];
        if !vp.present {
            return f64::INFINITY;
        }
        let arrival = self
            .upcoming(index)
            .map_or(f64::INFINITY, |piece| piece.due);
        let mut next = arrival;
        if vp.backlog > 0.0 && vp.rate > 0.0 {
            next = next.min(self.now + vp.backlog / vp.rate);
            let faster = vp.rate - self.terms[vp.guest].cap / 100.0;
            if vp.credit > 0.0 && faster > 1e-12 {
                next = next.min(self.now + vp.credit / faster);
            }
        }
        next
    }

    fn advance(&mut self, at: f64) {
        let span = at - self.now;
        let full = self.credit * self.mix.slice as f64;
        for vp in &mut self.vps {
            let work = (vp.rate * span).min(vp.backlog);
            vp.service += work;
            vp.backlog -= work;
            let cap = self.terms[vp.guest].cap / 100.0 * span;
            vp.capped += cap;
            let had_credit = vp.credit > 0.0;
            vp.credit = (vp.credit + cap - work).min(full);
            if vp.credit <= DONE {
                vp.credit = 0.0;
            }
            self.stale |= had_credit != (vp.credit > 0.0);
        }
        self.now = at;
    }

    fn apply(&mut self, change: Applied) {
        self.stale = true;
        match change {
            Applied::Start { vp } => {
                self.vps[vp].present = true;
                if self.source != Source::Real {
                    let mut first = self.vps[vp].demand.first(self.now);
                    first.due = self.now;
                    self.vps[vp].upcoming = Some(first);
                }
                self.update(vp);
            }
            Applied::Stop { vp } => {
                self.vps[vp].present = false;
                self.vps[vp].backlog = 0.0;
            }
            Applied::Controls { guest, terms } => self.terms[guest] = terms,
            Applied::Affinity { guest, lps } => self.allowed[guest] = lps,
            Applied::LpOff { lp } => self.online &= !(1 << lp),
            Applied::LpOn { lp } => self.online |= 1 << lp,
        }
    }

    /// Ends the VP's piece, and takes up what has arrived.
    fn update(&mut self, index: usize) {
        if !self.vps[index].present {
            return;
        }
        // A ns of the wall clock is the least that is told apart.
        let reached = self.now + 1e-6;
        if self.vps[index].backlog <= DONE && self.vps[index].begun.1 > 0.0 {
            self.finish(index);
            self.stale = true;
        }
        while let Some(piece) = self.upcoming(index).filter(|piece| piece.due <= reached) {
            let vp = &mut self.vps[index];
            match self.source {
                Source::Real => vp.arrived += 1,
                Source::Own | Source::Reserved => vp.upcoming = None,
            }
            if vp.backlog == 0.0 {
                self.stale = true;
                vp.begun = (self.now, 0.0);
            }
            vp.backlog += piece.work;
            vp.begun.1 += piece.work;
        }
    }

    fn finish(&mut self, index: usize) {
        let lateness = self.mix.lateness();
        let slice = self.mix.slice as f64;
        let vp = &mut self.vps[index];
        vp.backlog = 0.0;
        let (begun, work) = std::mem::replace(&mut vp.begun, (self.now, 0.0));
        if self.source == Source::Real {
            return;
        }
        let next = vp.demand.after(self.now);
        vp.upcoming = Some(next);
        let behaviour = self.mix.guests[vp.guest].behaviour;
        if !behaviour.is_closed() {
            return;
        }
        let wait = slice / vp.rate.max(1e-9) + slice + lateness;
        vp.slack += match behaviour {
            Behaviour::Periodic { run, period } => {
                // It drops what it would have done in whole periods that it is late by.
                let late = self.now + wait - next.due;
                Slack {
                    behind: run * (late / period).floor().max(0.0),
                    ahead: 0.0,
                }
            }
            _ => Slack {
                behind: wait,
                ahead: (self.now - begun - work).clamp(0.0, wait),
            },
        };
    }
}

impl AddAssign for Slack {
    fn add_assign(&mut self, other: Slack) {
        self.behind += other.behind;
        self.ahead += other.ahead;
    }
}
