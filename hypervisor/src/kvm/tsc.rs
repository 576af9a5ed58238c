//! The time-stamp counter of the host, which guests read as it is.
#![expect(
    unsafe_code,
    reason = "RDTSC; an ioctl that kvm-ioctls lacks on x86-64"
)]

use crate::clock::Clock;
use crate::reference::Sample;
use kvm_bindings::{KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, kvm_device_attr};
use kvm_ioctls::VcpuFd;
use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::fs;
use std::io;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

ioctl_iow_nr!(
    KVM_SET_DEVICE_ATTR,
    kvm_bindings::KVMIO,
    0xe1,
    kvm_device_attr
);

/// Ticks now, read in its place among other instructions.
pub(super) fn ticks() -> u64 {
    // SAFETY: both instructions are in every x86-64 processor, and touch no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// The counter and the clock at one moment: of some tries the one that took least.
pub(super) fn sample(clock: Clock) -> Sample {
    let tries = (0..5).map(|_| {
        let (before, now, after) = (ticks(), clock.now(), ticks());
        let took = after.wrapping_sub(before);
        let sample = Sample {
            tsc: before + took / 2,
            ns: now.0,
        };
        (took, sample)
    });
    let best = tries.min_by_key(|(took, _)| *took);
    best.map(|(_, sample)| sample)
        .expect("there are some tries")
}

/// Whether the host's counter ticks evenly, never stops, and is the same on all CPUs, as far as the kernel tells.
pub(super) fn tells_time() -> bool {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(source).unwrap_or_default();
    // The kernel has checked it then, by itself or through its own hypervisor's page.
    matches!(
        source.trim(),
        "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page"
    )
}

/// Makes a VP see the host's counter as it is.
pub(super) fn pass_through(vcpu: &VcpuFd) -> io::Result<()> {
    let offset = 0_u64;
    let attribute = kvm_device_attr {
        group: KVM_VCPU_TSC_CTRL,
        attr: u64::from(KVM_VCPU_TSC_OFFSET),
        addr: &raw const offset as u64,
        flags: 0,
    };
    // SAFETY: the kernel reads the attribute and the eight bytes that it names, both alive during the call.
    match unsafe { ioctl_with_ref(vcpu, KVM_SET_DEVICE_ATTR(), &attribute) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
