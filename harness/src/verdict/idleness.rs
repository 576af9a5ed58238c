//! Whether LPs idled although a VP that was Ready could have run.

use super::{Judge, is_at_most};
use crate::ledger::Idled;
use apportion_recording::{IdlenessEntry, Verdict};
use apportion_scheduler::PolicyKind;

/// LPs may idle so beside VPs for this part of one LP's time.
///
/// An idle LP is called as soon as a VP has a use for it, which takes the grace of an interval at the most. What lasts
/// longer is a stall of the host, some ms now and then, or an LP that nobody takes: that idles for all of its time.
const BOUND: f64 = 0.05;

/// The entry of a run.
pub(crate) fn idleness(judge: &Judge<'_>) -> IdlenessEntry {
    let closed = judge.closed;
    let measured = closed.measured.end.since(closed.measured.start);
    let grace = Idled::grace(closed.precision.overshoot(0.99));
    let (lasting, under_way) = closed.idled.beyond(grace);
    let bound = BOUND * measured.0 as f64;
    let judged = measured.0 > 0 && judge.planned.spec.policy == PolicyKind::Fair;
    IdlenessEntry {
        lasting_ns: lasting.0,
        under_way_ns: under_way.0,
        grace_ns: grace.0,
        bound_ns: bound.round() as u64,
        verdict: judged.then(|| match is_at_most(lasting.0 as f64, bound) {
            true => Verdict::Pass,
            false => Verdict::Fail,
        }),
    }
}
