//! `cargo xtask bench`: the harness optimised, the run, its table, and only then the report, whose libraries take minutes to build.

use crate::child::{BY_SIGNAL, Signals};
use crate::workspace::{cargo, is_help, target_dir, workspace};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
Build the harness, run experiments on KVM, print the table, write the report

Usage: cargo xtask bench [EXPERIMENT…] [--no-report] [OPTIONS OF apportion run]

With no EXPERIMENT the shipped suite runs: production-test, three-weights, tlfs, equal,
cap, reserve, reserve-floor. `target/release/apportion list` shows all that are shipped.
Everything else goes to `apportion run`:";

const REPORT_HELP: &str = "\
Write the report of a recording into its folder

Usage: cargo xtask report [DIR]

Without DIR the latest recording is meant, results/latest.";

/// Ctrl-C, as a shell tells it.
const INTERRUPTED: u8 = 130;

/// Exit codes of `apportion run` after which there may be a whole recording:
/// pass, fail, inconclusive, and simulated for want of KVM.
const RECORDED: [u8; 4] = [0, 3, 4, 77];

/// The whole command; ends with the run's exit code.
pub(crate) fn bench(arguments: &[String]) -> Result<ExitCode> {
    let workspace = workspace()?;
    let signals = Signals::catch()?;
    let help = arguments.iter().any(is_help);
    if help {
        println!("{HELP}\n");
    }
    let (own, for_run): (Vec<_>, Vec<_>) = arguments
        .iter()
        .partition(|argument| *argument == "--no-report");

    let built =
        signals.run(cargo(&workspace).args(["build", "--release", "--package", "apportion"]))?;
    if built != 0 {
        return Ok(ExitCode::from(failed_build(built)));
    }
    let before = latest();
    let apportion = binary(&workspace, "release", "apportion");
    let ran = signals.run(Command::new(apportion).arg("run").args(&for_run))?;
    if help || !own.is_empty() {
        return Ok(ExitCode::from(ran));
    }
    // An old recording is not this run's.
    let fresh = |dir: &PathBuf| before.as_ref() != Some(dir) && dir.join("manifest.json").exists();
    let Some(dir) = recording(&for_run).filter(fresh) else {
        return Ok(ExitCode::from(ran));
    };
    if ran == INTERRUPTED {
        eprintln!("for a report on it: cargo xtask report {}", dir.display());
    }
    if !RECORDED.contains(&ran) {
        return Ok(ExitCode::from(ran));
    }
    let reported = write_report(&signals, &workspace, &dir)?;
    if reported != 0 {
        eprintln!(
            "the report was not written; the recording in {} is whole",
            dir.display()
        );
    }
    // A failed verdict counts more than a missing report.
    Ok(ExitCode::from(if ran == 0 { reported } else { ran }))
}

/// `cargo xtask report [DIR]`: report.md for a recording, the latest one by default.
pub(crate) fn report(arguments: &[String]) -> Result<ExitCode> {
    if arguments.iter().any(is_help) {
        println!("{REPORT_HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let dir = match arguments {
        [] => latest().context("there is no results/latest here: name the recording's folder")?,
        [dir] if !dir.starts_with('-') => dir.into(),
        _ => {
            eprintln!("{REPORT_HELP}");
            return Ok(ExitCode::from(2));
        }
    };
    let (workspace, signals) = (workspace()?, Signals::catch()?);
    Ok(ExitCode::from(write_report(&signals, &workspace, &dir)?))
}

fn write_report(signals: &Signals, workspace: &Path, recording: &Path) -> Result<u8> {
    eprintln!(
        "writing the report (the first time its libraries are built, which takes some minutes)"
    );
    // With the whole workspace selected, polars gets the features that
    // `cargo test --workspace` gives it, and is built once for both.
    let built = signals.run(cargo(workspace).args([
        "build",
        "--workspace",
        "--bin",
        "apportion-report",
    ]))?;
    match built {
        0 => {
            signals.run(Command::new(binary(workspace, "debug", "apportion-report")).arg(recording))
        }
        code => Ok(failed_build(code)),
    }
}

/// cargo's own codes mean nothing to our callers: a failed build is a failure of the tool.
fn failed_build(code: u8) -> u8 {
    if code >= BY_SIGNAL { code } else { 1 }
}

fn binary(workspace: &Path, profile: &str, name: &str) -> PathBuf {
    target_dir(workspace).join(profile).join(name)
}

/// Where a run with these arguments leaves its recording.
fn recording(arguments: &[&String]) -> Option<PathBuf> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        if let Some(dir) = argument.strip_prefix("--out=") {
            return Some(dir.into());
        }
        if *argument == "--out" {
            return rest.next().map(PathBuf::from);
        }
    }
    latest()
}

/// What results/latest points to.
fn latest() -> Option<PathBuf> {
    let results = Path::new("results");
    Some(results.join(fs::read_link(results.join("latest")).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_is_where_out_says() {
        let arguments = ["tlfs", "--out", "a/b"].map(String::from);
        assert_eq!(recording(&arguments.each_ref()), Some("a/b".into()));
        let arguments = ["--out=c", "tlfs"].map(String::from);
        assert_eq!(recording(&arguments.each_ref()), Some("c".into()));
    }

    #[test]
    fn a_failed_build_is_a_failure_of_the_tool_and_an_interrupted_one_is_not() {
        assert_eq!(failed_build(101), 1);
        assert_eq!(failed_build(130), 130);
    }
}
