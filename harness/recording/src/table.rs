//! A CSV file that rows are appended to.

use crate::RecordingError;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// A file of rows, written from its beginning on.
#[derive(Debug)]
pub(crate) struct Table {
    path: PathBuf,
    writer: csv::Writer<BufWriter<File>>,
}

impl Table {
    /// A table of `Row`s, its header already in it: one without rows has columns, too.
    pub(crate) fn create<Row: Serialize + Default>(
        dir: &Path,
        name: &str,
    ) -> Result<Table, RecordingError> {
        let plain = csv::WriterBuilder::new();
        let header = header::<Row>().map_err(|e| RecordingError::csv(&dir.join(name), e))?;
        Table::with_header(dir, name, plain, &header)
    }

    /// A table written in a style of its own, its header already in it.
    pub(crate) fn with_header(
        dir: &Path,
        name: &str,
        mut style: csv::WriterBuilder,
        header: &[String],
    ) -> Result<Table, RecordingError> {
        let path = dir.join(name);
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|e| RecordingError::io("create", &path, e))?;
        let writer = style.has_headers(false).from_writer(BufWriter::new(file));
        let mut table = Table { path, writer };
        table.append(&header)?;
        Ok(table)
    }

    pub(crate) fn append(&mut self, row: &impl Serialize) -> Result<(), RecordingError> {
        self.writer
            .serialize(row)
            .map_err(|e| RecordingError::csv(&self.path, e))
    }

    pub(crate) fn flush(&mut self) -> Result<(), RecordingError> {
        self.writer
            .flush()
            .map_err(|e| RecordingError::io("write", &self.path, e))
    }
}

/// The names of the columns, as serde names the fields.
fn header<Row: Serialize + Default>() -> Result<Vec<String>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(Row::default())?;
    let text = writer.into_inner().map_err(|e| e.into_error())?;
    let names = csv::Reader::from_reader(&text[..]).headers()?.clone();
    Ok(names.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{DispatchRow, EventRow};
    use crate::{files, read_rows};

    #[test]
    fn a_table_without_rows_has_its_columns() {
        let header = header::<DispatchRow>().unwrap();
        assert_eq!(
            header.join(","),
            "experiment,repetition,lp,guest,vp,ready_ns,start_ns,end_ns,ran_ns,work,reason"
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
