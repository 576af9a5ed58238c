//! The processor that a guest sees: KVM's, or masked down to a baseline that is the same everywhere.

use crate::host;
use apportion_abi::{Features, Processor};
use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use std::arch::x86_64::__cpuid_count;

/// Leaf 1, EDX: what x86-64-v1 has (psABI, table of micro-architecture levels), with
/// the bits that systems expect beside it: TSC, MSR, PAE, MCE, APIC, PGE, MCA, PAT, CLFSH.
const LEAF1_EDX: u32 = 0x0789_e3fd;
/// Leaf 1, ECX: SSE3, SSSE3, CX16, SSE4.1, SSE4.2, POPCNT, and that there is a hypervisor.
const LEAF1_ECX: u32 = 1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23 | 1 << 31;
/// Leaf 0x8000_0001, EDX: SYSCALL, NX, long mode.
const EXTENDED1_EDX: u32 = 1 << 11 | 1 << 20 | 1 << 29;
/// Leaf 0x8000_0001, ECX: LAHF in long mode.
const EXTENDED1_ECX: u32 = 1 << 0;
/// The last leaves that a compatible processor has.
const LAST_LEAF: u32 = 7;
const LAST_EXTENDED: u32 = 0x8000_0008;

/// XSAVE, in leaf 1, ECX.
const XSAVE: u32 = 1 << 26;
/// Register sets of XCR0 that payloads may want: x87, SSE, AVX.
const X87_SSE_AVX: u64 = 0b111;

/// All that makes a guest's processor: worked out once, the same for every guest that has it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// What CPUID shows, where KVM decides that.
    pub(crate) cpuid: CpuId,
    /// What the guest may use.
    pub(crate) features: Features,
    /// The register sets to turn on; 0 where it has no XSAVE.
    pub(crate) xcr0: u64,
}

impl Model {
    /// Of a processor on a host where KVM supports `supported`.
    pub(crate) fn of(processor: Processor, supported: &CpuId) -> Model {
        let cpuid = cpuid_for(processor, supported);
        Model {
            features: features_for(processor, supported),
            xcr0: xcr0_of(&cpuid),
            cpuid,
        }
    }
}

/// What CPUID shows a guest with this processor, of what `supported` by KVM.
fn cpuid_for(processor: Processor, supported: &CpuId) -> CpuId {
    let mut cpuid = supported.clone();
    if processor == Processor::Host {
        return cpuid;
    }
    cpuid.retain(|entry| {
        entry.function <= LAST_LEAF
            || (0x4000_0000..0x4000_0100).contains(&entry.function)
            || (0x8000_0000..=LAST_EXTENDED).contains(&entry.function)
    });
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            0 => entry.eax = entry.eax.min(LAST_LEAF),
            1 => {
                entry.ecx &= LEAF1_ECX;
                entry.edx &= LEAF1_EDX;
            }
            7 => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0),
            0x8000_0000 => entry.eax = entry.eax.min(LAST_EXTENDED),
            0x8000_0001 => {
                entry.ecx &= EXTENDED1_ECX;
                entry.edx &= EXTENDED1_EDX;
            }
            _ => {}
        }
    }
    cpuid
}

fn leaf(cpuid: &CpuId, function: u32, index: u32) -> kvm_cpuid_entry2 {
    let entries = cpuid.as_slice().iter();
    let mut found = entries.filter(|entry| entry.function == function && entry.index == index);
    found.next().copied().unwrap_or_default()
}

/// The features that a guest with this processor may use, where KVM supports `supported`.
fn features_for(processor: Processor, supported: &CpuId) -> Features {
    let mut features = features_of(supported);
    if !host::intercepts_cpuid() {
        // The guest runs as a process of the host does, whatever KVM says of it.
        features = Features(features.0 | own_features().0);
    }
    match processor {
        Processor::Host => features,
        Processor::Compatible => Features(features.0 & Features::V2.0),
    }
}

/// The features of the processor that this process runs on.
fn own_features() -> Features {
    let leaf = |function| __cpuid_count(function, 0);
    Features::from_cpuid(leaf(1).ecx, leaf(7).ebx, leaf(0x8000_0001).ecx)
}

/// The features that a processor with this CPUID has.
fn features_of(cpuid: &CpuId) -> Features {
    Features::from_cpuid(
        leaf(cpuid, 1, 0).ecx,
        leaf(cpuid, 7, 0).ebx,
        leaf(cpuid, 0x8000_0001, 0).ecx,
    )
}

/// The register sets to turn on for a processor with this CPUID; 0 where it has no XSAVE.
fn xcr0_of(cpuid: &CpuId) -> u64 {
    if leaf(cpuid, 1, 0).ecx & XSAVE == 0 {
        return 0;
    }
    u64::from(leaf(cpuid, 0xd, 0).eax) & X87_SSE_AVX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> CpuId {
        let entry = |function| kvm_cpuid_entry2 {
            function,
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: u32::MAX,
            edx: u32::MAX,
            ..kvm_cpuid_entry2::default()
        };
        let leaves = [0, 1, 7, 0xd, 0x4000_0000, 0x8000_0000, 0x8000_0001];
        CpuId::from_entries(&leaves.map(entry)).unwrap()
    }

    #[test]
    fn a_host_processor_is_passed_on() {
        let cpuid = cpuid_for(Processor::Host, &everything());
        assert_eq!(features_of(&cpuid), Features::ALL);
        assert_eq!(xcr0_of(&cpuid), X87_SSE_AVX);
    }

    #[test]
    fn a_compatible_processor_is_the_baseline_and_no_more() {
        let cpuid = cpuid_for(Processor::Compatible, &everything());
        assert_eq!(features_of(&cpuid), Features::V2);
        assert_eq!(xcr0_of(&cpuid), 0);
        assert_eq!(leaf(&cpuid, 0, 0).eax, LAST_LEAF);
        assert_eq!(leaf(&cpuid, 0xd, 0), kvm_cpuid_entry2::default());
    }
}
