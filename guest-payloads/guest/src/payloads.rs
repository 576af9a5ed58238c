//! The payloads and the registry that the start page chooses from.

use crate::vp::{Vp, die};
use apportion_abi::{PayloadId, STEPS_PER_UNIT};
use core::sync::atomic::Ordering::Relaxed;

type Payload = fn(&Vp) -> !;

const REGISTRY: [(PayloadId, Payload); 2] = [(PayloadId::Burn, burn), (PayloadId::Crash, crash)];

/// The payload with this id.
pub fn find(id: u32) -> Option<Payload> {
    REGISTRY
        .iter()
        .find(|(known, _)| *known as u32 == id)
        .map(|&(_, run)| run)
}

/// Counts for ever.
fn burn(vp: &Vp) -> ! {
    work(vp, u64::MAX);
    die()
}

/// Counts `params[0]` units, then faults.
fn crash(vp: &Vp) -> ! {
    work(vp, vp.start.params[0]);
    die()
}

/// Counts units of work in the VP's own line until `until` of them are done; no exit, no shared line.
fn work(vp: &Vp, until: u64) {
    let mut done = vp.line.work.load(Relaxed);
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
