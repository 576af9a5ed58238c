//! From arguments to what will be run: experiments found, overrides applied, everything checked before anything starts.

mod entry;
mod roster;
mod spec;

use crate::cli::RunArguments;
use crate::exit::Failure;
use anyhow::anyhow;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::Nanos;
use apportion_workloads::{Experiment, expected, load, suite};
use std::collections::HashSet;
use std::fmt::Display;

pub(crate) use roster::Roster;
#[cfg(test)]
pub(crate) use spec::tests::{burners, planned_as};

/// One experiment with everything decided.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) experiment: Experiment,
    /// What the engine runs, in the first repetition.
    pub(crate) spec: RunSpec,
    /// Who is who in it.
    pub(crate) roster: Roster,
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
    experiment.reserve_model = arguments.reserve_model.unwrap_or(experiment.reserve_model);
    experiment.weight_scope = arguments.weight_scope.unwrap_or(experiment.weight_scope);
    experiment.seed = arguments.seed.unwrap_or(experiment.seed);
    experiment.nodes = arguments.nodes.unwrap_or(experiment.nodes);
    experiment.repetitions = arguments.repetitions.unwrap_or(experiment.repetitions);
    let lps = arguments.lps.or(experiment.lps).unwrap_or(host_lps);
    experiment.lps = Some(lps);

    let refused =
        |error: &dyn Display| Failure::refused(anyhow!("experiment {}: {error}", experiment.name));
    experiment.check_changes().map_err(|e| refused(&e))?;
    experiment.check_placement().map_err(|e| refused(&e))?;
    // What cannot be expected cannot be judged.
    expected::guest_shares(
        lps,
        &experiment.guests,
        experiment.weight_scope,
        experiment.reserve_model,
    )
    .map_err(|e| refused(&e))?;
    let spec = spec::run_spec(&experiment, lps, arguments.decisions).map_err(|e| refused(&e))?;
    spec.check_admission().map_err(|e| refused(&e))?;
    Ok(Planned {
        roster: Roster::new(&spec),
        experiment,
        spec,
    })
}

impl Planned {
    /// The experiment's name.
    pub(crate) fn name(&self) -> &str {
        &self.experiment.name
    }

    /// The experiment's name, with which repetition it is where there are several.
    pub(crate) fn title(&self, repetition: u32) -> String {
        match self.experiment.repetitions {
            1 => self.name().to_owned(),
            all => format!("{} {repetition}/{all}", self.name()),
        }
    }

    /// Warm-up and measured time of one run.
    pub(crate) fn length(&self) -> Nanos {
        self.spec.warm_up + self.spec.duration
    }

    /// What the engine runs in a repetition, counted from 1: each has a seed of
    /// its own, or repetitions of a simulated run would tell nothing new.
    pub(crate) fn spec_of(&self, repetition: u32) -> RunSpec {
        RunSpec {
            seed: self.spec.seed.wrapping_add(u64::from(repetition) - 1),
            ..self.spec.clone()
        }
    }
}

/// When something is altered, in order, each time once; counted from when measuring begins.
pub(crate) fn change_times(spec: &RunSpec) -> Vec<Nanos> {
    let mut times: Vec<Nanos> = spec.changes.iter().map(|change| change.at).collect();
    times.dedup();
    times
}
