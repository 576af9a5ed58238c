//! Our own format: a row per VM and stretch of equal intervals, or per VM and some bursts.

use std::borrow::Cow;
use std::ops::ControlFlow::Continue;

use apportion_scheduler::Nanos;

use super::{Flow, Reader};
use crate::traces::error::TraceError;
use crate::traces::fields::{Bad, seconds, shown, split, time, up_to, whole};
use crate::traces::format::OWN_MARK;
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::{Burst, TracedControls};
use crate::traces::own::{COLUMNS, VERSION, unescape};
use crate::traces::sink::Facts;

pub(super) struct Own;

impl Reader for Own {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        check_head(input)?;
        intake.lines(input, row)
    }
}

/// The version, and then the columns.
fn check_head(input: &mut Input) -> Result<(), TraceError> {
    let path = input.path().to_owned();
    let wrong = |problem: String| TraceError::BadFile {
        file: path.clone(),
        problem,
    };
    let first = input.line()?.unwrap_or_default();
    match first.strip_prefix(OWN_MARK).and_then(whole) {
        Some(VERSION) => {}
        Some(version) => {
            return Err(wrong(format!(
                "it is a trace of version {version}, this build reads version {VERSION}: use the build that wrote it"
            )));
        }
        None => {
            return Err(wrong(format!(
                "its first line is not `# apportion-trace {VERSION}`"
            )));
        }
    }
    let columns = COLUMNS.join(",");
    match input.line()? {
        Some(line) if line == columns.as_bytes() => Ok(()),
        _ => Err(wrong(format!("its second line is not `{columns}`"))),
    }
}

fn row(intake: &mut Intake, line: &[u8]) -> Flow {
    let [
        id,
        vps,
        weight,
        reserve,
        cap,
        from,
        interval,
        demand,
        bursts,
    ] = split(line, &COLUMNS)?;
    let id: Cow<[u8]> = unescape(id).ok_or_else(|| Bad::field("vm", id, "a name with % as %25"))?;
    let facts = Facts {
        vps: match whole(vps) {
            Some(vps @ 1..=4096) => vps as u32,
            _ => return Err(Bad::field("vps", vps, "a number of VPs from 1 to 4096")),
        },
        controls: TracedControls {
            weight: optional(weight, |it| match whole(it) {
                Some(weight @ 1..=10_000) => Ok(weight as i64),
                _ => Err(Bad::field(
                    "weight",
                    it,
                    "a number from 1 to 10000, or nothing,",
                )),
            })?,
            reserve_pct: optional(reserve, |it| percent("reserve_pct", it))?,
            cap_pct: optional(cap, |it| percent("cap_pct", it))?,
        },
    };
    match (demand.is_empty(), bursts.is_empty()) {
        (false, true) => {
            let from = time("from_s", from)?;
            let length = time("interval_s", interval)?;
            if length == Nanos::ZERO {
                return Err(Bad::field("interval_s", interval, "a time above 0"));
            }
            stretch(intake, &id, facts, (from, length), demand)?;
        }
        (true, false) if from.is_empty() && interval.is_empty() => {
            pieces(intake, &id, facts, bursts)?
        }
        (true, false) => return Err(Bad::field("from_s", from, "nothing beside bursts")),
        _ => {
            return Err(Bad::new(
                "line",
                "it has neither demand_lps nor bursts, or both",
            ));
        }
    }
    Ok(Continue(()))
}

/// Demand over intervals of one length that follow each other.
fn stretch(
    intake: &mut Intake,
    id: &[u8],
    facts: Facts,
    (from, length): (Nanos, Nanos),
    demand: &[u8],
) -> Result<(), Bad> {
    let most = f64::from(facts.vps);
    // All are looked at before the first is handed on: a row is good or bad as a whole.
    let readings = || demand.split(|it| *it == b' ');
    let read = |field| {
        up_to(
            "demand_lps",
            field,
            most,
            "a demand in LPs, from 0 to the VPs,",
        )
    };
    let mut count = 0_u64;
    for field in readings() {
        read(field)?;
        count += 1;
    }
    let to = length
        .0
        .checked_mul(count)
        .and_then(|it| it.checked_add(from.0));
    let to = to.ok_or_else(|| Bad::new("interval_s", "all intervals together are too long"))?;
    intake.rows += 1;
    if let Some(vm) = intake.vm(id, from, Nanos(to), || Ok(facts))? {
        intake.claim(vm, from, Nanos(to))?;
        intake.at_least(vm, facts.vps);
        let mut from = from;
        for field in readings() {
            intake.reading(vm, from, length, read(field)?);
            from += length;
        }
        intake.used += 1;
    }
    Ok(())
}

/// Bursts, each as `vp@at+run`.
fn pieces(intake: &mut Intake, id: &[u8], facts: Facts, bursts: &[u8]) -> Result<(), Bad> {
    let burst = |field: &[u8]| {
        let at = memchr::memchr(b'@', field)?;
        let plus = memchr::memchr(b'+', field)?;
        let vp = whole(&field[..at]).filter(|it| *it < u64::from(facts.vps))?;
        let run = seconds(&field[plus + 1..]).filter(|it| *it > Nanos::ZERO)?;
        Some(Burst {
            vp: vp as u32,
            at: seconds(field.get(at + 1..plus)?)?,
            run,
        })
    };
    let read = |field: &[u8]| {
        let expected = "VP@SECONDS+SECONDS, with a VP that the VM has,";
        burst(field).ok_or_else(|| Bad::field("bursts", field, expected))
    };
    let all: Vec<Burst> = bursts
        .split(|it| *it == b' ')
        .map(read)
        .collect::<Result<_, _>>()?;
    intake.rows += 1;
    let mut used = false;
    for burst in all {
        if let Some(vm) = intake.vm(id, burst.at, burst.end(), || Ok(facts))? {
            intake.burst(vm, burst)?;
            intake.at_least(vm, facts.vps);
            used = true;
        }
    }
    intake.used += u64::from(used);
    Ok(())
}

fn optional<T>(field: &[u8], read: impl FnOnce(&[u8]) -> Result<T, Bad>) -> Result<Option<T>, Bad> {
    match field {
        [] => Ok(None),
        _ => read(field).map(Some),
    }
}

fn percent(column: &str, field: &[u8]) -> Result<f64, Bad> {
    match up_to(
        column,
        field,
        100.0,
        "a percentage from 0 to 100, or nothing,",
    ) {
        Ok(percent) if percent > 0.0 || column != "cap_pct" => Ok(percent),
        Ok(_) => Err(Bad::new(
            column,
            format!("`{}` is here, and a cap is above 0", shown(field)),
        )),
        Err(bad) => Err(bad),
    }
}
