//! `cargo xtask fuzz`: the fuzz targets under libFuzzer, built by the project's own stable compiler.

use crate::child::{BY_SIGNAL, Signals};
use crate::workspace::{cargo, is_help, target_dir, workspace};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

const HELP: &str = "\
Feed whatever reads what a guest or a file controls with inputs that libFuzzer makes up

Usage: cargo xtask fuzz [--seconds N | --runs N] [TARGET…]

Targets are hypercall, image, rings and trace; without one all run, one after the other, each for 30 s if
nothing else is said. libFuzzer is C++: its compiler has to be there (c++, or what CXX names). Inputs that found
something new stay in target/fuzz/corpus and are taken up again.";

const TARGETS: [&str; 4] = ["hypercall", "image", "rings", "trace"];

/// cargo's exit code where it is cargo that fails.
const NOT_BUILT: u8 = 101;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// libFuzzer's word for how long.
    length: String,
    targets: Vec<String>,
}

/// The whole command.
pub(crate) fn fuzz(arguments: &[String]) -> Result<ExitCode> {
    if arguments.iter().any(is_help) {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(plan) = plan(arguments) else {
        eprintln!("{HELP}");
        return Ok(ExitCode::from(2));
    };
    find_compiler()?;
    let (workspace, signals) = (workspace()?, Signals::catch()?);
    for target in &plan.targets {
        println!("fuzzing {target}");
        let ended = run(&workspace, &signals, target, &plan.length)?;
        if ended != 0 {
            return Ok(ExitCode::from(ended));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn plan(arguments: &[String]) -> Option<Plan> {
    let mut length = "-max_total_time=30".to_owned();
    let mut targets = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut number = || rest.next()?.parse::<u64>().ok();
        match argument.as_str() {
            "--seconds" => length = format!("-max_total_time={}", number()?),
            "--runs" => length = format!("-runs={}", number()?),
            name if TARGETS.contains(&name) => targets.push(name.to_owned()),
            _ => return None,
        }
    }
    if targets.is_empty() {
        targets = TARGETS.map(str::to_owned).to_vec();
    }
    Some(Plan { length, targets })
}

/// Builds and runs one target; returns the exit code of that.
fn run(workspace: &Path, signals: &Signals, target: &str, length: &str) -> Result<u8> {
    let built = target_dir(workspace).join("fuzz");
    let [corpus, failures] = ["corpus", "failures"].map(|it| built.join(it).join(target));
    for folder in [&corpus, &failures] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let seeds = workspace.join("fuzz/corpus").join(target);
    // In that folder cargo finds the flags of the instrumentation; those of
    // the environment would take their place.
    let mut cargo = cargo(&workspace.join("fuzz"));
    cargo.env_remove("RUSTFLAGS");
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo.args(["run", "--release", "--bin", target, "--target-dir"]);
    cargo.arg(&built).arg("--").arg(length);
    // A longer input is more of the same, and what is in the corpus is no longer.
    cargo.args(["-max_len=1024", "-timeout=30", "-print_final_stats=1"]);
    cargo.arg(format!("-artifact_prefix={}/", failures.display()));
    // What is new goes to the first.
    cargo.args([corpus, seeds]);
    let ended = signals.run(&mut cargo)?;
    if ended == 0 || ended >= BY_SIGNAL {
        return Ok(ended);
    }
    if ended != NOT_BUILT {
        let of = if target == "trace" {
            "workloads"
        } else {
            "hypervisor"
        };
        eprintln!(
            "{target} failed: put the input from {} into fuzz/corpus/{target} under a name that says what it \
             shows, and `cargo test -p apportion-{of} fuzz` repeats it",
            failures.display()
        );
    }
    Ok(1)
}

/// libFuzzer comes as source.
fn find_compiler() -> Result<()> {
    let name = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut asked = Command::new(&name);
    asked
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if asked.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!(
        "there is no C++ compiler `{}`, and libFuzzer takes one: install it (Debian: apt install g++) or name one in CXX",
        name.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(arguments: &[&str]) -> Option<(String, Vec<String>)> {
        let arguments: Vec<_> = arguments.iter().map(|it| (*it).to_owned()).collect();
        plan(&arguments).map(|plan| (plan.length, plan.targets))
    }

    #[test]
    fn all_targets_run_for_a_while_unless_something_else_is_said() {
        let (length, targets) = planned(&[]).unwrap();
        assert_eq!((length.as_str(), targets.len()), ("-max_total_time=30", 4));
        let (length, targets) = planned(&["rings", "--runs", "7"]).unwrap();
        assert_eq!(
            (length.as_str(), targets),
            ("-runs=7", vec!["rings".to_owned()])
        );
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        for wrong in [["--seconds", "soon"], ["--runs", "-1"], ["image", "ring"]] {
            assert_eq!(planned(&wrong), None, "{wrong:?}");
        }
        assert_eq!(planned(&["--seconds"]), None);
    }
}
