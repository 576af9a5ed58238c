//! What time it is, and how long things take.

use crate::calls;
use crate::vp::Vp;
use core::arch::x86_64::{_mm_lfence, _rdtsc};

/// The time-stamp counter, read in its place: nothing before it is still to come, nothing after it has begun.
pub fn ticks() -> u64 {
    // SAFETY: both are in every x86-64 processor, and touch no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// The reference time, in units of 100 ns since the guest was created: by the page, or where that is not valid by hypercall.
pub fn now(vp: &Vp) -> u64 {
    by_page(vp).unwrap_or_else(|| calls::reference_time(vp))
}

/// The reference time by the page.
pub fn by_page(vp: &Vp) -> Option<u64> {
    vp.reference.read(ticks)
}

/// Sleeps until a reference time, whatever wakes it before.
pub fn sleep_until(vp: &Vp, time: u64) {
    while now(vp) < time {
        calls::idle_until(vp, time);
    }
}

/// Ticks of the time-stamp counter in ns; 0 where the counter does not tell time.
pub fn ticks_to_ns(vp: &Vp, ticks: u64) -> u64 {
    let per_ms = u128::from(vp.start.tsc_per_ms);
    (u128::from(ticks) * 1_000_000)
        .checked_div(per_ms)
        .unwrap_or(0) as u64
}
