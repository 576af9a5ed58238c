//! Reading a recording back, for reports and tests.

use crate::manifest::Manifest;
use crate::writer::RecordingError;
use crate::{SCHEMA, files};
use csv::StringRecord;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// The manifest of the recording in `dir`.
///
/// # Errors
/// Where the file cannot be read, is no manifest, or has another schema.
pub fn read_manifest(dir: &Path) -> Result<Manifest, RecordingError> {
    let path = dir.join(files::MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(|e| RecordingError::io("read", &path, e))?;
    let found = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| value.get("schema")?.as_u64());
    if let Some(found) = found.filter(|&found| found != u64::from(SCHEMA)) {
        return Err(RecordingError::Schema {
            path,
            found,
            expected: SCHEMA,
        });
    }
    serde_json::from_str(&text).map_err(|source| RecordingError::Manifest { path, source })
}

/// All rows of one of the recording's CSV files.
///
/// # Errors
/// Where the file cannot be read or a row does not fit its type; the message has the line.
pub fn read_rows<Row: DeserializeOwned>(
    dir: &Path,
    file: &str,
) -> Result<Vec<Row>, RecordingError> {
    Rows::open(dir, file)?.map(|row| Ok(row?.1)).collect()
}

/// The rows of one of the recording's CSV files, one after the other.
#[derive(Debug)]
pub struct Rows<Row> {
    path: PathBuf,
    reader: csv::Reader<File>,
    columns: StringRecord,
    record: StringRecord,
    row: PhantomData<Row>,
}

impl<Row: DeserializeOwned> Rows<Row> {
    /// Opens the file and reads its header.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(dir: &Path, file: &str) -> Result<Rows<Row>, RecordingError> {
        let path = dir.join(file);
        let file = File::open(&path).map_err(|e| RecordingError::io("read", &path, e))?;
        let mut reader = csv::Reader::from_reader(file);
        let columns = reader.headers().cloned();
        Ok(Rows {
            columns: columns.map_err(|e| RecordingError::csv(&path, e))?,
            path,
            reader,
            record: StringRecord::new(),
            row: PhantomData,
        })
    }

    fn read(&mut self) -> Result<Option<(u64, Row)>, csv::Error> {
        if !self.reader.read_record(&mut self.record)? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let row = self.record.deserialize(Some(&self.columns))?;
        Ok(Some((line, row)))
    }
}

/// Each row with its line in the file, or why it is none.
impl<Row: DeserializeOwned> Iterator for Rows<Row> {
    type Item = Result<(u64, Row), RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.read() {
            Ok(row) => row.map(Ok),
            Err(error) => Some(Err(RecordingError::csv(&self.path, error))),
        }
    }
}
