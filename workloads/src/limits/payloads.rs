//! The numbers that only some payloads have.

use apportion_scheduler::Nanos;

use super::Limit;
use crate::size::Bytes;

/// From one awakening of a periodic VP or a probe to the next.
pub const PERIOD: Limit<Nanos> = time("period");

/// CPU time that a VP wants in one go: in every period, at every arrival or between two yields.
pub const RUN: Limit<Nanos> = time("run");

/// CPU time that an on-off VP wants between two sleeps, on average.
pub const ON: Limit<Nanos> = time("on");

/// Time for which an on-off VP sleeps, on average.
pub const OFF: Limit<Nanos> = time("off");

/// CPU time for which a spinning VP holds its lock.
pub const CRITICAL: Limit<Nanos> = time("critical");

/// CPU time for which a spinning VP does without its lock.
pub const THINK: Limit<Nanos> = time("think");

/// From one arrival of work to the next, on average. The host puts a few
/// hundred of them in at once, some twenty times a second.
pub const EVERY: Limit<Nanos> = Limit {
    key: "every",
    lowest: Nanos::from_micros(500),
    highest: Nanos::from_millis(60_000),
    allowed: "a time from 500us to 60s",
};

/// Time for which a VP sleeps between two bursts of work or two readings of the clock.
pub const PAUSE: Limit<Nanos> = time("pause");

const fn time(key: &'static str) -> Limit<Nanos> {
    Limit {
        key,
        lowest: Nanos::from_micros(10),
        highest: Nanos::from_millis(60_000),
        allowed: "a time from 10us to 60s",
    }
}

/// Units of work after which a crashing guest faults.
pub const AFTER_WORK: Limit<u64> = work("after_work");

/// Units of work after which a VP is done.
pub const UNITS: Limit<u64> = work("units");

/// Units of work from one pause to the next.
pub const BURST: Limit<u64> = work("burst");

const fn work(key: &'static str) -> Limit<u64> {
    Limit {
        key,
        lowest: 1,
        highest: u64::MAX,
        allowed: "a whole number of work units above 0",
    }
}

/// Spins after which, and at each multiple, a VP tells the hypervisor. 0 and
/// 2³² - 1 are never, as in the TLFS, and `hint` says that better.
pub const THRESHOLD: Limit<u64> = Limit {
    key: "threshold",
    lowest: 1,
    highest: u32::MAX as u64 - 1,
    allowed: "a whole number from 1 to 4294967294 (default 2048)",
};

/// Memory that each VP walks over.
pub const WORKING_SET: Limit<Bytes> = Limit {
    key: "working_set",
    lowest: Bytes(4 << 10),
    highest: Bytes(8 << 30),
    allowed: "a multiple of 8B from 4KiB to 8GiB",
};

/// From one access of that walk to the next.
pub const STRIDE: Limit<Bytes> = Limit {
    key: "stride",
    lowest: Bytes(8),
    highest: WORKING_SET.highest,
    allowed: "a multiple of 8B from 8B to 8GiB (default 64B), no more than the working set",
};

/// The time of a trace at which its replay begins.
pub const FROM: Limit<Nanos> = Limit {
    key: "from",
    lowest: Nanos::ZERO,
    highest: Nanos::from_millis(366 * 24 * 3_600 * 1_000),
    allowed: "a time from 0s to 8784h, a year (default 0s)",
};

/// Trace time per time of the run.
pub const SPEED: Limit<f64> = Limit {
    key: "speed",
    lowest: 0.001,
    highest: 1e6,
    allowed: "a number from 0.001 to 1000000 (default 1)",
};

/// Mean demand of a replay's guests together, as a multiple of the LPs.
pub const OVERCOMMIT: Limit<f64> = Limit {
    key: "overcommit",
    lowest: 0.001,
    highest: 1e4,
    allowed: "a number from 0.001 to 10000 (without the key: demand as the trace has it)",
};

/// Mean length of a replay's bursts.
pub const BURST_LENGTH: Limit<Nanos> = Limit {
    key: "burst_length",
    lowest: Nanos::from_micros(500),
    highest: Nanos::from_millis(60_000),
    allowed: "a time from 500us to 60s (default 5ms)",
};
