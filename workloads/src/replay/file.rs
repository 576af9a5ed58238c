//! Where traces come from: those that are shipped, and files beside the experiment's.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use apportion_scheduler::Nanos;
use sha2::{Digest as _, Sha256};

use crate::experiment::{About, Experiment, Replay};
use crate::suggest::listed;
use crate::traces::{self, Format, Selection, Source, TraceError, TracedVm, Watch, shipped};

/// A trace that was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) vms: Vec<TracedVm>,
    /// Where it was found.
    pub(super) name: String,
    /// Of the file.
    pub(super) sha256: Option<String>,
    pub(super) format: Format,
    /// Until when it says something.
    pub(super) until: Nanos,
}

/// What is wrong with which key, and what to do.
type Wrong = (About, String, String);

/// Reads what an entry names: a trace that is shipped, or a path that begins where the experiment's file is.
pub(super) fn read(
    experiment: &Experiment,
    entry: &Replay,
    selection: &Selection,
    watch: Watch,
) -> Result<Read, Wrong> {
    let trace = entry.trace.get_ref();
    let path = match trace.strip_prefix(shipped::PREFIX) {
        Some(name) if !shipped::names().any(|shipped| shipped == name) => {
            let title = format!("no trace `{}` is shipped", name.escape_debug());
            let names: Vec<String> = shipped::names()
                .map(|it| format!("{}{it}", shipped::PREFIX))
                .collect();
            let label = format!(
                "use {}, or a path",
                listed(names.iter().map(String::as_str))
            );
            return Err((About::Trace, title, label));
        }
        Some(_) => PathBuf::from(trace),
        None => beside(experiment).join(trace),
    };
    let source = Source {
        files: vec![path.clone()],
        format: entry.format,
        ..Source::default()
    };
    let loaded = traces::load(&source, selection, watch).map_err(wrong)?;
    let sha256 = sha256(&path).map_err(|error| {
        let title = format!("cannot read {}: {error}", path.display());
        (About::Trace, title, "this trace".to_owned())
    })?;
    Ok(Read {
        vms: loaded.vms,
        name: path.display().to_string(),
        sha256,
        format: loaded.scanned.format,
        until: loaded.scanned.until,
    })
}

/// Where relative paths of an experiment begin.
pub(super) fn beside(experiment: &Experiment) -> &Path {
    let beside = Path::new(&*experiment.source).parent();
    beside.unwrap_or(Path::new(""))
}

/// Of a trace that is not read. What only an option of `apportion trace` can say has no key.
fn wrong(error: TraceError) -> Wrong {
    let (about, label) = match &error {
        TraceError::UnknownVms(_) => (About::Vms, "use names of this trace"),
        TraceError::Unreadable { .. } | TraceError::NoFiles(_) => {
            (About::Trace, "a path begins where the experiment's file is")
        }
        TraceError::UnknownFormat { .. } => (About::Trace, "say it with `format`"),
        TraceError::Nothing { .. } => (About::Trace, "use another `from`, or another trace"),
        TraceError::TooLong { .. } => (About::Trace, "use a shorter run, or a lower `speed`"),
        TraceError::BadLine(_) | TraceError::BadItem { .. } => (
            About::Trace,
            "mend it, or replay what `apportion trace convert --skip-bad` makes of it",
        ),
        TraceError::NoTable { .. } => (
            About::Trace,
            "put it there, or replay what `apportion trace convert --vmtable` makes of both",
        ),
        TraceError::NoMachineLps => (
            About::Trace,
            "replay what `apportion trace convert --machine-lps` makes of it",
        ),
        _ => (About::Trace, "this trace"),
    };
    (about, error.to_string(), label.to_owned())
}

/// Of a file; none of a folder.
fn sha256(path: &Path) -> io::Result<Option<String>> {
    if let Some(text) = shipped::text(path) {
        return Ok(Some(hex(&Sha256::digest(text.as_bytes()))));
    }
    if path.is_dir() {
        return Ok(None);
    }
    let mut digest = Sha256::new();
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    loop {
        let block = file.fill_buf()?;
        if block.is_empty() {
            break;
        }
        digest.update(block);
        let length = block.len();
        file.consume(length);
    }
    Ok(Some(hex(&digest.finalize())))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
