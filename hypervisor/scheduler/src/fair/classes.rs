//! Classes of VPs with equal claims: their rates, and the fluid service that each would have had.

use super::queues::Ceiling;
use super::{Fixed, fixed};
use crate::admission::places;
use crate::controls::{Controls, ReserveModel, WeightScope};
use crate::machine::{Config, Guest, Machine};
use crate::rates::{Claim, ONE, RATE_BITS, Rate, Solved, solve};
use crate::topology::LpSet;
use crate::units::{GuestId, LpId, Nanos, VpId};
use std::collections::{BTreeMap, BTreeSet};

/// What is still owed to rounding before it is paid out: a microsecond.
const ROUNDING: Fixed = 1_000 << RATE_BITS;

/// What makes VPs alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    controls: Controls,
    /// Where weights are shared within a guest: which.
    shared_by: Option<GuestId>,
    affinity: Option<LpSet>,
}

/// VPs that compete with each other for some of the LPs: all of them, but for affinity.
#[derive(Clone, Copy, Debug, Default)]
struct Component {
    /// Its time τ: wall time less losses.
    tau: Fixed,
    /// Σφ. Rounded down, so a trifle less than what there is to share.
    total: Rate,
    /// What there is to share.
    capacity: u64,
    /// What rounding kept back so far.
    owed: Fixed,
    /// Everyone has all that it can use: nobody competes.
    saturated: bool,
}

impl Component {
    fn advance(&mut self, span: Fixed) {
        self.tau += span;
        self.owed += (span * Fixed::from(self.capacity - self.total)) >> RATE_BITS;
        if self.owed >= ROUNDING {
            // In whole parts, so that it makes no difference how often one looks.
            let paid = self.owed - self.owed % ROUNDING;
            self.owed -= paid;
            self.shrink(-paid);
        }
    }

    /// Takes `amount` of CPU time off the fluid ideal, from everyone in proportion to φ.
    fn shrink(&mut self, amount: Fixed) {
        if self.total > 0 {
            self.tau -= amount * Fixed::from(ONE) / Fixed::from(self.total);
        }
    }
}

#[derive(Clone, Debug)]
struct Class {
    key: Key,
    /// How many VPs belong to it.
    members: u32,
    /// How many of them are in the solve.
    count: u32,
    rate: Rate,
    /// It has all that it can use.
    at_upper: bool,
    component: u32,
    /// Fluid service of each of its VPs when its component's τ was `since`.
    fluid: Fixed,
    since: Fixed,
    /// Asleep and ahead, by balance.
    lingering: BTreeSet<(Fixed, VpId)>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Classes {
    scope: WeightScope,
    model: ReserveModel,
    /// How many LPs there are, and which of them are on line.
    lps: usize,
    online: Vec<LpId>,
    by_key: BTreeMap<Key, u32>,
    all: Vec<Class>,
    /// Those without members, to be used again.
    free: Vec<u32>,
    components: Vec<Component>,
    /// By LP; empty where there is one component.
    component_of: Vec<u32>,
    last: Solved,
    claims: Vec<Claim>,
    rates: Vec<Rate>,
    lingerers: usize,
}

impl Classes {
    pub(super) fn new(config: &Config) -> Classes {
        Classes {
            scope: config.weight_scope,
            model: config.reserve_model,
            lps: config.topology.lps() as usize,
            online: (0..config.topology.lps()).map(LpId).collect(),
            by_key: BTreeMap::new(),
            all: Vec::new(),
            free: Vec::new(),
            components: vec![Component::default()],
            component_of: Vec::new(),
            last: Solved::default(),
            claims: Vec::new(),
            rates: Vec::new(),
            lingerers: 0,
        }
    }

    /// Whether a guest's VPs, which belong to a class, still do by its controls and affinity.
    pub(super) fn suits(&self, class: u32, guest: &Guest) -> bool {
        let key = self.all.get(class as usize).map(|class| &class.key);
        key.is_some_and(|key| key.controls == guest.controls && key.affinity == guest.affinity)
    }

    /// The class of a guest's VPs.
    pub(super) fn of(&mut self, id: GuestId, guest: &Guest) -> u32 {
        let key = Key {
            controls: guest.controls,
            shared_by: (self.scope == WeightScope::Guest).then_some(id),
            affinity: guest.affinity.clone(),
        };
        if let Some(&class) = self.by_key.get(&key) {
            return class;
        }
        let class = Class {
            key: key.clone(),
            members: 0,
            count: 0,
            rate: 0,
            at_upper: false,
            component: 0,
            fluid: 0,
            since: self.components[0].tau,
            lingering: BTreeSet::new(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.all[index as usize] = class;
                index
            }
            None => {
                self.all.push(class);
                self.all.len() as u32 - 1
            }
        };
        self.by_key.insert(key, index);
        index
    }

    /// So many VPs more belong to a class.
    pub(super) fn enter(&mut self, class: u32, vps: u32) {
        self.all[class as usize].members += vps;
    }

    /// So many VPs belong to a class no more. One that nobody belongs to is given back.
    pub(super) fn exit(&mut self, class: u32, vps: u32) {
        let entry = &mut self.all[class as usize];
        entry.members -= vps;
        if entry.members == 0 && vps > 0 {
            self.by_key.remove(&entry.key);
            self.free.push(class);
        }
    }

    /// Which LPs are on line from now on; whether that is another set.
    pub(super) fn set_online(&mut self, machine: &Machine) -> bool {
        let changed = !machine.online().eq(self.online.iter().copied());
        if changed {
            self.online = machine.online().collect();
        }
        changed
    }

    /// How many LPs are on line.
    pub(super) fn lps(&self) -> usize {
        self.online.len()
    }

    pub(super) fn advance(&mut self, span: Fixed) {
        for component in &mut self.components {
            component.advance(span);
        }
    }

    fn fluid_at(&self, class: u32, tau: Fixed) -> Fixed {
        let class = &self.all[class as usize];
        class.fluid + (((tau - class.since) * Fixed::from(class.rate)) >> RATE_BITS)
    }

    /// What each VP of a class would have received by now.
    pub(super) fn fluid(&self, class: u32) -> Fixed {
        self.fluid_at(class, self.tau(class))
    }

    /// What it would have received a while later, if nothing is lost meanwhile.
    pub(super) fn fluid_after(&self, class: u32, span: Nanos) -> Fixed {
        self.fluid_at(class, self.tau(class) + fixed(span))
    }

    fn tau(&self, class: u32) -> Fixed {
        self.components[self.all[class as usize].component as usize].tau
    }

    pub(super) fn rate(&self, class: u32) -> Rate {
        self.all[class as usize].rate
    }

    /// The component that a class belongs to.
    pub(super) fn component(&self, class: u32) -> u32 {
        self.all[class as usize].component
    }

    /// The component that competes for an LP.
    pub(super) fn component_of(&self, lp: LpId) -> u32 {
        self.component_of.get(lp.index()).copied().unwrap_or(0)
    }

    /// τ, where no guest is bound to some of the LPs: it is the same for all.
    pub(super) fn one_tau(&self) -> Fixed {
        self.components[0].tau
    }

    /// Of those in the solve.
    pub(super) fn highest_rate(&self) -> Rate {
        let counted = self.all.iter().filter(|class| class.count > 0);
        counted.map(|class| class.rate).max().unwrap_or(0)
    }

    /// What a lag of `lag` rises by.
    pub(super) fn ceiling(&self, class: u32, lag: Fixed) -> Ceiling {
        Ceiling::new(lag, self.rate(class), self.tau(class))
    }

    /// Whether a class has all that it can use, and whether all that it competes with have.
    pub(super) fn limits(&self, class: u32) -> (bool, bool) {
        let class = &self.all[class as usize];
        let component = &self.components[class.component as usize];
        (class.at_upper, component.saturated)
    }

    /// Whether those that compete for an LP have all that they can use, and there is more than that.
    pub(super) fn is_saturated(&self, lp: LpId) -> bool {
        self.components[self.component_of(lp) as usize].saturated
    }

    pub(super) fn count(&mut self, class: u32, change: i32) {
        let count = &mut self.all[class as usize].count;
        *count = count.saturating_add_signed(change);
    }

    /// Takes `amount` off the fluid ideal of those that compete with a class.
    pub(super) fn shrink_class(&mut self, class: u32, amount: Fixed) {
        let component = self.all[class as usize].component;
        self.components[component as usize].shrink(amount);
    }

    /// Takes `amount` off the fluid ideal of those that competed with a VP
    /// which is no longer counted in its class: the class's own, or, where it
    /// was the last, those that compete for the LP it was at home on. Where all
    /// have what they can use it is nobody's.
    pub(super) fn shrink_rest(&mut self, class: u32, home: LpId, amount: Fixed) {
        let component = match &self.all[class as usize] {
            class if class.count > 0 => class.component,
            _ => self.component_of(home),
        };
        let component = &mut self.components[component as usize];
        if !component.saturated {
            component.shrink(amount);
        }
    }

    /// Takes `amount` off the fluid ideal of those that compete for an LP.
    pub(super) fn shrink_lp(&mut self, lp: LpId, amount: Fixed) {
        let component = self.component_of(lp);
        self.components[component as usize].shrink(amount);
    }

    /// A VP has gone to sleep ahead of its due.
    pub(super) fn linger(&mut self, class: u32, balance: Fixed, vp: VpId) {
        self.lingerers += 1;
        self.all[class as usize].lingering.insert((balance, vp));
    }

    pub(super) fn remove_lingering(&mut self, class: u32, vp: VpId) {
        let set = &mut self.all[class as usize].lingering;
        if let Some(&entry) = set.iter().find(|(_, lingering)| *lingering == vp) {
            set.remove(&entry);
            self.lingerers -= 1;
        }
    }

    /// A sleeper whose lag has risen to zero, and its class.
    pub(super) fn has_paid(&self) -> Option<(VpId, u32)> {
        self.first_to_leave()
            .find_map(|(class, balance, vp)| (self.fluid(class) >= balance).then_some((vp, class)))
    }

    /// How long it takes until the lag of the next sleeper has risen to zero, if within `span`.
    pub(super) fn next_to_leave(&self, span: Fixed) -> Option<Fixed> {
        let waits = self.first_to_leave().filter_map(|(class, balance, _)| {
            let entry = &self.all[class as usize];
            let tau = self.tau(class);
            if self.fluid_at(class, tau + span) < balance {
                return None;
            }
            // Rounded up, and above zero: who has paid is gone already.
            let missing = (balance - self.fluid_at(class, tau)).max(1);
            let wait = (missing << RATE_BITS) / Fixed::from(entry.rate.max(1)) + 1;
            Some(wait.min(span))
        });
        waits.min()
    }

    /// By class, who of those asleep and ahead will have paid first.
    fn first_to_leave(&self) -> impl Iterator<Item = (u32, Fixed, VpId)> {
        let classes = if self.lingerers == 0 {
            0
        } else {
            self.all.len()
        };
        (0..classes as u32).filter_map(|class| {
            let (balance, vp) = self.all[class as usize].lingering.first()?;
            Some((class, *balance, *vp))
        })
    }

    /// New rates for everybody, from now on.
    pub(super) fn solve(&mut self) {
        for class in 0..self.all.len() as u32 {
            let fluid = self.fluid(class);
            self.all[class as usize].fluid = fluid;
        }
        let bound = |class: &Class| class.count > 0 && class.key.affinity.is_some();
        if self.all.iter().any(bound) {
            self.solve_by_places();
        } else {
            self.solve_as_one();
        }
        for class in &mut self.all {
            class.since = self.components[class.component as usize].tau;
        }
    }

    fn claim(class: &Class) -> Claim {
        let shared_by = class.key.shared_by.map_or(1, |_| class.count);
        Claim::new(&class.key.controls, class.count, shared_by)
    }

    fn solve_as_one(&mut self) {
        self.claims.clear();
        self.claims.extend(self.all.iter().map(Classes::claim));
        let lps = self.online.len() as u32;
        self.last = solve(lps, &self.claims, self.model, self.last, &mut self.rates);
        if self.components.len() > 1 {
            // They go on together from here.
            self.components = vec![Component::default()];
            self.component_of.clear();
        }
        let mut total = 0;
        for ((class, claim), &rate) in self.all.iter_mut().zip(&self.claims).zip(&self.rates) {
            class.component = 0;
            class.rate = rate;
            class.at_upper = rate == claim.upper;
            total += rate * u64::from(claim.count);
        }
        let component = &mut self.components[0];
        component.total = total;
        component.capacity = self.last.capacity;
        component.saturated = self.last.saturated;
    }

    fn solve_by_places(&mut self) {
        let model = self.model;
        let members: Vec<usize> = (0..self.all.len())
            .filter(|&class| self.all[class].count > 0)
            .collect();
        let mut sets: Vec<Option<&LpSet>> = members
            .iter()
            .map(|&class| self.all[class].key.affinity.as_ref())
            .collect();
        sets.sort_unstable();
        sets.dedup();
        let group_of = |class: &Class| sets.binary_search(&class.key.affinity.as_ref());
        let (places, kind_of) = places(&sets, &self.online);
        let in_groups = |groups: &[usize]| -> Vec<usize> {
            members
                .iter()
                .copied()
                .filter(|&class| group_of(&self.all[class]).is_ok_and(|g| groups.contains(&g)))
                .collect()
        };
        let solve_for = |groups: &[usize], lps: u32| {
            let classes = in_groups(groups);
            let claims: Vec<Claim> = classes
                .iter()
                .map(|&class| Classes::claim(&self.all[class]))
                .collect();
            let mut rates = Vec::new();
            let solved = solve(lps, &claims, model, Solved::default(), &mut rates);
            (classes, claims, rates, solved)
        };
        let found = places.bottlenecks(|groups, lps| {
            let (classes, claims, rates, _) = solve_for(groups, lps);
            let mut wanted = vec![0; groups.len()];
            for ((class, claim), rate) in classes.iter().zip(&claims).zip(&rates) {
                let group = group_of(&self.all[*class]);
                if let Some(at) = groups.iter().position(|&g| Ok(g) == group) {
                    wanted[at] += rate * u64::from(claim.count);
                }
            }
            wanted
        });
        // LPs that nobody may use, or that are off line, count as anybody's.
        let mut component_of = vec![0; self.lps];
        let mut components = Vec::new();
        let mut results = Vec::new();
        for (index, bottleneck) in found.iter().enumerate() {
            for (lp, kind) in self.online.iter().zip(&kind_of) {
                if bottleneck.kinds.contains(kind) {
                    component_of[lp.index()] = index as u32;
                }
            }
            let lps = places.count(&bottleneck.kinds);
            let (classes, claims, rates, solved) = solve_for(&bottleneck.groups, lps);
            components.push(Component {
                total: claims
                    .iter()
                    .zip(&rates)
                    .map(|(claim, rate)| rate * u64::from(claim.count))
                    .sum(),
                capacity: solved.capacity,
                saturated: solved.saturated,
                ..Component::default()
            });
            results.extend(
                classes
                    .into_iter()
                    .zip(rates)
                    .zip(claims)
                    .map(|((class, rate), claim)| (class, index as u32, rate, rate == claim.upper)),
            );
        }
        for class in &mut self.all {
            (class.component, class.rate) = (0, 0);
        }
        for (class, component, rate, at_upper) in results {
            let class = &mut self.all[class];
            class.component = component;
            class.rate = rate;
            class.at_upper = at_upper;
        }
        self.components = components;
        self.component_of = component_of;
    }
}
