//! The whole tool on real KVM: what it prints, records and returns.

mod controls;
mod endings;
#[path = "../../hypervisor/tests/kvm_only/mod.rs"]
mod kvm_only;
mod recompute;
mod replays;

use apportion_recording::{
    EventKind, EventRow, RunEntry, ShareRow, Status, Verdict, files, read_manifest, read_rows,
};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output};
use tempfile::TempDir;

fn main() -> ExitCode {
    kvm_only::main(&[
        (
            "shares_can_be_recomputed_from_the_other_files",
            shares_recomputed,
        ),
        ("round_robin_fails_the_weighted_formula", round_robin_fails),
        (
            "a_crash_fails_its_guest_and_is_told_with_registers",
            crash_recorded,
        ),
        ("ctrl_c_keeps_what_was_measured", endings::ctrl_c_keeps),
        (
            "ctrl_c_during_warm_up_leaves_a_readable_recording",
            endings::ctrl_c_in_warm_up,
        ),
        ("a_recording_is_never_overwritten", never_overwritten),
        (
            "a_folder_that_cannot_be_written_is_an_error_of_the_tool",
            unwritable_folder,
        ),
        (
            "shares_can_be_recomputed_where_an_lp_idles",
            idle_recomputed,
        ),
        (
            "nobody_reading_what_it_says_does_not_stop_a_run",
            endings::nobody_reads,
        ),
        (
            "a_table_that_cannot_be_printed_loses_nothing",
            endings::table_unprintable,
        ),
        (
            "a_disk_that_fills_up_leaves_a_manifest_that_says_so",
            endings::disk_full,
        ),
        (
            "top_prints_a_line_per_guest_and_second_where_nobody_sees_it",
            top_prints,
        ),
        (
            "top_runs_on_though_nobody_reads_its_lines",
            endings::top_unread,
        ),
        (
            "latest_points_to_the_newest_recording",
            latest_points_to_newest,
        ),
        (
            "decisions_are_recorded_and_taken_again_alike",
            controls::decisions_replayed,
        ),
        (
            "a_changed_decision_is_found",
            controls::changed_decision_found,
        ),
        (
            "caps_reserves_sleeps_and_changes_are_recorded_and_recomputed",
            controls::everything_recorded,
        ),
        (
            "guests_that_pace_themselves_are_recorded_and_recomputed",
            controls::paced_recorded,
        ),
        (
            "demand_of_a_trace_is_replayed_and_recomputed",
            replays::replay_recorded,
        ),
        (
            "guests_that_start_and_stop_are_recorded_and_recomputed",
            controls::stays_recorded,
        ),
        (
            "a_capped_guest_stays_below_its_cap_beside_an_idle_lp",
            controls::cap_holds,
        ),
    ])
}

fn apportion() -> Command {
    Command::new(env!("CARGO_BIN_EXE_apportion"))
}

fn run_in(dir: &Path, arguments: &[&str]) -> Output {
    apportion()
        .arg("run")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn shares_recomputed() {
    let dir = TempDir::new().unwrap();
    // Not a multiple of any window, two experiments, two repetitions; the
    // verdict is beside the point here.
    let output = run_in(
        dir.path(),
        &[
            "three-weights",
            "tlfs",
            "--duration",
            "1250ms",
            "--warm-up",
            "200ms",
            "--repetitions",
            "2",
            "--out",
            "rec",
        ],
    );
    assert!(
        output.status.code().is_some_and(|code| code != 1),
        "{}",
        stderr(&output)
    );
    let rows = recompute::check(&dir.path().join("rec"));
    // Per run: whole and 12 windows of 100 ms and 1 of 1 s, 3 guests and 3 VPs each.
    assert_eq!(rows, 4 * (1 + 12 + 1) * 6);
    counted_when_it_was(&dir.path().join("rec"));
}

/// The manifest's counters bear the time of the last snapshot, not that of the manifest.
fn counted_when_it_was(rec: &Path) {
    let metrics = fs::read_to_string(rec.join(files::METRICS)).unwrap();
    let manifest = read_manifest(rec).unwrap();
    let counted = |run: &RunEntry| run.counters.as_ref().unwrap().unix_ms as f64 / 1e3;
    let mut told: Vec<f64> = manifest.runs.iter().map(counted).collect();
    let times = metrics.lines();
    let times = times.filter(|line| line.starts_with("apportion_run_snapshot_timestamp_seconds{"));
    let seconds = |line: &str| line.rsplit(' ').next().unwrap().parse().unwrap();
    let mut taken: Vec<f64> = times.map(seconds).collect();
    told.sort_by(f64::total_cmp);
    taken.sort_by(f64::total_cmp);
    assert_eq!(told, taken);
}

fn round_robin_fails() {
    let dir = TempDir::new().unwrap();
    let output = run_in(
        dir.path(),
        &[
            "tlfs",
            "--policy",
            "round-robin",
            "--duration",
            "1s",
            "--out",
            "rec",
        ],
    );
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stdout(&output).contains("✗ fail"), "{}", stdout(&output));
    recompute::check(&dir.path().join("rec"));
}

fn crash_recorded() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("doomed.toml"), DOOMED).unwrap();
    let output = run_in(dir.path(), &["doomed.toml", "--out", "rec"]);
    // Dying early it was promised little and got that: it still fails.
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(
        told.contains("ill, VP 0: shutdown") && told.contains("rip=0x"),
        "{told}"
    );
    let events: Vec<EventRow> = read_rows(&dir.path().join("rec"), files::EVENTS).unwrap();
    let crash = events
        .iter()
        .find(|event| event.kind == EventKind::GuestCrash)
        .unwrap();
    assert_eq!(crash.guest.as_deref(), Some("ill"));
    assert!(crash.detail.as_ref().unwrap().contains("cr3="));
    let shares: Vec<ShareRow> = read_rows(&dir.path().join("rec"), files::SHARES).unwrap();
    let ill = shares.iter().find(|row| row.guest == "ill").unwrap();
    assert_eq!(ill.verdict, Verdict::Fail);
    let well = shares.iter().find(|row| row.guest == "well").unwrap();
    assert!(well.measured_pct > 90.0, "the other one goes on: {well:?}");
    recompute::check(&dir.path().join("rec"));
}

fn never_overwritten() {
    let dir = TempDir::new().unwrap();
    let arguments = [
        "tlfs",
        "--duration",
        "200ms",
        "--warm-up",
        "0s",
        "--out",
        "rec",
    ];
    run_in(dir.path(), &arguments);
    let before = fs::read(dir.path().join("rec").join(files::MANIFEST)).unwrap();
    let again = run_in(dir.path(), &arguments);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("never overwritten"),
        "{}",
        stderr(&again)
    );
    let after = fs::read(dir.path().join("rec").join(files::MANIFEST)).unwrap();
    assert_eq!(before, after);
}

fn unwritable_folder() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "in the way").unwrap();
    let output = run_in(dir.path(), &["tlfs", "--out", "file/rec"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("file/rec"), "{told}");
    assert_eq!(told.matches("os error").count(), 1, "{told}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn top_prints() {
    let dir = TempDir::new().unwrap();
    let output = apportion()
        .args(["top", "tlfs", "--engine", "kvm", "--duration", "2s"])
        .args(["--warm-up", "100ms", "--out", "rec"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = stdout(&output);
    // How well it went depends on who else uses the machine.
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| [0, 3, 4].contains(&code)),
        "{}",
        stderr(&output)
    );
    assert!(
        told.starts_with("run tlfs 1/1: 1 LP, slice 1ms, policy fair, 2.100s\n"),
        "{told}"
    );
    for second in 1..=2 {
        for (guest, weight) in [("small", 100), ("medium", 200), ("large", 700)] {
            let line = format!("\nt={second}s {guest} weight {weight} reserve 0 cap 100 received ");
            assert_eq!(told.matches(&line).count(), 1, "{told}");
        }
    }
    assert!(told.contains("\nrecorded in rec\n"), "{told}");
    recompute::check(&dir.path().join("rec"));
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Complete);
}

fn latest_points_to_newest() {
    let dir = TempDir::new().unwrap();
    for name in ["tlfs", "three-weights"] {
        run_in(
            dir.path(),
            &[name, "--duration", "200ms", "--warm-up", "0s"],
        );
        let manifest = read_manifest(&dir.path().join("results/latest")).unwrap();
        assert_eq!(manifest.experiments[0].name, name);
    }
    // Two recordings and the link.
    assert_eq!(fs::read_dir(dir.path().join("results")).unwrap().count(), 3);
}

const DOOMED: &str = r#"
    schema = 1
    name = "doomed"
    why = "One guest dies."
    lps = 1
    duration = "1s"
    warm_up = "0s"
    [[guest]]
    name = "well"
    [[guest]]
    name = "ill"
    payload = "crash"
    after_work = 1000
"#;

fn idle_recomputed() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("doomed.toml"), DOOMED).unwrap();
    // Two LPs, where there are two, and after the crash one VP: one LP idles.
    let lps = apportion_hypervisor::host::cpus().len().min(2);
    let output = run_in(
        dir.path(),
        &["doomed.toml", "--lps", &lps.to_string(), "--out", "rec"],
    );
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let events: Vec<EventRow> = read_rows(&dir.path().join("rec"), files::EVENTS).unwrap();
    let idle = events.iter().any(|event| event.kind == EventKind::Idle);
    assert_eq!(idle, lps == 2);
    recompute::check(&dir.path().join("rec"));
}
