//! `apportion counters`: what a recording's runs counted, as tables.

use crate::exit::{Code, Failure};
use crate::table;
use anyhow::anyhow;
use apportion_recording::{RecordingError, files, read_manifest};
use std::io::ErrorKind;
use std::path::Path;

/// The whole command.
pub(crate) fn counters(dir: &Path) -> Result<Code, Failure> {
    let manifest = read_manifest(dir).map_err(|error| unreadable(dir, error))?;
    if manifest.runs.iter().any(|run| run.counters.is_some()) {
        table::print(&table::counters(&manifest))?;
    } else {
        let why = match manifest.runs.len() {
            0 => "no run was completed".to_owned(),
            _ if dir.join(files::COUNTERS).exists() => format!(
                "nothing was measured; {} has what was counted before",
                files::COUNTERS
            ),
            _ => format!("the engine ({}) kept none", manifest.engine),
        };
        table::print(&format!("{} holds no counters: {why}", dir.display()))?;
    }
    Ok(Code::Pass)
}

/// What is wrong with the folder that was named.
fn unreadable(dir: &Path, error: RecordingError) -> Failure {
    let name = dir.display();
    Failure::refused(match error {
        RecordingError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            match dir.is_dir() {
                true => anyhow!("{name} is no recording: it holds no {}", files::MANIFEST),
                false => anyhow!("there is no folder {name}: give the folder of a recording"),
            }
        }
        RecordingError::Io { source, .. } if source.kind() == ErrorKind::NotADirectory => {
            anyhow!("{name} is no folder: give the folder of a recording")
        }
        other => other.into(),
    })
}
