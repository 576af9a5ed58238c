//! One thread per LP: decide, enter the VP, get kicked out, charge, log, and again.

use super::kick::{Caller, Kicker};
use super::vcpu::{Left, Vcpu};
use crate::clock::{Clock, thread_cpu};
use crate::dispatch_log::{Dispatch, LogEntry, LogWriter, Reason};
use crate::engine::Crash;
use crate::host;
use apportion_scheduler::{Decision, GuestId, LpId, Nanos, Scheduler, VpId, VpState};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How often each LP reports what it lost and the largest lag.
const SAMPLE_EVERY: Nanos = Nanos::from_millis(100);
/// How long an idle LP sleeps at most before it logs its idleness.
const IDLE_NAP: Duration = Duration::from_millis(100);

/// What all dispatchers of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    /// Every decision is taken under this lock, with the clock read inside it.
    scheduler: Mutex<Core>,
    /// By LP: where it sleeps while it is idle.
    wake: Vec<Condvar>,
    /// By [`VpId`]. Locked by the dispatcher that runs the VP: never contended,
    /// since the scheduler gives a VP to one LP at a time.
    vps: Vec<Mutex<Vcpu>>,
    guests: Vec<GuestId>,
    /// By LP: how to call its dispatcher away.
    callers: Vec<OnceLock<Caller>>,
    stop: AtomicBool,
    crashes: Mutex<Vec<Crash>>,
    /// What KVM refused, where it did; the run ends then.
    failure: Mutex<Option<(LpId, io::Error)>>,
}

#[derive(Debug)]
struct Core {
    scheduler: Scheduler,
    /// By LP: asleep on its condition variable.
    asleep: Vec<bool>,
    /// When the guests were started, once they are.
    start: Option<Nanos>,
}

/// Why a dispatcher could not be set up: what was being done, and the system's answer.
pub(crate) type SetUpError = (&'static str, io::Error);

/// A lock whose holder panicked still guards valid data here: the panic itself is reported by `join`.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        scheduler: Scheduler,
        lps: usize,
        vps: Vec<Vcpu>,
        guests: Vec<GuestId>,
    ) -> Shared {
        Shared {
            clock,
            scheduler: Mutex::new(Core {
                scheduler,
                asleep: vec![false; lps],
                start: None,
            }),
            wake: (0..lps).map(|_| Condvar::new()).collect(),
            vps: vps.into_iter().map(Mutex::new).collect(),
            guests,
            callers: (0..lps).map(|_| OnceLock::new()).collect(),
            stop: AtomicBool::new(false),
            crashes: Mutex::new(Vec::new()),
            failure: Mutex::new(None),
        }
    }

    /// Makes every VP Ready at one time, which is returned.
    pub(crate) fn start_guests(&self) -> Nanos {
        let mut core = lock(&self.scheduler);
        let now = self.clock.now();
        let all = (0..self.vps.len() as u32).map(VpId);
        core.scheduler.resume(now, all);
        core.start = Some(now);
        self.wake.iter().for_each(Condvar::notify_one);
        now
    }

    /// Whether the run is to end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// What ended the run early, if something did.
    pub(crate) fn take_failure(&self) -> Option<(LpId, io::Error)> {
        lock(&self.failure).take()
    }

    /// Ends the run: every dispatcher leaves its VP and returns.
    pub(crate) fn stop(&self) {
        self.stop.store(true, SeqCst);
        let _core = lock(&self.scheduler);
        self.callers
            .iter()
            .filter_map(OnceLock::get)
            .for_each(Caller::call);
        self.wake.iter().for_each(Condvar::notify_one);
    }

    /// The crashes so far, in order.
    pub(crate) fn take_crashes(&self) -> Vec<Crash> {
        std::mem::take(&mut lock(&self.crashes))
    }
}

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

/// One LP's dispatcher.
pub(crate) struct Dispatcher<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) lp: LpId,
    pub(crate) cpu: u32,
    pub(crate) log: LogWriter,
}

impl Dispatcher<'_> {
    /// The thread's whole life: says through `ready` how setting up went, waits
    /// for the guests to be started, dispatches until stopped. Returns its
    /// involuntary context switches.
    pub(crate) fn run(mut self, ready: Sender<(LpId, Result<(), SetUpError>)>) -> u64 {
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
        host::involuntary_switches()
    }

    /// When the guests were started; `None` where the run is over before.
    fn wait_for_start(&self) -> Option<Nanos> {
        let mut core = lock(&self.shared.scheduler);
        while !self.shared.stopping() {
            if core.start.is_some() {
                return core.start;
            }
            core = self.shared.wake[self.lp.index()]
                .wait(core)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn set_up(&self) -> Result<Kicker, SetUpError> {
        host::pin_to(self.cpu).map_err(|e| ("pin its dispatcher to a host CPU", e))?;
        let (kicker, caller) = Kicker::new().map_err(|e| ("create its timer", e))?;
        // Set once, by this thread.
        let _ = self.shared.callers[self.lp.index()].set(caller);
        Ok(kicker)
    }

    fn dispatch(&mut self, kicker: &Kicker, start: Nanos) {
        let shared = self.shared;
        let mut ended: Option<Ended> = None;
        // Up to when this LP's time is accounted for.
        let mut mark = start;
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
                core.scheduler.charge(now, self.lp, ended.ran);
                core.scheduler.lost(now, self.lp, lost);
                mark = now;
                sample.lost += lost;
                sample.see_lag(ended.vp, core.scheduler.lag(now, ended.vp));
                self.finish(&mut core, now, ended, stopping, called);
            }
            let stopping = stopping || shared.stopping();
            if now.since(sample.since) >= SAMPLE_EVERY || stopping {
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
            match core.scheduler.pick(now, self.lp) {
                Decision::Idle => {
                    mark = self.idle(core);
                    self.log.push(LogEntry::Idle {
                        lp: self.lp,
                        start: now,
                        end: mark,
                    });
                }
                Decision::Run {
                    vp,
                    until,
                    ready_since,
                } => {
                    sample.see_lag(vp, core.scheduler.lag(now, vp));
                    self.wake_an_idle_lp(&core);
                    drop(core);
                    ended = Some(self.enter(kicker, vp, ready_since, now, until));
                }
            }
        }
    }

    /// Runs `vp` until it leaves the LP.
    fn enter(&self, kicker: &Kicker, vp: VpId, ready: Nanos, start: Nanos, until: Nanos) -> Ended {
        let mut vcpu = lock(&self.shared.vps[vp.index()]);
        let work = vcpu.work();
        let cpu = thread_cpu();
        let left = vcpu.run(kicker, self.shared.clock.to_monotonic(until));
        let ran = thread_cpu().since(cpu);
        let end = self.shared.clock.now();
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
        }
    }

    /// Logs a dispatch that has been charged, and takes its guest out where it crashed.
    fn finish(&mut self, core: &mut Core, now: Nanos, ended: Ended, stopping: bool, called: bool) {
        let suspended = core.scheduler.vps().get(ended.vp).state == VpState::Suspended;
        let reason = match &ended.left {
            Left::Crashed(_) => Reason::Fault,
            Left::Failed(_) => Reason::End,
            Left::Kicked if stopping || suspended => Reason::End,
            Left::Kicked if called && ended.end < ended.until => Reason::Preempted,
            Left::Kicked => Reason::Slice,
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
            Left::Kicked => {}
            Left::Crashed(exit) => self.crash(core, now, ended.vp, &exit),
            Left::Failed(error) => {
                lock(&self.shared.failure).get_or_insert((self.lp, error));
                self.shared.stop.store(true, SeqCst);
            }
        }
    }

    /// Off the hot path: this happens once per guest at most.
    fn crash(&mut self, core: &mut Core, now: Nanos, vp: VpId, exit: &str) {
        let guest = self.shared.guests[vp.index()];
        let vcpu = lock(&self.shared.vps[vp.index()]);
        let mut crashes = lock(&self.shared.crashes);
        if crashes.iter().any(|crash| crash.guest == guest) {
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
        for lp in core.scheduler.suspend_guest(now, guest) {
            if let Some(caller) = self.shared.callers[lp.index()].get() {
                caller.call();
            }
        }
    }

    /// Sleeps until woken or for [`IDLE_NAP`]; returns when it ended.
    fn idle(&self, mut core: MutexGuard<'_, Core>) -> Nanos {
        core.asleep[self.lp.index()] = true;
        let (mut core, _) = self.shared.wake[self.lp.index()]
            .wait_timeout(core, IDLE_NAP)
            .unwrap_or_else(PoisonError::into_inner);
        core.asleep[self.lp.index()] = false;
        self.shared.clock.now()
    }

    /// No LP sleeps while a VP is Ready.
    fn wake_an_idle_lp(&self, core: &Core) {
        if let Some(lp) = core.asleep.iter().position(|&asleep| asleep)
            && core.scheduler.vps().ready().next().is_some()
        {
            self.shared.wake[lp].notify_one();
        }
    }
}
