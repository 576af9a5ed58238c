//! What is counted while guests run: always on, cheap to count, read by the root from time to time.
//!
//! Each counter but one has one writer at a time (an LP's dispatcher; a VP's,
//! which is whoever runs it), so that counting is a load and a store.

use apportion_scheduler::Nanos;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number with one writer at a time.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.get().wrapping_add(more), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, to: u64) {
        self.0.store(to, Relaxed);
    }
}

/// What made a VP exit to the hypervisor. (A kick is none: it is the host's doing.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Intercept {
    /// A hypercall.
    Hypercall,
    /// A port that nobody serves.
    Port,
    /// An address outside its memory.
    Memory,
    /// It can take an interrupt now.
    InterruptWindow,
    /// A fault that it does not handle.
    Fault,
    /// Anything else.
    Other,
}

impl Intercept {
    /// All kinds.
    pub const ALL: [Intercept; 6] = [
        Intercept::Hypercall,
        Intercept::Port,
        Intercept::Memory,
        Intercept::InterruptWindow,
        Intercept::Fault,
        Intercept::Other,
    ];
}

/// Of a VP.
#[derive(Debug, Default)]
pub(crate) struct VpCounters {
    /// CPU time inside KVM_RUN, ns.
    pub(crate) guest: Counter,
    /// CPU time of serving its intercepts, ns.
    pub(crate) service: Counter,
    /// Time Ready, ns.
    pub(crate) ready: Counter,
    pub(crate) dispatches: Counter,
    pub(crate) migrations: Counter,
    intercepts: [Counter; Intercept::ALL.len()],
    pub(crate) long_spin_waits: Counter,
    /// Calls that were to end a dispatch, and came too often to do so.
    pub(crate) ignored: Counter,
    /// Hypercalls that were answered with an error.
    pub(crate) refused: Counter,
    /// Lines for the log that came too often to be kept.
    pub(crate) log_dropped: Counter,
    /// Interrupts, by the VP's own timer and by the root.
    posted: AtomicU64,
    /// Of these, given to the VP.
    pub(crate) injected: Counter,
}

impl VpCounters {
    pub(crate) fn intercepted(&self, kind: Intercept) {
        self.intercepts[kind as usize].add(1);
    }

    pub(crate) fn post(&self, interrupts: u64) {
        self.posted.fetch_add(interrupts, Relaxed);
    }

    pub(crate) fn posted(&self) -> u64 {
        self.posted.load(Relaxed)
    }
}

/// Of an LP's dispatcher.
#[derive(Debug, Default)]
pub(crate) struct LpCounters {
    /// CPU time inside KVM_RUN, ns.
    pub(crate) guest: Counter,
    /// CPU time of its thread in all, ns.
    pub(crate) thread: Counter,
    /// Changes from one VP to another.
    pub(crate) switches: Counter,
}

/// All counters at one time. Everything is counted from the start of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// On the engine's clock.
    pub at: Nanos,
    /// By LP.
    pub lps: Vec<LpSnapshot>,
    /// CPU time of the root that was seen on CPUs that are no LP.
    pub root_elsewhere: Nanos,
    /// By [`apportion_scheduler::VpId`].
    pub vps: Vec<VpSnapshot>,
}

/// An LP and its host CPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LpSnapshot {
    /// CPU time of its dispatcher inside KVM_RUN.
    pub guest: Nanos,
    /// The dispatcher's other CPU time.
    pub hypervisor: Nanos,
    /// CPU time of the root that was seen on this CPU.
    pub root: Nanos,
    /// CPU time of whatever else ran on this CPU.
    pub others: Nanos,
    /// What the outer host took.
    pub steal: Nanos,
    /// What nobody wanted.
    pub idle: Nanos,
    /// Changes from one VP to another.
    pub switches: u64,
}

impl LpSnapshot {
    /// Becomes `now`, but for what would go back: the clocks behind it are read one
    /// after the other, and some of them in ticks of 10 ms.
    pub(crate) fn advance_to(&mut self, now: LpSnapshot) {
        *self = LpSnapshot {
            guest: self.guest.max(now.guest),
            hypervisor: self.hypervisor.max(now.hypervisor),
            root: self.root.max(now.root),
            others: self.others.max(now.others),
            steal: self.steal.max(now.steal),
            idle: self.idle.max(now.idle),
            switches: now.switches,
        };
    }
}

/// A VP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VpSnapshot {
    /// CPU time inside KVM_RUN.
    pub guest: Nanos,
    /// CPU time of serving its intercepts, which is charged to it, too.
    pub service: Nanos,
    /// Time Ready.
    pub ready: Nanos,
    /// How often it was given an LP.
    pub dispatches: u64,
    /// How often that was another one than the last time.
    pub migrations: u64,
    /// By [`Intercept`].
    pub intercepts: [u64; Intercept::ALL.len()],
    /// Notifications of long spins.
    pub long_spin_waits: u64,
    /// Calls that were to end a dispatch, and came too often to do so.
    pub ignored: u64,
    /// Hypercalls that were answered with an error.
    pub refused: u64,
    /// Lines for the log that came too often to be kept.
    pub log_dropped: u64,
    /// Interrupts that the host posted.
    pub posted: u64,
    /// Of these, given to the VP.
    pub injected: u64,
    /// Interrupts that the guest says it has handled; it may say anything.
    pub handled: u64,
}

impl VpCounters {
    pub(crate) fn snapshot(&self, handled: u64) -> VpSnapshot {
        VpSnapshot {
            guest: Nanos(self.guest.get()),
            service: Nanos(self.service.get()),
            ready: Nanos(self.ready.get()),
            dispatches: self.dispatches.get(),
            migrations: self.migrations.get(),
            intercepts: std::array::from_fn(|kind| self.intercepts[kind].get()),
            long_spin_waits: self.long_spin_waits.get(),
            ignored: self.ignored.get(),
            refused: self.refused.get(),
            log_dropped: self.log_dropped.get(),
            posted: self.posted(),
            injected: self.injected.get(),
            handled,
        }
    }
}
