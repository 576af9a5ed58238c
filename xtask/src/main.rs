//! `cargo xtask`: the project's own commands. Thin: starts cargo and the binaries, links none of them.
#![forbid(unsafe_code)]

mod bench;
mod child;
mod fuzz;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask COMMAND

Commands:
  bench [EXPERIMENT…] [OPTIONS]  Build, run experiments, print the table, write the report
  report [DIR]                   Write the report of a recording (the latest by default)
  fuzz [TARGET…] [OPTIONS]       Feed what reads a guest's input with inputs that libFuzzer makes up

`cargo xtask COMMAND --help` tells more.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some("bench") => bench::bench(&arguments.collect::<Vec<_>>()),
        Some("report") => bench::report(&arguments.collect::<Vec<_>>()),
        Some("fuzz") => fuzz::fuzz(&arguments.collect::<Vec<_>>()),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            match other {
                Some(unknown) => eprintln!("error: unknown command `{unknown}`\n\n{HELP}"),
                None => eprintln!("{HELP}"),
            }
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(1)
    })
}
