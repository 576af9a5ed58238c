//! `counters.csv` and `metrics.prom` of a recording, from the first snapshot on.

use super::Snapshot;
use super::pdh::Pdh;
use super::prometheus::Exposition;
use crate::RecordingError;
use crate::files;
use crate::manifest::Manifest;
use crate::table::Table;
use crate::writer::{Durability, replace};
use std::path::{Path, PathBuf};

/// The two files. They are there once anything was counted: an engine that
/// counts nothing leaves none behind.
#[derive(Debug)]
pub(crate) struct CounterFiles {
    dir: PathBuf,
    pdh: Pdh,
    table: Option<Table>,
    exposition: Exposition,
}

impl CounterFiles {
    pub(crate) fn new(dir: &Path, manifest: &Manifest) -> CounterFiles {
        CounterFiles {
            dir: dir.to_owned(),
            pdh: Pdh::new(manifest),
            table: None,
            exposition: Exposition::default(),
        }
    }

    pub(crate) fn write(
        &mut self,
        experiment: &str,
        repetition: u32,
        snapshot: &Snapshot,
    ) -> Result<(), RecordingError> {
        let table = match self.table.take() {
            Some(table) => table,
            None => self.begin()?,
        };
        let table = self.table.insert(table);
        if let Some(row) = self.pdh.row(experiment, repetition, snapshot) {
            table.append(&row)?;
        }
        self.exposition.set(experiment, repetition, snapshot);
        // Somebody may be watching, but nobody needs it after a crash of the system.
        let text = self.exposition.to_string();
        replace(
            &self.dir,
            files::METRICS,
            text.as_bytes(),
            Durability::Cached,
        )
    }

    /// A table in which every field is quoted and lines end as on Windows.
    fn begin(&self) -> Result<Table, RecordingError> {
        let mut style = csv::WriterBuilder::new();
        style
            .quote_style(csv::QuoteStyle::Always)
            .terminator(csv::Terminator::CRLF);
        Table::with_header(&self.dir, files::COUNTERS, style, &self.pdh.header())
    }

    pub(crate) fn flush(&mut self) -> Result<(), RecordingError> {
        self.table.as_mut().map_or(Ok(()), Table::flush)
    }
}
