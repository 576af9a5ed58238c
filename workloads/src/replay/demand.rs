//! What a VM of a trace wants, in the time of the run: steps of mean demand, or its own pieces of work.

use apportion_scheduler::Nanos;

use super::bursts::{Part, WHOLE};
use super::{Piece, Way};
use crate::traces::{Burst, Interval, TracedDemand, TracedVm};

/// Mean demand of a whole VM over a while; the next follows at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    length: Nanos,
    measured: bool,
    lps: f64,
}

/// A piece of work as the trace has it, and how long it is until the same VP's next one, or until measuring begins
/// or ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gap {
    at: Nanos,
    run: Nanos,
    until_next: Nanos,
    measured: bool,
}

/// A VM's demand before it is scaled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Demand {
    /// Spread evenly over its guest's VPs.
    Steps { vps: u32, steps: Vec<Step> },
    /// By VP of its guest.
    Native(Vec<Vec<Gap>>),
}

impl Demand {
    pub(super) fn new(vm: &TracedVm, way: &Way) -> Demand {
        let vps = way.vps_of(vm);
        match &vm.demand {
            TracedDemand::Means(intervals) => Demand::Steps {
                vps,
                steps: steps(intervals, way),
            },
            TracedDemand::Bursts(all) => {
                let mut of_vps = vec![Vec::new(); vps as usize];
                for burst in all {
                    of_vps[(burst.vp % vps) as usize].extend(pieces(burst, way));
                }
                Demand::Native(of_vps.into_iter().map(|of_vp| gaps(of_vp, way)).collect())
            }
        }
    }

    /// What it demands in the measured time, and what is cut off of it, in ns, when it is multiplied by `factor`.
    pub(super) fn measured(&self, factor: f64) -> (f64, f64) {
        let (mut demand, mut cut) = (0.0, 0.0);
        let mut add = |wanted: f64, most: f64| {
            demand += wanted.min(most);
            cut += (wanted - most).max(0.0);
        };
        match self {
            Demand::Steps { vps, steps } => {
                for step in steps.iter().filter(|step| step.measured) {
                    let length = step.length.0 as f64;
                    add(length * step.lps * factor, length * f64::from(*vps));
                }
            }
            Demand::Native(vps) => {
                for gap in vps.iter().flatten().filter(|gap| gap.measured) {
                    add(gap.run.0 as f64 * factor, gap.until_next.0 as f64);
                }
            }
        }
        (demand, cut)
    }

    /// About how many pieces of work it becomes.
    pub(super) fn pieces(&self, factor: f64, way: &Way) -> u64 {
        match self {
            Demand::Steps { vps, steps } => {
                let wanted =
                    |it: &Step| it.length.0 as f64 * (it.lps * factor).min(f64::from(*vps));
                let all: f64 = steps.iter().map(wanted).sum();
                (all / way.burst_length.0 as f64) as u64
            }
            Demand::Native(vps) => vps.iter().map(|gaps| gaps.len() as u64).sum(),
        }
    }
}

/// When a VM's demand ends, as far as one can tell: behind its last piece of work it may have slept for as long as it
/// ever did between two.
pub(super) fn end(vm: &TracedVm) -> Nanos {
    let mut longest = Nanos::ZERO;
    if let TracedDemand::Bursts(all) = &vm.demand {
        // A pause is where all that came before is done.
        let mut done = all.first().map_or(Nanos::ZERO, Burst::end);
        for burst in all {
            longest = longest.max(burst.at.since(done));
            done = done.max(burst.end());
        }
    }
    vm.end() + longest
}

/// The whole run, step by step: nothing is demanded where the trace says nothing.
fn steps(intervals: &[Interval], way: &Way) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut now = Nanos::ZERO;
    let mut push = |until: Nanos, lps: f64| {
        let until = until.min(way.length());
        // None is measured in part.
        for border in [until.min(way.warm_up), until] {
            if border > now {
                steps.push(Step {
                    length: border.since(now),
                    measured: now >= way.warm_up,
                    lps,
                });
                now = border;
            }
        }
    };
    for interval in intervals {
        push(way.in_run(interval.from), 0.0);
        push(way.in_run(interval.end()), interval.lps);
    }
    push(way.length(), 0.0);
    steps
}

/// What each of a VM's VPs demands when its demand is multiplied by `factor`: before measuring, and while.
pub(super) fn parts(steps: &[Step], vps: u32, factor: f64) -> [Vec<Part>; 2] {
    let part = |step: &Step| Part {
        length: step.length,
        billionths: ((step.lps * factor / f64::from(vps)).min(1.0) * WHOLE as f64).round() as u64,
    };
    let begun = steps.partition_point(|step| !step.measured);
    let (before, measured) = steps.split_at(begun);
    [before, measured].map(|steps| steps.iter().map(part).collect())
}

/// A piece of work in the time of the run. What an LP of its own would do of it before measuring begins and what while
/// are two, so that none is measured in part; what it would do after the end is none.
fn pieces(burst: &Burst, way: &Way) -> impl Iterator<Item = (Nanos, Nanos)> + use<> {
    let at = way.in_run(burst.at).min(way.length());
    // Its length is compressed as time is, so that its demand in LPs stays.
    let run = Nanos((burst.run.0 as f64 / way.speed).round() as u64);
    let end = (at + run).min(way.length());
    let border = way.warm_up.clamp(at, end);
    let parts = [(at, border - at), (border, end - border)];
    parts.into_iter().filter(|(_, run)| *run > Nanos::ZERO)
}

fn gaps(mut pieces: Vec<(Nanos, Nanos)>, way: &Way) -> Vec<Gap> {
    // Several of the trace's VPs may have become one.
    pieces.sort();
    let nexts = pieces
        .iter()
        .skip(1)
        .map(|(at, _)| *at)
        .chain([way.length()]);
    let gap = |(&(at, run), next): (&(Nanos, Nanos), Nanos)| {
        let measured = at >= way.warm_up;
        let end = if measured {
            next
        } else {
            next.min(way.warm_up)
        };
        Gap {
            at,
            run,
            until_next: end.since(at),
            measured,
        }
    };
    pieces.iter().zip(nexts).map(gap).collect()
}

/// The work of a VP with pieces of its own: multiplied, and none longer than there is time.
pub(super) fn native(gaps: &[Gap], factor: f64) -> Vec<Piece> {
    let work = |gap: &Gap| Piece {
        at: gap.at,
        run: Nanos((gap.run.0 as f64 * factor).round() as u64).min(gap.until_next),
    };
    gaps.iter()
        .map(work)
        .filter(|it| it.run > Nanos::ZERO)
        .collect()
}
