//! `apportion counters` over recordings that were really made.

use apportion_recording::{
    LpCounters, Manifest, RootCounters, Snapshot, VpCounters, Writer, files, read_manifest,
};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn apportion(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apportion"))
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// What the command prints; it succeeds.
fn shown(dir: &Path, arguments: &[&str]) -> String {
    let output = apportion(dir, &[&["counters"], arguments].concat());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), told.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// A short simulated run of two repetitions in `results/latest`, and its manifest.
fn simulate(dir: &Path) -> Manifest {
    let arguments = ["run", "tlfs", "--engine", "simulator", "--repetitions", "2"];
    let short = ["--duration", "200ms", "--warm-up", "0s"];
    let output = apportion(dir, &[&arguments[..], &short[..]].concat());
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 4)), "{told}");
    read_manifest(&dir.join("results/latest")).unwrap()
}

/// Half of two seconds for a guest's VP.
fn counted() -> Snapshot {
    Snapshot {
        wall_ns: 2_000_000_000,
        lps: vec![LpCounters {
            guest_ns: 1_000_000_000,
            idle_ns: 1_000_000_000,
            ..LpCounters::default()
        }],
        vps: vec![VpCounters {
            guest: "large".to_owned(),
            guest_ns: 1_000_000_000,
            ready_ns: 1_234_567,
            dispatches: 1,
            ..VpCounters::default()
        }],
        roots: vec![RootCounters::default()],
        ..Snapshot::default()
    }
}

#[test]
fn a_recording_without_counters_says_so() {
    let dir = TempDir::new().unwrap();
    let mut manifest = simulate(dir.path());
    for run in &mut manifest.runs {
        run.counters = None;
    }
    Writer::create(&dir.path().join("none"), &manifest).unwrap();
    assert_eq!(
        shown(dir.path(), &["none"]),
        "none holds no counters: the engine (simulator) kept none\n"
    );
    manifest.runs.clear();
    Writer::create(&dir.path().join("cut"), &manifest).unwrap();
    assert_eq!(
        shown(dir.path(), &["cut"]),
        "cut holds no counters: no run was completed\n"
    );
}

#[test]
fn every_run_is_shown_and_the_newest_recording_where_none_is_named() {
    let dir = TempDir::new().unwrap();
    let mut manifest = simulate(dir.path());
    manifest.engine = "kvm".to_owned();
    manifest.runs[0].counters = Some(counted());
    manifest.runs[1].counters = None;
    let text = serde_json::to_string(&manifest).unwrap();
    let latest = dir.path().join("results/latest");
    fs::write(latest.join(files::MANIFEST), text).unwrap();
    let text = shown(dir.path(), &[]);
    assert_eq!(text, shown(dir.path(), &["results/latest"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&"tlfs 1: counters over 2.000 s"));
    assert_eq!(lines.last(), Some(&"tlfs 2: no counters"));
    for cells in ["| large | 0  |   50.00 |", " 1234.567 |"] {
        assert!(lines.iter().any(|line| line.contains(cells)), "{text}");
    }
}

#[test]
fn simulated_counters_are_never_shown_as_measured() {
    let dir = TempDir::new().unwrap();
    let mut manifest = simulate(dir.path());
    manifest.runs.truncate(1);
    manifest.runs[0].counters = Some(counted());
    Writer::create(&dir.path().join("rec"), &manifest).unwrap();
    let text = shown(dir.path(), &["rec"]);
    let stamp = "(engine simulator: virtual time, nothing was measured)";
    assert!(text.lines().next().unwrap().ends_with(stamp), "{text}");
}
