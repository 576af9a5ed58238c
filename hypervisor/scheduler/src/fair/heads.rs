//! Whose turn comes first at an LP where many classes wait, without a look at each.
//!
//! Between two solves lag rises by r·(Δτ − β·y): r is the class's rate, Δτ what its component's τ has
//! advanced by, y what was lost meanwhile beyond what was expected, and β what the class bears of that,
//! by rate. So two numbers say where the head of a class's queue stands for as long as it waits: at
//! which Δτ its lag is zero, and at which its virtual deadline comes, both for y = 0. Heads
//! stand in order of the former while they are ahead, and of the latter once they are behind (two
//! queues, as in EEVDF). Losses shift each head by its own β·y, of which only the bounds are known:
//! a pick walks on from the first until none that follows can be better, and
//! compares exactly.
//!
//! Reference: Stoica, Abdel-Wahab: Earliest Eligible Virtual Deadline First, ODU TR-95-22, 1995.

use super::Fixed;
use super::component::Component;
use crate::rates::RATE_BITS;
use std::collections::{BTreeMap, BTreeSet};

/// What a class's lag rises by, and where the head of its queue stands now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) lag: Fixed,
    pub(super) rate: Fixed,
    pub(super) bears: Fixed,
    /// Its lag does not rise as its rate and what it bears say.
    pub(super) apart: bool,
}

/// A lag is taken for so much more than it is, for what rounding may do to it within [`LONGEST`].
const ROUNDING: Fixed = 64 << RATE_BITS;

/// Of τ: four times a minute heads are put in order anew at the least.
const LONGEST: Fixed = 15_000_000_000 << RATE_BITS;

/// So many looks at all queues cost about what it costs to put their heads in order.
const LOOKS: u32 = if cfg!(debug_assertions) { 1 } else { 8 };

/// Fewer heads are looked at one by one. (When debugging every choice is made in both ways, and compared.)
const FEW: usize = if cfg!(debug_assertions) { 1 } else { 128 };

/// A part of the heads that may be walked past in vain before they are put in order anew.
const IN_VAIN: usize = 8;

/// Which of the queues a head stands in, and where.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// By the Δτ at which its lag is zero.
    Ahead(Fixed),
    /// By the Δτ at which its virtual deadline comes.
    Behind(Fixed),
    Apart,
}

/// The moment for which heads were put in order, by the numbers of their component.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    /// How many solves there had been.
    solves: u64,
    tau: Fixed,
    lost: Fixed,
}

/// How far things have come since the heads were put in order.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// Δτ.
    tau: Fixed,
    /// y.
    lost: Fixed,
    /// No head's β·y is below this.
    least: Fixed,
}

impl Passed {
    /// How long it takes at the least until a moment that is known for y = 0.
    fn until(&self, moment: Fixed) -> Fixed {
        (moment - self.tau).saturating_add(self.least)
    }
}

/// The heads of the queues at one LP.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads {
    origin: Origin,
    in_order: bool,
    /// How often all queues were looked at since the last solve.
    looks: u32,
    /// Classes whose heads have changed since the last look.
    changed: Vec<u32>,
    ahead: BTreeSet<(Fixed, u32)>,
    behind: BTreeSet<(Fixed, u32)>,
    /// These have to be looked at each time.
    apart: BTreeSet<u32>,
    place_of: BTreeMap<u32, Place>,
    /// No head's β is above this.
    most: Fixed,
    passed: Passed,
}

impl Heads {
    /// Another VP is first of its class, or none is.
    pub(super) fn change(&mut self, class: u32) {
        if self.in_order {
            self.changed.push(class);
        }
    }

    /// Whether the heads of so many queues had better be looked at one by one.
    pub(super) fn are_few(&mut self, queues: usize, solves: u64) -> bool {
        // Not in and out of order with each VP that comes and goes.
        let few = if self.in_order { FEW / 2 } else { FEW };
        if self.origin.solves != solves || queues < few {
            (self.origin.solves, self.in_order, self.looks) = (solves, false, 0);
            self.changed.clear();
        }
        if queues < few {
            return true;
        }
        self.looks = self.looks.saturating_add(1);
        !self.in_order && self.looks < LOOKS
    }

    /// Brings what has passed up to date. Whether the heads have to be put in order anew, which `put` does.
    pub(super) fn pass(&mut self, component: &Component) -> bool {
        let far = (component.tau - self.origin.tau).abs() > LONGEST;
        let anew = !self.in_order || far || self.changed.len() > self.place_of.len();
        if anew {
            let origin = Origin {
                tau: component.tau,
                lost: component.lost,
                ..self.origin
            };
            *self = Heads {
                origin,
                in_order: true,
                looks: self.looks,
                ..Heads::default()
            };
        }
        let tau = component.tau - self.origin.tau;
        let expected = (tau * Fixed::from(component.expected)) >> RATE_BITS;
        self.passed.tau = tau;
        self.passed.lost = component.lost - self.origin.lost - expected;
        self.bound();
        anew
    }

    fn bound(&mut self) {
        let shift = self.passed.lost.saturating_mul(self.most) >> RATE_BITS;
        self.passed.least = shift.min(0);
    }

    /// A class whose head has changed since the last look.
    pub(super) fn next_changed(&mut self) -> Option<u32> {
        self.changed.pop()
    }

    /// Puts the head of a class where it belongs, or nowhere.
    pub(super) fn put(&mut self, class: u32, head: Option<Line>, slice: Fixed) {
        match self.place_of.remove(&class) {
            Some(Place::Ahead(at)) => self.ahead.remove(&(at, class)),
            Some(Place::Behind(at)) => self.behind.remove(&(at, class)),
            Some(Place::Apart) => self.apart.remove(&class),
            None => false,
        };
        let Some(head) = head else { return };
        let place = self.place(&head, slice);
        self.place_of.insert(class, place);
        match place {
            Place::Ahead(at) => self.ahead.insert((at, class)),
            Place::Behind(at) => self.behind.insert((at, class)),
            Place::Apart => self.apart.insert(class),
        };
    }

    fn place(&mut self, head: &Line, slice: Fixed) -> Place {
        if head.apart || head.rate == 0 {
            return Place::Apart;
        }
        let by_rate = |amount: Fixed| (amount << RATE_BITS).div_euclid(head.rate);
        let bears = by_rate(head.bears) + 1;
        if bears > self.most {
            self.most = bears;
            self.bound();
        }
        let shift = (self.passed.lost * head.bears).div_euclid(head.rate) + 1;
        let at = |missing: Fixed| self.passed.tau + by_rate(missing - ROUNDING) - shift;
        if head.lag < 0 {
            Place::Ahead(at(-head.lag))
        } else {
            Place::Behind(at(slice - head.lag))
        }
    }

    /// The classes whose heads have to be looked at each time.
    pub(super) fn apart(&self) -> impl Iterator<Item = u32> {
        self.apart.iter().copied()
    }

    /// The classes whose heads were ahead, with how long they are so yet at the least, those that are so least first.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (Fixed, u32)> {
        let until = |&(at, class): &(Fixed, u32)| (self.passed.until(at), class);
        self.ahead.iter().map(until)
    }

    /// The classes whose heads were behind, with how long it is at the least to their deadlines, the earliest first.
    pub(super) fn behind(&self) -> impl Iterator<Item = (Fixed, u32)> {
        let until = |&(at, class): &(Fixed, u32)| (self.passed.until(at), class);
        self.behind.iter().map(until)
    }

    /// A walk passed so many heads in vain.
    pub(super) fn passed_by(&mut self, heads: usize) {
        if heads > IN_VAIN + self.place_of.len() / IN_VAIN {
            self.in_order = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::ONE;
    use proptest::prelude::*;

    const MS: Fixed = 1_000_000 << RATE_BITS;

    const SLICE: Fixed = MS;

    /// A component that loses `expected` of its LPs' time.
    fn component(expected: u64) -> Component {
        let mut component = Component::default();
        component.expected = expected;
        component
    }

    /// From 1/1,024 of an LP up, within 100 slices of the ideal, bearing up to twice its rate of what is lost.
    fn line() -> impl Strategy<Value = Line> {
        let rate = Fixed::from(ONE / 1_024)..=Fixed::from(ONE);
        (-100 * MS..100 * MS, rate, 0..=2_000i128).prop_map(|(lag, rate, bears)| Line {
            lag,
            rate,
            bears: rate * bears / 1_000,
            apart: false,
        })
    }

    /// Its lag once `tau` has passed and `lost` was lost.
    fn later(line: &Line, tau: Fixed, lost: Fixed, expected: u64) -> Fixed {
        let unexpected = lost - ((tau * Fixed::from(expected)) >> RATE_BITS);
        line.lag + ((tau * line.rate - unexpected * line.bears) >> RATE_BITS)
    }

    /// How long each class waits, by what `heads` say: for its lag to be zero, or for its deadline.
    fn waits(heads: &Heads) -> BTreeMap<u32, Fixed> {
        let all = heads.ahead().chain(heads.behind());
        all.map(|(wait, class)| (class, wait)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nobody_is_due_earlier_than_heads_say(
            lines in prop::collection::vec(line(), 1..20),
            [tau, lost] in [0..1_000 * MS, 0..100 * MS],
            expected in 0..ONE / 2,
        ) {
            let mut component = component(expected);
            let mut heads = Heads::default();
            prop_assert!(heads.pass(&component));
            for (class, line) in (0..).zip(&lines) {
                heads.put(class, Some(*line), SLICE);
            }
            (component.tau, component.lost) = (component.tau + tau, component.lost + lost);
            prop_assert!(!heads.pass(&component));
            let waits = waits(&heads);
            prop_assert_eq!(waits.len(), lines.len());
            let unexpected = lost - ((tau * Fixed::from(expected)) >> RATE_BITS);
            for (class, line) in (0..).zip(&lines) {
                let lag = later(line, tau, lost, expected);
                let target = if line.lag < 0 { 0 } else { SLICE };
                let wait = ((target - lag) << RATE_BITS) / line.rate;
                prop_assert!(waits[&class] <= wait);
                // Below by what rounding may do, and by what others bear of losses and it does not: up to twice.
                let missed = wait - waits[&class];
                let rounding = ((3 * ROUNDING) << RATE_BITS) / line.rate;
                prop_assert!(missed <= 2 * unexpected.abs() + rounding, "{}", missed >> RATE_BITS);
            }
        }

        #[test]
        fn heads_that_bear_losses_alike_stand_as_they_come(
            lines in prop::collection::vec(line(), 2..20),
            [tau, lost] in [0..1_000 * MS, 0..100 * MS],
        ) {
            let mut component = component(0);
            let mut heads = Heads::default();
            heads.pass(&component);
            let alike = |line: &Line| Line { bears: line.rate, lag: line.lag.abs(), ..*line };
            let lines: Vec<Line> = lines.iter().map(alike).collect();
            for (class, line) in (0..).zip(&lines) {
                heads.put(class, Some(*line), SLICE);
            }
            (component.tau, component.lost) = (tau, lost);
            heads.pass(&component);
            let order: Vec<u32> = heads.behind().map(|(_, class)| class).collect();
            let deadlines = order.iter().map(|&class| {
                let line = &lines[class as usize];
                ((SLICE - later(line, tau, lost, 0)) << RATE_BITS) / line.rate
            });
            let deadlines: Vec<Fixed> = deadlines.collect();
            // What rounding may do to the slowest.
            let trifle = ROUNDING * 2_048;
            prop_assert!(deadlines.is_sorted_by(|a, b| a <= &(b + trifle)), "{deadlines:?}");
        }
    }

    fn head(lag: Fixed) -> Option<Line> {
        Some(Line {
            lag,
            rate: Fixed::from(ONE / 2),
            bears: 0,
            apart: false,
        })
    }

    /// Of so many looks at so many queues, in how many of the last solve the heads are in order.
    fn in_order(heads: &mut Heads, queues: usize, solves: u64, looks: u32) -> u32 {
        let component = component(0);
        let look = |_: &u32| {
            let few = heads.are_few(queues, solves);
            if !few {
                heads.pass(&component);
            }
            !few
        };
        (0..looks).filter(look).count() as u32
    }

    #[test]
    fn heads_are_put_in_order_once_looking_at_all_has_cost_as_much() {
        let heads = &mut Heads::default();
        let looks = LOOKS - 1;
        assert_eq!(in_order(heads, FEW, 1, looks), 0);
        assert_eq!(in_order(heads, FEW, 1, 5), 5);
        // Anew after a solve.
        assert_eq!(in_order(heads, FEW, 2, looks + 5), 5);
        // Not lost where a few go.
        assert_eq!(in_order(heads, FEW / 2, 2, 5), 5);
    }

    #[test]
    fn a_head_stands_in_one_place() {
        let mut heads = Heads::default();
        heads.pass(&component(0));
        heads.put(7, head(-MS), SLICE);
        assert_eq!((heads.ahead().count(), heads.behind().count()), (1, 0));
        heads.put(7, head(MS), SLICE);
        assert_eq!((heads.ahead().count(), heads.behind().count()), (0, 1));
        let apart = head(MS).map(|line| Line {
            apart: true,
            ..line
        });
        heads.put(7, apart, SLICE);
        assert_eq!((heads.behind().count(), heads.apart().count()), (0, 1));
        heads.put(7, None, SLICE);
        assert_eq!(heads.apart().count(), 0);
    }

    #[test]
    fn heads_that_are_walked_past_in_vain_are_put_in_order_anew() {
        let mut heads = Heads::default();
        let component = component(0);
        heads.pass(&component);
        for class in 0..80 {
            heads.put(class, head(MS), SLICE);
        }
        heads.passed_by(18);
        assert!(!heads.pass(&component));
        heads.passed_by(19);
        assert!(heads.pass(&component));
        assert_eq!(heads.behind().count(), 0);
    }
}
