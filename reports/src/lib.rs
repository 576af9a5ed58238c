//! Turns a recording into tables for people: CSV files into frames, frames
//! into a few numbers, numbers into `report.md`.
//!
//! Nothing here touches what it reads; a report can be made again at any time.
#![forbid(unsafe_code)]

mod error;
mod frames;
pub mod markdown;
pub mod metrics;
mod report;

pub use error::ReportError;
pub use frames::Frames;

use apportion_recording::{files, read_manifest};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The name of the report within its recording.
pub const REPORT: &str = "report.md";

/// The report on the recording in `dir`, as Markdown.
///
/// # Errors
/// Where `dir` holds no recording of this schema or a file of it is damaged.
/// A recording that was cut short is no error: its report says how far it got.
pub fn report(dir: &Path) -> Result<String, ReportError> {
    if !dir.is_dir() {
        return Err(ReportError::NoFolder(dir.to_owned()));
    }
    if !dir.join(files::MANIFEST).exists() {
        return Err(ReportError::NoRecording(dir.to_owned()));
    }
    let manifest = read_manifest(dir)?;
    let frames = Frames::load(dir, manifest.status)?;
    Ok(report::render(&manifest, &frames)?)
}

/// Writes `text` as the report of the recording in `dir`, whole or not at all, and says where it is.
///
/// # Errors
/// Where the disk refuses it; an older report is untouched then.
pub fn write_report(dir: &Path, text: &str) -> Result<PathBuf, ReportError> {
    let path = dir.join(REPORT);
    let temporary = dir.join(".report.md.new");
    let written = File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path));
    match written {
        Ok(()) => Ok(path),
        Err(source) => {
            // Best effort: the error that matters is the first one.
            let _ = fs::remove_file(&temporary);
            Err(ReportError::Write { path, source })
        }
    }
}
