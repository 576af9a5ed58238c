//! Why there is no report: each message says what, where and what to do.

use apportion_recording::RecordingError;
use polars::prelude::PolarsError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a recording could not be reported on.
#[derive(Debug, Error)]
pub enum ReportError {
    /// There is no such folder.
    #[error("there is no folder {}: name the folder of a recording, or make one with `cargo xtask bench`", .0.display())]
    NoFolder(PathBuf),
    /// The folder is not a recording.
    #[error("{} holds no recording (no manifest.json): name the folder that a run wrote", .0.display())]
    NoRecording(PathBuf),
    /// The manifest or a row of a table cannot be read.
    #[error("{source}{}", advice(source))]
    Recording {
        /// What is wrong, and where.
        #[from]
        source: RecordingError,
    },
    /// A recording that calls itself complete lacks a table.
    #[error("{} is missing or empty in a recording that is marked complete: copy the whole folder again", .0.display())]
    Incomplete(PathBuf),
    /// A table has other columns than its schema says.
    #[error("{}: column {number} is `{found}` where `{expected}` was expected: use the build that wrote it", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The first column that differs, counted from 1.
        number: usize,
        /// Its name; empty where the file has fewer columns.
        found: String,
        /// Its name in this schema; empty where the file has more columns.
        expected: String,
    },
    /// A table cannot be read, and the row reader cannot say in which line.
    #[error("{}: {what}; the file is damaged: restore it from a copy or record again", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The numbers cannot be worked out.
    #[error("cannot work out the metrics: {}; please report this with the recording", first_line(.0))]
    Query(#[from] PolarsError),
    /// The report cannot be written.
    #[error("cannot write {}: {source}; `--stdout` prints the report instead", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// What to do about damage; the other messages say so themselves.
fn advice(error: &RecordingError) -> &'static str {
    match error {
        RecordingError::Csv { .. } | RecordingError::Manifest { .. } => {
            "; the file is damaged: restore it from a copy or record again"
        }
        _ => "",
    }
}

/// The first line of an error that may have more of them.
pub(crate) fn first_line(error: &PolarsError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
