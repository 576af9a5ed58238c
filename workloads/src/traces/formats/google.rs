//! Google cluster data 2019: `instance_usage` in lines of JSON, as it is published beside BigQuery.

use std::ops::ControlFlow::Continue;

use apportion_scheduler::Nanos;

use super::json::{Number, Whole};
use super::{Flow, Reader};
use crate::traces::error::TraceError;
use crate::traces::fields::{Bad, LATEST};
use crate::traces::input::Input;
use crate::traces::intake::Intake;
use crate::traces::model::TracedControls;
use crate::traces::sink::Facts;

/// The largest machine that is believed.
const MOST_LPS: f64 = 4096.0;

pub(super) struct Google {
    /// LPs of the machine whose capacity is 1.0.
    machine_lps: f64,
}

/// Of a row what is used here; 64-bit numbers are text, as BigQuery exports them.
#[derive(serde::Deserialize)]
struct Row {
    start_time: Whole,
    end_time: Whole,
    collection_id: Whole,
    instance_index: Option<Whole>,
    collection_type: Option<Whole>,
    average_usage: Option<Usage>,
    #[serde(default)]
    cpu_usage_distribution: Vec<Number>,
    #[serde(default)]
    tail_cpu_usage_distribution: Vec<Number>,
}

#[derive(serde::Deserialize)]
struct Usage {
    cpus: Option<Number>,
}

/// The `collection_type` of sets of reservations. What runs in them has rows of its own.
const ALLOC_SET: i64 = 1;

impl Google {
    pub(super) fn new(machine_lps: Option<f64>) -> Result<Google, TraceError> {
        match machine_lps {
            Some(machine_lps) if machine_lps > 0.0 && machine_lps <= MOST_LPS => {
                Ok(Google { machine_lps })
            }
            _ => Err(TraceError::NoMachineLps),
        }
    }

    fn row(&mut self, intake: &mut Intake, line: &[u8]) -> Flow {
        let row: Row =
            serde_json::from_slice(line).map_err(|error| Bad::new("line", told(&error)))?;
        if row.collection_type.is_some_and(|it| it.0 == ALLOC_SET) {
            intake.rows += 1;
            intake.gaps += 1;
            return Ok(Continue(()));
        }
        let (from, to) = (
            micros("start_time", row.start_time)?,
            micros("end_time", row.end_time)?,
        );
        if to <= from {
            return Err(Bad::new("end_time", "it is no later than start_time"));
        }
        let vector = |column, vector: &[Number], length| self.vector(column, vector, length);
        let highest = vector("cpu_usage_distribution", &row.cpu_usage_distribution, 11)?;
        vector(
            "tail_cpu_usage_distribution",
            &row.tail_cpu_usage_distribution,
            9,
        )?;
        let Some(mean) = row.average_usage.and_then(|it| it.cpus) else {
            intake.rows += 1;
            intake.gaps += 1;
            return Ok(Continue(()));
        };
        let lps = self.lps("average_usage.cpus", mean.0)?;
        // The machine's and no more: so many VPs does it take to reach its highest demand.
        let vps = lps.max(highest).ceil().max(1.0) as u32;
        intake.rows += 1;
        let instance = row.instance_index.map_or(0, |it| it.0);
        let id = format!("{}-{instance}", row.collection_id.0);
        let controls = TracedControls::default();
        let facts = || Ok(Facts { vps, controls });
        if let Some(vm) = intake.vm(id.as_bytes(), from, to, facts)? {
            intake.claim(vm, from, to)?;
            intake.at_least(vm, vps);
            intake.reading(vm, from, to - from, lps);
            intake.used += 1;
        }
        Ok(Continue(()))
    }

    /// The highest of a vector of percentiles in LPs, 0 where there is none.
    fn vector(&self, column: &str, vector: &[Number], length: usize) -> Result<f64, Bad> {
        if !vector.is_empty() && vector.len() != length {
            let problem = format!(
                "it has {} percentiles, and {length} or none were expected",
                vector.len()
            );
            return Err(Bad::new(column, problem));
        }
        if vector.windows(2).any(|pair| pair[1].0 < pair[0].0) {
            return Err(Bad::new(column, "a percentile is below the one before it"));
        }
        for percentile in vector {
            self.lps(column, percentile.0)?;
        }
        vector.last().map_or(Ok(0.0), |it| self.lps(column, it.0))
    }

    /// A part of the largest machine, in LPs.
    fn lps(&self, column: &str, part: f64) -> Result<f64, Bad> {
        match (0.0..=1.01).contains(&part) {
            true => Ok(part.min(1.0) * self.machine_lps),
            false => {
                let expected = "a part of the largest machine, from 0 to 1,";
                Err(Bad::field(column, part.to_string().as_bytes(), expected))
            }
        }
    }
}

impl Reader for Google {
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError> {
        intake.lines(input, |intake, line| self.row(intake, line))
    }
}

/// What is wrong with a line of JSON; that it is line 1 of itself need not be said.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(what, _)| what);
    format!("{what}, at character {}", error.column())
}

fn micros(column: &str, micros: Whole) -> Result<Nanos, Bad> {
    let nanos = u64::try_from(micros.0)
        .ok()
        .and_then(|it| it.checked_mul(1000));
    let nanos = nanos.filter(|it| *it <= LATEST.0);
    let expected = "microseconds since the trace's beginning";
    nanos
        .map(Nanos)
        .ok_or_else(|| Bad::field(column, micros.0.to_string().as_bytes(), expected))
}
