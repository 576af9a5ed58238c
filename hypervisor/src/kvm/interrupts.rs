//! Interrupts that the host posts to a VP: kept until it next runs, then given to it one by one.
//!
//! A VP does not run any sooner for having some pending. KVM takes one
//! interrupt at a time; whether it can is said when the VP leaves (`ready_for_interrupt_injection`),
//! and if not, the VP leaves as soon as it can (`request_interrupt_window`).
#![expect(unsafe_code, reason = "an ioctl that kvm-ioctls lacks")]

use crate::counters::VpCounters;
use apportion_abi::INTERRUPT_VECTOR;
use apportion_scheduler::Nanos;
use kvm_bindings::{KVMIO, kvm_interrupt};
use kvm_ioctls::VcpuFd;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

ioctl_iow_nr!(KVM_INTERRUPT, KVMIO, 0x86, kvm_interrupt);

/// Where others leave interrupts for a VP; whoever does counts them, too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Arc<AtomicU64>);

impl Mailbox {
    /// Leaves `count` more.
    pub(crate) fn post(&self, count: u64) {
        self.0.fetch_add(count, SeqCst);
    }
}

/// A VP's interrupts.
#[derive(Debug)]
pub(super) struct Interrupts {
    mailbox: Mailbox,
    /// Posted and not yet injected.
    pending: u64,
    ticks: Option<Ticks>,
}

/// A periodic timer.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    period: Nanos,
    next: Nanos,
}

impl Interrupts {
    /// `ticks` of them in a second by themselves, once [`Interrupts::start`]ed.
    pub(super) fn new(ticks: u32) -> Interrupts {
        let period = 1_000_000_000_u64.checked_div(u64::from(ticks));
        Interrupts {
            mailbox: Mailbox::default(),
            pending: 0,
            ticks: period.map(|period| Ticks {
                period: Nanos(period),
                next: Nanos(u64::MAX),
            }),
        }
    }

    pub(super) fn mailbox(&self) -> Mailbox {
        self.mailbox.clone()
    }

    /// The timer ticks from `now` on.
    pub(super) fn start(&mut self, now: Nanos) {
        if let Some(ticks) = &mut self.ticks {
            ticks.next = now + ticks.period;
        }
    }

    /// No more ticks.
    pub(super) fn stop(&mut self) {
        self.ticks = None;
    }

    /// When the next tick is due.
    pub(super) fn next_tick(&self) -> Option<Nanos> {
        self.ticks.map(|ticks| ticks.next)
    }

    /// Whether there are some that the VP has not been given yet.
    pub(super) fn waiting(&self) -> bool {
        self.pending > 0 || self.mailbox.0.load(SeqCst) > 0
    }

    /// Takes what was posted by `now`.
    pub(super) fn collect(&mut self, now: Nanos, counters: &VpCounters) {
        let mut fresh = match self.mailbox.0.load(SeqCst) {
            0 => 0,
            _ => self.mailbox.0.swap(0, SeqCst),
        };
        if let Some(ticks) = &mut self.ticks
            && ticks.next <= now
        {
            let due = 1 + now.since(ticks.next).0 / ticks.period.0;
            ticks.next += Nanos(due * ticks.period.0);
            counters.post(due);
            fresh += due;
        }
        self.pending += fresh;
    }

    /// Just before KVM_RUN: gives the VP one if it can take it, and has KVM say when it can take the next.
    pub(super) fn inject(&mut self, fd: &mut VcpuFd, counters: &VpCounters) -> io::Result<()> {
        let run = fd.get_kvm_run();
        let can = run.ready_for_interrupt_injection != 0 && run.if_flag != 0;
        if self.pending > 0 && can {
            let interrupt = kvm_interrupt {
                irq: u32::from(INTERRUPT_VECTOR),
            };
            // SAFETY: the kernel reads the structure, which is alive during the call.
            if unsafe { ioctl_with_ref(fd, KVM_INTERRUPT(), &interrupt) } != 0 {
                return Err(io::Error::last_os_error());
            }
            self.pending -= 1;
            counters.injected.add(1);
            // Not before KVM says so again.
            fd.get_kvm_run().ready_for_interrupt_injection = 0;
        }
        fd.get_kvm_run().request_interrupt_window = u8::from(self.pending > 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_made_up_for_and_none_comes_twice() {
        let counters = VpCounters::default();
        let mut interrupts = Interrupts::new(1_000);
        interrupts.collect(Nanos::from_millis(50), &counters);
        assert!(!interrupts.waiting());
        interrupts.start(Nanos::from_millis(100));
        assert_eq!(interrupts.next_tick(), Some(Nanos::from_millis(101)));
        interrupts.collect(Nanos(100_999_999), &counters);
        assert_eq!(counters.posted(), 0);
        interrupts.collect(Nanos(103_500_000), &counters);
        interrupts.collect(Nanos(103_600_000), &counters);
        assert_eq!((counters.posted(), interrupts.pending), (3, 3));
        assert_eq!(interrupts.next_tick(), Some(Nanos::from_millis(104)));
        interrupts.mailbox().post(2);
        interrupts.stop();
        interrupts.collect(Nanos::from_millis(900), &counters);
        // What is left by others, they have counted.
        assert_eq!((counters.posted(), interrupts.pending), (3, 5));
    }

    #[test]
    fn without_ticks_there_are_none() {
        let mut interrupts = Interrupts::new(0);
        interrupts.start(Nanos::ZERO);
        assert_eq!(interrupts.next_tick(), None);
        assert!(!interrupts.waiting());
    }
}
