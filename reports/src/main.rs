//! `apportion-report`: writes `report.md` into a recording.
#![forbid(unsafe_code)]

use anyhow::anyhow;
use apportion_reports::{report, write_report};
use clap::Parser;
use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes a report on a recording: measured shares against expected ones, with their bounds.
#[derive(Debug, Parser)]
#[command(name = "apportion-report", version)]
struct Options {
    /// The recording's folder.
    #[arg(default_value = "results/latest", value_name = "DIR")]
    recording: PathBuf,
    /// Print the report instead of writing DIR/report.md.
    #[arg(long)]
    stdout: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each message has its cause in it, so the chain would say it twice.
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    let text = report(&options.recording)?;
    let shown = if options.stdout {
        text
    } else {
        let path = write_report(&options.recording, &text)?;
        format!("report: {}\n", path.display())
    };
    match io::stdout().lock().write_all(shown.as_bytes()) {
        // A reader that has seen enough (`| head`) is no failure.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| anyhow!("cannot write to standard output: {error}")),
    }
}
