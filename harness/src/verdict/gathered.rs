//! What runs gave, by experiment, kept from run to run for what is told of all of them at the end.

use super::Row;
use apportion_recording::RunEntry;
use std::collections::HashMap;

/// Rows of scope guest that are no windows, of every run so far.
#[derive(Debug, Default)]
pub(crate) struct Gathered(HashMap<String, Vec<Row>>);

impl Gathered {
    /// Adds a run's rows.
    pub(crate) fn add(&mut self, experiment: &str, rows: impl IntoIterator<Item = Row>) {
        self.0
            .entry(experiment.to_owned())
            .or_default()
            .extend(rows);
    }

    /// All repetitions of an experiment, in order.
    pub(crate) fn of(&self, experiment: &str) -> &[Row] {
        self.0.get(experiment).map_or(&[], Vec::as_slice)
    }

    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.values().all(Vec::is_empty)
    }
}

/// Runs by experiment, the repetitions of each in order.
pub(crate) fn by_experiment(runs: &[RunEntry]) -> HashMap<&str, Vec<&RunEntry>> {
    let mut of: HashMap<&str, Vec<&RunEntry>> = HashMap::new();
    for run in runs {
        of.entry(&run.experiment).or_default().push(run);
    }
    of
}
