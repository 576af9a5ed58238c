//! `apportion top` where nobody sees it: its lines, and the recording it makes.

use apportion_recording::{EventKind, EventRow, Status, files, read_manifest, read_rows};
use std::process::{Command, Output};
use tempfile::TempDir;

fn apportion(dir: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apportion"))
        .args(arguments)
        .current_dir(dir.path())
        .output()
        .unwrap()
}

#[test]
fn it_prints_a_line_per_guest_and_second_and_records_as_run_does() {
    let dir = TempDir::new().unwrap();
    let common = ["--engine", "simulator", "--out"];
    let top = apportion(
        &dir,
        &[&["top", "live-weight"], &common[..], &["a"]].concat(),
    );
    let run = apportion(
        &dir,
        &[&["run", "live-weight"], &common[..], &["b"]].concat(),
    );
    assert_eq!(top.status.code(), run.status.code());
    let printed = String::from_utf8(top.stdout).unwrap();
    let mut lines = printed.lines();
    assert_eq!(
        lines.next(),
        Some(
            "run live-weight 1/1: SIMULATED: virtual time, nothing is measured; \
             2 LPs, slice 1ms, policy fair, 11s"
        )
    );
    let changed = "t=6.000s event controls changing: weight=200 reserve=0 cap=100";
    assert_eq!(printed.matches(changed).count(), 1, "{printed}");
    let last = "t=11s changing weight 200 reserve 0 cap 100 received 66.6 % of an LP per VP, share 66.7 %, wait ";
    assert_eq!(printed.matches(last).count(), 1, "{printed}");
    for second in 1..=11 {
        let begin = format!("\nt={second}s steady weight 100 ");
        assert_eq!(printed.matches(&begin).count(), 1, "{printed}");
    }
    // No sequence that a terminal would take.
    assert!(!printed.contains('\x1b'));
    let table = String::from_utf8(run.stdout).unwrap();
    let table = table.split("\nrecorded in").next().unwrap();
    assert!(printed.contains(table), "{printed}");

    let read =
        |file: &str| ["a", "b"].map(|rec| std::fs::read(dir.path().join(rec).join(file)).unwrap());
    for file in [files::DISPATCHES, files::EVENTS, files::SHARES] {
        let [top, run] = read(file);
        assert!(top == run, "{file} differs");
    }
    let rec = dir.path().join("a");
    assert_eq!(read_manifest(&rec).unwrap().status, Status::Complete);
    let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
    let defined = events
        .iter()
        .filter(|event| event.kind == EventKind::GuestDefined);
    assert_eq!(defined.count(), 2);
}

#[test]
fn what_is_wrong_is_told_before_anything_is_shown() {
    let dir = TempDir::new().unwrap();
    let output = apportion(&dir, &["top", "no-such-experiment"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
