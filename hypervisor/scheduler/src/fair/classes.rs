//! Classes of VPs with equal claims: their rates, and the fluid service that each would have had.

use super::component::Component;
use super::heads::Line;
use super::losses::{LossRates, REMEMBERED};
use super::queues::Ceiling;
use super::solving::part;
use super::{Fixed, fixed};
use crate::controls::{Controls, ReserveModel, WeightScope};
use crate::machine::{Config, Guest, Machine};
use crate::rates::{Claim, ONE, RATE_BITS, Rate, Solved};
use crate::topology::LpSet;
use crate::units::{GuestId, LpId, Nanos, VpId};
use std::collections::{BTreeMap, BTreeSet};

/// What makes VPs alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) controls: Controls,
    /// Where weights are shared within a guest: which.
    pub(super) shared_by: Option<GuestId>,
    pub(super) affinity: Option<LpSet>,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) key: Key,
    /// How many VPs belong to it.
    pub(super) members: u32,
    /// How many of them are in the solve.
    pub(super) count: u32,
    /// What each of its VPs gets, of what is expected not to be lost.
    pub(super) rate: Rate,
    /// What it would get if nothing were lost: its fluid rises by that.
    pub(super) rise: Rate,
    /// The part that it bears of what is lost.
    pub(super) bears: Rate,
    /// It has all that it can use.
    pub(super) at_upper: bool,
    /// That is all of an LP.
    pub(super) whole: bool,
    pub(super) component: u32,
    /// Fluid service of each of its VPs when its component's τ was `since`.
    pub(super) fluid: Fixed,
    pub(super) since: Fixed,
    /// What its component had lost then.
    pub(super) lost_since: Fixed,
    /// Asleep and ahead, by balance.
    pub(super) lingering: BTreeSet<(Fixed, VpId)>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) scope: WeightScope,
    pub(super) model: ReserveModel,
    /// How many LPs there are, and which of them are on line.
    pub(super) lps: usize,
    pub(super) online: Vec<LpId>,
    pub(super) by_key: BTreeMap<Key, u32>,
    pub(super) all: Vec<Class>,
    /// Those without members, to be used again.
    pub(super) free: Vec<u32>,
    pub(super) components: Vec<Component>,
    /// By LP; empty where there is one component.
    pub(super) component_of: Vec<u32>,
    pub(super) last: Solved,
    pub(super) claims: Vec<Claim>,
    pub(super) rates: Vec<Rate>,
    pub(super) lingerers: usize,
    /// How far back losses are made up for.
    pub(super) memory: Fixed,
    /// What LPs are expected to lose.
    pub(super) losses: LossRates,
    /// How often rates were solved for.
    pub(super) solves: u64,
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
            memory: fixed(config.slice) * Fixed::from(REMEMBERED),
            losses: LossRates::new(&config.topology, config.slice),
            solves: 0,
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
            rise: 0,
            bears: 0,
            at_upper: false,
            whole: false,
            component: 0,
            fluid: 0,
            since: self.components[0].tau,
            lost_since: self.components[0].lost,
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
        let lost = self.components[class.component as usize].lost - class.lost_since;
        class.fluid + (((tau - class.since) * Fixed::from(class.rise)) >> RATE_BITS)
            - ((lost * Fixed::from(class.bears)) >> RATE_BITS)
    }

    /// What each VP of a class would have received by now.
    pub(super) fn fluid(&self, class: u32) -> Fixed {
        self.fluid_at(class, self.tau(class))
    }

    /// What it would have received a while later, if nothing is lost meanwhile.
    pub(super) fn fluid_after(&self, class: u32, span: Nanos) -> Fixed {
        let component = &self.components[self.component(class) as usize];
        self.fluid_at(class, component.tau_after(fixed(span)))
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

    /// The component whose VPs compete for an LP.
    pub(super) fn at(&self, lp: LpId) -> &Component {
        &self.components[self.component_of(lp) as usize]
    }

    /// How the lag of a class's VPs rises that is `lag` now.
    pub(super) fn line(&self, class: u32, lag: Fixed) -> Line {
        let class = &self.all[class as usize];
        let expected = self.components[class.component as usize].expected;
        let of_losses = part(class.bears, expected, ONE);
        Line {
            lag,
            rate: Fixed::from(class.rate),
            bears: Fixed::from(class.bears),
            apart: class.whole || class.rise != class.rate + of_losses,
        }
    }

    /// τ, where no guest is bound to some of the LPs: it is the same for all.
    pub(super) fn one_tau(&self) -> Fixed {
        self.components[0].tau
    }

    /// Whether a class is due all of an LP.
    pub(super) fn is_due_an_lp(&self, class: u32) -> bool {
        self.all[class as usize].whole
    }

    /// The most by which a lag rises, of those in the solve.
    pub(super) fn highest_rise(&self) -> Rate {
        let counted = self.all.iter().filter(|class| class.count > 0);
        counted.map(|class| class.rise).max().unwrap_or(0)
    }

    /// What a lag of `lag` rises by.
    pub(super) fn ceiling(&self, class: u32, lag: Fixed) -> Ceiling {
        Ceiling::new(lag, self.all[class as usize].rise, self.tau(class))
    }

    /// Whether a class has all that it can use, and whether all that it competes with have.
    pub(super) fn limits(&self, class: u32) -> (bool, bool) {
        let class = &self.all[class as usize];
        let component = &self.components[class.component as usize];
        (class.at_upper, component.saturated)
    }

    /// Whether those that compete for an LP have all that they can use, and there is more than that.
    pub(super) fn is_saturated(&self, lp: LpId) -> bool {
        self.at(lp).saturated
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

    /// What an LP is expected to have left for guests.
    pub(super) fn leaves(&self, lp: LpId) -> Rate {
        self.losses.leaves(lp)
    }

    /// `span` of an LP's time up to `now` was lost: it falls on those that compete for it. Whether so much more or
    /// less is lost than was expected that rates have to follow.
    pub(super) fn lose(&mut self, now: Nanos, lp: LpId, span: Nanos) -> bool {
        let component = self.component_of(lp);
        self.components[component as usize].lose(fixed(span), self.memory);
        self.losses.lost(now, lp, span, self.components.len() > 1)
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
            let wait = (missing << RATE_BITS) / Fixed::from(entry.rise.max(1)) + 1;
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
}
