//! What the tool does on a host without /dev/kvm. Where there is one it is hidden, in a mount namespace with an empty /dev.

use libtest_mimic::{Arguments, Trial};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use tempfile::TempDir;

fn main() -> ExitCode {
    let can_hide = shell("true", Path::new(".")).is_some_and(|output| output.status.success());
    let trial = |&(name, test): &(&str, fn())| {
        let test = Trial::test(name, move || {
            test();
            Ok(())
        });
        test.with_ignored_flag(!can_hide)
    };
    let conclusion = libtest_mimic::run(&Arguments::from_args(), TESTS.iter().map(trial).collect());
    if !can_hide {
        println!(
            "SKIPPED: {} tests need to hide /dev/kvm: no unshare here, or no right to use it",
            TESTS.len()
        );
    }
    conclusion.exit_code()
}

const TESTS: [(&str, fn()); 4] = [
    (
        "kvm_or_nothing_runs_nothing_and_leaves_nothing_behind",
        nothing_runs,
    ),
    (
        "auto_runs_simulated_says_so_and_counts_as_skipped",
        auto_simulates,
    ),
    (
        "auto_is_skipped_even_where_a_simulated_verdict_fails",
        auto_skips_whatever_the_verdict,
    ),
    ("a_simulation_that_was_asked_for_passes", simulator_passes),
];

/// Runs a script with `$0` the tool, on a host or in a namespace without /dev/kvm.
fn shell(script: &str, dir: &Path) -> Option<Output> {
    let hide = "mount -t tmpfs none /dev && ";
    let mut command = if Path::new("/dev/kvm").exists() {
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--map-root-user", "sh", "-c"]);
        unshare.arg(format!("{hide}{script}"));
        unshare
    } else {
        let mut sh = Command::new("sh");
        sh.args(["-c", script]);
        sh
    };
    let tool = env!("CARGO_BIN_EXE_apportion");
    command.arg(tool).current_dir(dir).output().ok()
}

fn nothing_runs() {
    let dir = TempDir::new().unwrap();
    let output = shell("exec \"$0\" run tlfs --engine kvm 2>&1", dir.path()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(77), "{told}");
    assert!(
        told.contains("/dev/kvm") && told.contains("load the kvm module"),
        "{told}"
    );
    assert_eq!(told.trim().lines().count(), 1, "{told}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

const STAMP: &str = "engine simulator: virtual time, nothing was measured";

fn auto_simulates() {
    let dir = TempDir::new().unwrap();
    // As the user sees it: one stream for both.
    let run = "exec \"$0\" run tlfs cap --duration 1s --out rec 2>&1";
    let output = shell(run, dir.path()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(77), "{told}");
    let lines: Vec<&str> = told.trim().lines().collect();
    assert!(lines[0].contains("/dev/kvm"), "{told}");
    assert!(lines[1].contains("SIMULATED"), "{told}");
    assert!(lines[lines.len() - 1].contains("SIMULATED"), "{told}");
    assert_eq!(told.matches(STAMP).count(), 2, "{told}");
    let rec = dir.path().join("rec");
    let manifest = fs::read_to_string(rec.join("manifest.json")).unwrap();
    assert!(manifest.contains("\"engine\": \"simulator\""));
    for table in ["shares.csv", "summary.csv"] {
        let text = fs::read_to_string(rec.join(table)).unwrap();
        assert!(text.lines().count() > 1);
        assert!(
            text.lines().skip(1).all(|row| row.contains(",simulator,")),
            "{table}"
        );
    }
}

fn auto_skips_whatever_the_verdict() {
    let dir = TempDir::new().unwrap();
    let run = "exec \"$0\" run tlfs --policy round-robin --duration 1s 2>&1";
    let output = shell(run, dir.path()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("✗ fail"), "{told}");
    assert_eq!(output.status.code(), Some(77), "{told}");
    // A mistake stays one.
    let run = "exec \"$0\" run no-such-experiment 2>&1";
    let output = shell(run, dir.path()).unwrap();
    assert_eq!(output.status.code(), Some(2));
}

fn simulator_passes() {
    let dir = TempDir::new().unwrap();
    let run = "exec \"$0\" run tlfs --engine simulator --lps 1 --duration 1s 2>&1";
    let output = shell(run, dir.path()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.matches(STAMP).count(), 1, "{told}");
    assert!(!told.contains("/dev/kvm"), "{told}");
}
