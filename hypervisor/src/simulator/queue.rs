//! When each LP has to act next, the earliest first.

use apportion_scheduler::{LpId, Nanos};

/// An LP has one time at which something of its own happens next, so that this
/// is no queue of events but a tournament between LPs: changing one LP's time
/// replays its matches, one per level. Of equal times the lower LP wins.
#[derive(Debug)]
pub(super) struct Alarms {
    /// A complete binary tree with the root at 1: each node is the winner of
    /// its two children, the leaves are the LPs.
    nodes: Vec<(Nanos, u32)>,
}

/// Never.
pub(super) const NEVER: Nanos = Nanos(u64::MAX);

impl Alarms {
    /// All LPs at [`NEVER`].
    pub(super) fn new(lps: u32) -> Alarms {
        let leaves = lps.max(1).next_power_of_two();
        let nodes = (0..2 * leaves)
            .map(|node| (NEVER, node.saturating_sub(leaves)))
            .collect();
        Alarms { nodes }
    }

    /// `lp` acts next at `at`, whatever was set before.
    pub(super) fn set(&mut self, lp: LpId, at: Nanos) {
        let mut node = self.nodes.len() / 2 + lp.index();
        let mut winner = (at, lp.0);
        self.nodes[node] = winner;
        while node > 1 {
            winner = winner.min(self.nodes[node ^ 1]);
            node /= 2;
            self.nodes[node] = winner;
        }
    }

    /// When `lp` acts next.
    pub(super) fn of(&self, lp: LpId) -> Nanos {
        self.nodes[self.nodes.len() / 2 + lp.index()].0
    }

    /// Who acts next, and when.
    pub(super) fn first(&self) -> (Nanos, LpId) {
        let (at, lp) = self.nodes[1];
        (at, LpId(lp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_of_equals_the_lower_lp() {
        let mut alarms = Alarms::new(5);
        assert_eq!(alarms.first().0, NEVER);
        for (lp, at) in [(4, 30), (0, 20), (3, 20), (1, 40)] {
            alarms.set(LpId(lp), Nanos(at));
        }
        assert_eq!(alarms.first(), (Nanos(20), LpId(0)));
        alarms.set(LpId(0), Nanos(35));
        assert_eq!(alarms.first(), (Nanos(20), LpId(3)));
        alarms.set(LpId(3), NEVER);
        assert_eq!(alarms.first(), (Nanos(30), LpId(4)));
    }

    #[test]
    fn one_lp_is_its_own_winner() {
        let mut alarms = Alarms::new(1);
        alarms.set(LpId(0), Nanos(7));
        assert_eq!(alarms.first(), (Nanos(7), LpId(0)));
    }
}
