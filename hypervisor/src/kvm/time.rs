//! What time guests are told: one line for all of them, each counting from when it was created.

use super::tsc;
use crate::clock::Clock;
use crate::guest::GuestMemory;
use crate::reference::{Reference, since};
use apportion_abi::clock::UNIT_NS;
use apportion_scheduler::Nanos;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The reference time of all guests of an engine.
#[derive(Debug)]
pub(crate) struct HostTime {
    clock: Clock,
    /// `None` where time stamps do not tell time: guests ask then, and the clock answers.
    reference: Option<Mutex<Reference>>,
    /// How far the line was from the clock at the most, ns.
    worst: AtomicU64,
}

impl HostTime {
    /// `ticks_per_ms` as KVM tells; 0 where it does not.
    pub(crate) fn new(clock: Clock, ticks_per_ms: u64) -> HostTime {
        let known = ticks_per_ms > 0 && tsc::tells_time();
        let start = || Mutex::new(Reference::start(tsc::sample(clock), ticks_per_ms));
        HostTime {
            clock,
            reference: known.then(start),
            worst: AtomicU64::new(0),
        }
    }

    /// The engine's clock.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    fn reference(&self) -> Option<MutexGuard<'_, Reference>> {
        let reference = self.reference.as_ref()?;
        Some(reference.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// In units of 100 ns since the engine's origin.
    fn now(&self) -> u64 {
        match self.reference() {
            // Under the lock: the line may be another one afterwards.
            Some(reference) => reference.line().at(tsc::ticks()),
            None => self.clock.now().0 / UNIT_NS,
        }
    }

    /// Follows the clock, several times a second. No page may show the line
    /// meanwhile: see [`GuestTime::hide`] and [`GuestTime::show`].
    pub(super) fn follow(&self) {
        if let Some(mut reference) = self.reference() {
            let now = tsc::sample(self.clock);
            let shown = reference.line().at(now.tsc).saturating_mul(UNIT_NS);
            self.worst.fetch_max(shown.abs_diff(now.ns), Relaxed);
            reference.follow(now);
        }
    }

    /// How far the line was from the clock at the most since the last time it was
    /// asked; `None` where there is no line.
    pub(crate) fn take_error(&self) -> Option<Nanos> {
        let worst = Nanos(self.worst.swap(0, Relaxed));
        self.reference.is_some().then_some(worst)
    }
}

/// The reference time of one guest.
#[derive(Debug)]
pub(crate) struct GuestTime {
    host: Arc<HostTime>,
    /// When it was created, in units of 100 ns since the engine's origin.
    epoch: u64,
}

impl GuestTime {
    /// Of a guest that is created now.
    pub(crate) fn begin(host: Arc<HostTime>) -> GuestTime {
        let epoch = host.now();
        GuestTime { host, epoch }
    }

    /// The engine's clock.
    pub(super) fn clock(&self) -> Clock {
        self.host.clock
    }

    /// The reference time.
    pub(super) fn now(&self) -> u64 {
        self.host.now() - self.epoch
    }

    /// A reference time on the engine's clock.
    pub(super) fn to_engine(&self, time: u64) -> Nanos {
        Nanos(time.saturating_add(self.epoch).saturating_mul(UNIT_NS))
    }

    /// A time on the engine's clock as reference time.
    pub(super) fn to_guest(&self, at: Nanos) -> u64 {
        (at.0 / UNIT_NS).saturating_sub(self.epoch)
    }

    /// Makes the guest's page show nothing: its VPs ask by hypercall meanwhile.
    pub(super) fn hide(&self, memory: &GuestMemory) {
        memory.show_time(0, None);
    }

    /// Makes the guest's page show the line as it is.
    pub(super) fn show(&self, sequence: u32, memory: &GuestMemory) {
        let line = self.host.reference().map(|reference| reference.line());
        memory.show_time(sequence, line.map(|line| since(line, self.epoch)));
    }
}
