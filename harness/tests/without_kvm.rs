//! What the tool does on a host without /dev/kvm. Where there is one it is hidden, in a mount namespace with an empty /dev.

use libtest_mimic::{Arguments, Trial};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use tempfile::TempDir;

fn main() -> ExitCode {
    let can_hide = shell("true", Path::new(".")).is_some_and(|output| output.status.success());
    let test = Trial::test("nothing_runs_and_nothing_is_left_behind", || {
        nothing_runs();
        Ok(())
    });
    let conclusion = libtest_mimic::run(
        &Arguments::from_args(),
        vec![test.with_ignored_flag(!can_hide)],
    );
    if !can_hide {
        println!("SKIPPED: 1 test needs to hide /dev/kvm: no unshare here, or no right to use it");
    }
    conclusion.exit_code()
}

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
    let output = shell("exec \"$0\" run tlfs 2>&1", dir.path()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(77), "{told}");
    assert!(
        told.contains("/dev/kvm") && told.contains("load the kvm module"),
        "{told}"
    );
    assert_eq!(told.trim().lines().count(), 1, "{told}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
