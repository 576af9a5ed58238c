//! Bitbrains GWA-T-12: a file per VM, columns divided by `;` and a tab, with a header.

use std::ops::ControlFlow::Continue;
use std::path::PathBuf;

use apportion_scheduler::Nanos;

use super::{Flow, Reader};
use crate::traces::error::TraceError;
use crate::traces::fields::{Bad, LATEST, seconds, up_to, whole};
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::TracedControls;
use crate::traces::sink::Facts;
use crate::traces::source::vm_of;
use crate::traces::spacing::{Held, Spacing};

/// Readings are about 5 min apart.
const SPACING: Spacing = Spacing {
    usual: Nanos(300_000_000_000),
    longest: Nanos(450_000_000_000),
};

/// The columns that are used here, as the header calls them.
const TIME: &str = "Timestamp [ms]";
const CORES: &str = "CPU cores";
const USED: &str = "CPU usage [%]";

pub(super) struct Bitbrains {
    /// When the first reading of all files was taken.
    base: Option<Nanos>,
}

/// What a row says: when, of how many cores, and the demand in LPs.
struct Row {
    at: Nanos,
    cores: u32,
    lps: f64,
}

/// Where the columns are, and how many there are.
struct Header {
    time: usize,
    cores: usize,
    used: usize,
    count: usize,
}

impl Bitbrains {
    /// Looks at the beginning of every file for the time at which the trace begins.
    pub(super) fn new(files: &[PathBuf]) -> Result<Bitbrains, TraceError> {
        let mut base: Option<Nanos> = None;
        for path in files {
            let mut input = Input::open(path, None)?;
            let Some(header) = input.line()?.and_then(|line| Header::read(line).ok()) else {
                continue;
            };
            while let Some(line) = input.line()? {
                if let Ok(row) = header.row(line) {
                    base = Some(base.map_or(row.at, |base| base.min(row.at)));
                    break;
                }
            }
        }
        Ok(Bitbrains { base })
    }
}

impl Reader for Bitbrains {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        let id = vm_of(input.path());
        let mut header = None;
        let mut held: Option<Held> = None;
        let mut vps = 1;
        intake.lines(input, |intake, line| match &header {
            None => {
                header = Some(Header::read(line)?);
                Ok(Continue(()))
            }
            Some(header) => {
                let row = header.row(line)?;
                let base = *self.base.get_or_insert(row.at);
                let before = SPACING.take(&mut held, row.at - base, row.lps)?;
                intake.rows += 1;
                let flow = reading(intake, &id, vps, before);
                vps = vps.max(row.cores);
                flow
            }
        })?;
        let last = reading(intake, &id, vps, Spacing::finish(held));
        last.map(drop)
            .or_else(|bad| intake.bad_line(input.path(), input.line_number(), bad))
    }
}

fn reading(intake: &mut Intake, id: &str, vps: u32, reading: Option<(Nanos, Nanos, f64)>) -> Flow {
    if let Some((from, length, lps)) = reading {
        let controls = TracedControls::default();
        let facts = || Ok(Facts { vps, controls });
        if let Some(vm) = intake.vm(id.as_bytes(), from, from + length, facts)? {
            intake.at_least(vm, vps);
            intake.mean(vm, from, length, lps)?;
        }
    }
    Ok(Continue(()))
}

/// The fields of a line, without the blanks around them.
fn fields(line: &[u8]) -> Vec<&[u8]> {
    line.split(|it| *it == b';')
        .map(<[u8]>::trim_ascii)
        .collect()
}

impl Header {
    fn read(line: &[u8]) -> Result<Header, Bad> {
        let names = fields(line);
        let find = |name: &str| {
            let at = names.iter().position(|it| *it == name.as_bytes());
            at.ok_or_else(|| Bad::new("header", format!("it has no column `{name}`")))
        };
        Ok(Header {
            time: find(TIME)?,
            cores: find(CORES)?,
            used: find(USED)?,
            count: names.len(),
        })
    }

    fn row(&self, line: &[u8]) -> Result<Row, Bad> {
        let fields = fields(line);
        if fields.len() != self.count {
            let problem = format!(
                "it has {} columns, and the header has {}",
                fields.len(),
                self.count
            );
            return Err(Bad::new("line", problem));
        }
        let cores = match whole(fields[self.cores]) {
            Some(cores @ 0..=1024) => cores as u32,
            _ => return Err(Bad::field(CORES, fields[self.cores], "a number of cores")),
        };
        let percent = up_to(USED, fields[self.used], 100.0, "a percentage from 0 to 100")?;
        Ok(Row {
            at: stamp(fields[self.time])?,
            cores,
            lps: percent / 100.0 * f64::from(cores),
        })
    }
}

/// The header says milliseconds, and the values are seconds since 1970. Whatever lies more than 3,000 years ahead in
/// seconds is milliseconds after all.
fn stamp(field: &[u8]) -> Result<Nanos, Bad> {
    const SECONDS: u64 = 100_000_000_000;
    match whole(field) {
        Some(millis @ SECONDS..) => {
            let nanos = millis.checked_mul(1_000_000).filter(|it| *it <= LATEST.0);
            nanos.map(Nanos)
        }
        _ => seconds(field),
    }
    .ok_or_else(|| Bad::field(TIME, field, "seconds since 1970"))
}
