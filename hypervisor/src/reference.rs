//! The reference time: a line through time stamps that follows the engine's clock and never goes back.
//!
//! Guests read it from a page without an exit. Time stamps drift against
//! CLOCK_MONOTONIC, which the system disciplines, so that the line is drawn
//! anew from time to time: through where the old one is, towards where the
//! clock will be. Whoever reads both has to read the old one no later than that.

use apportion_abi::clock::{Line, UNIT_NS};

/// A line is drawn so that it meets the clock after this time.
const MEET_AFTER_NS: u64 = 500_000_000;
/// The rate of the clock is taken over one to two of these, once so much time has passed.
const BASELINE_NS: u64 = 500_000_000;
/// And over no less than this.
const LEAST_BASELINE_NS: u64 = 20_000_000;

/// The time-stamp counter and the engine's clock at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Ticks.
    pub(crate) tsc: u64,
    /// In ns since the engine's origin.
    pub(crate) ns: u64,
}

/// The line and what it is drawn by.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    line: Line,
    /// Ticks per ns, times 2³².
    rate: u64,
    /// What the rate is taken from now, and from later on.
    baselines: [Sample; 2],
}

/// A time in units of 2⁻⁶⁴ of 100 ns, so that lines are compared exactly.
type Fine = i128;

fn fine(line: Line, tsc: u64) -> Fine {
    (u128::from(tsc) * u128::from(line.scale)) as Fine + (Fine::from(line.offset) << 64)
}

fn fine_ns(ns: u64) -> Fine {
    (Fine::from(ns) << 64) / Fine::from(UNIT_NS)
}

impl Reference {
    /// Of a counter with so many ticks in a millisecond, as far as is known.
    pub(crate) fn start(sample: Sample, ticks_per_ms: u64) -> Reference {
        let rate = ((u128::from(ticks_per_ms.max(1)) << 32) / 1_000_000) as u64;
        let mut reference = Reference {
            line: Line::default(),
            rate,
            baselines: [sample; 2],
        };
        reference.line = reference.through(sample.tsc, fine_ns(sample.ns), sample);
        reference
    }

    /// The line: reference time by time stamp, counted from the engine's origin.
    pub(crate) fn line(&self) -> Line {
        self.line
    }

    fn ticks(&self, ns: u64) -> u64 {
        ((u128::from(ns) * u128::from(self.rate)) >> 32).max(1) as u64
    }

    /// The line that is at `from` at `tsc` and meets the clock later.
    fn through(&self, tsc: u64, from: Fine, clock: Sample) -> Line {
        let ticks = self.ticks(MEET_AFTER_NS);
        let to = fine_ns(clock.ns + MEET_AFTER_NS);
        // Time does not stand still, however far ahead the line is.
        let scale = ((to - from) / Fine::from(ticks)).max(1) as u64;
        let scaled = (u128::from(tsc) * u128::from(scale)) as Fine;
        // Upwards: half a unit up to one too high rather than below `from`.
        let offset = (from - scaled + (1 << 64) - 1) >> 64;
        Line {
            scale,
            offset: offset as i64,
        }
    }

    /// Draws the line anew.
    pub(crate) fn follow(&mut self, now: Sample) -> Line {
        let [base, next] = self.baselines;
        let (ticks, ns) = (
            now.tsc.wrapping_sub(base.tsc),
            now.ns.saturating_sub(base.ns),
        );
        if ns >= LEAST_BASELINE_NS {
            self.rate = ((u128::from(ticks) << 32) / u128::from(ns)) as u64;
        }
        if now.ns.saturating_sub(next.ns) >= BASELINE_NS {
            self.baselines = [next, now];
        }
        self.line = self.through(now.tsc, fine(self.line, now.tsc), now);
        self.line
    }
}

/// `line` counted from `epoch` instead.
pub(crate) fn since(line: Line, epoch: u64) -> Line {
    Line {
        offset: line.offset.wrapping_sub_unsigned(epoch),
        ..line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that runs at `ppm` millionths faster than 2.1 GHz of ticks say, from some time on.
    fn clock(at_ns: u64, ppm: i64) -> Sample {
        let ticks = u128::from(at_ns) * 2_100_000 / 1_000_000;
        Sample {
            tsc: 88_000_000_000_000 + ticks as u64,
            ns: (at_ns + 5_000_000_000).strict_add_signed(at_ns as i64 / 1_000_000 * ppm),
        }
    }

    fn error(reference: &Reference, now: Sample) -> i64 {
        reference.line().at(now.tsc) as i64 * UNIT_NS as i64 - now.ns as i64
    }

    #[test]
    fn it_follows_a_clock_that_runs_faster_or_slower() {
        for ppm in [-400, -3, 0, 3, 400] {
            let mut reference = Reference::start(clock(0, ppm), 2_100_000);
            let (mut worst, mut last) = (0, 0);
            for step in 1..400_u64 {
                // Looked at just before it is drawn anew, every 50 ms.
                let now = clock(step * 50_000_000, ppm);
                let off = error(&reference, now).abs();
                if step > 60 {
                    worst = worst.max(off);
                }
                assert!(off < 30_000, "{ppm} ppm: {off} ns after {step} steps");
                let before = reference.line();
                let after = reference.follow(now);
                assert!(before.at(now.tsc) >= last, "{ppm} ppm");
                last = after.at(now.tsc);
                assert!(last >= before.at(now.tsc), "{ppm} ppm");
            }
            assert!(worst < 1_000, "{ppm} ppm: {worst} ns once it has settled");
        }
    }

    #[test]
    fn it_catches_up_after_it_was_left_alone_and_never_goes_back() {
        let mut reference = Reference::start(clock(0, 50), 2_100_000);
        let late = clock(3_000_000_000, 50);
        // 50 ppm over 3 s, of which it knew nothing.
        assert!((error(&reference, late).abs() - 150_000).abs() < 1_000);
        let mut latest = reference.line().at(late.tsc);
        for step in 0..200 {
            let now = clock(3_000_000_000 + step * 50_000_000, 50);
            assert!(reference.line().at(now.tsc) >= latest);
            latest = reference.follow(now).at(now.tsc);
        }
        let end = clock(13_000_000_000, 50);
        assert!(
            error(&reference, end).abs() < 2_000,
            "{}",
            error(&reference, end)
        );
    }

    #[test]
    fn a_guest_counts_from_its_own_epoch() {
        let line = Reference::start(clock(0, 0), 2_100_000).line();
        let now = clock(1_000_000, 0).tsc;
        assert_eq!(since(line, 50_000_000).at(now) + 50_000_000, line.at(now));
    }
}
