//! The experiments that one file stands for, as options of the command line have them, with their traces read.

use crate::cli::{AsIf, SettingArguments};
use crate::exit::Failure;
use crate::plan::reading;
use apportion_workloads::replay::prepare;
use apportion_workloads::{Experiment, Overrides};

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
    /// All points of an experiment, on the LPs that were asked for.
    ///
    /// # Errors
    /// Where a value makes a mistake of the file, or a trace cannot be replayed.
    pub(crate) fn points(
        &self,
        experiment: &Experiment,
        overrides: &Overrides,
        host_lps: u32,
    ) -> Result<Vec<Experiment>, Failure> {
        let points = experiment.points(overrides).map_err(Failure::refused)?;
        let placed = points.into_iter().map(|point| self.placed(point, host_lps));
        placed.collect()
    }

    /// An experiment on the LPs that were asked for.
    ///
    /// # Errors
    /// Where a trace cannot be replayed.
    pub(crate) fn placed(
        &self,
        mut experiment: Experiment,
        host_lps: u32,
    ) -> Result<Experiment, Failure> {
        experiment.lps = self.lps.or(experiment.lps);
        let lps = experiment.lps.unwrap_or(host_lps);
        prepare(&mut experiment, lps, &mut reading()).map_err(Failure::refused)?;
        Ok(experiment)
    }
}
