//! `apportion replay-decisions`: recorded decisions are taken again and compared.

use crate::exit::{Code, Failure};
use crate::table;
use anyhow::anyhow;
use apportion_recording::{
    DecisionRow, ExperimentEntry, Manifest, RecordingError, Rows, RunEntry, files, read_manifest,
};
use apportion_scheduler::{
    Call, Config, Divergence, Nanos, PolicyKind, Replay, ReserveModel, Topology, WeightScope,
};
use std::path::Path;

/// The whole command.
pub(crate) fn replay(dir: &Path) -> Result<Code, Failure> {
    let path = dir.join(files::DECISIONS);
    let manifest = read_manifest(dir).map_err(Failure::refused)?;
    if !path.exists() {
        return Err(Failure::refused(anyhow!(
            "{} holds no decisions: record them with `apportion run --decisions`",
            dir.display()
        )));
    }
    let mut runs: Vec<Replayed> = Vec::new();
    let at = |line: u64, problem: &dyn std::fmt::Display| {
        Failure::refused(anyhow!("{}, line {line}: {problem}", path.display()))
    };
    for row in Rows::<DecisionRow>::open(dir, files::DECISIONS)? {
        let (line, row) = row.map_err(|error| match error {
            RecordingError::Csv { .. } => Failure::refused(error),
            other => other.into(),
        })?;
        let begins = runs.last().is_none_or(|run| !run.is_of(&row));
        if begins {
            let run = Replayed::begin(&manifest, &row).map_err(|e| at(line, &e))?;
            runs.push(run);
        }
        if let Some(run) = runs.last_mut() {
            run.step(&row).map_err(|e| at(line, &e))?;
        }
    }
    for run in &runs {
        run.check_complete().map_err(Failure::refused)?;
    }
    if runs.is_empty() {
        return Err(Failure::refused(anyhow!(
            "{} holds no decision: no run got as far as that",
            path.display()
        )));
    }
    let diverged: Vec<String> = runs.iter().filter_map(Replayed::told).collect();
    if diverged.is_empty() {
        let decisions: u64 = runs.iter().map(|run| run.decisions).sum();
        table::print(&format!(
            "{decisions} decisions of {} run(s) replayed: all identical",
            runs.len()
        ))?;
        return Ok(Code::Pass);
    }
    table::print(&diverged.join("\n"))?;
    table::print(&format!(
        "{} of {} run(s) diverged",
        diverged.len(),
        runs.len()
    ))?;
    Ok(Code::Verdict)
}

/// One run's decisions, taken again.
struct Replayed {
    experiment: String,
    repetition: u32,
    replay: Replay,
    /// How many were looked at.
    decisions: u64,
    /// How many the manifest says there are, if it does.
    recorded: Option<u64>,
    diverged: Option<Divergence>,
}

impl Replayed {
    fn begin(manifest: &Manifest, row: &DecisionRow) -> Result<Replayed, anyhow::Error> {
        let experiment = manifest
            .experiments
            .iter()
            .find(|it| it.name == row.experiment);
        let experiment = experiment
            .ok_or_else(|| anyhow!("the manifest has no experiment `{}`", row.experiment))?;
        let is_of =
            |run: &&RunEntry| run.experiment == row.experiment && run.repetition == row.repetition;
        let run = manifest.runs.iter().find(is_of);
        // A run that failed is not in the manifest, and its seed follows from the first one's.
        let later = u64::from(row.repetition.saturating_sub(1));
        let seed = run.map_or(experiment.seed.wrapping_add(later), |run| run.seed);
        Ok(Replayed {
            experiment: row.experiment.clone(),
            repetition: row.repetition,
            replay: Replay::new(config(experiment, seed)?),
            decisions: 0,
            recorded: run.and_then(|run| run.decisions),
            diverged: None,
        })
    }

    fn is_of(&self, row: &DecisionRow) -> bool {
        self.experiment == row.experiment && self.repetition == row.repetition
    }

    /// Takes one decision again, unless an earlier one came out differently.
    fn step(&mut self, row: &DecisionRow) -> Result<(), anyhow::Error> {
        if row.sequence != self.decisions {
            return Err(anyhow!(
                "decision {} is missing: {} stands in its place",
                self.decisions,
                row.sequence
            ));
        }
        self.decisions += 1;
        let call = Call::parse(&row.call, &row.arguments)?;
        if self.diverged.is_none() {
            let step = self
                .replay
                .step(row.sequence, Nanos(row.now_ns), &call, &row.result);
            self.diverged = step.err();
        }
        Ok(())
    }

    fn check_complete(&self) -> Result<(), anyhow::Error> {
        match self.recorded {
            Some(recorded) if recorded != self.decisions => Err(anyhow!(
                "{}, repetition {}: {recorded} decisions were recorded, {} are there",
                self.experiment,
                self.repetition,
                self.decisions
            )),
            _ => Ok(()),
        }
    }

    fn told(&self) -> Option<String> {
        let divergence = self.diverged.as_ref()?;
        Some(format!(
            "{}, repetition {}: {divergence}",
            self.experiment, self.repetition
        ))
    }
}

/// What the recorded scheduler was made with.
fn config(entry: &ExperimentEntry, seed: u64) -> Result<Config, anyhow::Error> {
    let model = ReserveModel::ALL
        .into_iter()
        .find(|it| it.name() == entry.reserve_model);
    let scope = WeightScope::ALL
        .into_iter()
        .find(|it| it.name() == entry.weight_scope);
    let strange = |what: &str, name: &str| anyhow!("the manifest has the unknown {what} `{name}`");
    if entry.slice_ns == 0 {
        return Err(anyhow!("the manifest has a slice of 0"));
    }
    Ok(Config {
        topology: Topology::even(entry.lps, entry.nodes),
        slice: Nanos(entry.slice_ns),
        policy: entry.policy.parse::<PolicyKind>()?,
        reserve_model: model.ok_or_else(|| strange("reserve model", &entry.reserve_model))?,
        weight_scope: scope.ok_or_else(|| strange("weight scope", &entry.weight_scope))?,
        seed,
    })
}
