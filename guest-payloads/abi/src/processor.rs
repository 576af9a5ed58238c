//! Which instructions a guest may use: the normalised processor.

use core::fmt;

/// Which processor a guest sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Processor {
    /// The host's, as far as KVM passes it on.
    #[default]
    Host,
    /// The baseline, [`Features::V2`]: the same on every host.
    Compatible,
}

impl Processor {
    /// Both.
    pub const ALL: [Processor; 2] = [Processor::Host, Processor::Compatible];

    /// Its name in an experiment file.
    pub const fn name(self) -> &'static str {
        match self {
            Processor::Host => "host",
            Processor::Compatible => "compatible",
        }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Features of a processor beyond the first x86-64 ones, one bit each.
///
/// The baseline of a `compatible` guest is x86-64-v2 of the psABI (System V
/// ABI for x86-64, table of micro-architecture levels).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub u64);

impl Features {
    /// Bits and names: of x86-64-v2 first.
    pub const NAMES: [(Features, &'static str); 15] = [
        (Features(1 << 0), "cx16"),
        (Features(1 << 1), "lahf"),
        (Features(1 << 2), "popcnt"),
        (Features(1 << 3), "sse3"),
        (Features(1 << 4), "ssse3"),
        (Features(1 << 5), "sse4.1"),
        (Features(1 << 6), "sse4.2"),
        (Features(1 << 8), "avx"),
        (Features(1 << 9), "avx2"),
        (Features(1 << 10), "bmi1"),
        (Features(1 << 11), "bmi2"),
        (Features(1 << 12), "f16c"),
        (Features(1 << 13), "fma"),
        (Features(1 << 14), "movbe"),
        (Features(1 << 15), "avx512f"),
    ];

    /// x86-64-v2.
    pub const V2: Features = Features(0x7f);

    /// 256-bit integers.
    pub const AVX2: Features = Features(1 << 9);

    /// Everything that has a name here.
    pub const ALL: Features = Features(0xff7f);

    /// What CPUID tells: leaf 1 (ECX), leaf 7 subleaf 0 (EBX), leaf 0x8000_0001 (ECX).
    pub const fn from_cpuid(leaf1_ecx: u32, leaf7_ebx: u32, extended1_ecx: u32) -> Features {
        const FROM_LEAF1: [(u32, u32); 10] = [
            (13, 0),
            (23, 2),
            (0, 3),
            (9, 4),
            (19, 5),
            (20, 6),
            (28, 8),
            (29, 12),
            (12, 13),
            (22, 14),
        ];
        const FROM_LEAF7: [(u32, u32); 4] = [(5, 9), (3, 10), (8, 11), (16, 15)];
        let mut bits = ((extended1_ecx & 1) as u64) << 1;
        let mut at = 0;
        while at < FROM_LEAF1.len() {
            let (from, to) = FROM_LEAF1[at];
            bits |= (leaf1_ecx as u64 >> from & 1) << to;
            at += 1;
        }
        at = 0;
        while at < FROM_LEAF7.len() {
            let (from, to) = FROM_LEAF7[at];
            bits |= (leaf7_ebx as u64 >> from & 1) << to;
            at += 1;
        }
        Features(bits)
    }

    /// Whether all of `other` is here.
    pub const fn has(self, other: Features) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is here and not in `other`.
    pub const fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_what_their_names_say() {
        let v2 = [
            "cx16", "lahf", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2",
        ];
        for (feature, name) in Features::NAMES {
            assert_eq!(Features::V2.has(feature), v2.contains(&name), "{name}");
            assert!(Features::ALL.has(feature), "{name}");
        }
        assert!(!Features::V2.has(Features::AVX2));
    }

    #[test]
    fn cpuid_bits_find_their_place() {
        // Intel SDM vol. 2A, CPUID: leaf 1 ECX bits 0, 9, 13, 19, 20, 23.
        let leaf1 = 1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23;
        assert_eq!(Features::from_cpuid(leaf1, 0, 1), Features::V2);
        assert_eq!(Features::from_cpuid(0, 1 << 5, 0), Features::AVX2);
        assert_eq!(
            Features::from_cpuid(u32::MAX, u32::MAX, u32::MAX),
            Features::ALL
        );
    }
}
