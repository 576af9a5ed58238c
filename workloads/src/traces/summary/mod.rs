//! A trace in a few numbers, in memory that does not grow with its length.

mod spread;
mod steps;

use std::collections::BTreeMap;

use apportion_scheduler::Nanos;

use super::error::TraceError;
use super::intake::Watch;
use super::model::{Burst, Interval};
use super::scan::{Most, Scanned, scan};
use super::selection::Selection;
use super::sink::{Facts, Sink};
use super::source::Source;
pub use spread::Spread;
use steps::Steps;

/// VMs that are told apart; those beyond count in the demand of all alone.
pub const MOST_VMS: usize = 1 << 19;

/// The step for demand in bursts, which have no interval.
const BURST_STEP: Nanos = Nanos(100_000_000);

/// No step is shorter than this where demand is in intervals.
const LEAST_STEP: Nanos = Nanos(1_000_000_000);

/// Parts into which a VM's VPs are divided to tell its p95, which is off by half of one at the most.
const BINS: usize = 64;

/// Counts that are made together.
const PENDING: usize = 512;

/// What a trace comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// What was read.
    pub scanned: Scanned,
    /// VMs that are told apart.
    pub vms: u64,
    /// Whether there are more than [`MOST_VMS`], which are in [`Summary::demand`] alone.
    pub more_vms: bool,
    /// When the first demand begins, since the trace's beginning or the selected time.
    pub from: Nanos,
    /// When the last ends.
    pub to: Nanos,
    /// CPU time asked for in all, in seconds.
    pub cpu_seconds: f64,
    /// The steps in which the demand of all is told.
    pub step: Nanos,
    /// Demand of all VMs together, in LPs: its mean over the whole time, and percentiles of the steps.
    pub demand: Spread,
    /// Over the VMs, each as much as any other: mean demand of each while it has readings, in LPs; for bursts over the
    /// whole time.
    pub vm_means: Spread,
    /// Over the VMs: the 95th percentile of each VM's readings, in LPs, to 1/128 of the VM's VPs, rounded up to a power of two. None for bursts.
    pub vm_p95s: Option<Spread>,
    /// How many VMs have so many VPs.
    pub vps: BTreeMap<u32, u64>,
}

/// Reads a trace and sums it up.
///
/// # Errors
/// [`TraceError`], where it is no trace, has a line that is wrong, or nothing of it is selected.
pub fn summarise(
    source: &Source,
    selection: &Selection,
    watch: Watch,
) -> Result<Summary, TraceError> {
    let most = Most {
        vms: MOST_VMS,
        stretches: Most::STRETCHES,
    };
    let mut tally = Tally::new(MOST_VMS);
    let scanned = scan(source, selection, most, watch, &mut tally)?;
    match tally.span {
        None => Err(TraceError::Nothing { rows: scanned.rows }),
        Some((from, to)) => Ok(tally.sum_up(scanned, from, to)),
    }
}

/// What is counted of a trace.
struct Tally {
    vms: Vec<Vm>,
    /// So many counts for each VM: readings by the part of its VPs that they are.
    bins: Vec<u32>,
    /// Bins that have one more: VMs are too many for the processor's caches, and many of them at once take it hardly
    /// longer than one.
    pending: Vec<u32>,
    /// The number that stands for all VMs that are too many.
    crowd: usize,
    crowded: bool,
    steps: Steps,
    /// When demand begins and ends.
    span: Option<(Nanos, Nanos)>,
    bursts: bool,
}

#[derive(Clone, Copy)]
struct Vm {
    vps: u32,
    readings: u32,
    cpu_seconds: f64,
    seconds: f64,
}

impl Vm {
    /// What its bins divide, in LPs: its VPs, rounded up so that bins of fewer go into bins of more whole.
    fn scale(&self) -> f64 {
        f64::from(self.vps.next_power_of_two())
    }
}

impl Tally {
    fn new(most_vms: usize) -> Tally {
        Tally {
            vms: Vec::new(),
            bins: Vec::new(),
            pending: Vec::with_capacity(PENDING),
            crowd: most_vms,
            crowded: false,
            steps: Steps::default(),
            span: None,
            bursts: false,
        }
    }

    fn count_pending(&mut self) {
        for bin in self.pending.drain(..) {
            self.bins[bin as usize] += 1;
        }
    }

    fn saw(&mut self, from: Nanos, to: Nanos) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }

    fn sum_up(&mut self, scanned: Scanned, from: Nanos, to: Nanos) -> Summary {
        self.count_pending();
        let whole = (to - from).as_secs_f64();
        let mean = |vm: &Vm| match self.bursts {
            true => vm.cpu_seconds / whole,
            false => vm.cpu_seconds / vm.seconds,
        };
        let with_readings = || {
            self.vms
                .iter()
                .enumerate()
                .filter(|(_, vm)| vm.readings > 0)
        };
        let p95s = with_readings().map(|(at, vm)| self.p95(at, vm)).collect();
        let mut vps = BTreeMap::new();
        for vm in &self.vms {
            *vps.entry(vm.vps).or_default() += 1;
        }
        Summary {
            scanned,
            vms: self.vms.len() as u64,
            more_vms: self.crowded,
            from,
            to,
            cpu_seconds: self.steps.cpu_seconds(),
            step: self.steps.width(),
            demand: Spread {
                // The last step may be shorter than the others.
                mean: self.steps.cpu_seconds() / whole,
                ..Spread::of(self.steps.demand(from, to))
            },
            vm_means: Spread::of(with_readings().map(|(_, vm)| mean(vm)).collect()),
            vm_p95s: (!self.bursts).then(|| Spread::of(p95s)),
            vps,
        }
    }

    /// The middle of the part in which the 95th percentile of a VM's readings lies.
    fn p95(&self, at: usize, vm: &Vm) -> f64 {
        let enough = (0.95 * f64::from(vm.readings)).ceil() as u32;
        let mut sum = 0;
        let bins = &self.bins[at * BINS..(at + 1) * BINS];
        let reached = |count: &u32| {
            sum += count;
            sum >= enough
        };
        let bin = bins.iter().position(reached).unwrap_or(BINS - 1);
        (bin as f64 + 0.5) / BINS as f64 * vm.scale()
    }
}

impl Sink for Tally {
    fn vm(&mut self, vm: usize, _: &[u8], facts: Facts) {
        if vm == self.crowd {
            self.crowded = true;
            return;
        }
        self.vms.push(Vm {
            vps: facts.vps,
            readings: 0,
            cpu_seconds: 0.0,
            seconds: 0.0,
        });
        self.bins.resize(self.bins.len() + BINS, 0);
    }

    fn vps(&mut self, vm: usize, vps: u32) {
        self.count_pending();
        if let Some(known) = self.vms.get_mut(vm) {
            let bins = &mut self.bins[vm * BINS..(vm + 1) * BINS];
            let before = known.scale();
            known.vps = vps;
            // What was counted is a smaller part of more VPs. Whole bins go together, however often.
            let together = (known.scale() / before) as usize;
            for bin in 1..BINS {
                let count = std::mem::take(&mut bins[bin]);
                bins[bin / together] += count;
            }
        }
    }

    fn mean(&mut self, vm: usize, interval: Interval) {
        self.saw(interval.from, interval.end());
        let width = || interval.length.max(LEAST_STEP);
        self.steps
            .add(interval.from, interval.length, interval.lps, width);
        if let Some(known) = self.vms.get_mut(vm) {
            known.readings += 1;
            known.cpu_seconds += interval.cpu_seconds();
            known.seconds += interval.length.as_secs_f64();
            let part = interval.lps / known.scale() * BINS as f64;
            self.pending
                .push((vm * BINS + (part as usize).min(BINS - 1)) as u32);
            if self.pending.len() == PENDING {
                self.count_pending();
            }
        }
    }

    fn burst(&mut self, vm: usize, burst: Burst) {
        self.bursts = true;
        // As it would be done by a VP with an LP of its own.
        self.saw(burst.at, burst.at + burst.run);
        self.steps.add(burst.at, burst.run, 1.0, || BURST_STEP);
        if let Some(known) = self.vms.get_mut(vm) {
            known.readings += 1;
            known.cpu_seconds += burst.run.as_secs_f64();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traces::model::TracedControls;

    const SECOND: u64 = 1_000_000_000;

    fn facts(vps: u32) -> Facts {
        let controls = TracedControls::default();
        Facts { vps, controls }
    }

    fn interval(from: u64, length: u64, lps: f64) -> Interval {
        let (from, length) = (Nanos(from * SECOND), Nanos(length * SECOND));
        Interval { from, length, lps }
    }

    #[test]
    fn the_p95_of_a_vm_is_off_by_half_a_bin_at_the_most() {
        let mut tally = Tally::new(9);
        tally.vm(0, b"", facts(4));
        for reading in 0..1000 {
            tally.mean(0, interval(300 * reading, 300, reading as f64 / 250.0));
        }
        tally.count_pending();
        // The 950th of 1,000 is 949/250.
        let p95 = tally.p95(0, &tally.vms[0]);
        assert!((p95 - 3.796).abs() <= 4.0 / 128.0, "{p95}");
        // Half as large a part of twice the VPs; bins are now taken together.
        tally.vps(0, 8);
        let p95 = tally.p95(0, &tally.vms[0]);
        assert!((p95 - 3.796).abs() <= 8.0 / 128.0, "{p95}");
    }

    #[test]
    fn the_p95_of_a_vm_stays_where_it_is_while_its_vps_grow_one_by_one() {
        let mut tally = Tally::new(9);
        tally.vm(0, b"", facts(1));
        tally.mean(0, interval(0, 300, 1.0));
        for vps in 2..=17 {
            tally.vps(0, vps);
            tally.count_pending();
            let p95 = tally.p95(0, &tally.vms[0]);
            assert!(
                (p95 - 1.0).abs() <= f64::from(vps.next_power_of_two()) / 128.0,
                "{vps}: {p95}"
            );
        }
    }

    #[test]
    fn vms_that_are_too_many_count_in_the_demand_of_all() {
        let mut tally = Tally::new(1);
        tally.vm(0, b"a", facts(1));
        tally.vm(1, b"b", facts(1));
        tally.mean(0, interval(0, 300, 0.5));
        tally.mean(1, interval(0, 300, 1.0));
        assert!(tally.crowded);
        assert_eq!(tally.vms.len(), 1);
        assert_eq!(tally.steps.cpu_seconds(), 450.0);
    }
}
