//! PlanetLab as CloudSim ships it: a file per node, one whole percentage per line, 5 min each.

use std::ops::ControlFlow::Continue;

use apportion_scheduler::Nanos;

use super::Reader;
use crate::traces::error::TraceError;
use crate::traces::fields::up_to;
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::TracedControls;
use crate::traces::sink::Facts;
use crate::traces::source::vm_of;

/// For how long a reading holds.
const INTERVAL: Nanos = Nanos(300_000_000_000);

/// Nodes are counted as one VP: what is recorded is the usage of one core.
const VPS: u32 = 1;

pub(super) struct PlanetLab;

impl Reader for PlanetLab {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        let id = vm_of(input.path());
        let mut from = Nanos::ZERO;
        intake.lines(input, |intake, line| {
            // A line that is left out is a gap, so that those after it keep their time.
            let begin = from;
            from += INTERVAL;
            let percent = up_to(
                "usage",
                line.trim_ascii(),
                100.0,
                "a percentage from 0 to 100",
            )?;
            intake.rows += 1;
            let controls = TracedControls::default();
            let facts = || Ok(Facts { vps: VPS, controls });
            if let Some(vm) = intake.vm(id.as_bytes(), begin, from, facts)? {
                intake.mean(vm, begin, INTERVAL, percent / 100.0)?;
            }
            Ok(Continue(()))
        })
    }
}
