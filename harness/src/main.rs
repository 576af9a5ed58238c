//! `apportion`: runs experiments on the hypervisor, records them and gives the verdict.
#![forbid(unsafe_code)]

mod check;
mod cli;
mod counters;
mod demand;
mod details;
mod engine;
mod entry;
mod exit;
mod host;
mod ledger;
mod plan;
mod points;
mod predict;
mod progress;
mod recorder;
mod replay;
mod results;
mod run;
mod session;
mod signals;
mod snapshot;
mod statistics;
mod table;
mod top;
mod trace;
mod verdict;
mod watch;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match cli::Cli::parse().command {
        cli::Command::List => cli::list(),
        cli::Command::Check(arguments) => check::check(&arguments),
        cli::Command::Predict(arguments) => predict::predict(&arguments),
        cli::Command::Schema => cli::schema(),
        cli::Command::Run(arguments) => run::run(&arguments, run::Show::Progress),
        cli::Command::Top(arguments) => run::run(&arguments, run::Show::Top),
        cli::Command::Counters(arguments) => counters::counters(&arguments.dir),
        cli::Command::ReplayDecisions(arguments) => replay::replay(&arguments.dir),
        cli::Command::Trace(command) => trace::trace(&command),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            table::tell(&failure.message());
            failure.code.into()
        }
    }
}
