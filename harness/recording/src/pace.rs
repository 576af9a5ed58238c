//! How often a file that is replaced whole is worth replacing.

use std::time::{Duration, Instant};

/// The time from one replacement to the next is so many times what the last one took, at the least.
const APART: u32 = 20;

/// But no replacement is put off for longer, whatever it costs.
const LONGEST: Duration = Duration::from_secs(2);

/// Keeps what replacing a growing file costs to a twentieth of the time, as far as that leaves it up to date.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When it was last replaced.
    at: Instant,
    took: Duration,
    /// Since when it has not had all that it should.
    owed: Option<Instant>,
}

impl Pace {
    /// Of a file that was written until now, since `begun`.
    pub(crate) fn since(begun: Instant) -> Pace {
        let at = Instant::now();
        Pace {
            at,
            took: at - begun,
            owed: None,
        }
    }

    /// Whether the file, which should have more, is to be replaced now; else that is owed.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        self.owed.get_or_insert(now);
        now.saturating_duration_since(self.at) >= (APART * self.took).min(LONGEST)
    }

    /// Whether what is owed would be put off for too long if nothing were done for so long.
    pub(crate) fn is_due_before(&self, now: Instant, length: Duration) -> bool {
        let owed = |since: Instant| now.saturating_duration_since(since).saturating_add(length);
        self.owed.is_some_and(|since| owed(since) > LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_done_seldom_and_in_time() {
        let at = Instant::now();
        let due = |took: u64, after: u64| {
            let took = Duration::from_millis(took);
            let mut pace = Pace {
                at,
                took,
                owed: None,
            };
            pace.is_due(at + Duration::from_millis(after))
        };
        assert!(!due(10, 199));
        assert!(due(10, 200));
        assert!(!due(5_000, 1_999));
        assert!(due(5_000, 2_000));
    }

    #[test]
    fn what_is_owed_is_done_before_what_would_put_it_off_for_too_long() {
        let at = Instant::now();
        let ms = Duration::from_millis;
        let mut pace = Pace {
            at,
            took: ms(5_000),
            owed: None,
        };
        assert!(!pace.is_due_before(at, Duration::MAX));
        assert!(!pace.is_due(at + ms(100)));
        assert!(!pace.is_due_before(at + ms(100), ms(2_000)));
        assert!(pace.is_due_before(at + ms(100), ms(2_001)));
        // What came first waits the longest.
        assert!(!pace.is_due(at + ms(1_100)));
        assert!(!pace.is_due_before(at + ms(1_100), ms(1_000)));
        assert!(pace.is_due_before(at + ms(1_100), ms(1_001)));
    }
}
