//! The periods of a probe that nothing was recorded of: it leaves out what it is late by whole periods.

use crate::ledger::Closed;
use crate::plan::Planned;
use apportion_abi::Ns;
use apportion_abi::clock::UNIT_NS;
use apportion_hypervisor::{Burst, Payload, RunOutcome, VpReport};
use apportion_scheduler::{GuestId, Nanos};
use std::ops::Range;

/// Of a guest, over its VPs; nothing where it is no probe, where nothing was
/// measured, or where records were lost: nobody can tell them from missed periods.
pub(super) fn missed(
    planned: &Planned,
    outcome: &RunOutcome,
    guest: GuestId,
    closed: &Closed,
    bursts: &[&Burst],
) -> Option<u64> {
    let Payload::Probe { period: Ns(ns), .. } = planned.spec.guests[guest.index()].payload else {
        return None;
    };
    if closed.measured.is_empty() {
        return None;
    }
    // As the guest cuts it.
    let period = Nanos((ns / UNIT_NS).max(1) * UNIT_NS);
    let of_guest = planned.roster.vps_of(guest);
    let reports = outcome.reports.iter();
    let reports: Vec<_> = reports.filter(|it| of_guest.contains(&it.vp)).collect();
    if reports.iter().any(|report| report.records_lost > 0) {
        return None;
    }
    let of_vps = reports.into_iter().filter_map(|VpReport { vp, .. }| {
        let there = closed.begun(*vp)?..closed.gone(*vp).unwrap_or(outcome.stopped);
        let of_vp = bursts.iter().filter(|burst| burst.vp == *vp);
        let dues: Vec<Nanos> = of_vp.map(|burst| burst.due).collect();
        Some(of_vp_missed(period, &closed.measured, &there, &dues))
    });
    Some(of_vps.fold(0, u64::saturating_add))
}

/// Of a VP that was `there`, with records that were due at `dues`. What may
/// still be under way as it ends is not missed: such a period is not over.
fn of_vp_missed(
    period: Nanos,
    measured: &Range<Nanos>,
    there: &Range<Nanos>,
    dues: &[Nanos],
) -> u64 {
    // The first is due a period after the VP begins.
    let from = measured.start.max(there.start + period);
    let over = (there.end + Nanos(1)) - period;
    let until = measured.end.min(over);
    // All its records lie on one grid; without any, one as good as another.
    let offset = dues.first().map_or(there.start.0, |due| due.0) % period.0;
    let due_before = |at: Nanos| (at - Nanos(offset)).0.div_ceil(period.0);
    let due = due_before(until).saturating_sub(due_before(from));
    let recorded = dues.iter().filter(|due| (from..until).contains(due));
    due.saturating_sub(recorded.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    /// With a period of 10 ms, of 1000 ms to 1100 ms, there from `from` to `to`.
    fn missed(from: u64, to: u64, dues: &[u64]) -> u64 {
        let dues: Vec<Nanos> = dues.iter().copied().map(ms).collect();
        of_vp_missed(ms(10), &(ms(1_000)..ms(1_100)), &(ms(from)..ms(to)), &dues)
    }

    #[test]
    fn a_period_that_is_over_and_has_no_record_was_missed() {
        let all: Vec<u64> = (903..1_100).step_by(10).collect();
        assert_eq!(missed(0, 1_100, &all), 0);
        // The last period was not over.
        assert_eq!(missed(0, 1_100, &all[..all.len() - 1]), 0);
        assert_eq!(missed(0, 1_103, &all[..all.len() - 1]), 1);
        let left_out = |due: &u64| !(1_013..1_053).contains(due);
        let some: Vec<u64> = all.iter().copied().filter(left_out).collect();
        assert_eq!(missed(0, 1_100, &some), 4);
        // Of the warm-up, and nothing since.
        assert_eq!(missed(0, 1_100, &[903]), 9);
        assert_eq!(missed(0, 1_100, &[]), 10);
    }

    #[test]
    fn who_comes_or_crashes_on_the_way_misses_nothing_while_it_is_not_there() {
        let since: Vec<u64> = (1_063..1_100).step_by(10).collect();
        assert_eq!(missed(1_052, 1_100, &since), 0);
        assert_eq!(missed(1_052, 1_100, &since[1..]), 1);
        assert_eq!(missed(0, 1_025, &[993, 1_003, 1_013]), 0);
        assert_eq!(missed(0, 900, &[]), 0);
    }
}
