//! One VP as KVM knows it: made ready to enter, run until it has to leave, read after a crash.
#![expect(unsafe_code, reason = "guest memory is lent to KVM")]

use super::exit_byte::ExitByte;
use super::intercepts::{Desk, Intercepted};
use super::interrupts::{Interrupts, Mailbox};
use super::kick::Kicker;
use super::tsc;
use crate::clock::{monotonic, thread_cpu};
use crate::counters::VpCounters;
use crate::guest::{GuestMemory, Model, registers, segments};
use apportion_scheduler::{LpId, Nanos};
use kvm_bindings::{kvm_userspace_memory_region, kvm_xcr, kvm_xcrs};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

pub(crate) use super::intercepts::{Left, Want};

type BoxError = Box<dyn StdError + Send + Sync>;
/// What was being done when it failed, and why it did.
pub(crate) type StepError = (&'static str, BoxError);

fn step<E: Into<BoxError>>(name: &'static str) -> impl FnOnce(E) -> StepError {
    move |error| (name, error.into())
}

/// One VP. Its VM's memory lives as long as it does.
#[derive(Debug)]
pub(crate) struct Vcpu {
    exit_byte: ExitByte,
    fd: VcpuFd,
    interrupts: Interrupts,
    desk: Desk,
    /// Where it ran last.
    last: Option<LpId>,
}

/// How a VP was on an LP: why it left, and the time that it took.
#[derive(Debug)]
pub(crate) struct Stay {
    pub(crate) left: Left,
    pub(crate) times: Times,
}

/// CPU time of the thread that runs a VP, from when its timer is armed until it
/// last left or was served. A VP that is called away before it enters has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    begun: Nanos,
    entered: Nanos,
    /// As it stands at the end.
    pub(crate) ended: Nanos,
    /// Inside KVM_RUN.
    pub(crate) guest: Nanos,
}

impl Times {
    /// What follows is done for the VP.
    fn begin() -> Times {
        Times {
            begun: thread_cpu(),
            entered: Nanos::ZERO,
            ended: Nanos::ZERO,
            guest: Nanos::ZERO,
        }
    }

    fn enter(&mut self) {
        self.entered = thread_cpu();
    }

    fn leave(&mut self) {
        self.ended = thread_cpu();
        self.guest += self.ended.since(self.entered);
    }

    fn served(&mut self) {
        self.ended = thread_cpu();
    }

    /// What the VP is charged: arming its timer, inside KVM_RUN, and serving its intercepts and interrupts.
    pub(crate) fn ran(&self) -> Nanos {
        self.ended.since(self.begun)
    }
}

/// Makes a VM that lives in `memory`.
pub(crate) fn build_vm(kvm: &Kvm, memory: &GuestMemory) -> Result<VmFd, StepError> {
    let vm = kvm.create_vm().map_err(step("create its VM"))?;
    let (host, len) = memory.host_range().map_err(step("find its memory"))?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: len,
        userspace_addr: host,
    };
    // SAFETY: the range is a mapping of exactly `len` bytes that `memory` owns;
    // every Vcpu holds `memory` by its desk, and nothing runs in the VM but through a Vcpu.
    unsafe { vm.set_user_memory_region(region) }.map_err(step("give it memory"))?;
    Ok(vm)
}

impl Vcpu {
    /// A VP of a VM in the desk's memory, ready to enter. Also: whether it reads the host's time stamps as they are.
    pub(crate) fn new(
        vm: &VmFd,
        model: &Model,
        ticks: u32,
        desk: Desk,
    ) -> Result<(Vcpu, bool), StepError> {
        let index = desk.index();
        let fd = vm
            .create_vcpu(u64::from(index))
            .map_err(step("create a VP"))?;
        fd.set_cpuid2(&model.cpuid)
            .map_err(step("set a VP's CPUID"))?;
        let fresh = fd
            .get_sregs()
            .map_err(step("read a VP's system registers"))?;
        let xsave = model.xcr0 != 0;
        fd.set_sregs(&segments(fresh, index, xsave))
            .map_err(step("set a VP's system registers"))?;
        if xsave {
            fd.set_xcrs(&only_xcr0(model.xcr0))
                .map_err(step("turn on a VP's vector registers"))?;
        }
        fd.set_regs(&registers(desk.memory().entry, index))
            .map_err(step("set a VP's registers"))?;
        let tells_time = tsc::pass_through(&fd).is_ok();
        let vcpu = Vcpu {
            exit_byte: ExitByte::map(&fd).map_err(step("map what it shares with KVM"))?,
            fd,
            interrupts: Interrupts::new(ticks),
            desk,
            last: None,
        };
        Ok((vcpu, tells_time))
    }

    /// Which VP of its guest this is.
    pub(crate) fn index(&self) -> u32 {
        self.desk.index()
    }

    /// Units of work counted so far.
    pub(crate) fn work(&self) -> u64 {
        self.desk.memory().work(self.index())
    }

    /// What is counted of it.
    pub(crate) fn counters(&self) -> &Arc<VpCounters> {
        self.desk.counters()
    }

    /// Where others leave interrupts for it.
    pub(crate) fn mailbox(&self) -> Mailbox {
        self.interrupts.mailbox()
    }

    /// It wants to run from `now` on.
    pub(crate) fn start(&mut self, now: Nanos) {
        self.interrupts.start(now);
    }

    /// It runs on this LP now: whether it ran elsewhere before.
    pub(crate) fn moves_to(&mut self, lp: LpId) -> bool {
        self.last.replace(lp).is_some_and(|last| last != lp)
    }

    /// When an interrupt ends its sleep: where there is one already, it is not to sleep at all.
    pub(crate) fn interrupted_at(&self) -> Option<Nanos> {
        match self.interrupts.waiting() {
            true => Some(Nanos::ZERO),
            false => self.next_tick(),
        }
    }

    /// When it gets the next interrupt by itself.
    pub(crate) fn next_tick(&self) -> Option<Nanos> {
        self.interrupts.next_tick()
    }

    /// Takes what interrupts it has been posted, and the ticks that are due.
    pub(crate) fn collect_interrupts(&mut self) {
        let now = self.desk.clock().now();
        self.interrupts.collect(now, self.desk.counters());
    }

    /// Runs the VP on the calling thread, and serves what it asks for, until
    /// `deadline`, until called away, or until it wants something else. Unless
    /// it is called away it stays for the shortest stay at least, so that
    /// it gets into its guest however soon the deadline is.
    pub(crate) fn run(&mut self, kicker: &Kicker, deadline: Nanos) -> Stay {
        let handshake = kicker.handshake();
        let mut times = Times::begin();
        let least = monotonic() + kicker.entry().least_stay().0;
        let deadline = self.desk.clock().to_monotonic(deadline).max(least);
        // The byte is valid until `self` is dropped, beyond `retract` below.
        handshake.publish(self.exit_byte.as_ptr(), deadline); // K1
        let left = self.run_published(kicker, deadline, &mut times);
        handshake.retract(); // K7
        self.exit_byte.clear();
        let service = times.ran().since(times.guest);
        self.desk.ran(times.guest, service);
        Stay { left, times }
    }

    fn run_published(&mut self, kicker: &Kicker, mut deadline: u64, times: &mut Times) -> Left {
        let handshake = kicker.handshake();
        loop {
            // K2. Armed anew on every pass: a signal of an earlier dispatch may
            // have come in the place of this one's.
            kicker.arm(deadline);
            if handshake.take_nudge() {
                self.exit_byte.clear();
                self.collect_interrupts();
            }
            if handshake.requested() {
                return Left::Kicked; // K3
            }
            if let Err(error) = self.interrupts.inject(&mut self.fd, self.desk.counters()) {
                return Left::Failed(error);
            }
            times.enter();
            let exit = self.fd.run(); // K4 to K5
            times.leave();
            match exit {
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {}
                Err(error) => {
                    let source = io::Error::from_raw_os_error(error.errno());
                    return match error.errno() {
                        // Memory that it touched, or what it made of its page tables.
                        libc::EFAULT | libc::ENOMEM | libc::EHWPOISON | libc::EIO => {
                            Left::Crashed(format!("KVM_RUN: {source}"))
                        }
                        _ => Left::Failed(source),
                    };
                }
                Ok(exit) => {
                    let served = self.desk.serve(&exit, times.ran());
                    times.served();
                    if let Intercepted::Left(left) = served {
                        return left;
                    }
                }
            }
            let now = monotonic();
            // Whoever was in a guest has left it, too, which takes CPU time inside KVM_RUN.
            let entered = times.guest >= kicker.entry().leave;
            if handshake.requested() || handshake.due(now) && entered {
                return Left::Kicked; // K6
            }
            if handshake.due(now) {
                // The host took the CPU away until the deadline had come.
                deadline = now + kicker.entry().least_stay().0;
                handshake.postpone(deadline);
                self.exit_byte.clear();
            }
        }
    }

    /// Lets it handle the interrupts that it has been posted, until `deadline` at most; no more come.
    pub(crate) fn settle(&mut self, kicker: &Kicker, deadline: Nanos) {
        self.interrupts.stop();
        let handled = |vcpu: &Vcpu| vcpu.desk.memory().interrupts_handled(vcpu.index());
        let slot = Nanos::from_micros(200);
        loop {
            let now = self.desk.clock().now();
            let posted = self.desk.counters().posted();
            let open = self.interrupts.waiting() || handled(self) < posted;
            if !open || now >= deadline {
                return;
            }
            self.collect_interrupts();
            match self.run(kicker, deadline.min(now + slot)).left {
                Left::Kicked | Left::Wants(_) => {}
                Left::Crashed(_) | Left::Failed(_) => return,
            }
        }
    }

    /// The registers that tell where a VP died, for the crash report.
    pub(crate) fn dump(&self) -> String {
        match (self.fd.get_regs(), self.fd.get_sregs()) {
            (Ok(r), Ok(s)) => format!(
                "rip={:#x} rsp={:#x} rflags={:#x} rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} \
                 rsi={:#x} rdi={:#x} rbp={:#x} cs={:#x} ss={:#x} cr2={:#x} cr3={:#x}",
                r.rip,
                r.rsp,
                r.rflags,
                r.rax,
                r.rbx,
                r.rcx,
                r.rdx,
                r.rsi,
                r.rdi,
                r.rbp,
                s.cs.selector,
                s.ss.selector,
                s.cr2,
                s.cr3
            ),
            (Err(error), _) | (_, Err(error)) => format!("registers unreadable: {error}"),
        }
    }
}

fn only_xcr0(value: u64) -> kvm_xcrs {
    let mut xcrs = kvm_xcrs {
        nr_xcrs: 1,
        ..kvm_xcrs::default()
    };
    xcrs.xcrs[0] = kvm_xcr {
        xcr: 0,
        reserved: 0,
        value,
    };
    xcrs
}
