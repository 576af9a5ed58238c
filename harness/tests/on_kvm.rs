//! The whole tool on real KVM: what it prints, records and returns.

mod controls;
#[path = "../../hypervisor/tests/kvm_only/mod.rs"]
mod kvm_only;
mod recompute;

use apportion_recording::{
    DemandRow, EventKind, EventRow, Fared, Manifest, RunEntry, ShareRow, Status, Verdict, files,
    read_manifest, read_rows,
};
use rustix::pipe::fcntl_getpipe_size;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
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
        ("ctrl_c_keeps_what_was_measured", ctrl_c_keeps),
        (
            "ctrl_c_during_warm_up_leaves_a_readable_recording",
            ctrl_c_in_warm_up,
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
            nobody_reads,
        ),
        (
            "a_table_that_cannot_be_printed_loses_nothing",
            table_unprintable,
        ),
        (
            "a_disk_that_fills_up_leaves_a_manifest_that_says_so",
            disk_full,
        ),
        (
            "top_prints_a_line_per_guest_and_second_where_nobody_sees_it",
            top_prints,
        ),
        ("top_runs_on_though_nobody_reads_its_lines", top_unread),
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
            replay_recorded,
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

/// Its lines go into a pipe that is full already.
fn top_unread() {
    let dir = TempDir::new().unwrap();
    let (mut reader, mut writer) = io::pipe().unwrap();
    let full = vec![b'x'; fcntl_getpipe_size(&writer).unwrap()];
    writer.write_all(&full).unwrap();
    let mut child = apportion()
        .args(["top", "tlfs", "--engine", "kvm", "--duration", "2s"])
        .args(["--warm-up", "100ms", "--out", "rec"])
        .current_dir(dir.path())
        .stdout(writer)
        .spawn()
        .unwrap();
    let rec = dir.path().join("rec");
    let ran = || read_manifest(&rec).is_ok_and(|manifest| !manifest.runs.is_empty());
    let begun = Instant::now();
    while !ran() {
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("a run of two seconds goes on for ever");
        }
        sleep(Duration::from_millis(20));
    }
    // The table can wait for who reads it.
    assert_eq!(child.try_wait().unwrap(), None);
    let mut told = String::new();
    reader.read_to_string(&mut told).unwrap();
    let told = &told[full.len()..];
    assert!(told.starts_with("run tlfs 1/1: "), "{told}");
    assert_eq!(
        told.matches("\nt=2s small weight 100 ").count(),
        1,
        "{told}"
    );
    assert!(told.ends_with("\nrecorded in rec\n"), "{told}");
    child.wait().unwrap();
    recompute::check(&rec);
    assert_eq!(read_manifest(&rec).unwrap().status, Status::Complete);
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

/// Starts a long run and interrupts it once its files are there and `wait` has passed.
fn interrupted(dir: &Path, wait: Duration, arguments: &[&str]) -> (Output, Manifest) {
    let child = apportion()
        .args(["run", "--out", "rec"])
        .args(arguments)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !dir.join("rec").join(files::EVENTS).exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never began");
        sleep(Duration::from_millis(10));
    }
    sleep(wait);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let manifest = read_manifest(&dir.join("rec")).unwrap();
    (output, manifest)
}

fn ctrl_c_keeps() {
    let dir = TempDir::new().unwrap();
    let (output, manifest) = interrupted(
        dir.path(),
        Duration::from_millis(1_000),
        &[
            "three-weights",
            "tlfs",
            "--duration",
            "60s",
            "--warm-up",
            "100ms",
        ],
    );
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(manifest.status, Status::Interrupted);
    let [run] = &manifest.runs[..] else {
        panic!("the second experiment is not begun: {:?}", manifest.runs);
    };
    assert!(run.interrupted);
    assert!(run.measured_until_ns > run.measured_from_ns);
    let printed = stdout(&output);
    assert!(printed.contains("\n- incomplete: interrupted"), "{printed}");
    assert!(stderr(&output).contains("holds what was measured until then"));
    recompute::check(&dir.path().join("rec"));
}

fn ctrl_c_in_warm_up() {
    let dir = TempDir::new().unwrap();
    let (output, manifest) = interrupted(
        dir.path(),
        Duration::from_millis(300),
        &["three-weights", "--warm-up", "60s"],
    );
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(manifest.status, Status::Interrupted);
    assert_eq!(
        manifest.runs[0].measured_from_ns,
        manifest.runs[0].measured_until_ns
    );
    assert!(
        stdout(&output).contains("stopped during its warm-up\n\nrecorded in"),
        "{}",
        stdout(&output)
    );
    assert!(stderr(&output).contains("holds nothing but warm-up"));
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

fn replay_recorded() {
    let dir = TempDir::new().unwrap();
    let text = r#"
        schema = 1
        name = "some"
        why = "Do guests that are not starved receive what the trace demands?"
        lps = 1
        duration = "4s"
        warm_up = "500ms"
        tolerance_pp = 5
        [[guest]]
        name = "vm"
        count = 8
        payload = "replay"
        trace = "shipped:fifty"
        speed = 2000
        overcommit = 0.3
        [[guest]]
        name = "busy"
    "#;
    fs::write(dir.path().join("some.toml"), text).unwrap();
    let output = run_in(
        dir.path(),
        &["some.toml", "--engine", "kvm", "--out", "rec"],
    );
    // How well it went depends on who else uses the machine.
    let code = output.status.code();
    assert!(
        code.is_some_and(|code| [0, 3, 4].contains(&code)),
        "{}",
        stderr(&output)
    );
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let rows: Vec<DemandRow> = read_rows(&rec, files::DEMAND).unwrap();
    assert_eq!(rows.len(), 8);
    let (mut demanded, mut received) = (0, 0);
    for row in rows.iter().filter(|row| row.fared == Fared::Met) {
        // What was due was received or is left over; a VP that wakes pays for that ahead.
        let (wanted, got) = (
            row.backlog_before_ns + row.due_ns,
            row.received_ns + row.backlog_ns,
        );
        assert!(
            wanted.abs_diff(got) <= row.due_ns / 50 + 2_000_000,
            "{row:?}"
        );
        demanded += wanted - row.backlog_ns;
        received += row.received_ns;
    }
    println!("of {demanded} ns that were demanded {received} were received");
    assert!(
        received.abs_diff(demanded) <= demanded / 50,
        "{received} of {demanded}"
    );
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

fn nobody_reads() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("doomed.toml"), DOOMED).unwrap();
    let mut child = apportion()
        .args(["run", "doomed.toml", "--out", "rec"])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("a run of one second goes on for ever");
        }
        sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(3));
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Complete);
}

fn table_unprintable() {
    let dir = TempDir::new().unwrap();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = apportion()
        .args([
            "run",
            "tlfs",
            "three-weights",
            "--duration",
            "200ms",
            "--out",
            "rec",
        ])
        .current_dir(dir.path())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot print"),
        "{}",
        stderr(&output)
    );
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Complete);
    assert_eq!(manifest.runs.len(), 2);
    recompute::check(&dir.path().join("rec"));
}

fn disk_full() {
    let dir = TempDir::new().unwrap();
    // No file may grow beyond 64 blocks of 512 bytes or 1 KiB: dispatches.csv does within 2 s.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 64; exec \"$0\" run tlfs --duration 10s --out rec",
        ])
        .arg(env!("CARGO_BIN_EXE_apportion"))
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("dispatches.csv"),
        "{}",
        stderr(&output)
    );
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    assert_eq!(manifest.status, Status::Failed);
    assert!(manifest.error.unwrap().contains("dispatches.csv"));
}
