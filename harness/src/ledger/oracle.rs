//! The formula, asked again and again: which part of an LP each guest's VPs are promised.

use super::state::State;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::{Controls, ReserveModel, WeightScope};
use apportion_workloads::expected::{Claim, expected, expected_with_affinity};
use std::collections::{BTreeMap, HashMap};

/// Parts of an LP that differ by less are equal.
pub(super) const EQUAL: f64 = 1e-6;

/// So many solutions are kept: whoever sleeps at random makes many.
const KEPT: usize = 10_000;

/// What each VP of a guest that wants to run is promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Of one LP.
    pub(super) x: f64,
    /// The most it can use.
    pub(super) upper: f64,
    /// Whether what the LPs lose is missing to it, see `Window` in the ledger.
    pub(super) carries: bool,
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
    /// By the LPs that are on line and how many VPs of each kind want to run: what each kind is promised.
    known: HashMap<Vec<u32>, Vec<Option<Part>>>,
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

    /// By guest; `None` where none of its VPs wants to run.
    pub(super) fn solve(&mut self, state: &State) -> Vec<Option<Part>> {
        let lps = state.online.len();
        let mut question: Vec<u32> = state.online.iter().map(|on| u32::from(*on)).collect();
        question.resize(lps + self.kinds.len(), 0);
        let mut numbers = Vec::with_capacity(state.wanting.len());
        for (guest, &wanting) in state.wanting.iter().enumerate() {
            let number = (wanting > 0).then(|| self.number(guest, wanting, state));
            if let Some(number) = number {
                question.resize(lps + self.kinds.len(), 0);
                question[lps + number] += wanting;
            }
            numbers.push(number);
        }
        if !self.known.contains_key(&question) {
            if self.known.len() > KEPT {
                self.known.clear();
            }
            let parts = self.answer(&state.online, &question[lps..]);
            self.known.insert(question.clone(), parts);
        }
        let parts = &self.known[&question];
        numbers.into_iter().map(|number| parts[number?]).collect()
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

    /// By kind, of each of which so many VPs want to run; `None` where none does.
    fn answer(&self, online: &[bool], wanting: &[u32]) -> Vec<Option<Part>> {
        let kinds = || self.kinds.iter().zip(wanting);
        let claim = |kind: &Kind| {
            let claim = Claim::scoped(&kind.controls, kind.sharers, self.scope);
            Claim {
                upper: claim.upper.min(f64::from_bits(kind.demand)),
                ..claim
            }
        };
        let each = || kinds().flat_map(|(kind, vps)| std::iter::repeat_n(kind, *vps as usize));
        let lps = online.iter().filter(|online| **online).count();
        let solved = if self.affinities.iter().all(Option::is_none) {
            expected(
                lps as u32,
                &each().map(claim).collect::<Vec<_>>(),
                self.model,
            )
        } else {
            let pinned: Vec<(Claim, Option<&[u32]>)> = each()
                .map(|kind| (claim(kind), self.affinities[kind.affinity].as_deref()))
                .collect();
            expected_with_affinity(online, &pinned, self.model)
                .expect("planning has counted the affinities")
        };
        let contended = solved.iter().sum::<f64>() >= lps as f64 - EQUAL;
        let mut first = 0;
        let part = |(kind, vps): (&Kind, &u32)| {
            if *vps == 0 {
                return None;
            }
            let (x, upper) = (solved[first], claim(kind).upper);
            let demand = f64::from_bits(kind.demand);
            first += *vps as usize;
            Some(Part {
                x,
                upper,
                carries: if contended {
                    // One that sleeps has time to catch up, another has not.
                    upper < demand || x < demand - EQUAL || demand >= 1.0
                } else {
                    x >= 1.0 - EQUAL || x < upper - EQUAL
                },
            })
        };
        kinds().map(part).collect()
    }
}
