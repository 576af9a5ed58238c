//! Payloads that need nobody: they count work, walk over memory, or give their LP up.

use crate::vp::{Vp, die};
use crate::work::{Speed, work};
use crate::{calls, processor, time};
use apportion_abi::clock::UNIT_NS;
use apportion_abi::shared::Value;
use apportion_abi::{Features, Ns, layout};
use core::arch::asm;
use core::sync::atomic::Ordering::Relaxed;

/// Counts for ever.
pub fn burn(vp: &Vp) -> ! {
    loop {
        work(vp, u64::MAX);
    }
}

/// Counts so many units, then faults.
pub fn crash(vp: &Vp, after_work: u64) -> ! {
    work(vp, after_work);
    die()
}

/// Counts so many units, with pauses between bursts if there are any, and is done.
pub fn fixed_work(vp: &Vp, units: u64, burst: u64, pause: Ns) -> ! {
    let burst = if burst == 0 { units } else { burst };
    vp.report(Value::BeganAt, time::now(vp) * UNIT_NS);
    let mut left = units;
    while left > 0 {
        let now = left.min(burst);
        work(vp, now);
        left -= now;
        if left > 0 {
            time::sleep_until(vp, time::now(vp) + pause.0 / UNIT_NS);
        }
    }
    vp.report(Value::DoneAt, time::now(vp) * UNIT_NS);
    calls::done(vp)
}

/// Walks over the VP's own part of the heap. A unit of work is 64 accesses.
pub fn memory(vp: &Vp, working_set: u64, stride: u64) -> ! {
    const ACCESSES_PER_UNIT: u64 = 64;
    let base = layout::HEAP + u64::from(vp.index) * working_set;
    let fits = base
        .checked_add(working_set)
        .is_some_and(|end| end <= vp.start.memory);
    if !fits || stride == 0 || stride > working_set {
        die();
    }
    let mut offset = 0;
    let mut units = 0;
    loop {
        for _ in 0..ACCESSES_PER_UNIT {
            let place = (base + offset) as *mut u64;
            // SAFETY: within this VP's part of the heap, which nobody else uses
            // and no Rust object lies in; aligned, since the stride is a multiple of 8.
            unsafe { place.write_volatile(place.read_volatile().wrapping_add(1)) };
            offset += stride;
            if offset + 8 > working_set {
                offset = 0;
            }
        }
        units += 1;
        vp.line.work.store(units, Relaxed);
        vp.report(Value::Accesses, units * ACCESSES_PER_UNIT);
    }
}

/// Works for a little and gives its LP up, again and again.
pub fn yield_loop(vp: &Vp, run: Ns) -> ! {
    let units = Speed::measure(vp).units(run.0);
    loop {
        work(vp, units);
        calls::idle_until(vp, 0);
        vp.count(Value::Yields, 1);
    }
}

/// Counts work in 256-bit registers: a unit is as many steps as one of [`work`].
pub fn vector(vp: &Vp) -> ! {
    processor::need(vp, Features::AVX2);
    let mut units = 0;
    loop {
        // SAFETY: the host says that there is AVX2; only registers are touched.
        unsafe {
            asm!(
                "2:",
                "vpaddq ymm0, ymm0, ymm1",
                "vpxor ymm1, ymm1, ymm0",
                "dec {steps:e}",
                "jnz 2b",
                steps = inout(reg) apportion_abi::STEPS_PER_UNIT => _,
                out("ymm0") _,
                out("ymm1") _,
                options(nomem, nostack),
            );
        }
        units += 1;
        vp.line.work.store(units, Relaxed);
    }
}
