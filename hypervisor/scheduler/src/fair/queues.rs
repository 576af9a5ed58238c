//! Who waits where: by home LP and class, the most behind first.

use super::Fixed;
use super::heads::Heads;
use crate::rates::{RATE_BITS, Rate};
use crate::topology::Topology;
use crate::units::{LpId, Nanos, VpId};
use std::collections::{BTreeMap, BTreeSet};

/// So many empty queues are kept for their class to come back.
const KEPT: usize = 16;

/// The VPs of one class that wait at one LP, by balance: in a class the least balance is the most lag.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeSet<(Fixed, VpId)>,
}

impl Queue {
    /// Who waits here, the most behind first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Fixed, VpId)> {
        self.waiting.iter().copied()
    }

    /// The most behind.
    pub(super) fn first(&self) -> Option<(Fixed, VpId)> {
        self.waiting.first().copied()
    }
}

/// No lag of those that wait somewhere is above this: a line over τ, never too
/// low, and cheap to keep and to look at. Whoever looks closer draws it anew.
/// It says nothing where guests are bound to some of the LPs: there τ is not one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceiling {
    /// At `tau`, in ns, rounded up.
    lag: i64,
    rate: Rate,
    /// In ns, rounded down.
    tau: i64,
}

/// Whole nanoseconds, rounded down, as far as they go.
fn floor(time: Fixed) -> i64 {
    (time >> RATE_BITS) as i64
}

impl Ceiling {
    /// Nobody waits.
    pub(super) const NOBODY: Ceiling = Ceiling {
        lag: i64::MIN,
        rate: 0,
        tau: i64::MIN,
    };
    /// What rounding may put a ceiling above the lag it was drawn from, in ns.
    pub(super) const ROUNDING: i64 = 4;
    /// Somebody had better look again after so many ns: two seconds.
    const FAR: u64 = 1 << 31;

    /// Of one VP, or class, with this lag and rate at `tau`.
    pub(super) fn new(lag: Fixed, rate: Rate, tau: Fixed) -> Ceiling {
        Ceiling {
            lag: floor(lag) + 1,
            rate,
            tau: floor(tau),
        }
    }

    /// The highest lag in ns that there can be at `tau`.
    pub(super) fn at(&self, tau: Fixed) -> i64 {
        // Both τ are rounded down: a nanosecond more may have passed.
        self.at_ns(floor(tau) + 1)
    }

    fn at_ns(&self, tau: i64) -> i64 {
        if self.lag == Ceiling::NOBODY.lag {
            return self.lag;
        }
        let passed = (tau - self.tau).max(0) as u64;
        if passed >= Ceiling::FAR {
            return i64::MAX;
        }
        let rise = (passed * self.rate).div_ceil(1 << RATE_BITS);
        self.lag.saturating_add(rise.cast_signed())
    }

    /// The τ in ns before which no lag is above `lag` ns.
    fn crosses(&self, lag: i64) -> i64 {
        if self.lag == Ceiling::NOBODY.lag {
            return i64::MAX;
        }
        if self.lag > lag {
            return i64::MIN;
        }
        let missing = lag.abs_diff(self.lag).min(Ceiling::FAR);
        let passed = (missing << RATE_BITS).checked_div(self.rate);
        let passed = passed.map_or(Ceiling::FAR, |passed| passed.min(Ceiling::FAR));
        self.tau + passed.cast_signed() - Ceiling::ROUNDING
    }

    /// With another rate from `tau` on.
    fn turned(&self, tau: Fixed, rate: Rate) -> Ceiling {
        Ceiling {
            lag: self.at(tau),
            rate,
            tau: floor(tau),
        }
    }

    /// Above both.
    pub(super) fn raise(&mut self, other: Ceiling) {
        let tau = self.tau.max(other.tau);
        *self = Ceiling {
            lag: self.at_ns(tau).max(other.at_ns(tau)),
            rate: self.rate.max(other.rate),
            tau,
        };
    }
}

/// The τ in ns before which nobody somewhere is behind by more than one slice,
/// and by more than [`FAR_BEHIND`]: most looks at the ceilings want no more than that.
#[derive(Clone, Copy, Debug)]
struct Late {
    slice: i64,
    far: i64,
}

/// In slices: between nodes lags are commonly above one.
const FAR_BEHIND: i64 = 3;

impl Late {
    const NEVER: Late = Late {
        slice: i64::MAX,
        far: i64::MAX,
    };

    fn of(ceiling: &Ceiling, slice: i64) -> Late {
        Late {
            slice: ceiling.crosses(slice),
            far: ceiling.crosses(slice.saturating_mul(FAR_BEHIND)),
        }
    }

    /// What holds for both.
    fn or(self, other: Late) -> Late {
        Late {
            slice: self.slice.min(other.slice),
            far: self.far.min(other.far),
        }
    }

    /// Whether anybody may be behind by more than `lag` ns, a slice or more: from
    /// there on lag rises by no more than τ.
    fn allows(&self, lag: i64, slice: i64, tau: i64) -> bool {
        let far = slice.saturating_mul(FAR_BEHIND);
        let (from, known) = if lag >= far {
            (self.far, far)
        } else {
            (self.slice, slice)
        };
        from <= tau.saturating_sub(lag - known)
    }
}

/// All queues.
#[derive(Debug)]
pub(super) struct Queues {
    /// By LP, its queues by class; some may be empty.
    lps: Vec<BTreeMap<u32, Queue>>,
    /// By LP, which of its queues come first.
    heads: Vec<Heads>,
    /// By LP.
    ceilings: Vec<Ceiling>,
    /// By LP, since when somebody there may be late.
    late: Vec<Late>,
    /// A slice, in ns.
    slice: i64,
    node_of: Vec<u32>,
    /// By node, how many wait there, and since when somebody there may be late.
    nodes: Vec<(u32, Late)>,
}

impl Queues {
    pub(super) fn new(topology: &Topology, slice: Nanos) -> Queues {
        Queues {
            lps: vec![BTreeMap::new(); topology.lps() as usize],
            heads: vec![Heads::default(); topology.lps() as usize],
            ceilings: vec![Ceiling::NOBODY; topology.lps() as usize],
            late: vec![Late::NEVER; topology.lps() as usize],
            slice: i64::try_from(slice.0).unwrap_or(i64::MAX),
            node_of: (0..topology.lps())
                .map(|lp| topology.node_of(LpId(lp)))
                .collect(),
            nodes: vec![(0, Late::NEVER); topology.nodes() as usize],
        }
    }

    /// What waits at an LP, by class.
    pub(super) fn at(&self, lp: LpId) -> impl Iterator<Item = (u32, &Queue)> {
        self.lps[lp.index()]
            .iter()
            .map(|(&class, queue)| (class, queue))
    }

    /// At how many queues of an LP one has to look.
    pub(super) fn count(&self, lp: LpId) -> usize {
        self.lps[lp.index()].len()
    }

    /// The most behind of a class at an LP.
    pub(super) fn first(&self, lp: LpId, class: u32) -> Option<(Fixed, VpId)> {
        self.lps[lp.index()].get(&class)?.first()
    }

    pub(super) fn heads(&mut self, lp: LpId) -> &mut Heads {
        &mut self.heads[lp.index()]
    }

    pub(super) fn ceiling(&self, lp: LpId) -> Ceiling {
        self.ceilings[lp.index()]
    }

    /// Draws an LP's ceiling anew.
    pub(super) fn set_ceiling(&mut self, lp: LpId, ceiling: Ceiling) {
        self.ceilings[lp.index()] = ceiling;
        self.late[lp.index()] = Late::of(&ceiling, self.slice);
    }

    pub(super) fn node_of(&self, lp: LpId) -> u32 {
        self.node_of[lp.index()]
    }

    /// Whether nobody waits anywhere.
    pub(super) fn are_empty(&self) -> bool {
        self.nodes.iter().all(|(waiting, _)| *waiting == 0)
    }

    /// How many wait on a node.
    pub(super) fn on_node(&self, node: u32) -> u32 {
        self.nodes[node as usize].0
    }

    /// Whether anybody at an LP may be more than so much behind, a slice or more, at `tau`.
    pub(super) fn may_be_behind(&self, lp: LpId, lag: Fixed, tau: Fixed) -> bool {
        self.late[lp.index()].allows(floor(lag), self.slice, floor(tau))
    }

    /// The same of a node.
    pub(super) fn may_be_behind_on(&self, node: u32, lag: Fixed, tau: Fixed) -> bool {
        self.nodes[node as usize]
            .1
            .allows(floor(lag), self.slice, floor(tau))
    }

    /// Draws what is known of a node anew from what is known of its LPs.
    pub(super) fn renew_node(&mut self, node: u32, topology: &Topology) {
        let late = topology.lps_of(node).map(|lp| self.late[lp.index()]);
        self.nodes[node as usize].1 = late.fold(Late::NEVER, Late::or);
    }

    /// Rates have changed, and with them what lags rise by: from `tau` on by
    /// `rate` at the most.
    pub(super) fn renew_ceilings(&mut self, tau: Fixed, rate: Rate) {
        for node in &mut self.nodes {
            node.1 = Late::NEVER;
        }
        for lp in 0..self.lps.len() {
            let ceiling = self.ceilings[lp].turned(tau, rate);
            self.set_ceiling(LpId(lp as u32), ceiling);
            let late = &mut self.nodes[self.node_of[lp] as usize].1;
            *late = self.late[lp].or(*late);
        }
    }

    /// `ceiling` is its own.
    pub(super) fn insert(
        &mut self,
        lp: LpId,
        class: u32,
        balance: Fixed,
        vp: VpId,
        ceiling: Ceiling,
    ) {
        let node = &mut self.nodes[self.node_of[lp.index()] as usize];
        let late = Late::of(&ceiling, self.slice);
        node.0 += 1;
        node.1 = node.1.or(late);
        self.ceilings[lp.index()].raise(ceiling);
        self.late[lp.index()] = self.late[lp.index()].or(late);
        let queue = self.lps[lp.index()].entry(class).or_default();
        let before = queue.first();
        queue.waiting.insert((balance, vp));
        if queue.first() != before {
            self.heads[lp.index()].change(class);
        }
    }

    pub(super) fn remove(&mut self, lp: LpId, class: u32, balance: Fixed, vp: VpId) {
        let at = &mut self.lps[lp.index()];
        let Some(queue) = at.get_mut(&class) else {
            return;
        };
        let before = queue.first();
        if queue.waiting.remove(&(balance, vp)) {
            self.nodes[self.node_of[lp.index()] as usize].0 -= 1;
        }
        if queue.first() != before {
            self.heads[lp.index()].change(class);
        }
        if queue.waiting.is_empty() && at.len() > KEPT {
            at.remove(&class);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::ONE;
    use proptest::prelude::*;

    /// Of a whole ns.
    const NS: Fixed = 1 << RATE_BITS;

    /// A VP's lag at some τ, and what it rises by.
    #[derive(Clone, Copy, Debug)]
    struct Line {
        lag: Fixed,
        rate: Rate,
        tau: Fixed,
    }

    impl Line {
        fn at(&self, tau: Fixed) -> Fixed {
            self.lag + (((tau - self.tau) * Fixed::from(self.rate)) >> RATE_BITS)
        }

        fn ceiling(&self) -> Ceiling {
            Ceiling::new(self.lag, self.rate, self.tau)
        }
    }

    /// Lags of up to 100 ms either way.
    fn line() -> impl Strategy<Value = Line> {
        let lag = -100_000_000 * NS..100_000_000 * NS;
        (lag, 0..=ONE, 0..1_000_000_000_000 * NS).prop_map(|(lag, rate, tau)| Line {
            lag,
            rate,
            tau,
        })
    }

    /// Up to a second.
    fn span() -> impl Strategy<Value = Fixed> {
        0..1_000_000_000 * NS
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_ceiling_is_never_too_low_and_hardly_too_high(line in line(), span in span()) {
            let tau = line.tau + span;
            let above = Fixed::from(line.ceiling().at(tau)) * NS - line.at(tau);
            prop_assert!((0..=Fixed::from(Ceiling::ROUNDING) * NS).contains(&above), "{}", above);
        }

        #[test]
        fn a_ceiling_turns_with_the_rate(line in line(), [first, then] in [span(), span()], rate in 0..=ONE) {
            let turn = line.tau + first;
            let turned = Line { lag: line.at(turn), rate, tau: turn };
            let ceiling = line.ceiling().turned(turn, rate);
            let above = Fixed::from(ceiling.at(turn + then)) * NS - turned.at(turn + then);
            // It is rounded twice.
            prop_assert!((0..=Fixed::from(2 * Ceiling::ROUNDING) * NS).contains(&above), "{}", above);
        }

        #[test]
        fn a_ceiling_of_two_is_above_both(one in line(), mut other in line(), apart in span(), span in span()) {
            other.tau = one.tau + apart;
            let tau = other.tau + span;
            let above = |mut ceiling: Ceiling, next: Ceiling| {
                ceiling.raise(next);
                Fixed::from(ceiling.at(tau)) * NS - one.at(tau).max(other.at(tau))
            };
            let (first, last) = (one.ceiling(), other.ceiling());
            for above in [above(first, last), above(last, first)] {
                prop_assert!(above >= 0);
                // The higher at the later τ, at the higher rate.
                if one.rate == other.rate {
                    prop_assert!(above <= Fixed::from(2 * Ceiling::ROUNDING) * NS);
                }
            }
        }

        #[test]
        fn until_it_crosses_no_lag_is_higher(line in line(), limit in 0..100_000_000i64) {
            let crosses = line.ceiling().crosses(limit);
            let limit = Fixed::from(limit) * NS;
            if line.lag > limit {
                prop_assert_eq!(crosses, i64::MIN);
                return Ok(());
            }
            let crosses = Fixed::from(crosses) * NS;
            prop_assert!(line.at(crosses) <= limit);
            // And not much before, within what is looked ahead.
            let later = crosses + Fixed::from(2 * Ceiling::ROUNDING) * NS;
            if later - line.tau < Fixed::from(Ceiling::FAR) * NS {
                prop_assert!(line.at(later) >= limit - 2 * NS);
            }
        }

        #[test]
        fn nobody_is_late_unless_allowed(line in line(), span in span(), slices in 1.0..10.0f64) {
            let slice = 1_000_000;
            let wanted = (slices * slice as f64) as i64;
            let late = Late::of(&line.ceiling(), slice).or(Late::NEVER);
            let tau = line.tau + span;
            let allowed = late.allows(wanted, slice, floor(tau));
            if line.at(tau) > Fixed::from(wanted) * NS {
                prop_assert!(allowed);
            }
            // Lag rises by no more than τ.
            let rising = Line { rate: ONE, ..line };
            let late = Late::of(&rising.ceiling(), slice);
            let short = Fixed::from(wanted) * NS - rising.at(tau);
            if short > 10 * NS {
                prop_assert!(!late.allows(wanted, slice, floor(tau)));
            }
        }
    }

    #[test]
    fn after_two_seconds_a_ceiling_says_nothing() {
        let ceiling = Ceiling::new(0, 1, 0);
        assert!(ceiling.at(2 * 1_000_000_000 * NS) < 10);
        assert_eq!(ceiling.at(3 * 1_000_000_000 * NS), i64::MAX);
        for rate in [0, 1] {
            let crosses = Ceiling::new(0, rate, 0).crosses(1_000);
            assert_eq!(crosses, (1 << 31) - Ceiling::ROUNDING);
        }
    }

    #[test]
    fn where_nobody_waits_nobody_is_behind() {
        let tau = 1_000_000_000 * NS;
        assert_eq!(Ceiling::NOBODY.at(tau), i64::MIN);
        assert_eq!(Ceiling::NOBODY.turned(tau, ONE).at(2 * tau), i64::MIN);
        assert!(!Late::of(&Ceiling::NOBODY, 1_000_000).allows(1_000_000, 1_000_000, i64::MAX - 1));
    }
}
