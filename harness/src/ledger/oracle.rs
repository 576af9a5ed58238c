//! The formula, asked again and again: which part of an LP each guest's VPs are promised.

use super::delivery::Delivery;
use super::state::State;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::{Cap, Controls, Reserve, ReserveModel, WeightScope};
use apportion_workloads::expected::{
    Claim, expected_of_delivered, expected_of_delivered_with_affinity,
};
use std::collections::{BTreeMap, HashMap};

/// Parts of an LP that differ by less are equal.
pub(super) const EQUAL: f64 = 1e-6;

/// So many solutions are kept: whoever sleeps at random makes many.
const KEPT: usize = 10_000;

/// What each VP of a guest that wants to run is promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Of one LP's wall time.
    pub(super) x: f64,
    /// The same if LPs lost nothing; told where VPs have reserves, else `x`.
    pub(super) without_losses: f64,
    /// The most it can use, but for losses.
    pub(super) upper: f64,
}

/// VPs with the same claim on the same LPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    controls: Controls,
    /// As bits, which order as numbers from 0 to 1 do.
    demand: u64,
    /// An index into the distinct affinities.
    affinity: usize,
    /// VPs that split one weight.
    sharers: u32,
}

impl Kind {
    fn claim(&self, scope: WeightScope) -> Claim {
        let claim = Claim::scoped(&self.controls, self.sharers, scope);
        Claim {
            upper: claim.upper.min(f64::from_bits(self.demand)),
            ..claim
        }
    }

    /// Whether nothing but its weight, and an LP's time, sets its part.
    fn is_limited_by_weight(&self) -> bool {
        let Controls { reserve, cap, .. } = self.controls;
        reserve == Reserve::default() && cap == Cap::default() && f64::from_bits(self.demand) >= 1.0
    }
}

/// What the formula depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    /// For each LP whether it is on line, and for each kind how many of its VPs want to run.
    state: Vec<u32>,
    /// What is delivered, as bits: the mean, or by LP.
    delivered: Vec<u64>,
}

/// The formula with a memory: few different sets of VPs want to run at a time.
#[derive(Debug)]
pub(super) struct Oracle {
    scope: WeightScope,
    model: ReserveModel,
    /// By guest, the demand of each of its VPs as a part of an LP; `None` where its work or its sleeps tell it.
    pub(super) demand: Vec<Option<f64>>,
    /// By guest, an index into `affinities`.
    affinity: Vec<usize>,
    affinities: Vec<Option<Vec<u32>>>,
    /// All kinds that there have been.
    kinds: Vec<Kind>,
    numbers: BTreeMap<Kind, usize>,
    /// By guest, its latest kind and the number of that.
    latest: Vec<Option<(Kind, usize)>>,
    /// Answers to questions: by kind, the part of an LP.
    known: HashMap<Question, Vec<f64>>,
}

impl Oracle {
    pub(super) fn new(spec: &RunSpec, demand: Vec<Option<f64>>) -> Oracle {
        let mut affinities = Vec::new();
        let affinity = spec.guests.iter().map(|guest| {
            let lps = |lps: &apportion_scheduler::LpSet| lps.iter().map(|lp| lp.0).collect();
            let allowed = guest.affinity.as_ref().map(lps);
            let known = affinities.iter().position(|other| *other == allowed);
            known.unwrap_or_else(|| {
                affinities.push(allowed);
                affinities.len() - 1
            })
        });
        Oracle {
            scope: spec.weight_scope,
            model: spec.reserve_model,
            affinity: affinity.collect(),
            affinities,
            kinds: Vec::new(),
            numbers: BTreeMap::new(),
            latest: vec![None; demand.len()],
            known: HashMap::new(),
            demand,
        }
    }

    /// By guest, where LPs deliver so much of their time; `None` where none of its VPs wants to run.
    pub(super) fn solve(&mut self, state: &State, delivery: &Delivery) -> Vec<Option<Part>> {
        let lps = state.online.len();
        let mut key: Vec<u32> = state.online.iter().map(|on| u32::from(*on)).collect();
        key.resize(lps + self.kinds.len(), 0);
        let mut numbers = Vec::with_capacity(state.wanting.len());
        let (mut by_weight, mut reserved) = (true, false);
        for (guest, &wanting) in state.wanting.iter().enumerate() {
            let number = (wanting > 0).then(|| self.number(guest, wanting, state));
            if let Some(number) = number {
                key.resize(lps + self.kinds.len(), 0);
                key[lps + number] += wanting;
                by_weight &= self.kinds[number].is_limited_by_weight();
                reserved |= self.kinds[number].controls.reserve > Reserve::default();
            }
            numbers.push(number);
        }
        // Parts that follow from weights alone shrink in proportion to what is delivered.
        let (factor, solved_for) = match &delivery.lps {
            None if by_weight => (delivery.mean, &Delivery::WHOLE),
            _ => (1.0, delivery),
        };
        let parts = self.ask(&key, solved_for, &state.online);
        let without_losses = match reserved && *delivery != Delivery::WHOLE {
            true => self.ask(&key, &Delivery::WHOLE, &state.online),
            false => parts.clone(),
        };
        let part = |number: usize| Part {
            x: factor * parts[number],
            without_losses: without_losses[number],
            upper: self.kinds[number].claim(self.scope).upper,
        };
        let parts = numbers.into_iter().map(|number| Some(part(number?)));
        parts.collect()
    }

    /// Answers a question, from memory where it was asked before.
    fn ask(&mut self, state: &[u32], delivery: &Delivery, online: &[bool]) -> Vec<f64> {
        let delivered = match &delivery.lps {
            Some(lps) => lps.iter().map(|part| part.to_bits()).collect(),
            None => vec![delivery.mean.to_bits()],
        };
        let question = Question {
            state: state.to_vec(),
            delivered,
        };
        if let Some(parts) = self.known.get(&question) {
            return parts.clone();
        }
        if self.known.len() > KEPT {
            self.known.clear();
        }
        let parts = self.answer(online, &state[online.len()..], delivery);
        self.known.insert(question, parts.clone());
        parts
    }

    /// The number of the kind that the VPs of a guest are of.
    fn number(&mut self, guest: usize, wanting: u32, state: &State) -> usize {
        let kind = Kind {
            controls: state.controls[guest],
            demand: self.demand[guest].unwrap_or(1.0).to_bits(),
            affinity: self.affinity[guest],
            sharers: match self.scope {
                WeightScope::Vp => 1,
                WeightScope::Guest => wanting,
            },
        };
        if let Some((latest, number)) = self.latest[guest]
            && latest == kind
        {
            return number;
        }
        let number = *self.numbers.entry(kind).or_insert_with(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        self.latest[guest] = Some((kind, number));
        number
    }

    /// By kind, of each of which so many VPs want to run; 0 where none does.
    fn answer(&self, online: &[bool], wanting: &[u32], delivery: &Delivery) -> Vec<f64> {
        let wanting = || {
            (0..wanting.len())
                .filter(|&kind| wanting[kind] > 0)
                .map(|kind| (kind, wanting[kind]))
        };
        let mut parts = vec![0.0; self.kinds.len()];
        if self.affinities.iter().all(Option::is_none) {
            let lps = online.iter().filter(|online| **online).count() as u32;
            let claims: Vec<(Claim, u32)> = wanting()
                .map(|(kind, vps)| (self.kinds[kind].claim(self.scope), vps))
                .collect();
            let solved = expected_of_delivered(lps, delivery.mean, &claims, self.model);
            wanting()
                .zip(solved)
                .for_each(|((kind, _), x)| parts[kind] = x);
            return parts;
        }
        let each = || wanting().flat_map(|(kind, vps)| std::iter::repeat_n(kind, vps as usize));
        let bound: Vec<(Claim, Option<&[u32]>)> = each()
            .map(|number| {
                let kind = &self.kinds[number];
                (
                    kind.claim(self.scope),
                    self.affinities[kind.affinity].as_deref(),
                )
            })
            .collect();
        let delivered = |lp: usize| delivery.lps.as_ref().map_or(delivery.mean, |lps| lps[lp]);
        let lps = online.iter().enumerate();
        let lps: Vec<Option<f64>> = lps.map(|(lp, on)| on.then(|| delivered(lp))).collect();
        let solved = expected_of_delivered_with_affinity(&lps, &bound, self.model)
            .expect("planning has counted the affinities");
        each().zip(solved).for_each(|(kind, x)| parts[kind] = x);
        parts
    }
}
