//! Writing a recording: append-only CSV files and a manifest that is replaced whole.

use crate::files;
use crate::manifest::Manifest;
use crate::rows::{DecisionRow, DispatchRow, EventRow, ShareRow, SummaryRow};
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
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
    /// Where the manifest says so.
    decisions: Option<Table>,
    shares: Table,
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
        write_manifest(dir, manifest)?;
        let mut writer = Writer {
            dispatches: Table::create::<DispatchRow>(dir, files::DISPATCHES)?,
            events: Table::create::<EventRow>(dir, files::EVENTS)?,
            decisions: manifest
                .decisions
                .then(|| Table::create::<DecisionRow>(dir, files::DECISIONS))
                .transpose()?,
            shares: Table::create::<ShareRow>(dir, files::SHARES)?,
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

    /// Appends measured shares.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn share(&mut self, row: &ShareRow) -> Result<(), RecordingError> {
        self.shares.append(row)
    }

    /// Hands what was appended to the operating system, so that a crash of this process loses nothing of it.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        self.dispatches.flush()?;
        self.events.flush()?;
        if let Some(decisions) = &mut self.decisions {
            decisions.flush()?;
        }
        self.shares.flush()
    }

    /// Replaces the manifest, whole or not at all.
    ///
    /// # Errors
    /// Where the disk refuses it.
    pub fn manifest(&mut self, manifest: &Manifest) -> Result<(), RecordingError> {
        self.flush()?;
        write_manifest(&self.dir, manifest)
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
        let summarised = self.summarise(rows);
        let flushed = self.flush();
        let described = write_manifest(&self.dir, manifest);
        summarised.and(flushed).and(described)
    }

    fn summarise(&self, rows: &[SummaryRow]) -> Result<(), RecordingError> {
        let mut summary = Table::create::<SummaryRow>(&self.dir, files::SUMMARY)?;
        for row in rows {
            summary.append(row)?;
        }
        summary.flush()
    }
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), RecordingError> {
    let path = dir.join(files::MANIFEST);
    let temporary = dir.join(".manifest.json.new");
    let mut text =
        serde_json::to_vec_pretty(manifest).map_err(|source| RecordingError::Manifest {
            path: path.clone(),
            source,
        })?;
    text.push(b'\n');
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|e| {
        // Best effort: the error that matters is the first one.
        let _ = fs::remove_file(&temporary);
        RecordingError::io("write", &path, e)
    })
}

#[derive(Debug)]
struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
}

impl Table {
    /// A table of `Row`s, its header already in it: one without rows has columns, too.
    fn create<Row: Serialize + Default>(dir: &Path, name: &str) -> Result<Table, RecordingError> {
        let path = dir.join(name);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| RecordingError::io("create", &path, e))?;
        let mut file = BufWriter::new(file);
        let header = header::<Row>().map_err(|e| RecordingError::csv(&path, e))?;
        file.write_all(&header)
            .map_err(|e| RecordingError::io("write", &path, e))?;
        Ok(Table {
            writer: csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(file),
            path,
        })
    }

    fn append(&mut self, row: &impl Serialize) -> Result<(), RecordingError> {
        self.writer
            .serialize(row)
            .map_err(|e| RecordingError::csv(&self.path, e))
    }

    fn flush(&mut self) -> Result<(), RecordingError> {
        self.writer
            .flush()
            .map_err(|e| RecordingError::io("write", &self.path, e))
    }
}

/// The line of column names, as serde names the fields.
fn header<Row: Serialize + Default>() -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(Row::default())?;
    let text = writer.into_inner().map_err(|e| e.into_error())?;
    let end = text.iter().position(|&byte| byte == b'\n');
    Ok(text[..end.map_or(text.len(), |end| end + 1)].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_rows;

    #[test]
    fn a_table_without_rows_has_its_columns() {
        let header = header::<DispatchRow>().unwrap();
        assert_eq!(
            String::from_utf8(header).unwrap(),
            "experiment,repetition,lp,guest,vp,ready_ns,start_ns,end_ns,ran_ns,work,reason\n"
        );
    }

    #[test]
    fn rows_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut table = Table::create::<EventRow>(dir.path(), files::EVENTS).unwrap();
        let row = EventRow {
            guest: Some("a, \"b\"".to_owned()),
            value: Some(-5),
            ..EventRow::default()
        };
        table.append(&row).unwrap();
        table.append(&EventRow::default()).unwrap();
        table.flush().unwrap();
        let back: Vec<EventRow> = read_rows(dir.path(), files::EVENTS).unwrap();
        assert_eq!(back, [row, EventRow::default()]);
    }
}
