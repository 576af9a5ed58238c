//! What a guest says to whoever watches: lines for the log, few enough that nobody minds.

use crate::engine::Said;
use apportion_scheduler::{GuestId, Nanos};
use std::sync::{Mutex, PoisonError};

/// A guest may say a line this often in the long run.
const LINE_COSTS: Nanos = Nanos::from_millis(100);
/// Lines that it may say at once after it has been silent.
const SAVED: u64 = 20;
/// Lines that it may say in one run.
const MOST: u32 = 1_000;

/// One guest's.
#[derive(Debug)]
pub(crate) struct GuestLog {
    guest: GuestId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Everything up to here is paid for.
    paid_until: Nanos,
    said: u32,
    lines: Vec<Said>,
}

impl GuestLog {
    pub(crate) fn new(guest: GuestId) -> GuestLog {
        GuestLog {
            guest,
            state: Mutex::default(),
        }
    }

    /// Keeps a line until it is taken; `false` where that were too many.
    pub(super) fn say(&self, at: Nanos, vp: u32, text: String) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = Nanos(LINE_COSTS.0 * SAVED);
        let paid_until = state.paid_until.max(at) + LINE_COSTS;
        if paid_until > at + ahead || state.said == MOST {
            return false;
        }
        state.paid_until = paid_until;
        state.said += 1;
        let guest = self.guest;
        state.lines.push(Said {
            guest,
            vp,
            at,
            text,
        });
        true
    }

    /// The lines since the last time.
    pub(crate) fn take(&self) -> Vec<Said> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_talks_too_much_is_not_heard() {
        let log = GuestLog::new(GuestId(3));
        let say = |ms| log.say(Nanos::from_millis(ms), 0, "x".to_owned());
        assert_eq!((0..100).filter(|_| say(5_000)).count(), 20);
        assert_eq!(log.take().len(), 20);
        // Ten in each second from then on, and never more than the most.
        assert_eq!((1..=1_000).filter(|ms| say(5_000 + ms)).count(), 10);
        assert_eq!((0..1_000).filter(|s| say(10_000 + s * 1_000)).count(), 970);
        assert!(!say(9_000_000));
    }
}
