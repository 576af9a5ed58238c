//! How often a guest may end dispatches of its own will: one limit for all of its VPs together.

use apportion_scheduler::Nanos;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A guest may end a dispatch of its own will once per so much time, and each of its VPs once per so much CPU time:
/// recording a dispatch costs the root, whose time is everybody's.
pub(crate) const ENDING_COSTS: Nanos = Nanos::from_micros(100);
/// Endings that a guest may save up, and each of its VPs.
pub(crate) const ENDINGS_SAVED: u64 = 16;

const SAVED: Nanos = Nanos(ENDING_COSTS.0 * ENDINGS_SAVED);

/// One guest's endings, shared by its VPs. A generic cell rate algorithm (ITU-T I.371): one word says up to when the
/// guest has paid, each ending moves that on, and it may lie ahead of now by what can be saved.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    /// On the engine's clock, ns.
    paid_until: AtomicU64,
}

impl Endings {
    /// Ends a dispatch at `now`, if the guest can afford that.
    pub(super) fn end(&self, now: Nanos) -> bool {
        let paid = |paid_until| {
            let next = paid_after(paid_until, now);
            (next <= now + SAVED).then_some(next.0)
        };
        self.paid_until.fetch_update(Relaxed, Relaxed, paid).is_ok()
    }

    /// Ends a dispatch at `now` by a sleep, which may always be: when that has been paid for. The VP wakes no sooner by itself.
    pub(super) fn sleep(&self, now: Nanos) -> Nanos {
        let paid = |paid_until| Some(paid_after(paid_until, now).0);
        let before = self.paid_until.fetch_update(Relaxed, Relaxed, paid);
        let next = before.map_or(now, |before| paid_after(before, now));
        (next - SAVED).max(now)
    }
}

fn paid_after(paid_until: u64, now: Nanos) -> Nanos {
    Nanos(paid_until).max(now) + ENDING_COSTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(us: u64) -> Nanos {
        Nanos::from_micros(us)
    }

    #[test]
    fn what_was_saved_can_be_spent_at_once_and_then_one_in_each_100_us() {
        let endings = Endings::default();
        let now = us(5_000);
        assert_eq!((0..100).filter(|_| endings.end(now)).count(), 16);
        assert!(!endings.end(now + us(99)));
        assert!(endings.end(now + us(100)));
        assert!(!endings.end(now + us(199)));
        // No more is saved in a long time.
        let later = us(900_000);
        assert_eq!((0..100).filter(|_| endings.end(later)).count(), 16);
    }

    #[test]
    fn sleeps_that_were_not_saved_for_last_until_they_are_paid_one_after_the_other() {
        let endings = Endings::default();
        let now = us(5_000);
        for _ in 0..16 {
            assert_eq!(endings.sleep(now), now);
        }
        // 64 VPs at once: the last one sleeps for 6.4 ms.
        for vp in 1..=64 {
            assert_eq!(endings.sleep(now), now + us(100 * vp));
        }
        assert!(!endings.end(now + us(6_400)));
        assert_eq!(endings.sleep(now + us(6_500)), now + us(6_500));
    }

    #[test]
    fn vps_that_sleep_whenever_they_wake_end_no_more_dispatches_together_than_one_alone() {
        for vps in [1, 8, 64] {
            let endings = Endings::default();
            let mut wakes = vec![us(0); vps];
            let mut ended = 0;
            let until = us(1_000_000);
            while let Some(vp) = (0..vps).min_by_key(|vp| wakes[*vp])
                && wakes[vp] < until
            {
                // It runs for a microsecond.
                let now = wakes[vp] + us(1);
                wakes[vp] = endings.sleep(now);
                ended += 1;
            }
            let most = ENDINGS_SAVED + vps as u64 + until.0 / ENDING_COSTS.0;
            assert!(ended <= most, "{vps} VPs: {ended}");
            assert!(ended >= until.0 / ENDING_COSTS.0 / 2, "{vps} VPs: {ended}");
        }
    }
}
