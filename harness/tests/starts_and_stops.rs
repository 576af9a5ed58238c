//! Guests that start and stop while others run, in virtual time: what is expected of them, recorded and told.

mod recompute;

use apportion_recording::{
    EventKind, EventRow, Manifest, SummaryRow, Verdict, files, read_manifest, read_rows,
};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Runs it in the simulator into `rec`, recomputes every figure, and takes all decisions again; what it printed.
fn simulate(dir: &Path, text: &str) -> (String, Manifest) {
    fs::write(dir.join("guests.toml"), text).unwrap();
    let apportion = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apportion"));
        let output = command.args(arguments).current_dir(dir).output().unwrap();
        let told = [&output.stdout[..], &output.stderr[..]].concat();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        told
    };
    let told = apportion(&[
        "run",
        "guests.toml",
        "--engine",
        "simulator",
        "--decisions",
        "--out",
        "rec",
    ]);
    let rec = dir.join("rec");
    recompute::check(&rec);
    assert!(apportion(&["replay-decisions", "rec"]).contains("all identical"));
    (told, read_manifest(&rec).unwrap())
}

const HEAD: &str = r#"
    schema = 1
    name = "guests"
    why = "Guests that come and go."
    duration = "6s"
    warm_up = "500ms"
"#;

#[test]
fn what_is_expected_over_the_run_is_the_sum_of_who_was_there_when() {
    let dir = TempDir::new().unwrap();
    let text = r#"
        lps = 1
        [[guest]]
        name = "always"
        [[guest]]
        name = "late"
        weight = 300
        [[guest]]
        name = "never-together"
        weight = 100
        [[change]]
        at = "2s"
        guest = "late"
        start = true
        [[change]]
        at = "5s"
        guest = "late"
        stop = true
        [[change]]
        at = "5s"
        guest = "never-together"
        start = true
    "#;
    let (told, manifest) = simulate(dir.path(), &(HEAD.to_owned() + text));
    assert!(
        told.contains("\nthere       late: from 2s to 5s\n"),
        "{told}"
    );
    assert!(
        told.contains("\nthere       never-together: from 5s on\n"),
        "{told}"
    );

    let run = &manifest.runs[0];
    assert_eq!((run.verdict, run.phases.len()), (Verdict::Pass, 3));
    let rows: Vec<SummaryRow> = read_rows(&dir.path().join("rec"), files::SUMMARY).unwrap();
    // Of 6 s: two alone and three at 1 : 3, then one at 1 : 1.
    let expected = [(2.0 + 0.75 + 0.5) / 6.0, 2.25 / 6.0, 0.5 / 6.0];
    for (row, expected) in rows.iter().zip(expected) {
        let error = (row.expected_pct - 100.0 * expected).abs();
        assert!(error < 1e-4 && row.verdict == Verdict::Pass, "{row:?}");
    }

    let events: Vec<EventRow> = read_rows(&dir.path().join("rec"), files::EVENTS).unwrap();
    let times = |kind| -> Vec<(&str, u64)> {
        let of_kind = events.iter().filter(|event| event.kind == kind);
        of_kind
            .map(|event| (event.guest.as_deref().unwrap(), event.t_ns / 1_000_000))
            .collect()
    };
    assert_eq!(
        times(EventKind::GuestStart),
        [("always", 0), ("late", 2_500), ("never-together", 5_500)]
    );
    assert_eq!(
        times(EventKind::GuestStop),
        [
            ("late", 5_500),
            ("always", 6_500),
            ("never-together", 6_500)
        ]
    );
    assert_eq!(times(EventKind::GuestDefined).len(), 3);
}

/// Guests whose reserves fit one after the other only, and others that sleep.
/// Who sleeps at random measures somewhat above what is expected, at the others' expense.
const SLEEPERS: &str = r#"
    lps = 2
    tolerance_pp = 3
    [[guest]]
    name = "burner"
    vps = 2
    [[guest]]
    name = "yields"
    payload = "yield-loop"
    run = "300us"
    [[guest]]
    name = "yields-late"
    payload = "yield-loop"
    run = "300us"
    [[guest]]
    name = "first"
    reserve = 95
    payload = "probe"
    period = "10ms"
    run = "1ms"
    [[guest]]
    name = "second"
    reserve = 95
    cap = 99.5
    payload = "bursts"
    every = "8ms"
    run = "2ms"
    [[guest]]
    name = "third"
    reserve = 95
    payload = "periodic"
    period = "20ms"
    run = "4ms"
    [[guest]]
    name = "moody"
    payload = "on-off"
    on = "5ms"
    off = "9ms"
    [[change]]
    at = "1137ms"
    guest = "yields-late"
    start = true
    [[change]]
    at = "2045ms"
    guest = "first"
    stop = true
    [[change]]
    at = "2100ms"
    guest = "second"
    start = true
    [[change]]
    at = "3s"
    guest = "moody"
    stop = true
    [[change]]
    at = "4333ms"
    guest = "third"
    stop = true
    [[change]]
    at = "4500ms"
    guest = "second"
    add_vps = 1
"#;

#[test]
fn every_figure_of_guests_that_come_and_go_follows_from_the_other_files() {
    let dir = TempDir::new().unwrap();
    let (_, manifest) = simulate(dir.path(), &(HEAD.to_owned() + SLEEPERS));
    let run = &manifest.runs[0];
    assert_eq!(run.verdict, Verdict::Pass, "{run:?}");
    // Whoever is gone waits for nothing, and misses nothing.
    for wakes in &run.wakes {
        assert_eq!(wakes.verdict, Some(Verdict::Pass), "{wakes:?}");
    }
    let value = |guest: &str, name: &str| {
        let entry = run.results.iter().find(|entry| entry.guest == guest);
        entry.unwrap().values[name]
    };
    assert_eq!(value("first", "missed"), 0.0);
    assert_eq!(value("first", "bursts"), 205.0);
    // A rate is one of the time that a guest was there.
    let (always, late) = ("yields", "yields-late");
    let ratio = value(late, "yields_per_s") / value(always, "yields_per_s");
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}
