//! How far from its promise a guest can be by design, and what follows for a verdict.

use super::is_at_most;
use apportion_recording::Verdict;
use apportion_scheduler::{CAP_DEPTH_SLICES, Nanos};
use apportion_workloads::lag_limit;

/// What a run's bounds depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// LPs of the experiment, and the NUMA nodes that they are divided into.
    pub(super) lps: u32,
    pub(super) nodes: u32,
    pub(super) slice: Nanos,
    /// j: this run's 99th percentile.
    pub(super) overshoot: Nanos,
}

impl Bounds {
    /// b.
    pub(crate) fn lag_ns(&self) -> f64 {
        lag_limit(self.lps, self.nodes, self.slice, self.overshoot)
    }

    /// The largest error in ns of CPU time that `vps` VPs can have over any
    /// window: each VP's lag is at most b at either end.
    pub(super) fn share_ns(&self, vps: usize) -> f64 {
        vps as f64 * 2.0 * self.lag_ns()
    }

    /// The same in percentage points of `wall` ns of the LPs.
    pub(super) fn share_pp(&self, vps: usize, wall: f64) -> f64 {
        pp(self.share_ns(vps), wall)
    }

    /// How far `vps` VPs can exceed their caps: by what their buckets hold and
    /// one late kick each, in percentage points of `wall` ns of the LPs.
    pub(super) fn cap_pp(&self, vps: usize, wall: f64) -> f64 {
        let depth = Nanos(self.slice.0 * CAP_DEPTH_SLICES) + self.overshoot;
        pp(vps as f64 * depth.0 as f64, wall)
    }
}

fn pp(part: f64, wall: f64) -> f64 {
    if wall > 0.0 { 100.0 * part / wall } else { 0.0 }
}

/// A share over the whole run or a phase: within tolerance, or outside it by
/// more than the bound explains, or neither.
pub(super) fn long_share(error_pp: f64, tolerance_pp: f64, bound_pp: f64) -> Verdict {
    if is_at_most(error_pp.abs(), tolerance_pp) {
        Verdict::Pass
    } else if is_at_most(error_pp.abs(), bound_pp) {
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    }
}

/// A share over a window.
pub(super) fn window_share(error_pp: f64, bound_pp: f64) -> Verdict {
    pass_if(is_at_most(error_pp.abs(), bound_pp))
}

/// A cap, over any span: one-sided, and no tolerance widens it.
pub(super) fn cap(error_pp: f64, bound_pp: f64) -> Verdict {
    pass_if(is_at_most(error_pp, bound_pp))
}

/// A reserve, over any span. `slack_pp` is bound and tolerance, `lost_pp` what losses left no room for.
pub(super) fn reserve(error_pp: f64, slack_pp: f64, lost_pp: f64) -> Verdict {
    if is_at_most(-error_pp, slack_pp) {
        Verdict::Pass
    } else if is_at_most(-error_pp, slack_pp + lost_pp) {
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    }
}

fn pass_if(passes: bool) -> Verdict {
    if passes { Verdict::Pass } else { Verdict::Fail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(lps: u32) -> Bounds {
        Bounds {
            lps,
            nodes: 1,
            slice: Nanos::from_millis(1),
            overshoot: Nanos::from_micros(50),
        }
    }

    #[test]
    fn the_bounds_are_the_documented_formulas() {
        // One LP over a second: 100 · 1 · 2 · 1.05 ms / 1 s.
        assert!((bounds(1).share_pp(1, 1e9) - 0.21).abs() < 1e-12);
        // Two LPs, two VPs: b doubles, the VPs double, the LPs halve.
        assert!((bounds(2).share_pp(2, 2e9) - 0.42).abs() < 1e-12);
        // Two nodes: four slices more.
        let nodes = Bounds {
            nodes: 2,
            ..bounds(2)
        };
        assert!((nodes.share_pp(1, 2e9) - 100.0 * 2.0 * 6.1e6 / 2e9).abs() < 1e-12);
        // 100 · 2 · (2 · 1 ms + 0.05 ms) / 1 s.
        assert!((bounds(1).cap_pp(2, 1e9) - 0.41).abs() < 1e-12);
    }

    #[test]
    fn a_verdict_does_not_turn_on_the_last_digits() {
        let error = 30.3 - 30.0;
        assert!(error > 0.3);
        assert_eq!(long_share(error, 0.3, 0.1), Verdict::Pass);
        assert_eq!(long_share(-error, 0.1, 0.3), Verdict::Inconclusive);
        assert_eq!(window_share(error, 0.3), Verdict::Pass);
        assert_eq!(cap(error, 0.3), Verdict::Pass);
        assert_eq!(reserve(-error, 0.3, 0.0), Verdict::Pass);
        assert_eq!(reserve(-error, 0.1, 0.2), Verdict::Inconclusive);
    }

    #[test]
    fn a_verdict_fails_only_beyond_tolerance_and_bound() {
        assert_eq!(long_share(0.4, 0.5, 0.1), Verdict::Pass);
        assert_eq!(long_share(-0.6, 0.5, 0.1), Verdict::Fail);
        assert_eq!(long_share(0.6, 0.5, 0.7), Verdict::Inconclusive);
    }

    #[test]
    fn caps_hold_from_above_and_reserves_from_below() {
        assert_eq!(cap(-20.0, 0.1), Verdict::Pass);
        assert_eq!(cap(0.11, 0.1), Verdict::Fail);
        assert_eq!(reserve(20.0, 0.1, 0.0), Verdict::Pass);
        assert_eq!(reserve(-0.3, 0.1, 0.5), Verdict::Inconclusive);
        assert_eq!(reserve(-0.7, 0.1, 0.5), Verdict::Fail);
    }
}
