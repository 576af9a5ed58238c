//! Writing a recording: append-only CSV files and a manifest that is replaced whole.

use crate::claim_row::ClaimRow;
use crate::counters::{CounterFiles, Snapshot};
use crate::files;
use crate::manifest::Manifest;
use crate::pace::Pace;
use crate::rows::{BurstRow, DecisionRow, DemandRow, DispatchRow, EventRow, ShareRow, SummaryRow};
use crate::table::Table;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why a recording could not be written or read.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// A file or folder operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The folder holds a recording already.
    #[error("{} holds a recording already: give --out another folder, recordings are never overwritten", .0.display())]
    Exists(PathBuf),
    /// A CSV row could not be written or read.
    #[error("{}: {source}", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: csv::Error,
    },
    /// The manifest is no manifest.
    #[error("{} is not a manifest of this tool: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The manifest has another schema.
    #[error("{} has schema {found}, this build reads schema {expected}: use the build that wrote it", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// Ours.
        expected: u32,
    },
}

impl RecordingError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> RecordingError {
        RecordingError::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn csv(path: &Path, source: csv::Error) -> RecordingError {
        RecordingError::Csv {
            path: path.to_owned(),
            source,
        }
    }
}

/// One open recording.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    dispatches: Table,
    events: Table,
    bursts: Table,
    /// Where the manifest says so.
    decisions: Option<Table>,
    /// Where the manifest says that a trace is replayed.
    demand: Option<Table>,
    shares: Table,
    counters: CounterFiles,
    /// Of the manifest.
    pace: Pace,
}

impl Writer {
    /// Creates `dir` (and its parents) and begins a recording in it.
    ///
    /// # Errors
    /// Where the folder cannot be written or holds a recording already, even a
    /// part of one; no file is left behind then.
    pub fn create(dir: &Path, manifest: &Manifest) -> Result<Writer, RecordingError> {
        fs::create_dir_all(dir).map_err(|e| RecordingError::io("create the folder", dir, e))?;
        if files::ALL.iter().any(|file| dir.join(file).exists()) {
            return Err(RecordingError::Exists(dir.to_owned()));
        }
        // Exclusive: of two that come this far at the same time one goes on.
        let path = dir.join(files::MANIFEST);
        if let Err(error) = File::create_new(&path) {
            return Err(match error.kind() {
                io::ErrorKind::AlreadyExists => RecordingError::Exists(dir.to_owned()),
                _ => RecordingError::io("create", &path, error),
            });
        }
        Writer::begin(dir, manifest).inspect_err(|_| {
            // Ours alone, and worth nothing: best effort.
            for file in files::ALL {
                let _ = fs::remove_file(dir.join(file));
            }
        })
    }

    fn begin(dir: &Path, manifest: &Manifest) -> Result<Writer, RecordingError> {
        let begun = Instant::now();
        write_manifest(dir, manifest)?;
        let mut writer = Writer {
            pace: Pace::since(begun),
            dispatches: Table::create::<DispatchRow>(dir, files::DISPATCHES)?,
            events: Table::create::<EventRow>(dir, files::EVENTS)?,
            bursts: Table::create::<BurstRow>(dir, files::BURSTS)?,
            decisions: manifest
                .decisions
                .then(|| Table::create::<DecisionRow>(dir, files::DECISIONS))
                .transpose()?,
            demand: manifest
                .experiments
                .iter()
                .any(|experiment| !experiment.replays.is_empty())
                .then(|| Table::create::<DemandRow>(dir, files::DEMAND))
                .transpose()?,
            shares: Table::create::<ShareRow>(dir, files::SHARES)?,
            counters: CounterFiles::new(dir, manifest),
            dir: dir.to_owned(),
        };
        writer.flush()?;
        Ok(writer)
    }

    /// Where the recording is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a dispatch.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn dispatch(&mut self, row: &DispatchRow) -> Result<(), RecordingError> {
        self.dispatches.append(row)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn event(&mut self, row: &EventRow) -> Result<(), RecordingError> {
        self.events.append(row)
    }

    /// Appends what a guest says it did.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn burst(&mut self, row: &BurstRow) -> Result<(), RecordingError> {
        self.bursts.append(row)
    }

    /// Appends a decision, if the recording holds them.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn decision(&mut self, row: &DecisionRow) -> Result<(), RecordingError> {
        match &mut self.decisions {
            Some(decisions) => decisions.append(row),
            None => Ok(()),
        }
    }

    /// Appends how a guest fared that replays a trace, if the recording has any.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn demand(&mut self, row: &DemandRow) -> Result<(), RecordingError> {
        match &mut self.demand {
            Some(demand) => demand.append(row),
            None => Ok(()),
        }
    }

    /// Appends measured shares.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn share(&mut self, row: &ShareRow) -> Result<(), RecordingError> {
        self.shares.append(row)
    }

    /// Takes what was counted from the start of a run's guests until now: appends
    /// a row to `counters.csv`, unless it is the run's first snapshot, and
    /// replaces `metrics.prom`. The first call of all creates the two.
    ///
    /// # Errors
    /// Where the disk refuses any of it.
    pub fn counters(
        &mut self,
        experiment: &str,
        repetition: u32,
        snapshot: &Snapshot,
    ) -> Result<(), RecordingError> {
        self.counters.write(experiment, repetition, snapshot)
    }

    /// Hands what was appended to the operating system, so that a crash of this process loses nothing of it.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        self.dispatches.flush()?;
        self.events.flush()?;
        self.bursts.flush()?;
        for table in [&mut self.decisions, &mut self.demand]
            .into_iter()
            .flatten()
        {
            table.flush()?;
        }
        self.shares.flush()?;
        self.counters.flush()
    }

    /// Replaces the manifest, whole or not at all, unless that was done a moment ago: so that a sweep of a thousand
    /// short runs spends its time on these, it is left out until twenty times what the last time took has passed, or
    /// 2 s, and then owed: see [`Writer::manifest_before`]. [`Writer::finish`] always does it.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn manifest(&mut self, manifest: &Manifest) -> Result<(), RecordingError> {
        self.flush()?;
        let begun = Instant::now();
        match self.pace.is_due(begun) {
            true => self.replace_manifest(manifest, begun),
            false => Ok(()),
        }
    }

    /// Replaces the manifest before a run of this length, where it would be owed for more than 2 s at the run's end.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn manifest_before(
        &mut self,
        manifest: &Manifest,
        length: Duration,
    ) -> Result<(), RecordingError> {
        let begun = Instant::now();
        match self.pace.is_due_before(begun, length) {
            true => self.replace_manifest(manifest, begun),
            false => Ok(()),
        }
    }

    fn replace_manifest(
        &mut self,
        manifest: &Manifest,
        begun: Instant,
    ) -> Result<(), RecordingError> {
        write_manifest(&self.dir, manifest)?;
        self.pace = Pace::since(begun);
        Ok(())
    }

    /// Writes what was claimed of all runs, and whether it held.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn claims(&self, rows: &[ClaimRow]) -> Result<(), RecordingError> {
        self.sum_up(files::CLAIMS, rows)
    }

    /// Writes the summary over all repetitions and closes the recording. The
    /// manifest is written even where a table cannot be: it says how the run ended.
    ///
    /// # Errors
    /// Where the disk refuses any of it; the first refusal.
    pub fn finish(
        mut self,
        manifest: &Manifest,
        rows: &[SummaryRow],
    ) -> Result<(), RecordingError> {
        let summarised = self.sum_up(files::SUMMARY, rows);
        let flushed = self.flush();
        let described = write_manifest(&self.dir, manifest);
        summarised.and(flushed).and(described)
    }

    fn sum_up<Row>(&self, file: &str, rows: &[Row]) -> Result<(), RecordingError>
    where
        Row: Serialize + Default,
    {
        let mut table = Table::create::<Row>(&self.dir, file)?;
        for row in rows {
            table.append(row)?;
        }
        table.flush()
    }
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), RecordingError> {
    let path = dir.join(files::MANIFEST);
    let mut text = match serde_json::to_vec_pretty(manifest) {
        Ok(text) => text,
        Err(source) => return Err(RecordingError::Manifest { path, source }),
    };
    text.push(b'\n');
    replace(dir, files::MANIFEST, &text, Durability::Synced)
}

/// Whether a file that was replaced has to outlive a crash of the system.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It has to: it is on the disk afterwards.
    Synced,
    /// It need not: waiting for the disk would be too dear.
    Cached,
}

/// Replaces a file whole or not at all: readers see the old text or the new one.
pub(crate) fn replace(
    dir: &Path,
    name: &str,
    text: &[u8],
    durability: Durability,
) -> Result<(), RecordingError> {
    let path = dir.join(name);
    let temporary = dir.join(format!(".{name}.new"));
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(text)?;
            match durability {
                Durability::Synced => file.sync_all(),
                Durability::Cached => Ok(()),
            }
        })
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|e| {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        RecordingError::io("write", &path, e)
    })
}
