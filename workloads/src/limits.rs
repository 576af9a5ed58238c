//! What each number of an experiment may be: one rule each, for files and command line alike.

use std::fmt::Display;

use apportion_scheduler::Nanos;
use thiserror::Error;

/// The range of one number of an experiment, and how to say it.
#[derive(Clone, Copy, Debug)]
pub struct Limit<T> {
    /// The key in the experiment file; the option of the command line is named after it.
    pub key: &'static str,
    /// The least value allowed.
    pub lowest: T,
    /// The greatest value allowed.
    pub highest: T,
    /// The range in words, to follow "use".
    pub allowed: &'static str,
}

/// A number lies outside its [`Limit`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key} {given} is out of range: use {allowed}")]
pub struct OutOfRange {
    /// The key of the number.
    pub key: &'static str,
    /// The number as given.
    pub given: String,
    /// What is allowed, in words.
    pub allowed: &'static str,
}

impl<T: PartialOrd + Display> Limit<T> {
    /// The value itself, if it lies in range.
    ///
    /// # Errors
    /// [`OutOfRange`], which says what is allowed.
    pub fn check(&self, value: T) -> Result<T, OutOfRange> {
        if self.lowest <= value && value <= self.highest {
            Ok(value)
        } else {
            Err(self.refuse(value))
        }
    }

    /// The refusal of `given`, whatever its type.
    pub(crate) fn refuse(&self, given: impl Display) -> OutOfRange {
        OutOfRange {
            key: self.key,
            given: given.to_string(),
            allowed: self.allowed,
        }
    }
}

/// 24 hours.
const DAY: Nanos = Nanos::from_millis(24 * 3_600 * 1_000);

/// Logical processors given to the experiment.
pub const LPS: Limit<u32> = Limit {
    key: "lps",
    lowest: 1,
    highest: 4_096,
    allowed: "a whole number from 1 to 4096 (without the key: every LP of the host)",
};

/// Length of the measured part of a run.
pub const DURATION: Limit<Nanos> = Limit {
    key: "duration",
    lowest: Nanos(1),
    highest: DAY,
    allowed: "a time above 0s, up to 24h (default 10s)",
};

/// Time before the measured part, recorded but not counted.
pub const WARM_UP: Limit<Nanos> = Limit {
    key: "warm_up",
    lowest: Nanos::ZERO,
    highest: DAY,
    allowed: "a time from 0s to 24h (default 1s)",
};

/// The longest time for which a VP is dispatched without a new decision.
pub const SLICE: Limit<Nanos> = Limit {
    key: "slice",
    lowest: Nanos::from_micros(100),
    highest: Nanos::from_millis(1_000),
    allowed: "a time from 100us to 1s (default 1ms)",
};

/// How often the experiment is run.
pub const REPETITIONS: Limit<u32> = Limit {
    key: "repetitions",
    lowest: 1,
    highest: 1_000,
    allowed: "a whole number from 1 to 1000 (default 1)",
};

/// Allowed error of a share, in percentage points.
pub const TOLERANCE_PP: Limit<f64> = Limit {
    key: "tolerance_pp",
    lowest: f64::MIN_POSITIVE,
    highest: 100.0,
    allowed: "a number of percentage points above 0, up to 100 (default 0.5)",
};

/// Guests made from one `[[guest]]` entry.
pub const COUNT: Limit<u32> = Limit {
    key: "count",
    lowest: 1,
    highest: 1_024,
    allowed: "a whole number from 1 to 1024 (default 1)",
};

/// Virtual processors of one guest.
pub const VPS: Limit<u32> = Limit {
    key: "vps",
    lowest: 1,
    highest: 64,
    allowed: "a whole number from 1 to 64 (default 1)",
};

/// The weight of each VP, in the scheduler's own range.
pub const WEIGHT: Limit<i64> = Limit {
    key: "weight",
    lowest: *apportion_scheduler::Weight::RANGE.start(),
    highest: *apportion_scheduler::Weight::RANGE.end(),
    allowed: "a whole number from 1 to 10000 (default 100)",
};

/// Units of work after which a crashing guest faults.
pub const AFTER_WORK: Limit<u64> = Limit {
    key: "after_work",
    lowest: 1,
    highest: u64::MAX,
    allowed: "a whole number of work units above 0",
};

/// Virtual processors of all guests of an experiment together.
pub const ALL_VPS: Limit<u64> = Limit {
    key: "vps",
    lowest: 1,
    highest: 4_096,
    allowed: "at most 4096 VPs over all guests",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_allowed_and_their_neighbours_refused() {
        assert!(SLICE.check(Nanos::from_micros(100)).is_ok());
        assert!(SLICE.check(Nanos(99_999)).is_err());
        assert!(SLICE.check(Nanos(1_000_000_001)).is_err());
        assert!(DURATION.check(Nanos::ZERO).is_err());
        assert!(DURATION.check(DAY).is_ok());
        assert!(WARM_UP.check(Nanos::ZERO).is_ok());
        assert!(TOLERANCE_PP.check(0.0).is_err());
        assert!(TOLERANCE_PP.check(f64::NAN).is_err());
        assert!(TOLERANCE_PP.check(100.0).is_ok());
        assert!(LPS.check(0).is_err());
    }

    #[test]
    fn words_and_numbers_agree() {
        fn named<T: Display>(limit: Limit<T>) {
            let words = format!("from {} to {} ", limit.lowest, limit.highest);
            assert!(limit.allowed.contains(&words), "{}: {words}", limit.key);
        }
        named(LPS);
        named(REPETITIONS);
        named(COUNT);
        named(VPS);
        named(WEIGHT);
        named(SLICE);
        assert!(ALL_VPS.allowed.contains(&ALL_VPS.highest.to_string()));
    }

    #[test]
    fn a_refusal_says_what_where_and_what_to_do() {
        assert_eq!(
            SLICE.check(Nanos::from_micros(10)).unwrap_err().to_string(),
            "slice 10us is out of range: use a time from 100us to 1s (default 1ms)"
        );
    }
}
