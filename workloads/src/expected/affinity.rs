//! Expected shares where some VPs may run on some LPs only.

use apportion_scheduler::ReserveModel;
use thiserror::Error;

use super::{Claim, bisect};

/// How many different sets of LPs claims may be bound to; every LP is one of them if a claim has it.
///
/// All unions of these sets are looked at, 2¹² at the most.
pub const MOST_AFFINITIES: usize = 12;

/// The claims are bound to more sets of LPs than this oracle looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "guests are bound to {found} different sets of LPs: \
     expected shares are computed for at most {MOST_AFFINITIES}"
)]
pub struct TooManyAffinities {
    /// The number of different sets, LPs that are off line left out.
    pub found: usize,
}

/// The part of one LP, 0 to 1, that each claim should receive on the LPs that it may use.
///
/// `online` says of each LP whether it is on line. A claim comes with the
/// numbers of the LPs that it may use, `None` for all; a claim with none of
/// them on line receives nothing.
///
/// This is weighted max-min: one level for all rises until the LPs of some
/// claims are used up; these claims stay where they are, and the level rises
/// on for the others. What fits follows from Hall's condition: the claims
/// bound within any set of LPs receive no more together than these LPs have.
/// Where every claim may use every LP the result is that of
/// [`expected`](super::expected).
///
/// Reserves that exceed their LPs are scaled down to fit, those of other LPs are not.
///
/// # Errors
/// [`TooManyAffinities`] beyond [`MOST_AFFINITIES`] different sets.
pub fn expected_with_affinity(
    online: &[bool],
    claims: &[(Claim, Option<&[u32]>)],
    model: ReserveModel,
) -> Result<Vec<f64>, TooManyAffinities> {
    let whole = |online: &bool| online.then_some(1.0);
    let delivered: Vec<Option<f64>> = online.iter().map(whole).collect();
    expected_of_delivered_with_affinity(&delivered, claims, model)
}

/// As [`expected_with_affinity`], where LPs deliver only a part of their wall time, 0 to 1, and are lost for the rest.
///
/// `delivered` has that part for each LP that is on line. Any set of LPs holds the sum of their parts, and a claim
/// receives no more than their mean over the LPs that it may use.
///
/// # Errors
/// [`TooManyAffinities`] beyond [`MOST_AFFINITIES`] different sets.
pub fn expected_of_delivered_with_affinity(
    delivered: &[Option<f64>],
    claims: &[(Claim, Option<&[u32]>)],
    model: ReserveModel,
) -> Result<Vec<f64>, TooManyAffinities> {
    let mut sets: Vec<LpSet> = Vec::new();
    let mut set_of_claims = Vec::new();
    for (_, allowed) in claims {
        let set = LpSet::new(delivered, *allowed);
        let known = sets.iter().position(|other| *other == set);
        set_of_claims.push(known.unwrap_or(sets.len()));
        if known.is_none() {
            sets.push(set);
        }
    }
    let claims: Vec<Claim> = claims
        .iter()
        .zip(&set_of_claims)
        .map(|((claim, _), &set)| match sets[set].len() {
            0 => claim.bounded(0.0),
            lps => claim.bounded(sets[set].capacity(delivered) / lps as f64),
        })
        .collect();
    let mut filling = Filling {
        halls: halls(&sets, delivered)?,
        sets: sets.len(),
        set_of_claims,
        frozen: vec![None; claims.len()],
    };
    filling.raise(1.0, |i, scale| scale * claims[i].reserve);
    // At this level even the last claim has all it can use.
    let enough = claims
        .iter()
        .map(|claim| claim.upper / claim.weight)
        .fold(0.0, f64::max);
    filling.raise(enough, |i, level| claims[i].at(level, model));

    let frozen = filling.frozen.into_iter().zip(&claims);
    Ok(frozen
        .map(|(part, claim)| part.unwrap_or(claim.upper))
        .collect())
}

/// For each LP whether it belongs to the set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LpSet(Vec<bool>);

impl LpSet {
    fn new(delivered: &[Option<f64>], allowed: Option<&[u32]>) -> LpSet {
        let Some(allowed) = allowed else {
            return LpSet(delivered.iter().map(Option::is_some).collect());
        };
        let mut set = vec![false; delivered.len()];
        for &lp in allowed {
            if delivered.get(lp as usize).is_some_and(Option::is_some) {
                set[lp as usize] = true;
            }
        }
        LpSet(set)
    }

    /// What its LPs deliver together.
    fn capacity(&self, delivered: &[Option<f64>]) -> f64 {
        let members = self.0.iter().zip(delivered).filter(|(member, _)| **member);
        members.filter_map(|(_, part)| *part).sum()
    }

    fn len(&self) -> usize {
        self.0.iter().filter(|member| **member).count()
    }

    fn union(&self, other: &LpSet) -> LpSet {
        LpSet(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }

    fn within(&self, other: &LpSet) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| !a | b)
    }
}

/// A union of sets that claims are bound to.
#[derive(Debug)]
struct Hall {
    capacity: f64,
    /// The sets that lie in it, by index.
    sets: Vec<usize>,
}

/// The sets of LPs that can be used up: each union of the sets that claims are bound to.
fn halls(sets: &[LpSet], delivered: &[Option<f64>]) -> Result<Vec<Hall>, TooManyAffinities> {
    let found = sets.iter().filter(|set| set.len() > 0).count();
    if found > MOST_AFFINITIES {
        return Err(TooManyAffinities { found });
    }
    let mut unions: Vec<LpSet> = Vec::new();
    for set in sets {
        let mut wider: Vec<LpSet> = unions.iter().map(|union| union.union(set)).collect();
        wider.push(set.clone());
        for union in wider {
            if !unions.contains(&union) {
                unions.push(union);
            }
        }
    }
    let hall = |union: &LpSet| Hall {
        capacity: union.capacity(delivered),
        sets: (0..sets.len())
            .filter(|&set| sets[set].within(union))
            .collect(),
    };
    Ok(unions.iter().map(hall).collect())
}

/// Claims that rise together until their LPs are used up.
#[derive(Debug)]
struct Filling {
    halls: Vec<Hall>,
    /// How many sets claims are bound to.
    sets: usize,
    /// By claim: the set that it is bound to, by index.
    set_of_claims: Vec<usize>,
    /// By claim: what it receives, once it rises no more.
    frozen: Vec<Option<f64>>,
}

impl Filling {
    /// Raises the level from zero to `highest`, and freezes the claims for which it cannot rise as far.
    ///
    /// `part` is what a claim would receive at a level, never falling with it.
    /// What the claims receive at level zero must fit.
    fn raise(&mut self, highest: f64, part: impl Fn(usize, f64) -> f64) {
        let mut reached = 0.0;
        // Each round freezes the claims of a set at least: what fits at the lower
        // level and not at the next float must have risen in between.
        for _ in 0..self.sets {
            if !self.exceeded(highest, &part).contains(&true) {
                return;
            }
            let fits = |level| !self.exceeded(level, &part).contains(&true);
            let (level, beyond) = bisect(reached, highest, fits);
            let exceeded = self.exceeded(beyond, &part);
            for (i, frozen) in self.frozen.iter_mut().enumerate() {
                if exceeded[self.set_of_claims[i]] {
                    frozen.get_or_insert_with(|| part(i, level));
                }
            }
            reached = level;
        }
    }

    /// By set: whether it lies in LPs that do not suffice at this level.
    fn exceeded(&self, level: f64, part: impl Fn(usize, f64) -> f64) -> Vec<bool> {
        let mut wanted = vec![0.0; self.sets];
        for (i, frozen) in self.frozen.iter().enumerate() {
            wanted[self.set_of_claims[i]] += frozen.unwrap_or_else(|| part(i, level));
        }
        let mut exceeded = vec![false; self.sets];
        for hall in &self.halls {
            let used: f64 = hall.sets.iter().map(|&set| wanted[set]).sum();
            if used > hall.capacity {
                hall.sets.iter().for_each(|&set| exceeded[set] = true);
            }
        }
        exceeded
    }
}
