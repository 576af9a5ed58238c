//! What CPUID says of the processor, and what the host allows of it.

use crate::calls;
use crate::vp::Vp;
use apportion_abi::Features;
use apportion_abi::shared::Value;
use core::arch::x86_64::__cpuid_count;

/// What CPUID shows at ring 3.
pub fn seen() -> Features {
    let leaf = |leaf| __cpuid_count(leaf, 0);
    let most = leaf(0).eax;
    let most_extended = leaf(0x8000_0000).eax;
    let leaf7 = if most >= 7 { leaf(7).ebx } else { 0 };
    let extended1 = if most_extended > 0x8000_0000 {
        leaf(0x8000_0001).ecx
    } else {
        0
    };
    Features::from_cpuid(leaf(1).ecx, leaf7, extended1)
}

/// Goes on only where the host lets the guest use all of these; says so and is done otherwise.
pub fn need(vp: &Vp, features: Features) {
    let missing = features.without(Features(vp.start.features));
    if missing != Features::default() {
        vp.report(Value::FeaturesMissing, missing.0);
        calls::log(vp, "the payload needs features that the processor has not");
        calls::done(vp);
    }
}
