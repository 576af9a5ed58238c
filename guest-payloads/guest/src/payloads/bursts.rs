//! Payloads that sleep until it is time, and record when that was.

use crate::vp::Vp;
use crate::work::{Speed, work};
use crate::{calls, time};
use apportion_abi::Ns;
use apportion_abi::clock::UNIT_NS;
use apportion_abi::hypercall::FOREVER;
use apportion_abi::shared::{DemandRing, Value};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::fence;

/// Does what the demand ring says, piece by piece. All CPU time that the VP is charged counts as work, sleeping and
/// waking too: what a piece took too much or too little the next makes up for, so that the sum follows what was demanded.
pub fn bursts(vp: &Vp) -> ! {
    let speed = Speed::measure(vp);
    let mut demanded = 0_u64;
    loop {
        let taken = vp.demand.taken.load(Relaxed);
        // The host puts in more before it looks whether this one waits for it.
        fence(SeqCst);
        if vp.demand.written.load(Acquire) == taken {
            // The host wakes it once there is more.
            calls::idle_until(vp, FOREVER);
            continue;
        }
        let piece = &vp.demand.pieces[taken as usize % DemandRing::PIECES];
        let (at, run) = (piece.at.load(Relaxed), piece.run_ns.load(Relaxed));
        vp.demand.taken.store(taken.wrapping_add(1), Release);
        demanded = demanded.saturating_add(run);
        burst(vp, at, || pace(vp, &speed, demanded));
    }
}

/// Works until the VP was charged about `demanded` ns in all. How long work takes is not known before: most of it first.
fn pace(vp: &Vp, speed: &Speed, demanded: u64) {
    const MOST: (u64, u64) = (7, 8);
    let left = || demanded.saturating_sub(calls::runtime(vp) * UNIT_NS);
    let most = left() / MOST.1 * MOST.0;
    if most > 0 {
        work(vp, speed.units(most));
        let rest = left();
        if rest > 0 {
            work(vp, speed.units(rest));
        }
    }
}

/// Wakes once in a period. What it is late by whole periods is left out, so that no backlog grows.
pub fn probe(vp: &Vp, period: Ns, run: Ns) -> ! {
    let units = Speed::measure(vp).units(run.0);
    let period = (period.0 / UNIT_NS).max(1);
    let mut due = time::now(vp);
    loop {
        due += period;
        let now = time::now(vp);
        if due < now {
            due += (now - due) / period * period;
        }
        burst(vp, due, || work(vp, units));
    }
}

/// Sleeps until it is time, works, and records how that went.
fn burst(vp: &Vp, at: u64, work: impl FnOnce()) {
    time::sleep_until(vp, at);
    let start = time::now(vp);
    work();
    vp.record(at, start, time::now(vp));
}

/// Reads the clock by page, by hypercall and by page, for ever. None may show less than the one before.
pub fn clock(vp: &Vp, pause: Ns) -> ! {
    let mut latest = 0;
    loop {
        let call = |_| calls::reference_time(vp);
        let readings = [
            time::by_page(vp).unwrap_or_else(|| call(())),
            call(()),
            time::by_page(vp).unwrap_or_else(|| call(())),
        ];
        for reading in readings {
            if reading < latest {
                vp.count(Value::Backwards, 1);
            }
            latest = reading;
        }
        let [before, between, after] = readings;
        vp.record(before, between, after);
        time::sleep_until(vp, after + pause.0 / UNIT_NS);
    }
}
