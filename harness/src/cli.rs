//! The command line, and the commands that run nothing.

use crate::exit::{Code, Failure};
use crate::table;
use apportion_scheduler::{Nanos, PolicyKind};
use apportion_workloads::limits::{DURATION, LPS, Limit, REPETITIONS, SLICE, WARM_UP};
use apportion_workloads::{catalogue, parse_duration};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;

/// Shows with measurements whether every guest gets the CPU that its weight promises.
///
/// Boots tiny guests on KVM under a scheduler of its own, compares what each
/// received with the formula, and records everything it measured.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the shipped experiments
    List,
    /// Run experiments and give the verdict
    #[command(after_help = EXIT_CODES)]
    Run(RunArguments),
}

const EXIT_CODES: &str = "\
Exit codes: 0 all pass, 1 the tool failed, 2 bad usage or a bad experiment, 3 a verdict failed,
4 inconclusive, 77 skipped (no KVM on this host), 130 interrupted.";

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Shipped names or paths of .toml files; none runs the shipped suite
    #[arg(value_name = "EXPERIMENT")]
    pub(crate) experiments: Vec<String>,
    /// How long to measure, such as 10s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Nanos>,
    /// How long to run before measuring; recorded, not measured
    #[arg(long, value_name = "TIME", value_parser = warm_up)]
    pub(crate) warm_up: Option<Nanos>,
    /// How often to run each experiment
    #[arg(long, value_name = "N", value_parser = repetitions)]
    pub(crate) repetitions: Option<u32>,
    /// The longest dispatch, 100us to 1s
    #[arg(long, value_name = "TIME", value_parser = slice)]
    pub(crate) slice: Option<Nanos>,
    /// How many LPs to give the guests
    #[arg(long, value_name = "N", value_parser = lps)]
    pub(crate) lps: Option<u32>,
    /// Who decides: fair or round-robin
    #[arg(long, value_name = "POLICY")]
    pub(crate) policy: Option<PolicyKind>,
    /// Folder for the recording, which must not hold one [default: results/TIME-NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

fn time(text: &str, limit: &Limit<Nanos>) -> Result<Nanos, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    limit.check(time).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Nanos, String> {
    time(text, &DURATION)
}

fn warm_up(text: &str) -> Result<Nanos, String> {
    time(text, &WARM_UP)
}

fn slice(text: &str) -> Result<Nanos, String> {
    time(text, &SLICE)
}

fn count(text: &str, limit: &Limit<u32>) -> Result<u32, String> {
    let number = u32::from_str(text).map_err(|_| format!("not a number: use {}", limit.allowed))?;
    limit.check(number).map_err(|error| error.to_string())
}

fn repetitions(text: &str) -> Result<u32, String> {
    count(text, &REPETITIONS)
}

fn lps(text: &str) -> Result<u32, String> {
    count(text, &LPS)
}

/// `apportion list`.
pub(crate) fn list() -> Result<Code, Failure> {
    table::print(&table::catalogue(catalogue()))?;
    Ok(Code::Pass)
}
