//! Reading a recording back, for reports and tests.

use crate::manifest::Manifest;
use crate::writer::RecordingError;
use crate::{SCHEMA, files};
use serde::de::DeserializeOwned;
use std::path::Path;

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
    let path = dir.join(file);
    let mut reader = csv::Reader::from_path(&path).map_err(|e| RecordingError::csv(&path, e))?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|e| RecordingError::csv(&path, e))
}
