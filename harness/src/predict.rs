//! `apportion predict`: what experiments should show, without running them.

use crate::cli::PredictArguments;
use crate::exit::{Code, Failure};
use crate::points::fits;
use crate::table;
use anyhow::anyhow;
use apportion_workloads::predict::{Forecast, GuestForecast, Reading, predict as forecasts};
use apportion_workloads::replay::Traces;
use apportion_workloads::{Experiment, load};
use serde_json::{Value, json};

/// One experiment and what it should show.
pub(crate) struct Prediction {
    pub(crate) experiment: Experiment,
    pub(crate) lps: u32,
    pub(crate) phases: Vec<Forecast>,
}

/// The whole command.
pub(crate) fn predict(arguments: &PredictArguments) -> Result<Code, Failure> {
    let host_lps = apportion_hypervisor::host::cpus().len() as u32;
    let overrides = arguments.as_if.settings.overrides()?;
    let mut all = Vec::new();
    let mut traces = Traces::default();
    for name in &arguments.experiments {
        let experiment = load(name).map_err(Failure::refused)?;
        let points = arguments
            .as_if
            .points(&experiment, &overrides, host_lps, &mut traces)?;
        for point in points {
            all.push(Prediction::of(point, host_lps)?);
        }
    }
    if arguments.json {
        let all: Value = all.iter().map(Prediction::json).collect();
        table::print(&format!("{all:#}"))?;
        return Ok(Code::Pass);
    }
    for (index, prediction) in all.iter().enumerate() {
        let text = table::prediction(prediction, arguments.vps);
        table::print(&format!("{}{text}", if index > 0 { "\n" } else { "" }))?;
    }
    Ok(Code::Pass)
}

impl Prediction {
    fn of(mut experiment: Experiment, host_lps: u32) -> Result<Prediction, Failure> {
        let lps = experiment.lps.unwrap_or(host_lps);
        experiment.lps = Some(lps);
        let name = &experiment.name;
        let refused = |why: String| Failure::refused(anyhow!("experiment {name}: {why}"));
        fits(&experiment)?;
        let phases = forecasts(&experiment, lps).map_err(|why| refused(why.to_string()))?;
        Ok(Prediction {
            experiment,
            lps,
            phases,
        })
    }

    /// For tools: everything, numbers as they are.
    fn json(&self) -> Value {
        let phases: Vec<Value> = self.phases.iter().map(|phase| self.phase(phase)).collect();
        json!({
            "experiment": self.experiment.name,
            "settings": self.settings(),
            "lps": self.lps,
            "reserve_model": self.experiment.reserve_model.name(),
            "weight_scope": self.experiment.weight_scope.name(),
            "phases": phases,
        })
    }

    /// What tells it from what its file says.
    fn settings(&self) -> Value {
        let set = self
            .experiment
            .settings
            .iter()
            .chain(&self.experiment.point);
        let set = set.map(|setting| (setting.key(), json!(setting.value())));
        Value::Object(set.collect())
    }

    fn phase(&self, phase: &Forecast) -> Value {
        let guests = self.experiment.guests.iter().zip(&phase.guests);
        let guests = guests.map(|(guest, forecast)| {
            json!({
                "guest": guest.name,
                "group": guest.group,
                "vps": forecast.vps,
                "weight": forecast.controls.weight.get(),
                "reserve_pct": forecast.controls.reserve.percent(),
                "cap_pct": forecast.controls.cap.percent(),
                "claim": forecast.claim(self.experiment.weight_scope),
                "demand_pct_of_lp": 100.0 * forecast.demand.part,
                "demand_basis": forecast.demand.basis.name(),
                "shares": Reading::ALL.map(|reading| share(forecast, phase, reading)),
            })
        });
        json!({
            "from_ns": phase.from.0,
            "until_ns": phase.until.0,
            "lps": phase.lps,
            "reserved_lps": phase.reserved(),
            "usable_lps": phase.usable(),
            "guests": guests.collect::<Vec<_>>(),
        })
    }
}

/// What a guest should receive under one reading.
fn share(guest: &GuestForecast, phase: &Forecast, reading: Reading) -> Value {
    let lps = guest.received(reading);
    json!({
        "reserve_model": reading.reserve_model.name(),
        "weight_scope": reading.weight_scope.name(),
        "lps": lps,
        "expected_pct": share_pct(lps, phase.lps),
        "vp_pct_of_lp": 100.0 * guest.part(reading),
    })
}

/// LPs as a percentage of those on line.
pub(crate) fn share_pct(lps: f64, of: u32) -> f64 {
    100.0 * lps / f64::from(of.max(1))
}
