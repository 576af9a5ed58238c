//! What each number of an experiment may be: one rule each, for files and command line alike.

mod payloads;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use apportion_abi::layout;
use apportion_scheduler::Nanos;
use thiserror::Error;

use crate::size::Bytes;

pub use payloads::*;

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

/// Guests made from one `[[guest]]` entry; none where a sweep or a claim leaves it out.
pub const COUNT: Limit<u32> = Limit {
    key: "count",
    lowest: 0,
    highest: 16_384,
    allowed: "a whole number from 0 to 16384 (default 1)",
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

/// The share that a guest is to receive, where it is not the formula's.
pub const EXPECTED: Limit<f64> = Limit {
    key: "expected",
    lowest: 0.0,
    highest: 100.0,
    allowed: "a percentage of the delivered time from 0 to 100 (without the key: what the formula promises)",
};

/// What a claim's figure must not fall below: of percentages, rates and ratios, or as a factor.
pub const AT_LEAST: Limit<f64> = bound("at_least");

/// What a claim's figure must not exceed: of percentages, rates and ratios, or as a factor.
pub const AT_MOST: Limit<f64> = bound("at_most");

/// What a claim's figure must not fall below, of times.
pub const AT_LEAST_TIME: Limit<Nanos> = time_bound("at_least");

/// What a claim's figure must not exceed, of times.
pub const AT_MOST_TIME: Limit<Nanos> = time_bound("at_most");

const fn bound(key: &'static str) -> Limit<f64> {
    Limit {
        key,
        lowest: 0.0,
        highest: 1e15,
        allowed: "a number from 0 to 1e15",
    }
}

const fn time_bound(key: &'static str) -> Limit<Nanos> {
    Limit {
        key,
        lowest: Nanos::ZERO,
        highest: DAY,
        allowed: "a time from 0s to 24h",
    }
}

/// Memory of one guest, in multiples of the page that it is mapped by.
pub const MEMORY: Limit<Bytes> = Limit {
    key: "memory",
    lowest: Bytes(layout::LEAST_MEMORY),
    highest: Bytes(layout::MOST_MEMORY),
    allowed: "a multiple of 2MiB from 4MiB to 16GiB (without the key: what the payload needs)",
};

/// Periodic timer interrupts that each VP gets in a second.
pub const TICKS: Limit<u32> = Limit {
    key: "ticks",
    lowest: 0,
    highest: 10_000,
    allowed: "a whole number per second from 0 to 10000 (default 0)",
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

/// Interrupts that a change posts to each VP of each guest it names.
pub const INTERRUPTS: Limit<u32> = Limit {
    key: "interrupts",
    lowest: 1,
    highest: 1_000,
    allowed: "a whole number from 1 to 1000",
};

/// When a change happens, counted from when measuring begins.
pub const AT: Limit<Nanos> = Limit {
    key: "at",
    lowest: Nanos(1),
    highest: DAY,
    allowed: "a time above 0s and below the duration",
};

/// Virtual processors of all guests of an experiment together.
pub const ALL_VPS: Limit<u64> = Limit {
    key: "vps",
    lowest: 0,
    highest: 65_536,
    allowed: "at most 65536 VPs over all guests",
};
