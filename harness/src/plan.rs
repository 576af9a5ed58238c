//! From arguments to what will be run: experiments found, overrides applied, everything checked before anything starts.

use crate::cli::RunArguments;
use crate::exit::Failure;
use anyhow::anyhow;
use apportion_hypervisor::{GuestSpec, Payload, RunSpec};
use apportion_recording::{ExperimentEntry, GuestEntry};
use apportion_scheduler::Nanos;
use apportion_workloads::{Experiment, find, load, suite};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fmt::Write as _;

/// One experiment with everything decided.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) experiment: Experiment,
    /// What the engine runs, once per repetition.
    pub(crate) spec: RunSpec,
}

/// The experiments to run, in order.
pub(crate) fn plan(arguments: &RunArguments, host_lps: u32) -> Result<Vec<Planned>, Failure> {
    let experiments = if arguments.experiments.is_empty() {
        suite().to_vec()
    } else {
        let loaded: Result<Vec<_>, _> = arguments
            .experiments
            .iter()
            .map(|name| load(name))
            .collect();
        loaded.map_err(Failure::refused)?
    };
    let mut names = HashSet::new();
    for experiment in &experiments {
        if !names.insert(&experiment.name) {
            return Err(Failure::refused(anyhow!(
                "experiment {} is named twice: a recording holds each name once, use --repetitions to repeat it",
                experiment.name
            )));
        }
    }
    experiments
        .into_iter()
        .map(|experiment| planned(experiment, arguments, host_lps))
        .collect()
}

fn planned(
    mut experiment: Experiment,
    arguments: &RunArguments,
    host_lps: u32,
) -> Result<Planned, Failure> {
    experiment.duration = arguments.duration.unwrap_or(experiment.duration);
    experiment.warm_up = arguments.warm_up.unwrap_or(experiment.warm_up);
    experiment.slice = arguments.slice.unwrap_or(experiment.slice);
    experiment.policy = arguments.policy.unwrap_or(experiment.policy);
    experiment.repetitions = arguments.repetitions.unwrap_or(experiment.repetitions);
    let lps = arguments.lps.or(experiment.lps).unwrap_or(host_lps);
    experiment.lps = Some(lps);
    if lps > host_lps {
        return Err(Failure::refused(anyhow!(
            "experiment {} wants {lps} LPs, this host has {host_lps}: use --lps {host_lps} or fewer",
            experiment.name
        )));
    }
    let guests = experiment
        .guests
        .iter()
        .map(|guest| GuestSpec {
            name: guest.name.clone(),
            vps: guest.vps,
            controls: guest.controls,
            payload: match guest.payload {
                apportion_workloads::Payload::Burn => Payload::Burn,
                apportion_workloads::Payload::Crash { after_work } => Payload::Crash { after_work },
            },
        })
        .collect();
    let spec = RunSpec {
        lps,
        slice: experiment.slice,
        policy: experiment.policy,
        guests,
        warm_up: experiment.warm_up,
        duration: experiment.duration,
    };
    Ok(Planned { experiment, spec })
}

impl Planned {
    /// The experiment's name.
    pub(crate) fn name(&self) -> &str {
        &self.experiment.name
    }

    /// Warm-up and measured time of one run.
    pub(crate) fn length(&self) -> Nanos {
        self.spec.warm_up + self.spec.duration
    }

    /// As the manifest tells it.
    pub(crate) fn entry(&self) -> ExperimentEntry {
        let Planned { experiment, spec } = self;
        ExperimentEntry {
            name: experiment.name.clone(),
            why: experiment.why.clone(),
            source: match find(&experiment.name) {
                Ok(shipped) if shipped.source == experiment.source => "shipped".to_owned(),
                _ => experiment.source.clone(),
            },
            text: experiment.text.clone(),
            text_sha256: sha256(&experiment.text),
            policy: spec.policy.to_string(),
            lps: spec.lps,
            slice_ns: spec.slice.0,
            warm_up_ns: spec.warm_up.0,
            duration_ns: spec.duration.0,
            repetitions: experiment.repetitions,
            tolerance_pp: experiment.tolerance_pp,
            guests: experiment
                .guests
                .iter()
                .map(|guest| GuestEntry {
                    name: guest.name.clone(),
                    group: guest.group.clone(),
                    vps: guest.vps,
                    weight: guest.controls.weight.get(),
                    reserve_pct: guest.controls.reserve.percent(),
                    cap_pct: guest.controls.cap.percent(),
                    payload: guest.payload.to_string(),
                })
                .collect(),
        }
    }
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
