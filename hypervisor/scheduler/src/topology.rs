//! Which LPs there are, which NUMA node each is on, and sets of them.

use crate::units::LpId;
use std::fmt;
use std::ops::Range;

/// A set of LPs: where a guest may run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LpSet(Vec<u64>);

impl LpSet {
    /// Whether `lp` is in it.
    pub fn contains(&self, lp: LpId) -> bool {
        self.0
            .get(lp.index() / 64)
            .is_some_and(|word| word >> (lp.index() % 64) & 1 == 1)
    }

    /// Its members, in order.
    pub fn iter(&self) -> impl Iterator<Item = LpId> {
        (0..self.0.len() * 64)
            .map(|lp| LpId(lp as u32))
            .filter(|&lp| self.contains(lp))
    }
}

impl FromIterator<LpId> for LpSet {
    fn from_iter<I: IntoIterator<Item = LpId>>(lps: I) -> LpSet {
        let mut words = Vec::new();
        for lp in lps {
            let word = lp.index() / 64;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (lp.index() % 64);
        }
        LpSet(words)
    }
}

/// `{0, 1, 5}`.
impl fmt::Debug for LpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|lp| lp.0)).finish()
    }
}

/// The LPs of a machine, divided into NUMA nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The LPs of each node; together they are `0..lps`.
    nodes: Vec<Range<u32>>,
}

impl Topology {
    /// `lps` LPs in `nodes` nodes of sizes as equal as can be, in order. Both
    /// at least one; more nodes than LPs count as one node per LP.
    pub fn even(lps: u32, nodes: u32) -> Topology {
        let (lps, nodes) = (u64::from(lps.max(1)), u64::from(nodes.max(1)));
        let nodes = nodes.min(lps);
        let border = |node: u64| (lps * node / nodes) as u32;
        Topology {
            nodes: (0..nodes)
                .map(|node| border(node)..border(node + 1))
                .collect(),
        }
    }

    /// How many LPs there are, on line or not.
    pub fn lps(&self) -> u32 {
        self.nodes.last().map_or(0, |node| node.end)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The LPs of a node.
    pub fn lps_of(&self, node: u32) -> impl Iterator<Item = LpId> + use<> {
        self.nodes[node as usize].clone().map(LpId)
    }

    /// The node of an LP.
    pub fn node_of(&self, lp: LpId) -> u32 {
        self.nodes.partition_point(|node| node.end <= lp.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_divide_the_lps_evenly_and_in_order() {
        let topology = Topology::even(10, 4);
        let sizes: Vec<usize> = (0..4).map(|node| topology.lps_of(node).count()).collect();
        assert_eq!(sizes, [2, 3, 2, 3]);
        assert_eq!(topology.node_of(LpId(0)), 0);
        assert_eq!(topology.node_of(LpId(4)), 1);
        assert_eq!(topology.node_of(LpId(9)), 3);
        assert_eq!(Topology::even(2, 9).nodes(), 2);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: LpSet = [3, 70, 3].map(LpId).into_iter().collect();
        assert!(set.contains(LpId(70)) && !set.contains(LpId(69)) && !set.contains(LpId(700)));
        assert_eq!(format!("{set:?}"), "{3, 70}");
    }
}
