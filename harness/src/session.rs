//! The runs of one invocation, one after the other, into one recording.

use crate::demand;
use crate::entry::run_entry;
use crate::exit::Failure;
use crate::plan::{Plan, Planned};
use crate::recorder::Recorder;
use crate::table;
use crate::verdict::{Gathered, Judge, Span};
use crate::watch::Watch;
use apportion_hypervisor::{Engine, EngineError};
use apportion_recording::{Manifest, RunEntry, Scope, Writer};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Done,
    Interrupted,
}

/// One invocation's open recording.
pub(crate) struct Session {
    pub(crate) writer: Writer,
    pub(crate) watch: Box<dyn Watch>,
    pub(crate) interrupted: Arc<AtomicBool>,
    /// What is summed up at the end.
    pub(crate) summed_up: Gathered,
    /// Why a table could not be printed.
    pub(crate) unprinted: Option<io::Error>,
}

impl Session {
    /// Every repetition of every experiment; repetitions interleave, so that a
    /// slow change of the machine does not fall on one experiment alone.
    pub(crate) fn run_all(
        &mut self,
        engine: &mut dyn Engine,
        plan: &Plan,
        manifest: &mut Manifest,
    ) -> Result<Flow, Failure> {
        let most = plan
            .runs
            .iter()
            .map(|planned| planned.experiment.repetitions)
            .max();
        for repetition in 1..=most.unwrap_or(0) {
            for planned in &plan.runs {
                if repetition > planned.experiment.repetitions {
                    continue;
                }
                // How long a simulated run takes nobody knows; it can be had again, and most are short.
                if engine.name() != "simulator" {
                    let length = Duration::from_nanos(planned.length().0);
                    self.writer.manifest_before(manifest, length)?;
                }
                let (entry, table) = self.run_one(engine, planned, repetition)?;
                let interrupted = entry.interrupted;
                manifest.runs.push(entry);
                self.writer.manifest(manifest)?;
                // Recorded first: whoever reads the table may be gone.
                let printed = self.watch.print(&table);
                self.unprinted = self.unprinted.take().or(printed.err());
                if interrupted || self.interrupted.load(Ordering::Relaxed) {
                    return Ok(Flow::Interrupted);
                }
            }
        }
        Ok(Flow::Done)
    }

    fn run_one(
        &mut self,
        engine: &mut dyn Engine,
        planned: &Planned,
        repetition: u32,
    ) -> Result<(RunEntry, String), Failure> {
        self.watch.begin(planned, repetition);
        let mut recorder = Recorder::new(
            planned,
            repetition,
            &mut self.writer,
            self.watch.as_mut(),
            &self.interrupted,
        );
        let spec = planned.spec_of(repetition);
        let outcome = engine.run(&spec, &mut recorder)?;
        let (closed, recorded) = recorder.finish(&outcome).map_err(EngineError::Observer)?;
        self.watch.end();
        let crashes = outcome.crashes.iter().map(|crash| crash.guest);
        let judge = Judge {
            planned,
            repetition,
            engine: engine.name(),
            closed: &closed,
            crashed: &crashes.collect::<Vec<_>>(),
        };
        let rows = judge.rows();
        for row in &rows {
            self.writer.share(&row.share)?;
        }
        let demand = demand::rows(&judge, &rows, &recorded);
        for row in &demand {
            self.writer.demand(row)?;
        }
        let entry = run_entry(&judge, &spec, &outcome, &rows, &recorded, &demand);
        let table = table::run(&judge, &entry, &rows, &demand);
        let guests = rows
            .into_iter()
            .filter(|row| row.share.scope == Scope::Guest && !matches!(row.span, Span::Window(_)));
        self.summed_up.add(planned.name(), guests);
        Ok((entry, table))
    }
}

#[cfg(test)]
mod tests;
