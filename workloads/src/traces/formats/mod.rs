//! A reader for each format.

mod alibaba;
mod azure;
mod bitbrains;
mod google;
mod json;
mod own;
mod planetlab;
mod rt_app;
mod timehist;

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::error::TraceError;
use super::fields::Bad;
use super::format::Format;
use super::input::Input;
use super::intake::Intake;
use super::source::Source;

/// What a row says about the rows after it: a break, that none of them is wanted.
type Flow = Result<ControlFlow<()>, Bad>;

/// Reads the files of a trace, and keeps what it has to know from one to the next.
pub(super) trait Reader {
    /// One file, to its end.
    fn read(&mut self, input: &mut Input, intake: &mut Intake) -> Result<(), TraceError>;

    /// Hands on what was held back until the last file had been read.
    fn finish(&mut self, _: &mut Intake) -> Result<(), Bad> {
        Ok(())
    }
}

/// The reader of a format, for a trace of these files of a source; `table` opens the file that says what the VMs are.
pub(super) fn reader(
    format: Format,
    source: &Source,
    files: &[PathBuf],
    table: impl FnOnce(&mut Intake) -> Result<Input, TraceError>,
    intake: &mut Intake,
) -> Result<Box<dyn Reader>, TraceError> {
    Ok(match format {
        Format::Azure => Box::new(azure::Azure::new(&mut table(intake)?, intake)?),
        Format::Alibaba => Box::new(alibaba::Alibaba::new(&mut table(intake)?, intake)?),
        Format::Google => Box::new(google::Google::new(source.machine_lps)?),
        Format::Bitbrains => Box::new(bitbrains::Bitbrains::new(files)?),
        Format::PlanetLab => Box::new(planetlab::PlanetLab),
        Format::RtApp => Box::new(rt_app::RtApp),
        Format::Timehist => Box::new(timehist::Timehist::new(files, source.ahead, intake)?),
        Format::Own => Box::new(own::Own),
    })
}
