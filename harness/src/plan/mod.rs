//! From arguments to what will be run: experiments found, overrides applied, everything checked before anything starts.

mod entry;
mod roster;
mod spec;

use crate::cli::RunArguments;
use crate::exit::Failure;
use crate::points::{fits, not_twice};
use crate::table;
use anyhow::anyhow;
use apportion_hypervisor::{Engine as _, EngineError, RunSpec, SimulatorEngine};
use apportion_scheduler::{GuestId, Nanos};
use apportion_workloads::replay::{Prepared, ReplayedVm, Traces};
use apportion_workloads::traces::Progress;
use apportion_workloads::{Claim, Experiment, expected, load, suite};
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

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
    /// The traces that its guests replay.
    pub(crate) replays: Vec<Prepared>,
}

/// Everything that one invocation runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// In order.
    pub(crate) runs: Vec<Planned>,
    /// What has to hold of them besides shares.
    pub(crate) pledges: Vec<Pledge>,
}

/// A claim of one of the experiments.
#[derive(Clone, Debug)]
pub(crate) struct Pledge {
    /// Which of [`Plan::runs`].
    pub(crate) run: usize,
    pub(crate) claim: Claim,
    /// Which of [`Plan::runs`] it is compared with.
    pub(crate) of: Option<usize>,
}

/// The experiments to run, in order: all points of each, each followed by what its claims compare it with.
pub(crate) fn plan(arguments: &RunArguments, host_lps: u32) -> Result<Plan, Failure> {
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
    let mut families = HashSet::new();
    for experiment in &experiments {
        if !families.insert(&experiment.family) {
            return Err(Failure::refused(anyhow!(
                "experiment {} is named twice: a recording holds each name once, use --repetitions to repeat it",
                experiment.family
            )));
        }
    }
    let overrides = arguments.settings.overrides()?;
    let mut planner = Planner {
        arguments,
        host_lps,
        traces: Traces::default(),
        by_name: HashMap::new(),
        plan: Plan {
            runs: Vec::new(),
            pledges: Vec::new(),
        },
    };
    for experiment in &experiments {
        for point in experiment.points(&overrides).map_err(Failure::refused)? {
            planner.add(point)?;
        }
    }
    Ok(planner.plan)
}

/// A plan while it is made.
struct Planner<'a> {
    arguments: &'a RunArguments,
    host_lps: u32,
    traces: Traces,
    /// Which of the plan's runs is called so.
    by_name: HashMap<String, usize>,
    plan: Plan,
}

impl Planner<'_> {
    /// Adds an experiment and what its claims compare it with.
    fn add(&mut self, experiment: Experiment) -> Result<(), Failure> {
        let claims = experiment.claims.clone();
        let references = experiment.of_claims().map_err(Failure::refused)?;
        let run = self.push(experiment)?;
        for (claim, reference) in claims.into_iter().zip(references) {
            let of = reference.map(|it| self.push(it)).transpose()?;
            // A point that is itself what the others are compared with claims nothing by it.
            if claim.of.is_none() || of.is_some() {
                self.plan.pledges.push(Pledge { run, claim, of });
            }
        }
        Ok(())
    }

    /// Plans an experiment, unless one of this name is to be run already; which run it is.
    fn push(&mut self, experiment: Experiment) -> Result<usize, Failure> {
        if let Some(index) = self.by_name.get(&experiment.name) {
            return Ok(*index);
        }
        let index = self.plan.runs.len();
        self.by_name.insert(experiment.name.clone(), index);
        let planned = planned(experiment, self.arguments, self.host_lps, &mut self.traces)?;
        self.plan.runs.push(planned);
        Ok(index)
    }
}

fn planned(
    mut experiment: Experiment,
    arguments: &RunArguments,
    host_lps: u32,
    traces: &mut Traces,
) -> Result<Planned, Failure> {
    not_twice(&experiment, &given(arguments))?;
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

    let replays = traces
        .prepare(&mut experiment, lps, &mut reading())
        .map_err(Failure::refused)?;
    let refused =
        |error: &dyn Display| Failure::refused(anyhow!("experiment {}: {error}", experiment.name));
    fits(&experiment)?;
    // What cannot be expected cannot be judged.
    expected::guest_shares(
        lps,
        &experiment.guests,
        experiment.weight_scope,
        experiment.reserve_model,
    )
    .map_err(|e| refused(&e))?;
    let spec =
        spec::run_spec(&experiment, &replays, lps, arguments.decisions).map_err(|e| refused(&e))?;
    spec.check_admission().map_err(|e| refused(&e))?;
    Ok(Planned {
        roster: Roster::new(&spec),
        experiment,
        spec,
        replays,
    })
}

/// By key: whether an option says it.
fn given(arguments: &RunArguments) -> [(&'static str, bool); 10] {
    [
        ("duration", arguments.duration.is_some()),
        ("warm_up", arguments.warm_up.is_some()),
        ("slice", arguments.slice.is_some()),
        ("policy", arguments.policy.is_some()),
        ("reserve_model", arguments.reserve_model.is_some()),
        ("weight_scope", arguments.weight_scope.is_some()),
        ("seed", arguments.seed.is_some()),
        ("nodes", arguments.nodes.is_some()),
        ("repetitions", arguments.repetitions.is_some()),
        ("lps", arguments.lps.is_some()),
    ]
}

/// Tells how far the reading of a trace has come, where that takes a while.
pub(crate) fn reading() -> impl FnMut(Progress) -> ControlFlow<()> {
    const EVERY: Duration = Duration::from_secs(2);
    let mut told = Instant::now();
    move |progress| {
        if told.elapsed() >= EVERY {
            told = Instant::now();
            let part = 100.0 * progress.bytes as f64 / progress.of.max(1) as f64;
            table::tell(&format!(
                "reading the trace: {part:.0} %, {} rows",
                progress.rows
            ));
        }
        ControlFlow::Continue(())
    }
}

/// Which engines can run it: `kvm`, `simulator` or `any`.
pub(crate) fn engines(experiment: &Experiment) -> &'static str {
    if experiment.nodes > 1 {
        return "simulator";
    }
    let spec = spec::run_spec(experiment, &[], experiment.lps.unwrap_or(1), false);
    match spec.map(|spec| SimulatorEngine::new().check(&spec)) {
        Ok(Err(EngineError::Unsupported { instead, .. })) => instead,
        _ => "any",
    }
}

impl Planned {
    /// The experiment's name.
    pub(crate) fn name(&self) -> &str {
        &self.experiment.name
    }

    /// The name of its file, common to all of its sweep.
    pub(crate) fn family(&self) -> &str {
        &self.experiment.family
    }

    /// The experiment's name, with which repetition it is where there are several.
    pub(crate) fn title(&self, repetition: u32) -> String {
        match self.experiment.repetitions {
            1 => self.name().to_owned(),
            all => format!("{} {repetition}/{all}", self.name()),
        }
    }

    /// Whose demand a guest replays, if it does.
    pub(crate) fn traced(&self, guest: GuestId) -> Option<&ReplayedVm> {
        let of = |it: &&Prepared| it.replay.guests.contains(&guest.index());
        let prepared = self.replays.iter().find(of)?;
        let vm = guest.index() - prepared.replay.guests.start;
        prepared.replayed.vms.get(vm)
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
