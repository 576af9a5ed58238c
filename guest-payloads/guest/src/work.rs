//! Work that can be counted: units of a dependent chain.

use crate::time::ticks;
use crate::vp::Vp;
use apportion_abi::STEPS_PER_UNIT;
use apportion_abi::shared::Value;
use core::sync::atomic::Ordering::Relaxed;

/// Counts so many units of work in the VP's own line; no exit, no shared line.
pub fn work(vp: &Vp, units: u64) {
    let mut done = vp.line.work.load(Relaxed);
    let until = done.saturating_add(units);
    let mut chain = vp.line.chain.load(Relaxed) | 1;
    while done < until {
        chain = unit(chain);
        done += 1;
        vp.line.chain.store(chain, Relaxed);
        vp.line.work.store(done, Relaxed);
    }
}

/// One unit: a chain in which every step needs the one before, so that its
/// time depends on the core's latency only, not on memory or on the width of the core.
fn unit(mut x: u64) -> u64 {
    for _ in 0..STEPS_PER_UNIT {
        x = x
            .wrapping_mul(0x5851_F42D_4C95_7F2D)
            .wrapping_add(0x1405_7B7E_F767_814F);
        x ^= x >> 29;
    }
    x
}

/// How to say times in units of work on this processor.
pub struct Speed {
    /// Ticks of the time-stamp counter per 1024 units.
    ticks_per_1024: u64,
    ticks_per_ms: u64,
}

impl Speed {
    /// Tries it out for a fraction of a millisecond. The fastest of many short
    /// tries counts: the others were interrupted, or ran on a processor not yet warm.
    pub fn measure(vp: &Vp) -> Speed {
        const TRIES: u32 = 64;
        const UNITS: u64 = 16;
        let mut least = u64::MAX;
        for _ in 0..TRIES {
            let before = ticks();
            work(vp, UNITS);
            least = least.min(ticks() - before);
        }
        let ticks_per_1024 = (least * 1024 / UNITS).max(1);
        vp.report(Value::UnitTicks, ticks_per_1024);
        Speed {
            ticks_per_1024,
            ticks_per_ms: vp.start.tsc_per_ms,
        }
    }

    /// The units that take so many ns of CPU time, at least one.
    pub fn units(&self, ns: u64) -> u64 {
        if self.ticks_per_ms == 0 {
            // No telling: a unit is made to take about 100 ns.
            return (ns / 100).max(1);
        }
        let ticks = u128::from(ns) * u128::from(self.ticks_per_ms) / 1_000_000;
        ((ticks * 1024 / u128::from(self.ticks_per_1024)) as u64).max(1)
    }
}
