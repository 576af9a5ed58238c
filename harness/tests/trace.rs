//! `apportion trace` when it is interrupted: nothing half-written is left behind.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn trace(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apportion"));
    command.arg("trace").args(arguments).current_dir(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|it| it.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// Starts something that takes long, and interrupts it as soon as it has begun to write beside what is there; then
/// once more, by somebody who does not wait for it to end in good order.
fn interrupted(arguments: &[&str], folder: &Path) {
    for signals in [&[Signal::INT][..], &[Signal::INT, Signal::TERM]] {
        interrupted_by(signals, arguments, folder);
    }
}

fn interrupted_by(signals: &[Signal], arguments: &[&str], folder: &Path) {
    let there = names(folder).len();
    let mut child = trace(arguments, folder).spawn().unwrap();
    let begun = Instant::now();
    while names(folder).len() == there {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing is written"
        );
        sleep(Duration::from_millis(5));
    }
    for signal in signals {
        // It may have ended by the first already, and is waited for below.
        kill_process(Pid::from_child(&child), *signal).unwrap();
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(folder).len(), there, "{:?}", names(folder));
}

#[test]
fn an_interrupted_output_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let many = ["synthesise", "--vms", "20000", "--span", "100000h"];
    interrupted(
        &[&many[..], &["--out", "own.csv.gz"]].concat(),
        folder.path(),
    );
    let azure = ["--format", "azure-v1", "--out", "made-up"];
    interrupted(&[&many[..], &azure].concat(), folder.path());

    // Something to convert that takes a while: a workload without end.
    let endless = r#"{"tasks": {"t": {"instance": 16000, "loop": -1, "run": 1, "sleep": 1}}}"#;
    fs::write(folder.path().join("endless.json"), endless).unwrap();
    let convert = [
        "convert",
        "endless.json",
        "--span",
        "5000h",
        "--out",
        "own.csv",
    ];
    interrupted(&convert, folder.path());
    assert_eq!(names(folder.path()), ["endless.json"]);
}
