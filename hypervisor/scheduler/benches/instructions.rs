//! How many instructions the decisions take: the same on a noisy host, and
//! from one run to the next. Runs itself under valgrind's cachegrind, twice
//! for each number: what the second run executes more is what its further
//! operations took.

mod machines;

use machines::{Machine, Operation, Size};
use std::env;
use std::process::{Command, ExitCode};

/// Says to the program, run under valgrind, what to do.
const CHILD: &str = "--count";

const FEW: u32 = 256;
const MANY: u32 = 4 * FEW;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    if let [_, flag, operation, size, times] = arguments.as_slice()
        && flag == CHILD
    {
        perform(index(operation), index(size), index(times));
        return ExitCode::SUCCESS;
    }
    // `cargo test` runs benchmarks too, to see that they do.
    if !arguments.iter().any(|argument| argument == "--bench") {
        perform(0, 0, FEW as usize);
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("no instructions counted: valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    match table() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("instructions: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn index(text: &str) -> usize {
    text.parse().expect("this program wrote it")
}

fn perform(operation: usize, size: usize, times: usize) {
    let operation = Operation::ALL[operation];
    let size = Size::all().nth(size).expect("this program wrote it");
    let mut machine = Machine::ready_for(operation, size);
    for _ in 0..times {
        machine.perform(operation);
    }
}

fn table() -> Result<(), String> {
    print!("{:32}", "instructions");
    for operation in Operation::ALL {
        print!("{:>14}", operation.name());
    }
    println!();
    for (index, size) in Size::all().enumerate() {
        // Each guest more is looked at by all that come after it: too long under valgrind.
        if size.own && size.vps > 1_024 {
            continue;
        }
        print!("{:32}", size.to_string());
        for operation in 0..Operation::ALL.len() {
            let (few, many) = (
                count(operation, index, FEW)?,
                count(operation, index, MANY)?,
            );
            print!("{:14}", many.saturating_sub(few) / u64::from(MANY - FEW));
        }
        println!();
    }
    Ok(())
}

/// The instructions of a run with so many operations.
fn count(operation: usize, size: usize, times: u32) -> Result<u64, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(this)
        .args([CHILD, &operation.to_string(), &size.to_string()])
        .arg(times.to_string())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    // ==123== I refs:        1,234,567
    let refs = told
        .lines()
        .filter_map(|line| line.split_once("refs:"))
        .find(|(what, _)| what.trim_end().ends_with(" I"))
        .filter(|_| output.status.success());
    let (_, refs) = refs.ok_or_else(|| format!("valgrind failed:\n{told}"))?;
    let digits: String = refs.chars().filter(char::is_ascii_digit).collect();
    digits
        .parse()
        .map_err(|_| format!("valgrind counted {refs:?}"))
}
