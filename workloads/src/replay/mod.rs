//! From what a trace says its VMs wanted to the pieces of work that guests are to do: pure, and always the same.
//!
//! A VM's mean demand is spread evenly over its guest's VPs. Each VP's demand
//! becomes bursts whose sum follows it: at any time what has
//! fallen due is what the trace wanted until then, and no more than one burst
//! ahead; as measuring begins and ends it is the same to the nanosecond. VMs that come as pieces of work
//! keep them, cut there as well. One factor on all VMs packs them to a chosen over-commitment.

mod bursts;
mod demand;
mod file;
mod pack;
mod prepare;
mod recent;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use apportion_scheduler::{Nanos, Piece, Random, RecordedDemand};
use thiserror::Error;

use crate::traces::TracedVm;
use bursts::bursts;
use demand::{Demand, native};
pub use prepare::{PrepareError, Prepared, Traces};

/// How a trace is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// Trace time per time of the run, above zero.
    pub speed: f64,
    /// The mean length of a burst, in the time of the run.
    pub burst_length: Nanos,
    /// Whether bursts' lengths are exponentially distributed, from a tenth of the mean to four
    /// times the mean; else they are all the same.
    pub random: bool,
    /// Of what is random.
    pub seed: u64,
    /// The first VM's stream of it.
    pub stream: u64,
    /// From the guests' start until measuring begins.
    pub warm_up: Nanos,
    /// What is measured after that.
    pub duration: Nanos,
    /// How many LPs there are.
    pub lps: u32,
    /// VPs of each guest; `None` is as many as the trace says, but no more than LPs.
    pub vps: Option<u32>,
    /// The mean demand of all VMs over the measured time ([`ReplayedVm::demand`]) as a multiple of the LPs; `None`
    /// leaves it as the trace has it.
    pub overcommit: Option<f64>,
}

impl Way {
    /// From the guests' start until measuring ends.
    fn length(&self) -> Nanos {
        self.warm_up + self.duration
    }

    /// A time of the trace in the run.
    fn in_run(&self, at: Nanos) -> Nanos {
        Nanos((at.0 as f64 / self.speed).round() as u64)
    }

    /// How much of the trace the run takes.
    pub fn span(&self) -> Nanos {
        Nanos((self.length().0 as f64 * self.speed).round() as u64)
    }

    /// How many VPs a guest for this VM has.
    pub fn vps_of(&self, vm: &TracedVm) -> u32 {
        let most = self.lps.min(crate::limits::VPS.highest);
        self.vps.unwrap_or_else(|| vm.vps.min(most)).max(1)
    }
}

/// What becomes of a trace's VMs.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// What every VM's demand was multiplied by.
    pub factor: f64,
    /// In the order of the trace.
    pub vms: Vec<ReplayedVm>,
}

/// What becomes of one VM.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedVm {
    /// What the trace calls it.
    pub id: String,
    /// What its guest is to do, each piece with CPU time above zero.
    pub work: Arc<RecordedDemand>,
    /// What it demands in the measured time, having been scaled and cut: what of its work falls due then. All of that
    /// an LP of its own per VP could do by the end.
    pub demand: Nanos,
    /// What was cut off of that, since a VP cannot use more than an LP.
    pub cut: Nanos,
}

/// Why a trace cannot be replayed in this way.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ReplayError {
    /// The trace is too short.
    #[error(
        "the run takes {wanted} of the trace, (warm_up + duration) x speed, and there are {there}"
    )]
    TooShort {
        /// From where the replay begins until its last VM's demand ends.
        there: Nanos,
        /// What the run takes.
        wanted: Nanos,
    },
    /// No VM wants enough.
    #[error(
        "an over-commitment of {wanted} cannot be reached: with each VP wanting an LP whenever its VM wanted \
         anything it is {most:.3}"
    )]
    TooIdle {
        /// What was asked for.
        wanted: f64,
        /// What can be had.
        most: f64,
    },
    /// More pieces of work than can be kept.
    #[error("the replay has some {pieces} bursts, of which there can be {MOST_PIECES}")]
    TooMany {
        /// About so many.
        pieces: u64,
    },
}

/// The most pieces of work of all VMs of a trace: each takes 16 bytes.
pub const MOST_PIECES: u64 = 20_000_000;

/// Replays `vms` in this way: the guests start at the trace's time zero. The trace says something
/// `until` then at least, if only that nobody wants anything.
///
/// # Errors
/// [`ReplayError`]: the trace is too short, or cannot be packed like that.
pub fn replay(vms: &[TracedVm], until: Nanos, way: &Way) -> Result<Replayed, ReplayError> {
    let demanded = vms.iter().map(demand::end).max().unwrap_or_default();
    let there = demanded.max(until);
    let wanted = way.span();
    if there < wanted {
        return Err(ReplayError::TooShort { there, wanted });
    }
    let demands: Vec<Demand> = vms.iter().map(|vm| Demand::new(vm, way)).collect();
    let factor = match way.overcommit {
        Some(wanted) => pack::factor(&demands, wanted, way)?,
        None => 1.0,
    };
    let pieces: u64 = demands.iter().map(|it| it.pieces(factor, way)).sum();
    if pieces > MOST_PIECES {
        return Err(ReplayError::TooMany { pieces });
    }
    let vms = vms
        .iter()
        .zip(&demands)
        .enumerate()
        .map(|(index, (vm, demand))| {
            let vps: Vec<Vec<Piece>> = match demand {
                Demand::Steps { vps, steps } => {
                    let [before, measured] = demand::parts(steps, *vps, factor);
                    let draw = |vp: u32| {
                        let stream =
                            way.stream + index as u64 * u64::from(crate::limits::VPS.highest);
                        let random = Random::stream(way.seed, stream + u64::from(vp));
                        bursts(&[&before, &measured], way.burst_length, way.random, random)
                    };
                    (0..*vps).map(draw).collect()
                }
                Demand::Native(vps) => vps.iter().map(|gaps| native(gaps, factor)).collect(),
            };
            let measured = vps
                .iter()
                .flatten()
                .filter(|it: &&Piece| it.at >= way.warm_up);
            ReplayedVm {
                id: vm.id.clone(),
                demand: measured.fold(Nanos::ZERO, |sum, it| sum + it.run),
                cut: Nanos(demand.measured(factor).1.round() as u64),
                work: Arc::new(RecordedDemand { vps }),
            }
        });
    Ok(Replayed {
        factor,
        vms: vms.collect(),
    })
}
