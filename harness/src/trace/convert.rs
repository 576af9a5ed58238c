//! `apportion trace convert`: any format to our own.

use super::arguments::ConvertArguments;
use super::failed;
use super::output::Output;
use super::progress::Bar;
use super::told::{self, Pace};
use crate::exit::{Code, Failure};
use crate::table::tell;
use apportion_workloads::traces;

pub(super) fn convert(arguments: &ConvertArguments) -> Result<Code, Failure> {
    let (source, selection) = (arguments.trace.source(), arguments.trace.selection()?);
    let output = Output::new(&arguments.out)?;
    let pace = Pace::begin();
    let bar = Bar::writing("converting", true, &output)?;
    let converted = traces::convert(&source, &selection, &mut |it| bar.see(it), output.file()?);
    drop(bar);
    let (out, converted) = converted.map_err(failed)?;
    out.finish().map_err(|error| output.failed(error))?;
    output.keep()?;
    let vms = told::count(converted.vms, "VM");
    tell(&format!("wrote {vms} to {}", arguments.out.display()));
    tell(&format!("rows  {}", told::rows(&converted.scanned)));
    told::left_out(&converted.scanned);
    pace.tell("read", converted.scanned.rows, "row");
    Ok(Code::Pass)
}
