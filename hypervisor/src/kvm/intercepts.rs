//! What a VP's exits lead to: hypercalls are served, whatever nobody serves ends the guest.

use super::endings::{ENDING_COSTS, ENDINGS_SAVED, Endings};
use super::guest_log::GuestLog;
use crate::clock::Clock;
use crate::counters::{Intercept, VpCounters};
use crate::guest::{GuestMemory, Request};
use crate::kvm::time::GuestTime;
use apportion_abi::hypercall::{PORT, Status};
use apportion_scheduler::Nanos;
use kvm_ioctls::VcpuExit;
use std::io;
use std::sync::Arc;

/// Why a VP left its LP.
#[derive(Debug)]
pub(crate) enum Left {
    /// The deadline has come, or the dispatcher was called away.
    Kicked,
    /// The VP said what it wants next.
    Wants(Want),
    /// The guest did something that nothing serves; this is what KVM said.
    Crashed(String),
    /// KVM itself refused to run the VP.
    Failed(io::Error),
}

/// What a VP wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// To run, once others have: it spins on a lock.
    Spin,
    /// To run, once others have.
    Yield,
    /// To sleep until woken, or until a time.
    Sleep {
        /// Until when; `None` is until woken.
        until: Option<Nanos>,
        /// By itself it wakes no sooner.
        least: Nanos,
    },
}

/// What became of an exit.
#[derive(Debug)]
pub(crate) enum Intercepted {
    /// It was served, and the VP goes on.
    Served,
    /// The VP leaves its LP.
    Left(Left),
}

/// Where one VP's intercepts are served.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Within its guest.
    index: u32,
    memory: Arc<GuestMemory>,
    time: Arc<GuestTime>,
    log: Arc<GuestLog>,
    counters: Arc<VpCounters>,
    /// CPU time of the VP that may be spent on ending dispatches, [`ENDING_COSTS`] each.
    saved: Nanos,
    /// What all VPs of the guest may spend.
    endings: Arc<Endings>,
}

impl Desk {
    pub(crate) fn new(
        index: u32,
        memory: Arc<GuestMemory>,
        time: Arc<GuestTime>,
        log: Arc<GuestLog>,
        endings: Arc<Endings>,
    ) -> Desk {
        Desk {
            index,
            memory,
            time,
            log,
            counters: Arc::default(),
            saved: Nanos(ENDING_COSTS.0 * ENDINGS_SAVED),
            endings,
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    pub(super) fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    pub(crate) fn counters(&self) -> &Arc<VpCounters> {
        &self.counters
    }

    pub(super) fn clock(&self) -> Clock {
        self.time.clock()
    }

    /// The VP ran for `guest` inside KVM_RUN, and its intercepts took `service`.
    pub(crate) fn ran(&mut self, guest: Nanos, service: Nanos) {
        self.counters.guest.add(guest.0);
        self.counters.service.add(service.0);
        let most = Nanos(ENDING_COSTS.0 * ENDINGS_SAVED);
        self.saved = (self.saved + guest + service).min(most);
    }

    /// The VP goes on wanting to run: ends its dispatch where it and its guest have saved up enough, which is spent then.
    fn end(&mut self, want: Want) -> Intercepted {
        if self.saved >= ENDING_COSTS && self.endings.end(self.clock().now()) {
            self.saved = self.saved - ENDING_COSTS;
            return Intercepted::Left(Left::Wants(want));
        }
        self.counters.ignored.add(1);
        Intercepted::Served
    }

    /// The VP sleeps: for some time at least, where it does that too often, or its guest.
    fn sleep(&mut self, until: Option<Nanos>) -> Intercepted {
        let now = self.clock().now();
        let own = match self.saved >= ENDING_COSTS {
            true => {
                self.saved = self.saved - ENDING_COSTS;
                now
            }
            false => now + ENDING_COSTS,
        };
        let least = self.endings.sleep(now).max(own);
        Intercepted::Left(Left::Wants(Want::Sleep { until, least }))
    }

    /// Serves an exit of the VP, which has run for `so_far` in this dispatch.
    pub(crate) fn serve(&mut self, exit: &VcpuExit<'_>, so_far: Nanos) -> Intercepted {
        let (kind, what) = match exit {
            VcpuExit::IoOut(PORT, data) => return self.hypercall(data, so_far),
            VcpuExit::IrqWindowOpen => {
                self.counters.intercepted(Intercept::InterruptWindow);
                return Intercepted::Served;
            }
            exit => describe(exit),
        };
        self.counters.intercepted(kind);
        Intercepted::Left(Left::Crashed(what))
    }

    fn hypercall(&mut self, data: &[u8], so_far: Nanos) -> Intercepted {
        self.counters.intercepted(Intercept::Hypercall);
        let request = Request::decode(data, self.memory.call_input(self.index));
        let answered = request.and_then(|request| self.answer(request, so_far));
        let (status, output, next) = match answered {
            Ok((output, next)) => (Status::Success, output, next),
            Err(status) => {
                self.counters.refused.add(1);
                (status, 0, Intercepted::Served)
            }
        };
        self.memory.answer(self.index, status, output);
        next
    }

    /// The output, and what the VP does next.
    fn answer(&mut self, request: Request, so_far: Nanos) -> Result<(u64, Intercepted), Status> {
        let ends = |next| Ok((0, next));
        let served = |output| Ok((output, Intercepted::Served));
        match request {
            Request::VpIndex => served(u64::from(self.index)),
            Request::VpRuntime => {
                let before = self.counters.guest.get() + self.counters.service.get();
                served((before + so_far.0) / 100)
            }
            Request::ReferenceTime => served(self.time.now()),
            Request::LongSpin => {
                self.counters.long_spin_waits.add(1);
                ends(self.end(Want::Spin))
            }
            Request::Idle(Some(until)) if until <= self.time.now() => ends(self.end(Want::Yield)),
            Request::Idle(until) => {
                let until = until.map(|at| self.time.to_engine(at));
                ends(self.sleep(until))
            }
            Request::Done => ends(self.sleep(None)),
            Request::Log { address, length } => {
                let text = self.memory.text(address, length);
                let text = text.ok_or(Status::InvalidParameter)?;
                if self.log.say(self.clock().now(), self.index, text) {
                    served(0)
                } else {
                    self.counters.log_dropped.add(1);
                    Err(Status::TooMany)
                }
            }
        }
    }
}

/// An exit that nothing serves: of which kind, and in words.
fn describe(exit: &VcpuExit<'_>) -> (Intercept, String) {
    match exit {
        VcpuExit::Shutdown => (
            Intercept::Fault,
            "shutdown (a fault that the guest does not handle)".to_owned(),
        ),
        VcpuExit::Hlt => (Intercept::Other, "HLT".to_owned()),
        VcpuExit::IoIn(port, _) => (
            Intercept::Port,
            format!("read from port {port:#x}, which nothing serves"),
        ),
        VcpuExit::IoOut(port, _) => (
            Intercept::Port,
            format!("write to port {port:#x}, which nothing serves"),
        ),
        VcpuExit::MmioRead(address, _) => (
            Intercept::Memory,
            format!("read from {address:#x}, outside its memory"),
        ),
        VcpuExit::MmioWrite(address, _) => (
            Intercept::Memory,
            format!("write to {address:#x}, outside its memory"),
        ),
        VcpuExit::InternalError => (
            Intercept::Other,
            "KVM internal error (an instruction it cannot emulate)".to_owned(),
        ),
        VcpuExit::FailEntry(reason, cpu) => (
            Intercept::Other,
            format!("KVM could not enter the guest: hardware reason {reason:#x} on CPU {cpu}"),
        ),
        other => (Intercept::Other, format!("unexpected exit {other:?}")),
    }
}
