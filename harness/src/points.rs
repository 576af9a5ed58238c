//! The experiments that one file stands for, as options of the command line have them, with their traces read.

use crate::cli::{AsIf, SettingArguments};
use crate::exit::Failure;
use crate::plan::reading;
use anyhow::anyhow;
use apportion_workloads::replay::Traces;
use apportion_workloads::{Experiment, Misfit, Overrides};

impl SettingArguments {
    /// What the options set and sweep.
    ///
    /// # Errors
    /// Where they contradict each other.
    pub(crate) fn overrides(&self) -> Result<Overrides, Failure> {
        Overrides::new(self.set.clone(), self.scan.clone()).map_err(Failure::refused)
    }
}

impl AsIf {
    /// All points of an experiment, on the LPs and for the time that were asked for.
    ///
    /// # Errors
    /// Where a value makes a mistake of the file, or a trace cannot be replayed.
    pub(crate) fn points(
        &self,
        experiment: &Experiment,
        overrides: &Overrides,
        host_lps: u32,
        traces: &mut Traces,
    ) -> Result<Vec<Experiment>, Failure> {
        let points = experiment.points(overrides).map_err(Failure::refused)?;
        points
            .into_iter()
            .map(|point| self.placed(point, host_lps, traces))
            .collect()
    }

    /// An experiment on the LPs, and for the time, that were asked for.
    ///
    /// # Errors
    /// Where it is told from others by what was asked for, changes come too late by then, or a trace cannot be replayed.
    pub(crate) fn placed(
        &self,
        mut experiment: Experiment,
        host_lps: u32,
        traces: &mut Traces,
    ) -> Result<Experiment, Failure> {
        let given = [
            ("duration", self.duration.is_some()),
            ("lps", self.lps.is_some()),
        ];
        not_twice(&experiment, &given)?;
        experiment.duration = self.duration.unwrap_or(experiment.duration);
        experiment.lps = self.lps.or(experiment.lps);
        if let Err(why @ Misfit::TooLate { .. }) = experiment.check_changes() {
            return Err(misfit(&experiment, &why));
        }
        let lps = experiment.lps.unwrap_or(host_lps);
        traces
            .prepare(&mut experiment, lps, &mut reading())
            .map_err(Failure::refused)?;
        Ok(experiment)
    }
}

/// Refuses options for keys that a point of a sweep, or what a claim compares with, is named after; `given` says of each
/// key whether there is such an option.
pub(crate) fn not_twice(
    experiment: &Experiment,
    given: &[(&'static str, bool)],
) -> Result<(), Failure> {
    let said = |key: &str| {
        let mut settings = experiment.settings.iter().chain(&experiment.point);
        settings.any(|setting| setting.key() == key)
    };
    let mut keys = given.iter().filter(|(_, given)| *given);
    match keys.find(|(key, _)| said(key)) {
        None => Ok(()),
        Some((key, _)) => Err(Failure::refused(anyhow!(
            "experiment {}: --{} would overwrite the `{key}` by which it is told from others: use --set {key}=VALUE, or leave the option out",
            experiment.name,
            key.replace('_', "-")
        ))),
    }
}

/// Whether an experiment is still one with what options changed of it.
///
/// # Errors
/// Where changes come too late, or LPs are not there.
pub(crate) fn fits(experiment: &Experiment) -> Result<(), Failure> {
    let changes = experiment.check_changes();
    let placed = changes.and_then(|()| experiment.check_placement());
    placed.map_err(|why| misfit(experiment, &why))
}

fn misfit(experiment: &Experiment, why: &Misfit) -> Failure {
    Failure::refused(anyhow!("experiment {}: {why}", experiment.name))
}
