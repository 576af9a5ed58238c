//! What the dispatchers of a run share: the scheduler under its lock, the VPs, and how everybody is called.

use super::entry::EntryTime;
use super::idle::{Asleep, Beds};
use super::interrupts::Mailbox;
use super::kick::{Caller, Kicker};
use super::seccomp::{self, Refusal};
use super::vcpu::Vcpu;
use crate::clock::Clock;
use crate::counters::{LpCounters, VpCounters};
use crate::demand::Demand;
use crate::dispatch_log::LogEntry;
use crate::engine::Crash;
use crate::host;
use crate::run_spec::Action;
use apportion_abi::Payload;
use apportion_scheduler::{AdmissionError, Entry, GuestId, LpId, Nanos, Scheduler, VpId, VpState};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// What all dispatchers of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    /// What it takes to enter a VP and to leave it.
    pub(super) entry: EntryTime,
    /// Every decision is taken under this lock, with the clock read inside it.
    pub(super) scheduler: Mutex<Core>,
    /// Where LPs sleep while they are idle.
    pub(super) beds: Beds,
    /// By [`VpId`]. Locked by the dispatcher that runs the VP: never contended,
    /// since the scheduler gives a VP to one LP at a time.
    pub(super) vps: Vec<Mutex<Vcpu>>,
    /// By [`VpId`]: whose it is, what it runs, and how to reach it from outside.
    pub(super) vp_infos: Vec<VpInfo>,
    /// By LP.
    pub(super) lp_counters: Vec<LpCounters>,
    pub(super) seed: u64,
    /// By LP: how to call its dispatcher away.
    pub(super) callers: Vec<OnceLock<Caller>>,
    pub(super) stop: AtomicBool,
    pub(super) crashes: Mutex<Vec<Crash>>,
    /// Whether a dispatcher has panicked; the run ends then.
    pub(super) panicked: AtomicBool,
    /// What KVM refused, where it did; the run ends then.
    pub(super) failure: Mutex<Option<(LpId, io::Error)>>,
    /// What a dispatcher was refused, where it was; the run ends then.
    pub(super) refusal: &'static Refusal,
}

/// What is known of a VP without its lock.
#[derive(Debug)]
pub(crate) struct VpInfo {
    pub(crate) guest: GuestId,
    pub(crate) payload: Payload,
    pub(crate) counters: Arc<VpCounters>,
    mailbox: Mailbox,
}

impl VpInfo {
    pub(crate) fn of(vcpu: &Vcpu, guest: GuestId, payload: Payload) -> VpInfo {
        VpInfo {
            guest,
            payload,
            counters: vcpu.counters().clone(),
            mailbox: vcpu.mailbox(),
        }
    }
}

/// What is kept under the one lock.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) scheduler: Scheduler,
    /// By [`VpId`].
    pub(super) demands: Vec<Demand>,
    /// Which LPs sleep.
    pub(super) asleep: Asleep,
    /// When the guests were started, once they are.
    pub(super) start: Option<Nanos>,
}

/// Why a dispatcher could not be set up: what was being done, and the system's answer.
pub(crate) type SetUpError = (&'static str, io::Error);

/// A lock whose holder panicked still guards valid data here: the panic itself is reported by `join`.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(
        clock: Clock,
        entry: EntryTime,
        scheduler: Scheduler,
        seed: u64,
        vps: Vec<Vcpu>,
        vp_infos: Vec<VpInfo>,
    ) -> Shared {
        let lps = scheduler.machine().config().topology.lps() as usize;
        Shared {
            clock,
            entry,
            scheduler: Mutex::new(Core {
                scheduler,
                demands: Vec::new(),
                asleep: Asleep::new(lps),
                start: None,
            }),
            beds: Beds::new(lps),
            vps: vps.into_iter().map(Mutex::new).collect(),
            vp_infos,
            lp_counters: (0..lps).map(|_| LpCounters::default()).collect(),
            seed,
            callers: (0..lps).map(|_| OnceLock::new()).collect(),
            stop: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            crashes: Mutex::new(Vec::new()),
            failure: Mutex::new(None),
            refusal: Refusal::none_yet(),
        }
    }

    fn demand(&self, vp: usize, start: Nanos) -> Demand {
        Demand::new(self.vp_infos[vp].payload, self.seed, vp as u64, start)
    }

    /// Makes every VP of every guest that is there Ready at one time, which is returned.
    pub(crate) fn start_guests(&self) -> Nanos {
        let mut core = lock(&self.scheduler);
        let now = self.clock.now();
        core.demands = (0..self.vps.len()).map(|vp| self.demand(vp, now)).collect();
        let machine = core.scheduler.machine();
        let guests = machine.guests().filter(|(_, guest)| guest.is_here());
        let present: Vec<VpId> = guests.flat_map(|(_, guest)| guest.vps.clone()).collect();
        for vp in &present {
            lock(&self.vps[vp.index()]).start(now);
        }
        core.scheduler.start(now, &present);
        core.start = Some(now);
        self.beds.wake_all();
        now
    }

    /// Does what a change asks for; what it gave, and when it was done.
    pub(crate) fn change(
        &self,
        action: Action,
    ) -> Result<(Option<LogEntry>, Vec<LogEntry>), AdmissionError> {
        let mut core = lock(&self.scheduler);
        let now = self.clock.now();
        let done = action.apply(&mut core.scheduler, now)?;
        let begun = match done {
            Some(LogEntry::VpAdded { vp, .. }) => vec![vp],
            Some(LogEntry::GuestStarted { guest, .. }) => {
                core.scheduler.machine().guest(guest).vps.clone()
            }
            _ => Vec::new(),
        };
        for vp in begun {
            core.demands[vp.index()] = self.demand(vp.index(), now);
            lock(&self.vps[vp.index()]).start(now);
        }
        if let Action::PostInterrupts { guest, count } = action {
            self.post(&mut core, now, guest, count);
        }
        self.answer_calls(&mut core, None);
        let happened = core.scheduler.take_happened().map(LogEntry::Vp).collect();
        Ok((done, happened))
    }

    /// Posts interrupts to all VPs of a guest. One that sleeps by its own will
    /// wakes for them; one that runs leaves KVM_RUN for a moment to be given
    /// them, in the same dispatch; any other gets them when it next runs.
    fn post(&self, core: &mut Core, now: Nanos, guest: GuestId, count: u32) {
        let machine = core.scheduler.machine();
        let there = |vp: &VpId| machine.vp(*vp).state != VpState::Suspended;
        let vps = machine.guest(guest).vps.iter().copied();
        for vp in vps.filter(there).collect::<Vec<_>>() {
            let info = &self.vp_infos[vp.index()];
            info.counters.post(u64::from(count));
            info.mailbox.post(u64::from(count));
            // Whose sleeps are the host's doing wants nothing before its time.
            if !core.demands[vp.index()].sleeps() {
                core.scheduler.wake(now, vp);
            }
            if let VpState::Running { lp, .. } = core.scheduler.machine().vp(vp).state
                && let Some(caller) = self.callers[lp.index()].get()
            {
                caller.nudge();
            }
        }
    }

    /// Wakes a VP that sleeps, from the root; what else happened by that.
    pub(crate) fn wake(&self, vp: VpId) -> Vec<LogEntry> {
        let mut core = lock(&self.scheduler);
        let now = self.clock.now();
        core.scheduler.wake(now, vp);
        self.answer_calls(&mut core, None);
        core.scheduler.take_happened().map(LogEntry::Vp).collect()
    }

    /// By [`VpId`].
    pub(crate) fn vp_infos(&self) -> &[VpInfo] {
        &self.vp_infos
    }

    /// CPU time that the LP's dispatcher has received so far.
    pub(crate) fn dispatcher_cpu(&self, lp: usize) -> Nanos {
        let counted = Nanos(self.lp_counters[lp].thread.get());
        let caller = self.callers[lp].get();
        caller
            .and_then(Caller::cpu)
            .map_or(counted, |now| now.max(counted))
    }

    /// By LP.
    pub(crate) fn lp_counters(&self) -> &[LpCounters] {
        &self.lp_counters
    }

    /// Keeps the calling thread, on which guests are to run, from making other system calls than they need.
    pub(super) fn restrict(&self, lp: LpId) -> Result<(), SetUpError> {
        seccomp::restrict(self.refusal, lp).map_err(|e| ("restrict its system calls", e))
    }

    /// Once the dispatchers are gone: lets every VP that was there handle the
    /// interrupts that it was posted, so that as many are handled as were posted.
    pub(crate) fn settle(&self) -> Result<(), SetUpError> {
        let crashed: Vec<GuestId> = lock(&self.crashes).iter().map(|it| it.guest).collect();
        let posted = |vp: &VpInfo| vp.counters.posted() > 0 && !crashed.contains(&vp.guest);
        let vps = self.vps.iter().zip(&self.vp_infos);
        let open: Vec<&Mutex<Vcpu>> = vps
            .filter(|(_, info)| posted(info))
            .map(|(vcpu, _)| vcpu)
            .collect();
        let failed = self.refused().is_some() || self.panicked.load(SeqCst);
        if open.is_empty() || failed {
            return Ok(());
        }
        // Not on the root's thread, which may call anything.
        thread::scope(|scope| {
            let settled = thread::Builder::new()
                .name("settle".to_owned())
                .spawn_scoped(scope, || self.settle_here(&open))
                .map_err(|e| ("start a thread", e))?
                .join();
            settled.unwrap_or_else(|_| {
                Err((
                    "have interrupts handled",
                    io::Error::other("its thread panicked"),
                ))
            })
        })
    }

    fn settle_here(&self, open: &[&Mutex<Vcpu>]) -> Result<(), SetUpError> {
        const EACH: Nanos = Nanos::from_millis(20);
        let (kicker, _) = Kicker::new(self.entry).map_err(|e| ("create a timer", e))?;
        self.restrict(LpId(0))?;
        for vcpu in open {
            lock(vcpu).settle(&kicker, self.clock.now() + EACH);
        }
        Ok(())
    }

    /// Calls the LPs that the scheduler wants to decide anew; whether `own` is among them.
    pub(super) fn answer_calls(&self, core: &mut Core, own: Option<LpId>) -> bool {
        let mut own_called = false;
        let Core {
            scheduler, asleep, ..
        } = core;
        for lp in scheduler.take_calls() {
            if Some(lp) == own {
                own_called = true;
            } else if !self.beds.wake(asleep, lp.index())
                && let Some(caller) = self.callers[lp.index()].get()
            {
                caller.call();
            }
        }
        own_called
    }

    /// The decisions since the last time.
    pub(crate) fn take_decisions(&self) -> Vec<Entry> {
        lock(&self.scheduler).scheduler.take_journal()
    }

    /// Whether the run is to end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(SeqCst) || self.refused().is_some()
    }

    /// What ended the run early, if something did.
    pub(crate) fn take_failure(&self) -> Option<(LpId, io::Error)> {
        lock(&self.failure).take()
    }

    /// Where a dispatcher was refused a system call, and which, if one was.
    pub(crate) fn refused(&self) -> Option<(LpId, u32)> {
        self.refusal.get()
    }

    /// Of all dispatchers, while they are there.
    pub(crate) fn involuntary_switches(&self) -> u64 {
        let callers = self.callers.iter().filter_map(OnceLock::get);
        callers
            .map(|caller| host::involuntary_switches(caller.thread()))
            .sum()
    }

    /// Ends the run: every dispatcher leaves its VP and returns.
    pub(crate) fn stop(&self) {
        self.stop.store(true, SeqCst);
        let _core = lock(&self.scheduler);
        self.callers
            .iter()
            .filter_map(OnceLock::get)
            .for_each(Caller::call);
        self.beds.wake_all();
    }

    /// The crashes after the first so many.
    pub(super) fn crashes_after(&self, known: usize) -> Vec<Crash> {
        lock(&self.crashes)[known..].to_vec()
    }

    /// The crashes so far, in order.
    pub(crate) fn take_crashes(&self) -> Vec<Crash> {
        std::mem::take(&mut lock(&self.crashes))
    }
}
