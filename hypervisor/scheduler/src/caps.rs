//! The cap: a token bucket per capped VP, the same under every policy.
//!
//! Tokens are CPU time. They flow in at the cap's rate of wall time, up to a
//! depth of [`DEPTH`] slices; what a VP ran is taken out afterwards. A dispatch
//! begins only with a whole slice in the bucket, so a bucket is never further
//! below zero than one kick is late, and over any window W
//! `service ≤ c·W + DEPTH·slice + j`. A VP that waits for its slice of tokens
//! loses none: the bucket is deeper than what it waits for.

use crate::controls::{Cap, FULL};
use crate::units::Nanos;

/// The depth of a bucket, in slices.
pub const DEPTH: u64 = 2;

/// One VP's bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Parts of [`FULL`].
    rate: i128,
    /// Tokens in ns·[`FULL`] at `at`: whole numbers, so that nothing is rounded.
    tokens: i128,
    at: Nanos,
}

fn tokens(span: Nanos) -> i128 {
    i128::from(span.0) * i128::from(FULL)
}

impl Bucket {
    /// A full bucket; `None` where the cap is no limit.
    pub(crate) fn new(cap: Cap, slice: Nanos, now: Nanos) -> Option<Bucket> {
        (cap != Cap::default()).then(|| Bucket {
            rate: i128::from(cap.parts()),
            tokens: tokens(slice) * i128::from(DEPTH),
            at: now,
        })
    }

    /// The bucket under another cap: what it holds stays.
    pub(crate) fn with_cap(mut self, cap: Cap, slice: Nanos, now: Nanos) -> Option<Bucket> {
        let fresh = Bucket::new(cap, slice, now)?;
        if fresh.rate == self.rate {
            // Filled in the middle of a dispatch it would lose what flows over.
            return Some(self);
        }
        self.fill(now, slice);
        Some(Bucket {
            tokens: self.tokens,
            ..fresh
        })
    }

    fn fill(&mut self, now: Nanos, slice: Nanos) {
        let inflow = i128::from(now.since(self.at).0) * self.rate;
        let depth = tokens(slice) * i128::from(DEPTH);
        self.tokens = (self.tokens + inflow).min(depth);
        self.at = self.at.max(now);
    }

    /// A dispatch begins.
    pub(crate) fn begin(&mut self, now: Nanos, slice: Nanos) {
        self.fill(now, slice);
    }

    /// The dispatch has ended. What flowed in while the VP ran met a bucket
    /// that was being emptied faster. What flowed in while its LP was taken
    /// away may have met a full one: that counts as having come first.
    pub(crate) fn take(&mut self, now: Nanos, ran: Nanos, slice: Nanos) {
        self.fill(now - ran, slice);
        self.tokens -= tokens(ran);
        self.fill(now, slice);
    }

    /// When it holds a whole slice; `now` where it does.
    pub(crate) fn full_slice_at(&mut self, now: Nanos, slice: Nanos) -> Nanos {
        self.fill(now, slice);
        let missing = tokens(slice) - self.tokens;
        if missing <= 0 {
            return now;
        }
        // Rounded up; the rate is at least 1.
        let wait = (missing + self.rate - 1) / self.rate;
        now + Nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Nanos = Nanos::from_millis(1);

    fn quarter() -> Bucket {
        Bucket::new(Cap::from_percent(25.0).unwrap(), SLICE, Nanos::ZERO).unwrap()
    }

    #[test]
    fn a_full_cap_needs_no_bucket() {
        assert!(Bucket::new(Cap::default(), SLICE, Nanos::ZERO).is_none());
    }

    #[test]
    fn it_begins_full_and_releases_at_a_whole_slice() {
        let mut bucket = quarter();
        assert_eq!(bucket.full_slice_at(Nanos::ZERO, SLICE), Nanos::ZERO);
        // Two slices at once: empty but for the inflow of 2 ms at a quarter.
        let now = Nanos::from_millis(2);
        bucket.take(now, Nanos::from_millis(2), SLICE);
        // Half a slice has flowed in, the other half takes 2 ms more.
        assert_eq!(bucket.full_slice_at(now, SLICE), now + Nanos(2_000_000));
    }

    #[test]
    fn an_overrun_is_paid_back() {
        let mut bucket = quarter();
        bucket.take(Nanos::ZERO, Nanos::from_millis(5), SLICE);
        // From −3 slices to one: 4 ms at a quarter.
        assert_eq!(
            bucket.full_slice_at(Nanos::ZERO, SLICE),
            Nanos::from_millis(16)
        );
    }

    #[test]
    fn time_taken_from_a_dispatch_fills_nothing_beyond_the_depth() {
        let mut bucket = quarter();
        bucket.begin(Nanos::ZERO, SLICE);
        // Away for 99 ms with a full bucket, then run for 1 ms.
        let now = Nanos::from_millis(100);
        bucket.take(now, SLICE, SLICE);
        assert_eq!(bucket.tokens, tokens(Nanos(1_250_000)));
    }

    #[test]
    fn the_same_cap_again_changes_nothing_in_the_middle_of_a_dispatch() {
        let mut bucket = quarter();
        bucket.begin(Nanos::ZERO, SLICE);
        let cap = Cap::from_percent(25.0).unwrap();
        let mut same = bucket.with_cap(cap, SLICE, Nanos(500_000)).unwrap();
        bucket.take(SLICE, SLICE, SLICE);
        same.take(SLICE, SLICE, SLICE);
        assert_eq!(bucket.tokens, same.tokens);
    }

    #[test]
    fn it_never_holds_more_than_its_depth() {
        let mut bucket = quarter();
        let later = Nanos(u64::MAX);
        bucket.begin(later, SLICE);
        bucket.take(later, Nanos::from_millis(2), SLICE);
        assert_eq!(bucket.tokens, 0);
    }

    #[test]
    fn another_cap_keeps_what_is_in_it() {
        let mut bucket = quarter();
        bucket.take(Nanos::ZERO, Nanos::from_millis(2), SLICE);
        let half = Cap::from_percent(50.0).unwrap();
        let mut bucket = bucket.with_cap(half, SLICE, Nanos::from_millis(2)).unwrap();
        // Half a slice came at a quarter, the other half comes at one half.
        assert_eq!(
            bucket.full_slice_at(Nanos::from_millis(2), SLICE),
            Nanos::from_millis(3)
        );
        assert!(
            bucket
                .with_cap(Cap::default(), SLICE, Nanos::ZERO)
                .is_none()
        );
    }
}
