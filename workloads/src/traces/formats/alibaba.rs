//! Alibaba cluster trace 2018: usage of containers in % of what they request, and a table of what that is.

use std::collections::HashMap;
use std::ops::ControlFlow::Continue;

use apportion_scheduler::Nanos;

use super::{Flow, Reader};
use crate::traces::error::TraceError;
use crate::traces::fields::{Bad, name, number, split, time, up_to, whole};
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::TracedControls;
use crate::traces::sink::Facts;
use crate::traces::spacing::{Held, Spacing};
use crate::traces::table::Table;

const META: [&str; 8] = [
    "container_id",
    "machine_id",
    "time_stamp",
    "app_du",
    "status",
    "cpu_request",
    "cpu_limit",
    "mem_size",
];
const USAGE: [&str; 11] = [
    "container_id",
    "machine_id",
    "time_stamp",
    "cpu_util_percent",
    "mem_util_percent",
    "cpi",
    "mem_gps",
    "mpki",
    "net_in",
    "net_out",
    "disk_io_percent",
];

/// Readings are multiples of 10 s apart.
const SPACING: Spacing = Spacing {
    usual: Nanos(10_000_000_000),
    longest: Nanos(300_000_000_000),
};

/// What the schema writes for one core.
const CORE: f64 = 100.0;

/// What a container may have, in hundredths of a core.
#[derive(Clone, Copy)]
struct Granted {
    request: f64,
    limit: f64,
}

impl Granted {
    /// As many VPs as it takes to use all that it may: request and limit are parts of these.
    fn facts(self) -> Facts {
        let most = self.request.max(self.limit);
        let vps = (most / CORE).ceil().max(1.0);
        let of_each = |granted: f64| granted / vps;
        let controls = TracedControls {
            weight: None,
            reserve_pct: Some(of_each(self.request)),
            cap_pct: Some(of_each(most)),
        };
        let vps = vps as u32;
        Facts { vps, controls }
    }
}

pub(super) struct Alibaba {
    granted: Table<Granted>,
    held: HashMap<Box<[u8]>, Option<Held>>,
}

impl Alibaba {
    /// Reads the table of containers.
    pub(super) fn new(meta: &mut Input, intake: &mut Intake) -> Result<Alibaba, TraceError> {
        let mut granted = Table::new("container_meta");
        intake.table(meta, |line| {
            let fields = split(line, &META)?;
            let cpu = |column, at: usize| match number(fields[at]) {
                Some(cpu) if cpu > 0.0 && cpu <= 1024.0 * CORE => Ok(cpu),
                _ => Err(Bad::field(
                    column,
                    fields[at],
                    "hundredths of a core, above 0,",
                )),
            };
            let (request, limit) = (cpu("cpu_request", 5)?, cpu("cpu_limit", 6)?);
            granted.insert(fields[0], Granted { request, limit });
            Ok(())
        })?;
        let held = HashMap::new();
        Ok(Alibaba { granted, held })
    }

    fn row(&mut self, intake: &mut Intake, line: &[u8]) -> Flow {
        let fields = split(line, &USAGE)?;
        let [id, stamp, used] = [fields[0], fields[2], fields[3]];
        let from = time("time_stamp", stamp)?;
        if used.is_empty() {
            intake.rows += 1;
            intake.gaps += 1;
            return Ok(Continue(()));
        }
        let granted = self
            .granted
            .get("container_id", name("container_id", id)?)?;
        // A container may use more than it requests, up to its limit.
        let most = granted.request.max(granted.limit) / granted.request * 100.0;
        let expected = "a percentage of cpu_request, no more than cpu_limit (-1 and 101 stand for no reading),";
        // 101 is none whatever the limit.
        let used = match whole(used) {
            Some(101) => return Err(Bad::field("cpu_util_percent", used, expected)),
            _ => up_to("cpu_util_percent", used, most, expected)?,
        };
        let lps = used / 100.0 * granted.request / CORE;
        let held = match self.held.get_mut(id) {
            Some(held) => held,
            None => self.held.entry(id.into()).or_default(),
        };
        let before = SPACING.take(held, from, lps)?;
        intake.rows += 1;
        if let Some((from, length, lps)) = before
            && let Some(vm) = intake.vm(id, from, from + length, || Ok(granted.facts()))?
        {
            intake.mean(vm, from, length, lps)?;
        }
        Ok(Continue(()))
    }
}

impl Reader for Alibaba {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        intake.lines(input, |intake, line| self.row(intake, line))
    }

    fn finish(&mut self, intake: &mut Intake) -> Result<(), Bad> {
        // In an order that is always the same.
        let mut held: Vec<_> = self.held.drain().collect();
        held.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (id, held) in held {
            let Some((from, length, lps)) = Spacing::finish(held) else {
                continue;
            };
            let granted = self.granted.get("container_id", &id)?;
            if let Some(vm) = intake.vm(&id, from, from + length, || Ok(granted.facts()))? {
                intake.mean(vm, from, length, lps)?;
            }
        }
        Ok(())
    }
}
