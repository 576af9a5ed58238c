//! Reads a trace from its first file to its last, and hands what is selected to a sink.

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use apportion_scheduler::Nanos;

use super::error::TraceError;
use super::format::{Format, detect};
use super::formats::reader;
use super::input::Input;
use super::intake::{Intake, Progress, Rules, Watch};
use super::selection::{Count, Sample, Selection};
use super::sink::Sink;
use super::source::Source;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The format, said or found.
    pub format: Format,
    /// Rows of demand read, good or bad, selected or not: lines with a reading or more; of `rt-app` pieces of work and
    /// what is bad in the file.
    pub rows: u64,
    /// Rows that are selected and were used.
    pub used: u64,
    /// Rows that are bad and were left out.
    pub skipped: u64,
    /// Rows that have no reading, and are none of a VM.
    pub gaps: u64,
    /// Bad lines left out of the file that says what the VMs are; they are no rows.
    pub skipped_of_table: u64,
    /// Whether readings that follow no order were too scattered for all to be held against each other: some may have
    /// been used that are for the same time.
    pub unchecked: bool,
    /// Until when the trace says something, as far as it was read.
    pub until: Nanos,
}

impl Scanned {
    /// Rows of other VMs and times than those that are selected.
    pub fn elsewhere(&self) -> u64 {
        let told = self.used + self.skipped + self.gaps;
        self.rows.saturating_sub(told)
    }
}

/// How much is remembered of a trace beside what is made of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// VMs that are told apart.
    pub(super) vms: usize,
    /// Stretches of time for which VMs have readings, where these follow no order.
    pub(super) stretches: usize,
}

impl Most {
    /// Where all is kept that is read.
    pub(super) const ALL: Most = Most {
        vms: usize::MAX,
        stretches: usize::MAX,
    };

    /// Stretches that take some 150 MiB.
    pub(super) const STRETCHES: usize = 4 << 20;
}

/// Reads a trace, and remembers so much of it. For a sample it reads twice: once for the names.
pub(super) fn scan(
    source: &Source,
    selection: &Selection,
    most: Most,
    watch: Watch,
    sink: &mut dyn Sink,
) -> Result<Scanned, TraceError> {
    let files = source.list()?;
    let format = match (source.format, files.first()) {
        (Some(format), _) => format,
        (None, None) => return Err(TraceError::NoFiles(PathBuf::new())),
        (None, Some(first)) => {
            let unclear = |problem| TraceError::UnknownFormat {
                file: first.clone(),
                problem,
            };
            detect(Input::open(first, None)?.head()?).map_err(unclear)?
        }
    };
    let rules = Rules {
        ordered: format.is_ordered(),
        skip_bad: source.skip_bad,
        most_vms: most.vms,
        most_stretches: most.stretches,
    };
    let Count::Sample { vms, seed } = selection.count else {
        let mut intake = Intake::new(selection, rules, watch, sink);
        return read(source, format, &files, &mut intake);
    };
    let sample = {
        // Half of the way.
        let mut half = |it: Progress| {
            watch(Progress {
                of: 2 * it.of,
                ..it
            })
        };
        let mut intake = Intake::new(selection, rules, &mut half, sink);
        intake.sample = Some(Sample::new(vms, seed));
        read(source, format, &files, &mut intake)?;
        let names = intake.sample.take();
        names
            .into_iter()
            .flat_map(Sample::names)
            .collect::<HashSet<_>>()
    };
    let mut rest = |it: Progress| -> ControlFlow<()> {
        let (bytes, of) = (it.of + it.bytes, 2 * it.of);
        watch(Progress { bytes, of, ..it })
    };
    let mut intake = Intake::new(selection, rules, &mut rest, sink);
    intake.want(sample);
    read(source, format, &files, &mut intake)
}

fn read(
    source: &Source,
    format: Format,
    files: &[PathBuf],
    intake: &mut Intake,
) -> Result<Scanned, TraceError> {
    let length = |file: &Path| fs::metadata(file).map_or(0, |it| it.len());
    intake.of = files.iter().map(|it| length(it)).sum();
    let first = files.first().map_or(Path::new(""), PathBuf::as_path);
    let table = |intake: &mut Intake| {
        let path = source.table(format, first)?;
        intake.of += length(&path);
        Input::open(&path, source.ahead)
    };
    let mut reader = reader(format, source, files, table, intake)?;
    for file in files {
        let mut input = Input::open(file, source.ahead)?;
        input.head()?;
        reader.read(&mut input, intake)?;
        intake.bytes += input.consumed();
    }
    // What is held back was checked when it was read, all but what no single line is to blame for.
    let held = reader.finish(intake);
    held.or_else(|bad| {
        intake.bad_line(files.last().map_or(Path::new(""), PathBuf::as_path), 0, bad)
    })?;
    // Of a sample's second pass others are left out on purpose.
    if !intake.is_of_sample {
        let missing = intake.missing();
        if !missing.is_empty() {
            return Err(TraceError::UnknownVms(missing));
        }
    }
    Ok(Scanned {
        format,
        rows: intake.rows,
        used: intake.used,
        skipped: intake.skipped,
        gaps: intake.gaps,
        skipped_of_table: intake.skipped_of_table,
        unchecked: intake.unchecked,
        until: intake.until,
    })
}
