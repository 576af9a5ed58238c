//! From any format to our own.

use std::io::Write;

use super::writer::Writer;
use crate::traces::error::TraceError;
use crate::traces::intake::Watch;
use crate::traces::scan::{Most, Scanned, scan};
use crate::traces::selection::Selection;
use crate::traces::source::Source;

/// Reads a trace and writes what is selected of it in our own format, row by row: memory is bounded by the number of
/// VMs, whatever the length of the trace.
///
/// # Errors
/// [`TraceError`], where it is no trace, has a line that is wrong, nothing of it is selected, or `out` has an error.
pub fn convert<W: Write>(
    source: &Source,
    selection: &Selection,
    watch: Watch,
    out: W,
) -> Result<(W, Converted), TraceError> {
    let most = Most {
        stretches: Most::STRETCHES,
        ..Most::ALL
    };
    let mut writer = Writer::new(out);
    let scanned = scan(source, selection, most, watch, &mut writer);
    let vms = writer.vms();
    let written = writer.finish();
    match (scanned, written) {
        // Where nobody asked for an interruption, it was that which cannot be written.
        (Err(TraceError::Interrupted) | Ok(_), Err(error)) => Err(TraceError::Unwritable(error)),
        (Err(error), _) => Err(error),
        (Ok(Scanned { rows, .. }), Ok(_)) if vms == 0 => Err(TraceError::Nothing { rows }),
        (Ok(scanned), Ok(out)) => Ok((out, Converted { vms, scanned })),
    }
}

/// What was converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// VMs written.
    pub vms: u64,
    /// What was read.
    pub scanned: Scanned,
}
