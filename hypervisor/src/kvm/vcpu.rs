//! One VP as KVM knows it: made ready to enter, run until kicked, read after a crash.
#![expect(
    unsafe_code,
    reason = "guest memory is lent to KVM; kvm_run is shared with it"
)]

use super::kick::Kicker;
use crate::clock::monotonic;
use crate::guest::{GuestMemory, registers, segments};
use kvm_bindings::{CpuId, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

type BoxError = Box<dyn StdError + Send + Sync>;
/// What was being done when it failed, and why it did.
pub(crate) type StepError = (&'static str, BoxError);

fn step<E: Into<BoxError>>(name: &'static str) -> impl FnOnce(E) -> StepError {
    move |error| (name, error.into())
}

/// One VP. Its VM's memory lives as long as it does.
#[derive(Debug)]
pub(crate) struct Vcpu {
    fd: VcpuFd,
    memory: Arc<GuestMemory>,
    /// Within its guest.
    index: u32,
}

/// Why KVM_RUN came back.
#[derive(Debug)]
pub(crate) enum Left {
    /// The deadline has come, or the dispatcher was called away.
    Kicked,
    /// The guest did something that nothing serves; this is what KVM said.
    Crashed(String),
    /// KVM itself refused to run the VP.
    Failed(io::Error),
}

/// Builds a VM and its VPs, ready to enter.
pub(crate) fn build(
    kvm: &Kvm,
    cpuid: &CpuId,
    memory: GuestMemory,
    vps: u32,
) -> Result<(VmFd, Vec<Vcpu>), StepError> {
    let memory = Arc::new(memory);
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
    // every Vcpu holds `memory`, and nothing runs in the VM but through a Vcpu.
    unsafe { vm.set_user_memory_region(region) }.map_err(step("give it memory"))?;
    let vcpus = (0..vps)
        .map(|index| Vcpu::new(&vm, cpuid, memory.clone(), index))
        .collect::<Result<_, _>>()?;
    Ok((vm, vcpus))
}

impl Vcpu {
    fn new(
        vm: &VmFd,
        cpuid: &CpuId,
        memory: Arc<GuestMemory>,
        index: u32,
    ) -> Result<Vcpu, StepError> {
        let fd = vm
            .create_vcpu(u64::from(index))
            .map_err(step("create a VP"))?;
        fd.set_cpuid2(cpuid).map_err(step("set a VP's CPUID"))?;
        let fresh = fd
            .get_sregs()
            .map_err(step("read a VP's system registers"))?;
        fd.set_sregs(&segments(fresh))
            .map_err(step("set a VP's system registers"))?;
        fd.set_regs(&registers(memory.entry, index))
            .map_err(step("set a VP's registers"))?;
        Ok(Vcpu { fd, memory, index })
    }

    /// Which VP of its guest this is.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Units of work counted so far.
    pub(crate) fn work(&self) -> u64 {
        self.memory.work(self.index)
    }

    /// Runs the VP on the calling thread until `deadline` (CLOCK_MONOTONIC) or until called away.
    pub(crate) fn run(&mut self, kicker: &Kicker, deadline: u64) -> Left {
        // AtomicU8 has the layout of u8. The byte lies in the mapping that
        // `self.fd` owns until it is dropped, beyond `retract` below. Kernel and
        // signal handler store to it while `fd.run` holds the same mapping: it
        // is shared memory by KVM's own design, and no Rust code reads it.
        let immediate_exit = &raw mut self.fd.get_kvm_run().immediate_exit;
        let handshake = kicker.handshake();
        handshake.publish(immediate_exit.cast::<AtomicU8>(), deadline); // K1
        let left = self.run_published(kicker, deadline);
        handshake.retract(); // K7
        self.fd.set_kvm_immediate_exit(0);
        left
    }

    fn run_published(&mut self, kicker: &Kicker, deadline: u64) -> Left {
        loop {
            // K2. Armed anew on every pass: a signal of an earlier dispatch may
            // have come in the place of this one's.
            kicker.arm(deadline);
            if kicker.handshake().due(monotonic()) {
                return Left::Kicked; // K3
            }
            // K4 to K5
            match self.fd.run() {
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {}
                Err(error) => return Left::Failed(io::Error::from_raw_os_error(error.errno())),
                Ok(exit) => return Left::Crashed(describe(&exit)),
            }
            if kicker.handshake().due(monotonic()) {
                return Left::Kicked; // K6
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

/// An exit that nothing serves, in words.
fn describe(exit: &VcpuExit<'_>) -> String {
    match exit {
        VcpuExit::Shutdown => "shutdown (a fault that the guest does not handle)".to_owned(),
        VcpuExit::Hlt => "HLT".to_owned(),
        VcpuExit::IoIn(port, _) => format!("read from port {port:#x}, which nothing serves"),
        VcpuExit::IoOut(port, _) => format!("write to port {port:#x}, which nothing serves"),
        VcpuExit::MmioRead(address, _) => format!("read from {address:#x}, outside its memory"),
        VcpuExit::MmioWrite(address, _) => format!("write to {address:#x}, outside its memory"),
        VcpuExit::InternalError => {
            "KVM internal error (an instruction it cannot emulate)".to_owned()
        }
        VcpuExit::FailEntry(reason, cpu) => {
            format!("KVM could not enter the guest: hardware reason {reason:#x} on CPU {cpu}")
        }
        other => format!("unexpected exit {other:?}"),
    }
}
