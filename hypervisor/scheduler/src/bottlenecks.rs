//! The solve under affinity: which VPs compete for which LPs.
//!
//! Where some VPs may use some LPs only, one λ for all can promise what the
//! LPs cannot hold. The max-min fair answer is found bottleneck by bottleneck:
//! take all groups (VPs with equal affinity) and all LPs; solve; if the LPs
//! can hold it (a maximum flow from groups to LPs fills every promise), these
//! are one component. If not, the minimum cut names the groups that cannot be
//! served, and the same is tried on these alone, with the LPs they may use.
//! What is found is the tightest bottleneck: it keeps its LPs, and the rest is
//! solved without both. (Discrete Newton on the level, as in parametric flow:
//! each cut is tighter than the last, so it ends.) Groups that have no LP in
//! common, not even through others, are components of their own, however equal
//! their levels: what an LP loses, those that cannot use it do not bear.

use std::collections::VecDeque;

/// By group, the kinds of LPs that it may use; by kind, how many LPs it has.
/// LPs are of one kind where the same groups may use them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) allowed: Vec<Vec<bool>>,
    pub(crate) lps: Vec<u32>,
    /// By kind, what its LPs have to give.
    pub(crate) room: Vec<u64>,
}

/// Groups that compete with each other, and the kinds of LPs they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bottleneck {
    pub(crate) groups: Vec<usize>,
    pub(crate) kinds: Vec<usize>,
}

impl Places {
    /// The kinds among `kinds` that any of `groups` may use.
    fn reach(&self, groups: &[usize], kinds: &[usize]) -> Vec<usize> {
        let reached = |kind: &&usize| groups.iter().any(|&group| self.allowed[group][**kind]);
        kinds.iter().filter(reached).copied().collect()
    }

    /// How many LPs `kinds` are.
    pub(crate) fn count(&self, kinds: &[usize]) -> u32 {
        kinds.iter().map(|&kind| self.lps[kind]).sum()
    }

    /// What `kinds` have to give.
    pub(crate) fn capacity(&self, kinds: &[usize]) -> u64 {
        kinds.iter().map(|&kind| self.room[kind]).sum()
    }

    /// The components, the tightest first; LPs that nobody may use are in none. `demand` tells what the groups would
    /// get of some kinds of LPs, each of them: the solve without regard to places.
    pub(crate) fn bottlenecks(
        &self,
        mut demand: impl FnMut(&[usize], &[usize]) -> Vec<u64>,
    ) -> Vec<Bottleneck> {
        let mut groups: Vec<usize> = (0..self.allowed.len()).collect();
        let mut kinds: Vec<usize> = (0..self.lps.len()).collect();
        let mut found = Vec::new();
        while !groups.is_empty() {
            let mut tight = groups.clone();
            loop {
                let reach = self.reach(&tight, &kinds);
                let wanted = demand(&tight, &reach);
                let cut = self.unserved(&tight, &reach, &wanted);
                // The second case cannot be: guards against going round for ever.
                if cut.is_empty() || cut.len() == tight.len() {
                    groups.retain(|group| !tight.contains(group));
                    kinds.retain(|kind| !reach.contains(kind));
                    found.extend(self.connected(tight, &reach));
                    break;
                }
                tight = cut;
            }
        }
        found
    }

    /// The parts of some groups that have no LP in common with the rest.
    fn connected(&self, mut groups: Vec<usize>, kinds: &[usize]) -> Vec<Bottleneck> {
        let mut parts = Vec::new();
        while let Some(&first) = groups.first() {
            let mut part = vec![first];
            let reached = loop {
                let reached = self.reach(&part, kinds);
                let meets = |group: usize| reached.iter().any(|&kind| self.allowed[group][kind]);
                let joined = groups.iter().copied();
                let joined: Vec<usize> = joined.filter(|&g| g == first || meets(g)).collect();
                if joined.len() == part.len() {
                    break reached;
                }
                part = joined;
            };
            groups.retain(|group| !part.contains(group));
            parts.push(Bottleneck {
                groups: part,
                kinds: reached,
            });
        }
        parts
    }

    /// The groups on the near side of a minimum cut where `wanted` does not fit
    /// on the LPs of `kinds`; none where it does.
    pub(crate) fn unserved(&self, groups: &[usize], kinds: &[usize], wanted: &[u64]) -> Vec<usize> {
        let mut left: Vec<u64> = wanted.to_vec();
        let mut free: Vec<u64> = kinds.iter().map(|&kind| self.room[kind]).collect();
        let mut flow = vec![vec![0u64; kinds.len()]; groups.len()];
        let open = |group: usize, kind: usize| self.allowed[groups[group]][kinds[kind]];
        loop {
            // Breadth first from every group with something left. A node's
            // parent: for a kind the group before it, for a group the kind
            // through which flow is taken back.
            let mut group_from = vec![None; groups.len()];
            let mut kind_from: Vec<Option<usize>> = vec![None; kinds.len()];
            let mut seen: Vec<bool> = left.iter().map(|&left| left > 0).collect();
            let mut queue: VecDeque<usize> = (0..groups.len()).filter(|&g| seen[g]).collect();
            let mut end = None;
            'search: while let Some(group) = queue.pop_front() {
                for kind in 0..kinds.len() {
                    if kind_from[kind].is_some() || !open(group, kind) {
                        continue;
                    }
                    kind_from[kind] = Some(group);
                    if free[kind] > 0 {
                        end = Some(kind);
                        break 'search;
                    }
                    for other in 0..groups.len() {
                        if !seen[other] && flow[other][kind] > 0 {
                            seen[other] = true;
                            group_from[other] = Some(kind);
                            queue.push_back(other);
                        }
                    }
                }
            }
            let Some(end) = end else {
                return (0..groups.len())
                    .filter(|&group| seen[group])
                    .map(|group| groups[group])
                    .collect();
            };
            let mut path = Vec::new();
            let (mut kind, mut amount) = (end, free[end]);
            while let Some(group) = kind_from[kind] {
                path.push((group, kind));
                match group_from[group] {
                    Some(back) => {
                        amount = amount.min(flow[group][back]);
                        kind = back;
                    }
                    None => {
                        amount = amount.min(left[group]);
                        left[group] -= amount;
                        break;
                    }
                }
            }
            free[end] -= amount;
            for (group, kind) in path {
                flow[group][kind] += amount;
                if let Some(back) = group_from[group] {
                    flow[group][back] -= amount;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::ONE;

    /// LPs that lose nothing.
    fn places(allowed: Vec<Vec<bool>>, lps: Vec<u32>) -> Places {
        let room = lps.iter().map(|&lps| u64::from(lps) * ONE).collect();
        Places { allowed, lps, room }
    }

    /// Equal VPs, `vps` by group.
    fn equal(vps: &[u64], lps: &[u32]) -> impl FnMut(&[usize], &[usize]) -> Vec<u64> + use<> {
        let (vps, of_kind) = (vps.to_vec(), lps.to_vec());
        move |groups, kinds| {
            let lps: u32 = kinds.iter().map(|&kind| of_kind[kind]).sum();
            let all: u64 = groups.iter().map(|&group| vps[group]).sum();
            let each = (u64::from(lps) * ONE / all).min(ONE);
            groups.iter().map(|&group| vps[group] * each).collect()
        }
    }

    #[test]
    fn two_pinned_to_one_lp_leave_the_other_to_the_third() {
        let places = places(vec![vec![true, false], vec![true, true]], vec![1, 1]);
        let found = places.bottlenecks(equal(&[2, 1], &places.lps));
        assert_eq!(
            found,
            [
                Bottleneck {
                    groups: vec![0],
                    kinds: vec![0]
                },
                Bottleneck {
                    groups: vec![1],
                    kinds: vec![1]
                },
            ]
        );
    }

    #[test]
    fn lps_that_nobody_may_use_count_for_nobody() {
        let places = places(vec![vec![true, false]], vec![1, 3]);
        let found = places.bottlenecks(equal(&[2], &places.lps));
        assert_eq!(found.len(), 1);
        assert_eq!(places.count(&found[0].kinds), 1);
    }

    #[test]
    fn where_everything_fits_there_is_one_component() {
        let places = places(
            vec![vec![true, false], vec![true, true], vec![false, true]],
            vec![1, 1],
        );
        assert_eq!(places.bottlenecks(equal(&[1, 1, 1], &places.lps)).len(), 1);
    }

    #[test]
    fn those_that_have_no_lp_in_common_do_not_compete() {
        // Two pinned to each of two LPs; one more on the first that may use a third LP, too,
        // and one that has no LP left.
        let places = places(
            vec![
                vec![true, false, false],
                vec![false, true, false],
                vec![true, false, true],
                vec![false, false, false],
            ],
            vec![1, 1, 1],
        );
        let found = places.bottlenecks(equal(&[2, 2, 2, 1], &places.lps));
        let groups: Vec<&[usize]> = found.iter().map(|found| &found.groups[..]).collect();
        assert_eq!(groups, [&[3][..], &[0, 2], &[1]]);
        let kinds: Vec<&[usize]> = found.iter().map(|found| &found.kinds[..]).collect();
        assert_eq!(kinds, [&[][..], &[0, 2], &[1]]);
    }

    #[test]
    fn flow_goes_round_through_others() {
        // The second group must give way on the first kind for everything to fit.
        let places = places(
            vec![vec![true, true], vec![true, false], vec![false, true]],
            vec![1, 2],
        );
        let (groups, kinds) = ([0, 1, 2], [0, 1]);
        let fits = places.unserved(&groups, &kinds, &[ONE, ONE, ONE]);
        assert!(fits.is_empty());
        let too_much = places.unserved(&groups, &kinds, &[ONE, ONE + 1, ONE]);
        assert_eq!(too_much, [1]);
    }
}
