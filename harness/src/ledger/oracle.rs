//! The formula, asked again and again: which part of an LP each guest's VPs are promised.

use super::promise::State;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::{Controls, ReserveModel, WeightScope};
use apportion_workloads::expected::{Claim, expected, expected_with_affinity};
use std::collections::BTreeMap;

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

/// Which LPs are on line, and how many VPs of each kind want to run.
type Question = (Vec<bool>, Vec<(Kind, u32)>);

/// The formula with a memory: few different sets of VPs want to run at a time.
#[derive(Debug)]
pub(super) struct Oracle {
    scope: WeightScope,
    model: ReserveModel,
    /// By guest, the demand of each of its VPs as a part of an LP; `None` where its sleeps tell it.
    pub(super) demand: Vec<Option<f64>>,
    /// By guest, an index into `affinities`.
    affinity: Vec<usize>,
    affinities: Vec<Option<Vec<u32>>>,
    known: BTreeMap<Question, Vec<Part>>,
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
            demand,
            affinity: affinity.collect(),
            affinities,
            known: BTreeMap::new(),
        }
    }

    /// By guest; `None` where none of its VPs wants to run.
    pub(super) fn solve(&mut self, state: &State) -> Vec<Option<Part>> {
        let kinds: Vec<Option<Kind>> = state
            .wanting
            .iter()
            .enumerate()
            .map(|(guest, &wanting)| {
                (wanting > 0).then(|| Kind {
                    controls: state.controls[guest],
                    demand: self.demand[guest].unwrap_or(1.0).to_bits(),
                    affinity: self.affinity[guest],
                    sharers: match self.scope {
                        WeightScope::Vp => 1,
                        WeightScope::Guest => wanting,
                    },
                })
            })
            .collect();
        let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
        for (kind, wanting) in kinds.iter().zip(&state.wanting) {
            if let Some(kind) = kind {
                *counts.entry(*kind).or_default() += wanting;
            }
        }
        let order: Vec<Kind> = counts.keys().copied().collect();
        let question = (state.online.clone(), counts.into_iter().collect());
        if self.known.len() > KEPT {
            self.known.clear();
        }
        if !self.known.contains_key(&question) {
            let parts = self.answer(&question);
            self.known.insert(question.clone(), parts);
        }
        let parts = &self.known[&question];
        let part = |kind: &Kind| order.binary_search(kind).ok().map(|at| parts[at]);
        kinds.iter().map(|kind| part(kind.as_ref()?)).collect()
    }

    /// By kind.
    fn answer(&self, (online, kinds): &Question) -> Vec<Part> {
        let claim = |kind: &Kind| {
            let claim = Claim::scoped(&kind.controls, kind.sharers, self.scope);
            Claim {
                upper: claim.upper.min(f64::from_bits(kind.demand)),
                ..claim
            }
        };
        let each = || {
            kinds
                .iter()
                .flat_map(|(kind, vps)| vec![kind; *vps as usize])
        };
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
        let part = |(kind, vps): &(Kind, u32)| {
            let (x, upper) = (solved[first], claim(kind).upper);
            let demand = f64::from_bits(kind.demand);
            first += *vps as usize;
            Part {
                x,
                upper,
                carries: if contended {
                    // One that sleeps has time to catch up, another has not.
                    upper < demand || x < demand - EQUAL || demand >= 1.0
                } else {
                    x >= 1.0 - EQUAL || x < upper - EQUAL
                },
            }
        };
        kinds.iter().map(part).collect()
    }
}
