//! The LPs in virtual time: each decides, runs what it chose, charges it, and decides again.

mod calls;
mod report;

use super::program::{Act, Programs};
use super::queue::{Alarms, NEVER};
use super::trace::Trace;
use crate::dispatch_log::{Dispatch, LogEntry, Reason};
use crate::engine::{Crash, Observer};
use crate::run_spec::SimulatorSpec;
use apportion_scheduler::{After, Decision, LpId, Nanos, Random, Scheduler, VpId, VpState};
use std::error::Error as StdError;

/// What the observer answers.
pub(super) type Observed<T> = Result<T, Box<dyn StdError + Send + Sync>>;

/// How often each LP reports what it lost and the largest lag.
const SAMPLE_EVERY: Nanos = Nanos::from_millis(100);

/// The random streams of LPs begin here, those of VPs at 0.
const LP_STREAMS: u64 = 1 << 32;

/// One LP.
#[derive(Clone, Debug)]
struct Lp {
    state: State,
    /// For its kick latencies.
    random: Random,
    /// What it reports every [`SAMPLE_EVERY`].
    sampled: Nanos,
    lost: Nanos,
    lag: Option<(VpId, i64)>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Off line or not yet started: its time counts for nothing.
    Parked,
    /// Nothing to run since then; it was called for `wake`, or [`NEVER`].
    Idle {
        since: Nanos,
        wake: Nanos,
    },
    /// The same, but it waits for a VP to come over.
    Awaiting {
        since: Nanos,
        wake: Nanos,
    },
    /// It is charging or choosing.
    Deciding,
    Running(Running),
}

/// A dispatch in progress.
#[derive(Clone, Copy, Debug)]
struct Running {
    vp: VpId,
    ready: Nanos,
    /// When it was picked.
    start: Nanos,
    /// When the VP begins to run, the host having done its part.
    begin: Nanos,
    /// Up to when its program knows that it ran.
    told: Nanos,
    /// When its program comes to something by itself.
    due: Nanos,
    /// When a kick ends it, and what for.
    end: Nanos,
    kick: Reason,
}

impl Lp {
    /// How late a kick comes this time.
    fn latency(&mut self, most: Nanos) -> Nanos {
        Nanos(self.random.below(most.0.saturating_add(1)))
    }
}

/// All LPs, the scheduler that they share, and what runs on them.
pub(super) struct Lps<'a> {
    pub(super) scheduler: Scheduler,
    pub(super) programs: Programs,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) trace: Trace,
    pub(super) crashes: Vec<Crash>,
    assumed: SimulatorSpec,
    start: Nanos,
    now: Nanos,
    lps: Vec<Lp>,
    alarms: Alarms,
}

impl<'a> Lps<'a> {
    /// All of them decide at `start`.
    pub(super) fn new(
        scheduler: Scheduler,
        programs: Programs,
        observer: &'a mut dyn Observer,
        assumed: SimulatorSpec,
        start: Nanos,
    ) -> Lps<'a> {
        let config = scheduler.machine().config();
        let count = config.topology.lps();
        let lp = |lp: u32| Lp {
            state: State::Parked,
            random: Random::stream(config.seed, LP_STREAMS + u64::from(lp)),
            sampled: start,
            lost: Nanos::ZERO,
            lag: None,
        };
        let lps = (0..count).map(lp).collect();
        let mut alarms = Alarms::new(count);
        (0..count).for_each(|lp| alarms.set(LpId(lp), start));
        Lps {
            scheduler,
            programs,
            observer,
            trace: Trace::new(),
            crashes: Vec::new(),
            assumed,
            start,
            now: start,
            lps,
            alarms,
        }
    }

    /// Everything that happens before `until`.
    pub(super) fn run_until(&mut self, until: Nanos) -> Observed<()> {
        loop {
            let (at, lp) = self.alarms.first();
            if at >= until {
                return Ok(());
            }
            // A timer that moves to another LP may be overdue there.
            self.now = self.now.max(at);
            self.turn(lp, self.now)?;
        }
    }

    /// What `lp` had its alarm set for.
    fn turn(&mut self, lp: LpId, now: Nanos) -> Observed<()> {
        match self.lps[lp.index()].state {
            State::Running(running) if running.due <= now => self.act(lp, now, running),
            State::Running(running) if running.end <= now => {
                let act = self.tell(now, &running);
                self.leave(lp, now, running, act)
            }
            State::Running(running) => self.tick(lp, now, running),
            State::Idle { since, .. } => {
                self.log_idle(lp, since, now)?;
                self.decide(lp, now)
            }
            State::Awaiting { since, .. } => {
                self.lose(lp, since, now);
                self.decide(lp, now)
            }
            State::Parked | State::Deciding => self.decide(lp, now),
        }
    }

    /// The LP leaves its VP for a moment to do what it owes to others.
    fn tick(&mut self, lp: LpId, now: Nanos, running: Running) -> Observed<()> {
        self.trace.calls += 1;
        self.scheduler.tick(now, lp);
        let called = self.answer_calls(now, Some(lp));
        self.log_happened()?;
        if called {
            let act = self.tell(now, &running);
            let kick = Reason::Preempted;
            return self.leave(lp, now, Running { kick, ..running }, act);
        }
        self.arm(lp);
        Ok(())
    }

    /// Tells the VP's program that it ran until now.
    fn tell(&mut self, now: Nanos, running: &Running) -> Act {
        self.programs.ran(running.vp, now, now.since(running.told))
    }

    /// The VP comes to something by itself.
    fn act(&mut self, lp: LpId, now: Nanos, mut running: Running) -> Observed<()> {
        let act = self.tell(now, &running);
        match act {
            Act::On => {}
            Act::Pass(next) => self.pass_lock(now, next),
            Act::Leave(_) | Act::Crash => return self.leave(lp, now, running, act),
        }
        running.told = now;
        running.due = self.programs.due(running.vp, now);
        self.lps[lp.index()].state = State::Running(running);
        self.arm(lp);
        Ok(())
    }

    /// `next` gets the lock; where it runs and spins it notices at once.
    fn pass_lock(&mut self, now: Nanos, next: VpId) {
        let on = match self.scheduler.machine().vp(next).state {
            VpState::Running { lp, .. } => Some(lp),
            _ => None,
        };
        if let Some(lp) = on
            && let State::Running(mut running) = self.lps[lp.index()].state
        {
            self.tell(now, &running);
            self.programs.grant(next);
            running.told = running.told.max(now);
            running.due = self.programs.due(next, running.told);
            self.lps[lp.index()].state = State::Running(running);
            self.arm(lp);
        } else {
            self.programs.grant(next);
        }
    }

    /// The VP leaves its LP, which decides anew.
    fn leave(&mut self, lp: LpId, now: Nanos, running: Running, act: Act) -> Observed<()> {
        self.lps[lp.index()].state = State::Deciding;
        self.charge(lp, now, &running, act)?;
        if act == Act::Crash {
            self.crash(now, running.vp)?;
        }
        self.answer_calls(now, Some(lp));
        self.decide(lp, now)?;
        if self.scheduler.machine().lp(lp).offline {
            // Its VP's sleep or hold has become another LP's to end.
            self.arm_all();
        }
        Ok(())
    }

    /// Accounts for a dispatch that has ended.
    fn charge(&mut self, lp: LpId, now: Nanos, running: &Running, act: Act) -> Observed<()> {
        let vp = running.vp;
        let ran = now.since(running.begin);
        let lost = now.since(running.start) - ran;
        let after = match act {
            Act::Leave(after) => after,
            Act::On | Act::Pass(_) | Act::Crash => After::Run,
        };
        self.trace.calls += 1;
        self.scheduler.charge(now, lp, ran, after);
        self.lose(lp, now - lost, now);
        self.see_lag(lp, now, vp);
        let reason = match (act, self.scheduler.machine().vp(vp).state) {
            (Act::Crash, _) => Reason::Fault,
            (_, VpState::Suspended) => Reason::End,
            (_, VpState::Sleeping { .. }) => Reason::Idle,
            (Act::Leave(After::Spin), _) => Reason::Hypercall,
            (_, VpState::Held { .. }) if running.kick == Reason::Slice => Reason::Capped,
            _ => running.kick,
        };
        for burst in self.programs.take_bursts() {
            self.observer.burst(&burst)?;
        }
        let work = self.programs.take_work(vp);
        self.observer.entry(&LogEntry::Dispatch(Dispatch {
            lp,
            vp,
            ready: running.ready,
            start: running.start,
            end: now,
            ran,
            work,
            reason,
        }))?;
        self.log_happened()
    }

    /// The time from `since` on reached neither a guest nor idle.
    fn lose(&mut self, lp: LpId, since: Nanos, now: Nanos) {
        let span = now.since(since);
        self.trace.calls += 1;
        self.scheduler.lost(now, lp, span);
        self.lps[lp.index()].lost += span;
    }

    /// What `lp`, which runs nothing, does from `now` on.
    fn decide(&mut self, lp: LpId, now: Nanos) -> Observed<()> {
        if now.since(self.lps[lp.index()].sampled) >= SAMPLE_EVERY {
            self.log_sample(lp, now)?;
        }
        self.trace.calls += 1;
        let decision = self.scheduler.pick(now, lp);
        let since_start = now.since(self.start);
        let state = match decision {
            Decision::Idle => {
                self.trace.decided(since_start, lp, None);
                if self.scheduler.machine().lp(lp).offline {
                    State::Parked
                } else {
                    State::Idle {
                        since: now,
                        wake: NEVER,
                    }
                }
            }
            Decision::Await => {
                self.trace.decided(since_start, lp, None);
                State::Awaiting {
                    since: now,
                    wake: NEVER,
                }
            }
            Decision::Run {
                vp,
                until,
                ready_since,
            } => {
                self.trace.decided(since_start, lp, Some(vp));
                self.trace.dispatches += 1;
                self.see_lag(lp, now, vp);
                let begin = now + self.assumed.overhead;
                State::Running(Running {
                    vp,
                    ready: ready_since,
                    start: now,
                    begin,
                    told: begin,
                    due: self.programs.due(vp, begin),
                    end: begin.max(until + self.lps[lp.index()].latency(self.assumed.kick_latency)),
                    kick: Reason::Slice,
                })
            }
        };
        self.lps[lp.index()].state = state;
        self.answer_calls(now, None);
        self.arm(lp);
        self.log_happened()
    }
}
