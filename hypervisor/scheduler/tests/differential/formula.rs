//! The rates of the contract: one level λ for all, cut where LPs, ceilings or affinities end it.
//!
//! Progressive filling with Hall sets by brute force: a union of the affinities
//! that occur gives at most the capacity of its LPs to the VPs that may use no
//! other. The level rises until a union is full; the VPs inside keep their
//! rates, and the level of the others rises on.

use apportion_scheduler::ReserveModel;

/// One VP that wants to run. Rates in LPs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) weight: f64,
    pub(crate) reserve: f64,
    /// The least of its cap and of what one LP gives.
    pub(crate) ceiling: f64,
    /// The LPs that it may use, those off line left out.
    pub(crate) lps: u64,
}

/// A rate as a function of the level: `base + slope·level`, not below `low`, not above `high`.
#[derive(Clone, Copy, Debug)]
struct Line {
    base: f64,
    slope: f64,
    low: f64,
    high: f64,
}

impl Line {
    fn at(&self, level: f64) -> f64 {
        // Without a slope, infinity times zero would be no number.
        let free = match self.slope > 0.0 {
            true => self.base + self.slope * level,
            false => self.base,
        };
        free.max(self.low).min(self.high)
    }
}

/// The rates, and whether reserves had to shrink.
pub(crate) fn rates(claims: &[Claim], model: ReserveModel, capacity: &[f64]) -> (Vec<f64>, bool) {
    let masks: Vec<u64> = claims.iter().map(|claim| claim.lps).collect();
    let unions = unions(&masks);
    let reserve_of = |claim: &Claim| claim.reserve.min(claim.ceiling);
    let reserves: Vec<Line> = claims
        .iter()
        .map(|claim| Line {
            base: 0.0,
            slope: reserve_of(claim),
            low: 0.0,
            high: reserve_of(claim),
        })
        .collect();
    let feasible = fill(&reserves, &masks, &unions, capacity);
    let shrank = claims
        .iter()
        .zip(&feasible)
        .any(|(claim, kept)| *kept < claim.reserve - 1e-9);
    let lines: Vec<Line> = claims
        .iter()
        .zip(&feasible)
        .map(|(claim, &reserve)| Line {
            base: if model == ReserveModel::Additive {
                reserve
            } else {
                0.0
            },
            slope: claim.weight,
            low: reserve,
            high: claim.ceiling,
        })
        .collect();
    (fill(&lines, &masks, &unions, capacity), shrank)
}

/// All unions of the sets that occur.
fn unions(masks: &[u64]) -> Vec<u64> {
    let mut sets: Vec<u64> = masks.to_vec();
    sets.sort_unstable();
    sets.dedup();
    let mut unions = vec![0u64];
    for set in sets {
        let with: Vec<u64> = unions.iter().map(|union| union | set).collect();
        unions.extend(with);
        unions.sort_unstable();
        unions.dedup();
    }
    unions.retain(|&union| union != 0);
    unions
}

fn fill(lines: &[Line], masks: &[u64], unions: &[u64], capacity: &[f64]) -> Vec<f64> {
    let mut rates: Vec<Option<f64>> = vec![None; lines.len()];
    while rates.iter().any(Option::is_none) {
        let mut tightest = (f64::INFINITY, 0u64);
        for &union in unions {
            let inside = |index: &usize| masks[*index] & !union == 0;
            let members = || (0..lines.len()).filter(inside);
            if members().all(|index| rates[index].is_some()) {
                continue;
            }
            let fixed: f64 = members().filter_map(|index| rates[index]).sum();
            let room: f64 = (0..capacity.len())
                .filter(|lp| union >> lp & 1 == 1)
                .map(|lp| capacity[lp])
                .sum();
            let free: Vec<Line> = members()
                .filter(|&index| rates[index].is_none())
                .map(|index| lines[index])
                .collect();
            let level = level(&free, room - fixed);
            if level < tightest.0 {
                tightest = (level, union);
            }
        }
        let (level, union) = tightest;
        for index in 0..lines.len() {
            let inside = level.is_infinite() || masks[index] & !union == 0;
            if rates[index].is_none() && inside {
                rates[index] = Some(lines[index].at(level));
            }
        }
    }
    rates.into_iter().flatten().collect()
}

/// The highest level at which the sum of the lines is at most `room`; infinite
/// where even all that they may have is.
fn level(lines: &[Line], room: f64) -> f64 {
    let most: f64 = lines.iter().map(|line| line.high).sum();
    if most <= room + 1e-12 {
        return f64::INFINITY;
    }
    // Where each begins to rise, and where it ends to.
    let mut turns: Vec<(f64, f64)> = Vec::with_capacity(2 * lines.len());
    for line in lines.iter().filter(|line| line.slope > 0.0) {
        turns.push((((line.low - line.base) / line.slope).max(0.0), line.slope));
        turns.push((((line.high - line.base) / line.slope).max(0.0), -line.slope));
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum: f64 = lines.iter().map(|line| line.at(0.0)).sum();
    let (mut at, mut slope) = (0.0, 0.0);
    for (turn, change) in turns {
        let next = sum + slope * (turn - at);
        if next >= room && slope > 0.0 {
            return at + (room - sum).max(0.0) / slope;
        }
        if sum >= room {
            return at;
        }
        sum = next;
        at = turn;
        slope += change;
    }
    f64::INFINITY
}
