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

/// NUMA nodes that the LPs are divided into.
pub const NODES: Limit<u32> = Limit {
    key: "nodes",
    lowest: 1,
    highest: 64,
    allowed: "a whole number from 1 to 64 (default 1), no more than there are LPs",
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

/// Where everything random in a run begins. TOML's whole numbers end at 2⁶³ - 1.
pub const SEED: Limit<u64> = Limit {
    key: "seed",
    lowest: 0,
    highest: i64::MAX as u64,
    allowed: "a whole number from 0 to 9223372036854775807 (default 1)",
};

/// What the simulated host takes of an LP at each dispatch.
pub const OVERHEAD: Limit<Nanos> = Limit {
    key: "overhead",
    lowest: Nanos::ZERO,
    highest: Nanos::from_millis(1),
    allowed: "a time from 0s to 1ms (default 2us)",
};

/// How late a simulated dispatch ends at the most.
pub const KICK_LATENCY: Limit<Nanos> = Limit {
    key: "kick_latency",
    lowest: Nanos::ZERO,
    highest: Nanos::from_millis(1),
    allowed: "a time from 0s to 1ms (default 25us)",
};

/// Guests made from one `[[guest]]` entry.
pub const COUNT: Limit<u32> = Limit {
    key: "count",
    lowest: 1,
    highest: 16_384,
    allowed: "a whole number from 1 to 16384 (default 1)",
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

/// What each VP is guaranteed.
pub const RESERVE: Limit<f64> = Limit {
    key: "reserve",
    lowest: 0.0,
    highest: 100.0,
    allowed: "a percentage of one LP per VP from 0 to 100 (default 0)",
};

/// What each VP never exceeds. The least is the resolution of the controls.
pub const CAP: Limit<f64> = Limit {
    key: "cap",
    lowest: 0.001,
    highest: 100.0,
    allowed: "a percentage of one LP per VP from 0.001 to 100 (default 100)",
};

/// The number of an LP that a guest may run on.
pub const AFFINITY: Limit<u32> = lp("affinity");

/// The number of an LP that is taken off line.
pub const LP_OFF: Limit<u32> = lp("lp_off");

/// The number of an LP that is brought back.
pub const LP_ON: Limit<u32> = lp("lp_on");

const fn lp(key: &'static str) -> Limit<u32> {
    Limit {
        key,
        lowest: 0,
        highest: LPS.highest - 1,
        allowed: "LP numbers from 0 to 4095",
    }
}

/// Virtual processors that a change adds to each guest it names.
pub const ADD_VPS: Limit<u32> = Limit {
    key: "add_vps",
    lowest: 1,
    highest: 64,
    allowed: "a whole number from 1 to 64",
};

/// When a change happens, counted from when measuring begins.
pub const AT: Limit<Nanos> = Limit {
    key: "at",
    lowest: Nanos(1),
    highest: DAY,
    allowed: "a time above 0s and below the duration",
};

/// From one awakening of a periodic VP to the next.
pub const PERIOD: Limit<Nanos> = payload_time("period");

/// CPU time that a periodic VP wants in every period.
pub const RUN: Limit<Nanos> = payload_time("run");

/// CPU time that an on-off VP wants between two sleeps, on average.
pub const ON: Limit<Nanos> = payload_time("on");

/// Time for which an on-off VP sleeps, on average.
pub const OFF: Limit<Nanos> = payload_time("off");

/// CPU time for which a spinning VP holds its lock.
pub const CRITICAL: Limit<Nanos> = payload_time("critical");

/// CPU time for which a spinning VP does without its lock.
pub const THINK: Limit<Nanos> = payload_time("think");

const fn payload_time(key: &'static str) -> Limit<Nanos> {
    Limit {
        key,
        lowest: Nanos::from_micros(10),
        highest: Nanos::from_millis(60_000),
        allowed: "a time from 10us to 60s",
    }
}

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
    highest: 65_536,
    allowed: "at most 65536 VPs over all guests",
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
        assert!(SEED.check(0).is_ok());
        assert!(SEED.check(1 << 63).is_err());
        assert!(OVERHEAD.check(Nanos::ZERO).is_ok());
        assert!(KICK_LATENCY.check(Nanos(1_000_001)).is_err());
        assert!(RESERVE.check(0.0).is_ok());
        assert!(CAP.check(0.0).is_err());
        assert!(CAP.check(0.001).is_ok());
        assert!(AFFINITY.check(4_096).is_err());
        assert!(AT.check(Nanos::ZERO).is_err());
        assert!(RUN.check(Nanos(9_999)).is_err());
        assert!(OFF.check(Nanos::from_millis(60_000)).is_ok());
    }

    #[test]
    fn words_and_numbers_agree() {
        fn named<T: Display>(limit: Limit<T>) {
            let words = format!("from {} to {}", limit.lowest, limit.highest);
            let after = limit.allowed.split_once(&words).map(|(_, after)| after);
            // The number must end there: 60s is not 600s, 100 not 1000.
            assert!(
                after.is_some_and(|after| after.is_empty() || after.starts_with(' ')),
                "{}: {words}",
                limit.key
            );
        }
        named(LPS);
        named(REPETITIONS);
        named(COUNT);
        named(VPS);
        named(WEIGHT);
        named(SLICE);
        named(NODES);
        named(SEED);
        named(RESERVE);
        named(CAP);
        named(LP_OFF);
        named(ADD_VPS);
        named(PERIOD);
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
