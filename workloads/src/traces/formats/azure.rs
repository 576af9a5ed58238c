//! Azure Public Dataset V1 and V2: readings of all VMs in order of time, and a table of the VMs.

use std::ops::ControlFlow::{Break, Continue};

use apportion_scheduler::Nanos;

use super::{Flow, Reader};
use crate::traces::error::TraceError;
use crate::traces::fields::{Bad, split, time, up_to, whole};
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::TracedControls;
use crate::traces::sink::Facts;
use crate::traces::table::Table;

/// For how long a reading holds.
pub(crate) const INTERVAL: Nanos = Nanos(300_000_000_000);

const VMTABLE: [&str; 11] = [
    "vm id",
    "subscription id",
    "deployment id",
    "created",
    "deleted",
    "max cpu",
    "avg cpu",
    "p95 max cpu",
    "category",
    "cores",
    "memory",
];
const READINGS: [&str; 5] = ["timestamp", "vm id", "min cpu", "max cpu", "avg cpu"];

/// VPs of a VM in the bucket that has no upper end, `>24` in V2. Nobody says how many; this is the next usual size.
const MOST_CORES: u32 = 32;

pub(super) struct Azure {
    cores: Table<u32>,
    /// The time of the last row.
    now: Nanos,
}

impl Azure {
    /// Reads the table of VMs.
    pub(super) fn new(vmtable: &mut Input, intake: &mut Intake) -> Result<Azure, TraceError> {
        let mut cores = Table::new("the vmtable");
        intake.table(vmtable, |line| {
            let fields = split(line, &VMTABLE)?;
            cores.insert(fields[0], of_bucket(fields[9])?);
            Ok(())
        })?;
        let now = Nanos::ZERO;
        Ok(Azure { cores, now })
    }

    fn row(&mut self, intake: &mut Intake, line: &[u8]) -> Flow {
        let [stamp, id, least, most, mean] = split(line, &READINGS)?;
        let percent = |column, field| up_to(column, field, 100.0, "a percentage from 0 to 100");
        let from = time("timestamp", stamp)?;
        percent("min cpu", least)?;
        percent("max cpu", most)?;
        let mean = percent("avg cpu", mean)?;
        if from < self.now {
            let expected = "a time no earlier than the line before";
            return Err(Bad::field("timestamp", stamp, expected));
        }
        self.now = from;
        if intake.selection.is_over(from) {
            return Ok(Break(()));
        }
        intake.rows += 1;
        let facts = || {
            let vps = self.cores.get("vm id", id)?;
            let controls = TracedControls::default();
            Ok(Facts { vps, controls })
        };
        if let Some(vm) = intake.vm(id, from, from + INTERVAL, facts)? {
            let lps = mean / 100.0 * f64::from(intake.vps(vm));
            intake.mean(vm, from, INTERVAL, lps)?;
        }
        Ok(Continue(()))
    }
}

impl Reader for Azure {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        intake.lines(input, |intake, line| self.row(intake, line))
    }
}

/// A number of cores, or the upper end of a bucket of such numbers.
fn of_bucket(field: &[u8]) -> Result<u32, Bad> {
    if field.first() == Some(&b'>') && whole(&field[1..]).is_some() {
        return Ok(MOST_CORES);
    }
    match whole(field) {
        Some(cores @ 1..=1024) => Ok(cores as u32),
        _ => Err(Bad::field(
            "cores",
            field,
            "a number of cores, or a bucket such as >24,",
        )),
    }
}
