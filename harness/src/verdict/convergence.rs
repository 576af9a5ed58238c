//! How soon a guest has its new share after a change.

use super::{Judge, is_at_most};
use crate::ledger::STEP;
use apportion_recording::ConvergenceEntry;
use apportion_scheduler::{Nanos, VpId};

/// One entry per change and guest: the time from which on what the guest has
/// received since the change stays within n·2b of what it should have.
pub(crate) fn convergence(judge: &Judge<'_>) -> Vec<ConvergenceEntry> {
    let mut entries = Vec::new();
    for (due, sums) in judge.closed.after_changes() {
        let end = sums.last().map_or(due, |sum| sum.end);
        for guest in judge.planned.roster.guests() {
            let vps_until = |until: Nanos| -> Vec<VpId> {
                let all = judge.planned.roster.vps_of(guest).iter().copied();
                all.filter(|vp| judge.closed.has_begun(*vp, until))
                    .collect()
            };
            let bound = |vps: &[VpId]| judge.bounds().share_ns(vps.len());
            let errors = sums.iter().map(|sum| {
                let vps = vps_until(sum.end);
                let error = sum.sum(&vps, |vp| vp.received) - sum.expected(&vps);
                is_at_most(error.abs(), bound(&vps))
            });
            let within: Vec<bool> = errors.collect();
            let first = settled(&within);
            let ms = |steps: usize| steps as u64 * STEP.0 / 1_000_000;
            entries.push(ConvergenceEntry {
                change_ns: due.0,
                guest: judge.planned.spec.guests[guest.index()].name.clone(),
                converged_ms: first.map(|step| ms(step + 1)),
                bound_ns: bound(&vps_until(end)).round() as u64,
                looked_at_ms: ms(within.len()),
            });
        }
    }
    entries
}

/// The first step from which on all are within; `None` where the last is not.
fn settled(within: &[bool]) -> Option<usize> {
    let outside = within.iter().rposition(|within| !within);
    let first = outside.map_or(0, |last| last + 1);
    (first < within.len()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_is_from_where_on_nothing_is_outside() {
        assert_eq!(settled(&[true, true]), Some(0));
        assert_eq!(settled(&[true, false, true, true]), Some(2));
        assert_eq!(settled(&[true, false]), None);
        assert_eq!(settled(&[]), None);
    }
}
