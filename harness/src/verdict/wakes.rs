//! How long guests that wake once in a period wait after each awakening, against the bound that a reserve gives.

use super::bounds::Bounds;
use super::{Judge, is_at_least, is_at_most};
use crate::ledger::{Wake, periodic_burst};
use crate::statistics::quantile;
use apportion_recording::{Verdict, WakeEntry, WakeStatistics};
use apportion_scheduler::PolicyKind;

/// Fewer undisturbed wakes than these tell nothing.
pub(crate) const ENOUGH: usize = 100;
/// So many of them must be within the bound, %.
const WITHIN_PCT: f64 = 99.0;

impl Bounds {
    /// The longest that a VP with this reserve waits for a slice: q/r + q + j,
    /// in ns; none without a reserve.
    fn wake_ns(&self, reserve: f64) -> Option<f64> {
        let slice = self.slice.0 as f64;
        (reserve > 0.0).then(|| slice / reserve + slice + self.overshoot.0 as f64)
    }
}

/// One entry per guest with payload `periodic` or `probe`.
pub(crate) fn wakes(judge: &Judge<'_>) -> Vec<WakeEntry> {
    let bounds = judge.bounds();
    let guests = judge.planned.roster.guests();
    let periodic = guests
        .filter(|guest| periodic_burst(judge.planned.spec.guests[guest.index()].payload).is_some());
    periodic
        .map(|guest| {
            let of_guest = judge.closed.wakes.iter().filter(|wake| wake.guest == guest);
            // One that still waits tells something only once it waits too long.
            let told = of_guest.filter(|wake| {
                let bound = bounds.wake_ns(wake.reserve);
                !wake.waiting
                    || bound.is_some_and(|bound| !is_at_most(wake.latency().0 as f64, bound))
            });
            let all: Vec<&Wake> = told.collect();
            let undisturbed: Vec<&Wake> =
                all.iter().copied().filter(|wake| !wake.disturbed).collect();
            let limits = all.iter().filter_map(|wake| bounds.wake_ns(wake.reserve));
            let bound = limits.reduce(f64::max);
            let judged = bound.is_some() && judge.planned.spec.policy == PolicyKind::Fair;
            let statistics_undisturbed = statistics(&undisturbed, &bounds);
            WakeEntry {
                guest: judge.planned.spec.guests[guest.index()].name.clone(),
                bound_ns: bound.map(|bound| bound.round() as u64),
                all: statistics(&all, &bounds),
                verdict: judged.then(|| verdict(&statistics_undisturbed, bounded(&undisturbed))),
                undisturbed: statistics_undisturbed,
            }
        })
        .collect()
}

/// How many of them had a reserve.
fn bounded(wakes: &[&Wake]) -> usize {
    wakes.iter().filter(|wake| wake.reserve > 0.0).count()
}

fn statistics(wakes: &[&Wake], bounds: &Bounds) -> WakeStatistics {
    let mut latencies: Vec<f64> = wakes.iter().map(|w| w.latency().0 as f64).collect();
    latencies.sort_by(f64::total_cmp);
    let ns = |q: f64| quantile(&latencies, q).round() as u64;
    let within = wakes.iter().filter(|wake| {
        let bound = bounds.wake_ns(wake.reserve);
        bound.is_some_and(|bound| is_at_most(wake.latency().0 as f64, bound))
    });
    let (within, of) = (within.count(), bounded(wakes));
    WakeStatistics {
        wakes: wakes.len() as u64,
        within_pct: (of > 0).then(|| 100.0 * within as f64 / of as f64),
        p50_ns: ns(0.5),
        p99_ns: ns(0.99),
        max_ns: ns(1.0),
    }
}

fn verdict(undisturbed: &WakeStatistics, bounded: usize) -> Verdict {
    match undisturbed.within_pct {
        Some(within) if bounded >= ENOUGH && is_at_least(within, WITHIN_PCT) => Verdict::Pass,
        Some(_) if bounded >= ENOUGH => Verdict::Fail,
        _ => Verdict::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::{GuestId, Nanos};

    const BOUNDS: Bounds = Bounds {
        lps: 1,
        nodes: 1,
        slice: Nanos::from_millis(1),
        overshoot: Nanos::ZERO,
    };

    fn wake(latency_ms: u64) -> Wake {
        Wake {
            guest: GuestId(0),
            due: Nanos::from_millis(7),
            served: Nanos::from_millis(7 + latency_ms),
            reserve: 0.2,
            waiting: false,
            disturbed: false,
        }
    }

    #[test]
    fn ninety_nine_of_a_hundred_undisturbed_wakes_must_be_within_the_bound() {
        // 1 ms / 0.2 + 1 ms.
        let mut wakes = vec![wake(6); 99];
        let judge = |wakes: &[Wake]| {
            let wakes: Vec<&Wake> = wakes.iter().collect();
            verdict(&statistics(&wakes, &BOUNDS), wakes.len())
        };
        assert_eq!(judge(&wakes), Verdict::Inconclusive);
        wakes.push(wake(7));
        assert_eq!(judge(&wakes), Verdict::Pass);
        wakes.push(wake(7));
        assert_eq!(judge(&wakes), Verdict::Fail);
    }
}
