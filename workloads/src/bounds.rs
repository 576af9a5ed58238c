//! How far a VP may be from its due by design.

use apportion_scheduler::Nanos;

/// Slices that a VP may be behind those of its node, or ahead of them, before another node has a part in it.
const NODE_MARGIN_SLICES: f64 = 4.0;

/// b: the lag in ns that a VP can have by design, with slices of this length and kicks that come late by `overshoot`.
///
/// It is q + j on one LP, twice that on several, and four slices more where these belong to several NUMA nodes.
pub fn lag_limit(lps: u32, nodes: u32, slice: Nanos, overshoot: Nanos) -> f64 {
    let once = slice.0 as f64 + overshoot.0 as f64;
    let twice = if lps > 1 { 2.0 } else { 1.0 };
    let margin = if lps > 1 && nodes > 1 {
        NODE_MARGIN_SLICES
    } else {
        0.0
    };
    twice * once + margin * slice.0 as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_lps_and_nodes() {
        let b = |lps, nodes| lag_limit(lps, nodes, Nanos(1_000), Nanos(50));
        assert_eq!(b(1, 1), 1_050.0);
        assert_eq!(b(2, 1), 2_100.0);
        assert_eq!(b(8, 2), 6_100.0);
    }
}
