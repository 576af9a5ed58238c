//! A trace in memory: all that is selected, VM by VM.

use super::error::TraceError;
use super::intake::Watch;
use super::model::{Burst, Interval, TracedDemand, TracedVm};
use super::scan::{Most, Scanned, scan};
use super::selection::Selection;
use super::sink::{Facts, Sink};
use super::source::Source;

/// What was loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The VMs that are selected and have demand in the selected time, in the order in which the trace names them.
    pub vms: Vec<TracedVm>,
    /// What was read to get them.
    pub scanned: Scanned,
}

/// Loads what is selected of a trace. Memory is needed for that alone, whatever the length of the files.
///
/// # Errors
/// [`TraceError`], where it is no trace, has a line that is wrong, or nothing of it is selected.
pub fn load(source: &Source, selection: &Selection, watch: Watch) -> Result<Loaded, TraceError> {
    let mut vms = Collector::default();
    let scanned = scan(source, selection, Most::ALL, watch, &mut vms)?;
    let vms = vms.in_order();
    match vms.is_empty() {
        true => Err(TraceError::Nothing { rows: scanned.rows }),
        false => Ok(Loaded { vms, scanned }),
    }
}

/// Keeps everything.
#[derive(Default)]
pub(super) struct Collector(Vec<TracedVm>);

impl Collector {
    /// The VMs, with their demand in order of time.
    pub(super) fn in_order(mut self) -> Vec<TracedVm> {
        for vm in &mut self.0 {
            match &mut vm.demand {
                TracedDemand::Means(means) => means.sort_by_key(|it| it.from),
                TracedDemand::Bursts(bursts) => bursts.sort_by_key(|it| it.at),
            }
        }
        self.0
    }
}

impl Sink for Collector {
    fn vm(&mut self, _: usize, id: &[u8], facts: Facts) {
        self.0.push(TracedVm {
            id: String::from_utf8_lossy(id).into_owned(),
            vps: facts.vps,
            controls: facts.controls,
            demand: TracedDemand::Means(Vec::new()),
        });
    }

    fn vps(&mut self, vm: usize, vps: u32) {
        self.0[vm].vps = vps;
    }

    fn mean(&mut self, vm: usize, interval: Interval) {
        if let TracedDemand::Means(means) = &mut self.0[vm].demand {
            means.push(interval);
        }
    }

    fn burst(&mut self, vm: usize, burst: Burst) {
        let demand = &mut self.0[vm].demand;
        match demand {
            TracedDemand::Bursts(bursts) => bursts.push(burst),
            // A VM has either: the intake sees to it.
            TracedDemand::Means(_) => *demand = TracedDemand::Bursts(vec![burst]),
        }
    }
}
