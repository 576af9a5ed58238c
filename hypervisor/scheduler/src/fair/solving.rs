//! New rates for all classes, and who bears what is lost.

use super::classes::{Class, Classes};
use super::component::Component;
use crate::admission::places;
use crate::rates::{Claim, ONE, RATE_BITS, Rate, Solved, solve};
use crate::topology::LpSet;
use std::collections::BTreeMap;

/// A class with what it claims and what it gets.
struct Member<'a> {
    class: &'a mut Class,
    claim: &'a Claim,
    /// What an LP leaves to it, on average of those that it may use.
    ceiling: Rate,
    rate: Rate,
}

impl Member<'_> {
    fn count(&self) -> u64 {
        u64::from(self.claim.count)
    }

    fn at_upper(&self) -> bool {
        self.rate == self.claim.upper
    }

    /// It is due all of an LP.
    fn is_whole(&self) -> bool {
        self.at_upper() && self.claim.upper == self.ceiling
    }

    fn surplus(&self) -> Rate {
        self.rate.saturating_sub(self.claim.reserve)
    }

    /// It gets something beyond its reserve, and can use more.
    fn is_by_weight(&self) -> bool {
        !self.at_upper() && self.surplus() > 0
    }
}

/// So much of `amount` as `of` is of `all`.
pub(super) fn part(of: u64, amount: u64, all: u64) -> u64 {
    (u128::from(of) * u128::from(amount) / u128::from(all.max(1))) as u64
}

/// What each part of a surplus bears of what is lost.
#[derive(Clone, Copy, Debug)]
struct BySurplus {
    bears: u64,
    surplus: u64,
    /// What LPs are expected to lose.
    expected: Rate,
}

impl BySurplus {
    /// So that `bears` is divided, as far as it can be: lags rise by no more than time, so that nobody bears more
    /// than what it would lose of an LP.
    fn divide(bears: u64, expected: Rate, surplus: u64, members: &[Member<'_>]) -> BySurplus {
        let mut found = BySurplus {
            bears,
            surplus,
            expected,
        };
        loop {
            let mut left = BySurplus {
                bears,
                surplus,
                expected,
            };
            for member in members.iter().filter(|member| member.is_by_weight()) {
                if found.limit(member) < found.unlimited(member) {
                    let limit = member.count() * found.limit(member);
                    left.bears = left.bears.saturating_sub(limit);
                    left.surplus -= member.count() * member.surplus();
                }
            }
            // Ever more of them are at their limits, and then no more.
            if left.surplus >= found.surplus {
                return found;
            }
            found = left;
        }
    }

    fn unlimited(&self, member: &Member<'_>) -> u64 {
        part(member.surplus(), self.bears, self.surplus)
    }

    fn limit(&self, member: &Member<'_>) -> u64 {
        match self.expected {
            0 => u64::MAX,
            expected => part(ONE.saturating_sub(member.rate), ONE, expected),
        }
    }

    fn of(&self, member: &Member<'_>) -> u64 {
        self.unlimited(member).min(self.limit(member))
    }
}

/// Gives the members of a component of so many LPs their rates, and
/// says who bears what is lost: one that is due all of an LP what an LP loses, on average; the rest
/// falls on those that get something beyond their reserves and can use more, in proportion to that, and what these
/// cannot bear on all. Reserves and caps are of wall time, and lose nothing while there is anything else.
fn share(component: &mut Component, capacity: u64, lps: u64, members: Vec<Member<'_>>) {
    let each = ONE / lps.max(1);
    let sum = |of: &dyn Fn(&Member<'_>) -> u64| -> u64 { members.iter().map(of).sum() };
    let whole = sum(&|member| match member.is_whole() {
        true => member.count(),
        false => 0,
    });
    let received = sum(&|member| member.count() * member.rate);
    component.surplus = sum(&|member| match member.is_by_weight() {
        true => member.count() * member.surplus(),
        false => 0,
    });
    let by_weight = ONE.saturating_sub(each * whole);
    let by_surplus = BySurplus::divide(by_weight, component.expected, component.surplus, &members);
    let (mut total, mut borne) = (0, 0);
    for member in members {
        let (count, whole) = (member.count(), member.is_whole());
        let bears = if component.surplus == 0 && !component.saturated {
            part(ONE, member.rate, received)
        } else if whole {
            each
        } else if member.is_by_weight() {
            by_surplus.of(&member)
        } else {
            0
        };
        let at_upper = member.at_upper();
        let Member { class, rate, .. } = member;
        class.rate = rate;
        class.bears = bears;
        class.rise = (rate + part(bears, component.expected, ONE)).min(ONE);
        (class.at_upper, class.whole) = (at_upper, whole);
        total += class.rise * count;
        borne += bears * count;
    }
    component.total = total;
    (component.capacity, component.borne_by_classes) = match component.saturated {
        // What nobody bears is nobody's.
        true => (total, ONE),
        false => (capacity + component.expected, borne.min(ONE)),
    };
}

impl Classes {
    /// New rates for everybody, from now on.
    pub(super) fn solve(&mut self) {
        self.solves += 1;
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
            let component = &self.components[class.component as usize];
            class.since = component.tau;
            class.lost_since = component.lost;
        }
    }

    fn claim(class: &Class, ceiling: Rate) -> Claim {
        let shared_by = class.key.shared_by.map_or(1, |_| class.count);
        Claim::new(&class.key.controls, class.count, shared_by, ceiling)
    }

    fn solve_as_one(&mut self) {
        let lps = self.online.len() as u64;
        let whole: u64 = self.online.iter().map(|&lp| self.losses.leaves(lp)).sum();
        let ceiling = whole / lps.max(1);
        self.claims.clear();
        let claims = self.all.iter().map(|class| Classes::claim(class, ceiling));
        self.claims.extend(claims);
        self.last = solve(whole, &self.claims, self.model, self.last, &mut self.rates);
        if self.components.len() > 1 {
            // They go on together from here.
            self.components = vec![Component::default()];
            self.component_of.clear();
        }
        let component = &mut self.components[0];
        component.saturated = self.last.saturated;
        component.expected = (lps << RATE_BITS) - whole;
        let members = self.all.iter_mut().zip(&self.claims).zip(&self.rates);
        let members = members.map(|((class, claim), &rate)| {
            class.component = 0;
            Member {
                class,
                claim,
                ceiling,
                rate,
            }
        });
        share(component, self.last.capacity, lps, members.collect());
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
        let (places, kind_of) = places(&sets, &self.online, |lp| self.losses.leaves(lp));
        let in_groups = |groups: &[usize]| -> Vec<usize> {
            members
                .iter()
                .copied()
                .filter(|&class| group_of(&self.all[class]).is_ok_and(|g| groups.contains(&g)))
                .collect()
        };
        // Of these, what an LP leaves to each, on average of those of `kinds` that it may use, and its claim.
        let claims_of = |groups: &[usize], kinds: &[usize]| {
            let classes = in_groups(groups);
            let ceiling = |&class: &usize| {
                let usable = |&kind: &usize| match group_of(&self.all[class]) {
                    Ok(group) => places.allowed[group][kind],
                    Err(_) => false,
                };
                let usable: Vec<usize> = kinds.iter().copied().filter(usable).collect();
                places.capacity(&usable) / u64::from(places.count(&usable)).max(1)
            };
            let ceilings: Vec<Rate> = classes.iter().map(ceiling).collect();
            let claim = |(&class, &ceiling)| Classes::claim(&self.all[class], ceiling);
            let claims: Vec<Claim> = classes.iter().zip(&ceilings).map(claim).collect();
            (classes, ceilings, claims)
        };
        let found = places.bottlenecks(|groups, kinds| {
            let (classes, _, claims) = claims_of(groups, kinds);
            let mut rates = Vec::new();
            solve(
                places.capacity(kinds),
                &claims,
                model,
                Solved::default(),
                &mut rates,
            );
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
        let mut parts = Vec::new();
        for (index, bottleneck) in found.iter().enumerate() {
            for (lp, kind) in self.online.iter().zip(&kind_of) {
                if bottleneck.kinds.contains(kind) {
                    component_of[lp.index()] = index as u32;
                }
            }
            let whole = places.capacity(&bottleneck.kinds);
            let lps = u64::from(places.count(&bottleneck.kinds));
            parts.push((claims_of(&bottleneck.groups, &bottleneck.kinds), whole, lps));
        }
        for class in &mut self.all {
            (class.component, class.rate, class.rise, class.bears) = (0, 0, 0, 0);
            (class.at_upper, class.whole) = (false, false);
        }
        let before = std::mem::take(&mut self.components);
        for (index, ((classes, ceilings, claims), whole, lps)) in parts.into_iter().enumerate() {
            let mut rates = Vec::new();
            let solved = solve(whole, &claims, model, Solved::default(), &mut rates);
            let mut component = Component::default();
            component.saturated = solved.saturated;
            component.expected = (lps << RATE_BITS) - whole;
            let of_class: BTreeMap<usize, usize> = (0..)
                .zip(&classes)
                .map(|(at, &class)| (class, at))
                .collect();
            let members = self
                .all
                .iter_mut()
                .enumerate()
                .filter_map(|(class, entry)| {
                    let at = *of_class.get(&class)?;
                    entry.component = index as u32;
                    Some(Member {
                        class: entry,
                        claim: &claims[at],
                        ceiling: ceilings[at],
                        rate: rates[at],
                    })
                });
            share(&mut component, solved.capacity, lps, members.collect());
            self.components.push(component);
        }
        if component_of == self.component_of {
            for (component, before) in self.components.iter_mut().zip(&before) {
                component.borne = before.borne;
            }
        }
        self.component_of = component_of;
    }
}
