//! `apportion trace`: traces of demand summed up, converted and made up.

mod ahead;
mod arguments;
mod convert;
mod output;
mod progress;
mod summarise;
mod synthesise;
mod told;

use crate::exit::{Code, Failure};
use anyhow::anyhow;
use apportion_workloads::traces::TraceError;
use std::io::ErrorKind;

pub(crate) use arguments::Command;

/// The whole command.
pub(crate) fn trace(command: &Command) -> Result<Code, Failure> {
    match command {
        Command::Summarise(arguments) => summarise::summarise(arguments),
        Command::Convert(arguments) => convert::convert(arguments),
        Command::Synthesise(arguments) => synthesise::synthesise(arguments),
    }
}

/// With which code a trace that cannot be read ends the tool.
fn failed(error: TraceError) -> Failure {
    let code = match &error {
        TraceError::Interrupted => Code::Interrupted,
        TraceError::Unreadable { reason, .. } if reason.kind() != ErrorKind::NotFound => {
            Code::Failed
        }
        TraceError::Unwritable(_) => Code::Failed,
        _ => Code::Refused,
    };
    match error.option() {
        Some(option) => Failure::new(code, anyhow!("{error}\n{option}")),
        None => Failure::new(code, error),
    }
}
