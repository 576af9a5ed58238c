//! The command line, and the commands that run nothing.

use crate::exit::{Code, Failure};
use crate::table;
use crate::trace;
use apportion_scheduler::{Nanos, PolicyKind, ReserveModel, WeightScope};
use apportion_workloads::limits::{DURATION, LPS, Limit, NODES, REPETITIONS, SEED, SLICE, WARM_UP};
use apportion_workloads::{Axis, Setting, catalogue, choice, parse_duration};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::fmt::Display;
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
    /// Check experiments without running them
    #[command(after_help = CHECK_HELP)]
    Check(CheckArguments),
    /// Show what shares experiments should see, without running them
    #[command(after_help = PREDICT_HELP)]
    Predict(PredictArguments),
    /// Print the JSON Schema of experiment files, for editors
    Schema,
    /// Run experiments and give the verdict
    #[command(after_help = EXIT_CODES)]
    Run(RunArguments),
    /// Run experiments and show them live; keys change guests
    #[command(after_help = TOP_HELP)]
    Top(RunArguments),
    /// Show the performance counters of a recording's runs
    #[command(after_help = COUNTERS_EXIT_CODES)]
    Counters(CountersArguments),
    /// Feed recorded decisions to the scheduler again and compare what it decides
    #[command(after_help = REPLAY_EXIT_CODES)]
    ReplayDecisions(ReplayArguments),
    /// Sum up, convert or make up traces of demand
    #[command(subcommand, after_help = TRACE_EXIT_CODES)]
    Trace(trace::Command),
}

const EXIT_CODES: &str = "\
Exit codes: 0 all pass, 1 the tool failed, 2 bad usage or a bad experiment, 3 a verdict failed,
4 inconclusive, 77 skipped (no KVM on this host: what ran was simulated), 130 interrupted.";

const CHECK_HELP: &str = "\
Examples:
  apportion check mine.toml                  mistakes, and what will not do what it seems to
  apportion check experiments --lps 8        every .toml file of a folder, as on 8 LPs
  apportion check --deny-warnings mine.toml  for CI
  apportion check --rules                    all that is looked for

A file says that something is meant by a line such as
  # check: allow inert-cap: an insurance, not to be reached here

Exit codes: 0 no errors, 1 the tool failed, 2 errors, or warnings with --deny-warnings.";

const PREDICT_HELP: &str = "\
Examples:
  apportion predict production-test  who is due how much, under both readings of a reserve and both
                                     scopes of a weight
  apportion predict mine.toml --vps  what each VP is due, in % of one LP
  apportion predict mine.toml --scan guest.web.weight=100..400:100
                                     the same for each of several weights
  apportion predict mine.toml --json for tools

Exit codes: 0 shown, 1 the tool failed, 2 bad usage or a bad experiment.";

const TOP_HELP: &str = "\
Runs, records and judges as `apportion run` does, with its exit codes, and shows meanwhile what
every guest receives. On a terminal: arrows select a guest; w, e and c change its weight, reserve
and cap, + and - its weight by a tenth; < > r sort, v shows VPs, space freezes, ? helps, and q
ends the run and keeps what was measured. Elsewhere, and where TERM is dumb, it prints a line per
guest and second, and one per event. NO_COLOR is honoured.";

const COUNTERS_EXIT_CODES: &str = "\
Exit codes: 0 shown, or the recording has none, 1 the tool failed, 2 no recording, or of another schema.";

const REPLAY_EXIT_CODES: &str = "\
Exit codes: 0 all identical, 1 the tool failed, 2 no decisions or a malformed line, 3 a decision differs.";

const TRACE_EXIT_CODES: &str = "\
Exit codes: 0 done, 1 a file cannot be written, 2 bad usage, or a trace that is bad or cannot be read, 130 interrupted.";

/// What runs the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// KVM where it works, else the simulator (exit code 77)
    Auto,
    /// KVM or nothing (exit code 77)
    Kvm,
    /// Virtual time: nothing is measured
    Simulator,
}

/// Other values for keys of the files.
#[derive(Debug, Args)]
pub(crate) struct SettingArguments {
    /// Give a key of the file another value, such as guest.test.weight=100; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Setting::parse)]
    pub(crate) set: Vec<Setting>,

    /// Take several values of a key in turn, such as guest.test.weight=50..200:50 or slice=1ms,5ms; may be repeated
    #[arg(long, value_name = "KEY=VALUES", value_parser = Axis::parse)]
    pub(crate) scan: Vec<Axis>,
}

/// What is asked of experiments that are not run.
#[derive(Debug, Args)]
pub(crate) struct AsIf {
    /// How many LPs they get [default: as the file says, or all of this host]
    #[arg(long, value_name = "N", value_parser = lps, allow_negative_numbers = true)]
    pub(crate) lps: Option<u32>,
    /// How long they are to be measured, such as 10s [default: as the file says]
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) duration: Option<Nanos>,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Files, folders of .toml files, or shipped names; none checks all that ship
    #[arg(value_name = "EXPERIMENT")]
    pub(crate) experiments: Vec<String>,
    #[command(flatten)]
    pub(crate) as_if: AsIf,
    /// Warnings count as errors
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// List the rules
    #[arg(long, exclusive = true)]
    pub(crate) rules: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    /// Files or shipped names
    #[arg(value_name = "EXPERIMENT", required = true)]
    pub(crate) experiments: Vec<String>,
    #[command(flatten)]
    pub(crate) as_if: AsIf,
    /// Show what each VP is due, instead of guests
    #[arg(long)]
    pub(crate) vps: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "vps")]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CountersArguments {
    /// Folder of a recording
    #[arg(value_name = "RUN", default_value = "results/latest")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// Folder of a recording made with --decisions
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Shipped names or paths of .toml files; none runs the shipped suite
    #[arg(value_name = "EXPERIMENT")]
    pub(crate) experiments: Vec<String>,
    /// What runs the guests: kvm, simulator (virtual time), or auto: KVM where it works
    #[arg(
        long,
        value_enum,
        value_name = "ENGINE",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub(crate) engine: EngineChoice,
    /// How long to measure, such as 10s
    #[arg(long, value_name = "TIME", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) duration: Option<Nanos>,
    /// How long to run before measuring; recorded, not measured
    #[arg(long, value_name = "TIME", value_parser = warm_up, allow_hyphen_values = true)]
    pub(crate) warm_up: Option<Nanos>,
    /// How often to run each experiment
    #[arg(long, value_name = "N", value_parser = repetitions, allow_negative_numbers = true)]
    pub(crate) repetitions: Option<u32>,
    /// The longest dispatch, 100us to 1s
    #[arg(long, value_name = "TIME", value_parser = slice, allow_hyphen_values = true)]
    pub(crate) slice: Option<Nanos>,
    /// How many LPs to give the guests
    #[arg(long, value_name = "N", value_parser = lps, allow_negative_numbers = true)]
    pub(crate) lps: Option<u32>,
    /// How many NUMA nodes to divide the LPs into; more than one for the simulator only
    #[arg(long, value_name = "N", value_parser = nodes, allow_negative_numbers = true)]
    pub(crate) nodes: Option<u32>,
    /// Who decides: fair, round-robin, stride, lottery or credit2
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    pub(crate) policy: Option<PolicyKind>,
    /// What a reserve means under contention: additive or floor
    #[arg(long, value_name = "MODEL", value_parser = reserve_model)]
    pub(crate) reserve_model: Option<ReserveModel>,
    /// Whose claim a weight is: vp or guest
    #[arg(long, value_name = "SCOPE", value_parser = weight_scope)]
    pub(crate) weight_scope: Option<WeightScope>,
    /// Where everything random begins
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) settings: SettingArguments,

    /// Record every decision of the scheduler in decisions.csv
    #[arg(long)]
    pub(crate) decisions: bool,
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

fn count<T>(text: &str, limit: &Limit<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let number = T::from_str(text).map_err(|_| format!("use {}", limit.allowed))?;
    limit.check(number).map_err(|error| error.to_string())
}

fn repetitions(text: &str) -> Result<u32, String> {
    count(text, &REPETITIONS)
}

fn lps(text: &str) -> Result<u32, String> {
    count(text, &LPS)
}

fn nodes(text: &str) -> Result<u32, String> {
    count(text, &NODES)
}

fn seed(text: &str) -> Result<u64, String> {
    count(text, &SEED)
}

fn policy(text: &str) -> Result<PolicyKind, String> {
    choice("policy", &PolicyKind::ALL.map(|it| (it.name(), it)), text)
}

fn reserve_model(text: &str) -> Result<ReserveModel, String> {
    let options = ReserveModel::ALL.map(|it| (it.name(), it));
    choice("reserve model", &options, text)
}

fn weight_scope(text: &str) -> Result<WeightScope, String> {
    let options = WeightScope::ALL.map(|it| (it.name(), it));
    choice("weight scope", &options, text)
}

/// `apportion schema`.
pub(crate) fn schema() -> Result<Code, Failure> {
    table::print(&format!("{:#}", apportion_workloads::schema()))?;
    Ok(Code::Pass)
}

/// `apportion list`.
pub(crate) fn list() -> Result<Code, Failure> {
    table::print(&table::catalogue(catalogue()))?;
    Ok(Code::Pass)
}
