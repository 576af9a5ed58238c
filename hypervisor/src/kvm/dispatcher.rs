//! One thread per LP: decide, enter the VP, get kicked out, charge, log, and again.

use super::kick::Kicker;
use super::shared::{Core, SetUpError, Shared, lock};
use super::vcpu::{Left, Times, Vcpu, Want};
use crate::clock::thread_cpu;
use crate::dispatch_log::{Dispatch, LogEntry, LogWriter, Reason};
use crate::engine::Crash;
use crate::host;
use apportion_scheduler::{After, Decision, LpId, Nanos, VpId, VpState};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

/// How often each LP reports what it lost and the largest lag.
const SAMPLE_EVERY: Nanos = Nanos::from_millis(100);
/// How long an idle LP sleeps at most before it logs its idleness.
const IDLE_NAP: Nanos = Nanos::from_millis(100);

/// A dispatch that has ended and is not yet charged.
struct Ended {
    vp: VpId,
    ready: Nanos,
    start: Nanos,
    until: Nanos,
    end: Nanos,
    ran: Nanos,
    work: u64,
    left: Left,
    /// When an interrupt would wake it, or at once where there is one already.
    interrupted: Option<Nanos>,
}

impl Ended {
    /// What the VP wants next, where it said so by itself.
    fn wants(&self, now: Nanos) -> After {
        let Left::Wants(want) = self.left else {
            return After::Run;
        };
        let (until, least) = match want {
            Want::Spin => return After::Spin,
            Want::Yield => return After::Run,
            Want::Sleep { until, least } => (until, least),
        };
        let until = match (until, self.interrupted) {
            (Some(until), Some(interrupt)) => Some(until.min(interrupt)),
            (until, interrupt) => until.or(interrupt),
        };
        match until.map(|until| until.max(least)) {
            Some(until) if until <= now => After::Run,
            until => After::Sleep { until },
        }
    }
}

/// A dispatch that is about to begin.
struct Planned {
    vp: VpId,
    ready: Nanos,
    start: Nanos,
    /// The end of its slice, or of what it wants.
    until: Nanos,
    /// When the LP owes something to another VP.
    timer: Option<Nanos>,
}

/// When a stay is to end that begins now: at the first of `cuts`, or at `until` where that would leave less than the
/// shortest stay. What is left of a dispatch is worth entering for.
fn end_of_stay(until: Nanos, cuts: [Option<Nanos>; 2], shortest: Nanos) -> Nanos {
    let cut = cuts.into_iter().flatten().fold(until, Nanos::min);
    if cut + shortest > until { until } else { cut }
}

/// What an LP reports every [`SAMPLE_EVERY`].
#[derive(Default)]
struct Sample {
    since: Nanos,
    lost: Nanos,
    lag: Option<(VpId, i64)>,
}

impl Sample {
    fn see_lag(&mut self, vp: VpId, lag: Option<i64>) {
        if let Some(lag) = lag
            && self.lag.is_none_or(|(_, worst)| lag.abs() > worst.abs())
        {
            self.lag = Some((vp, lag));
        }
    }
}

/// Ends the run where a dispatcher panics: nobody would do any more what its LP owes to VPs.
struct StopOnPanic<'a>(&'a Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.panicked.store(true, SeqCst);
            self.0.stop();
        }
    }
}

/// One LP's dispatcher.
pub(crate) struct Dispatcher<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) lp: LpId,
    pub(crate) cpu: u32,
    pub(crate) log: LogWriter,
    /// The VP that it ran last.
    pub(crate) last: Option<VpId>,
}

impl Dispatcher<'_> {
    /// The thread's whole life: says through `ready` how setting up went, waits
    /// for the guests to be started, dispatches until stopped.
    pub(crate) fn run(mut self, ready: Sender<(LpId, Result<(), SetUpError>)>) {
        // Dropped last: no lock is held any more then.
        let _stop = StopOnPanic(self.shared);
        let (kicker, answer) = match self.set_up() {
            Ok(kicker) => (Some(kicker), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The root listens until every dispatcher has answered.
        let _ = ready.send((self.lp, answer));
        drop(ready);
        if let (Some(kicker), Some(start)) = (kicker, self.wait_for_start()) {
            self.dispatch(&kicker, start);
        }
    }

    /// When the guests were started; `None` where the run is over before.
    fn wait_for_start(&self) -> Option<Nanos> {
        let mut core = lock(&self.shared.scheduler);
        while !self.shared.stopping() {
            if core.start.is_some() {
                return core.start;
            }
            core = self.sleep(core, IDLE_NAP);
        }
        None
    }

    fn set_up(&self) -> Result<Kicker, SetUpError> {
        host::pin_to(self.cpu).map_err(|e| ("pin its dispatcher to a host CPU", e))?;
        host::wake_precisely().map_err(|e| ("make its sleeps precise", e))?;
        let kicker = Kicker::new(self.shared.entry);
        let (kicker, caller) = kicker.map_err(|e| ("create its timer", e))?;
        // Set once, by this thread.
        let _ = self.shared.callers[self.lp.index()].set(caller);
        // Last: nothing of the above is allowed any more.
        self.shared.restrict(self.lp)?;
        Ok(kicker)
    }

    fn dispatch(&mut self, kicker: &Kicker, start: Nanos) {
        let shared = self.shared;
        let mut ended: Option<Ended> = None;
        // Up to when this LP's time is accounted for.
        let mut mark = start;
        // Whether it has waited since then for a VP to come over.
        let mut awaited = false;
        let mut sample = Sample {
            since: mark,
            ..Sample::default()
        };
        loop {
            let mut core = lock(&shared.scheduler);
            let now = shared.clock.now();
            // K8. Whatever was asked for before the lock is seen below it.
            let called = kicker.handshake().take_request();
            let stopping = shared.stopping();
            if let Some(ended) = ended.take() {
                let lost = now.since(mark).since(ended.ran);
                let after = match ended.left {
                    Left::Kicked => core.demands[ended.vp.index()].ran(now, ended.ran),
                    _ => ended.wants(now),
                };
                core.scheduler.charge(now, self.lp, ended.ran, after);
                core.scheduler.lost(now, self.lp, lost);
                mark = now;
                sample.lost += lost;
                sample.see_lag(ended.vp, core.scheduler.lag(now, ended.vp));
                self.finish(&mut core, now, ended, stopping, called);
            }
            if std::mem::take(&mut awaited) {
                let lost = now.since(mark);
                core.scheduler.lost(now, self.lp, lost);
                mark = now;
                sample.lost += lost;
            }
            let stopping = stopping || shared.stopping();
            if now.since(sample.since) >= SAMPLE_EVERY || stopping {
                let counters = &shared.lp_counters[self.lp.index()];
                counters.thread.set(thread_cpu().0);
                self.log.push(LogEntry::Sample {
                    lp: self.lp,
                    at: now,
                    lost: sample.lost,
                    lag: sample.lag,
                });
                sample = Sample {
                    since: now,
                    ..Sample::default()
                };
            }
            if stopping {
                return;
            }
            let decision = core.scheduler.pick(now, self.lp);
            let called = shared.answer_calls(&mut core, Some(self.lp));
            self.log_happened(&mut core);
            match decision {
                Decision::Idle | Decision::Await if called => {}
                // Lost: see `awaited`.
                Decision::Await => {
                    self.idle(core);
                    awaited = true;
                }
                Decision::Idle => {
                    let online = !core.scheduler.machine().lp(self.lp).offline;
                    mark = self.idle(core);
                    // An LP that is off line delivers nothing, not even idleness.
                    if online {
                        self.log.push(LogEntry::Idle {
                            lp: self.lp,
                            start: now,
                            end: mark,
                        });
                    }
                }
                Decision::Run {
                    vp,
                    until,
                    ready_since,
                } => {
                    sample.see_lag(vp, core.scheduler.lag(now, vp));
                    let dispatch = Planned {
                        vp,
                        ready: ready_since,
                        start: now,
                        until: core.demands[vp.index()].until(now, until),
                        timer: core.scheduler.next_timer(self.lp),
                    };
                    drop(core);
                    if called {
                        // The decision itself found a reason for another one.
                        kicker.handshake().request();
                    }
                    ended = Some(self.enter(kicker, dispatch));
                }
            }
        }
    }

    fn log_happened(&mut self, core: &mut Core) {
        for happened in core.scheduler.take_happened() {
            self.log.push(LogEntry::Vp(happened));
        }
    }

    /// Runs a VP until it leaves the LP. Between, the LP does what it owes to
    /// others: it leaves the VP for a moment to end their sleeps and holds.
    fn enter(&mut self, kicker: &Kicker, dispatch: Planned) -> Ended {
        let shared = self.shared;
        let Planned {
            vp,
            ready,
            start,
            until,
            mut timer,
        } = dispatch;
        let mut vcpu = lock(&shared.vps[vp.index()]);
        self.count_dispatch(&mut vcpu, vp, start.since(ready));
        let shortest = kicker.entry().least_stay();
        // Counted from here: what deciding took is nothing that the VP received.
        let until = until + shared.clock.now().since(start);
        let work = vcpu.work();
        let mut ran = Nanos::ZERO;
        let (left, end) = loop {
            vcpu.collect_interrupts();
            let tick = vcpu.next_tick();
            let stay = vcpu.run(kicker, end_of_stay(until, [timer, tick], shortest));
            self.count_stay(&stay.times);
            ran += stay.times.ran();
            let (left, end) = (stay.left, shared.clock.now());
            let by = |time: Option<Nanos>| time.is_some_and(|time| time <= end);
            let goes_on = end + shortest <= until && (by(timer) || by(tick));
            if !goes_on || !matches!(left, Left::Kicked) || kicker.handshake().requested() {
                break (left, end);
            }
            if !by(timer) {
                // Only an interrupt, which the VP is given as it goes on.
                continue;
            }
            let mut core = lock(&shared.scheduler);
            core.scheduler.tick(shared.clock.now(), self.lp);
            let called = shared.answer_calls(&mut core, Some(self.lp));
            self.log_happened(&mut core);
            timer = core.scheduler.next_timer(self.lp);
            if called {
                kicker.handshake().request();
                break (left, end);
            }
        };
        Ended {
            vp,
            ready,
            start,
            until,
            end,
            ran,
            // The counter lies in the guest's memory: it may go anywhere. A unit
            // takes far longer than a nanosecond, which bounds what is believed.
            work: vcpu.work().saturating_sub(work).min(ran.0),
            left,
            interrupted: vcpu.interrupted_at(),
        }
    }

    fn count_dispatch(&mut self, vcpu: &mut Vcpu, vp: VpId, waited: Nanos) {
        let counters = vcpu.counters();
        counters.dispatches.add(1);
        counters.ready.add(waited.0);
        if vcpu.moves_to(self.lp) {
            vcpu.counters().migrations.add(1);
        }
        if self.last.replace(vp) != Some(vp) {
            self.shared.lp_counters[self.lp.index()].switches.add(1);
        }
    }

    fn count_stay(&self, times: &Times) {
        let counters = &self.shared.lp_counters[self.lp.index()];
        counters.guest.add(times.guest.0);
        counters
            .thread
            .set(times.ended.0.max(counters.thread.get()));
    }

    /// Logs a dispatch that has been charged, and takes its guest out where it crashed.
    fn finish(&mut self, core: &mut Core, now: Nanos, ended: Ended, stopping: bool, called: bool) {
        let reason = match (&ended.left, core.scheduler.machine().vp(ended.vp).state) {
            (Left::Crashed(_), _) => Reason::Fault,
            (Left::Failed(_), _) | (_, VpState::Suspended) => Reason::End,
            _ if stopping => Reason::End,
            (_, VpState::Sleeping { .. }) => Reason::Idle,
            (Left::Wants(_), _) => Reason::Hypercall,
            _ if called && ended.end < ended.until => Reason::Preempted,
            (_, VpState::Held { .. }) => Reason::Capped,
            _ => Reason::Slice,
        };
        self.log.push(LogEntry::Dispatch(Dispatch {
            lp: self.lp,
            vp: ended.vp,
            ready: ended.ready,
            start: ended.start,
            end: ended.end,
            ran: ended.ran,
            work: ended.work,
            reason,
        }));
        match ended.left {
            Left::Kicked | Left::Wants(_) => {}
            Left::Crashed(exit) => self.crash(core, now, ended.vp, &exit),
            Left::Failed(error) => {
                lock(&self.shared.failure).get_or_insert((self.lp, error));
                self.shared.stop.store(true, SeqCst);
            }
        }
    }

    /// Off the hot path: this happens once per guest at most.
    fn crash(&mut self, core: &mut Core, now: Nanos, vp: VpId, exit: &str) {
        let guest = self.shared.vp_infos[vp.index()].guest;
        let vcpu = lock(&self.shared.vps[vp.index()]);
        let mut crashes = lock(&self.shared.crashes);
        // One that was stopped meanwhile is gone already.
        let is_here = core.scheduler.machine().guest(guest).is_here();
        if !is_here || crashes.iter().any(|crash| crash.guest == guest) {
            return;
        }
        crashes.push(Crash {
            guest,
            vp: vcpu.index(),
            at: now,
            report: format!("{exit}: {}", vcpu.dump()),
        });
        self.log.push(LogEntry::GuestCrashed {
            guest,
            vp: vcpu.index(),
            at: now,
        });
        core.scheduler.stop_guest(now, guest);
        self.shared.answer_calls(core, Some(self.lp));
    }

    /// Sleeps until woken, until it owes something to a VP, or for [`IDLE_NAP`]; returns when it ended.
    fn idle(&self, core: MutexGuard<'_, Core>) -> Nanos {
        let now = self.shared.clock.now();
        let nap = core
            .scheduler
            .next_timer(self.lp)
            .map_or(IDLE_NAP, |timer| timer.since(now).min(IDLE_NAP));
        let _core = self.sleep(core, nap);
        self.shared.clock.now()
    }

    fn sleep<'a>(&self, core: MutexGuard<'a, Core>, nap: Nanos) -> MutexGuard<'a, Core> {
        let nap = Duration::from_nanos(nap.0);
        let lp = self.lp.index();
        self.shared
            .beds
            .sleep(core, lp, nap, |core| &mut core.asleep)
    }
}
