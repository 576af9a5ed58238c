//! On KVM: decisions, caps, reserves, sleeps and changes.

use crate::{apportion, recompute, run_in, stderr, stdout};
use apportion_recording::{
    Check, DispatchRow, EventKind, EventRow, ShareRow, Verdict, files, read_manifest, read_rows,
};
use std::fs;
use std::path::Path;
use std::process::Output;
use tempfile::TempDir;

pub(crate) fn decisions_replayed() {
    let dir = TempDir::new().unwrap();
    run_in(
        dir.path(),
        &[
            "wake",
            "cap",
            "--duration",
            "1s",
            "--repetitions",
            "2",
            "--decisions",
            "--out",
            "rec",
        ],
    );
    let output = replay(dir.path());
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{told}{}", stderr(&output));
    assert!(
        told.contains("of 4 run(s) replayed: all identical"),
        "{told}"
    );
    let manifest = read_manifest(&dir.path().join("rec")).unwrap();
    let recorded: u64 = manifest.runs.iter().filter_map(|run| run.decisions).sum();
    assert!(told.starts_with(&format!("{recorded} decisions")), "{told}");
}

/// Replays the decisions of the recording `rec` in a folder.
fn replay(dir: &Path) -> Output {
    apportion()
        .args(["replay-decisions", "rec"])
        .current_dir(dir)
        .output()
        .unwrap()
}

pub(crate) fn changed_decision_found() {
    let dir = TempDir::new().unwrap();
    run_in(
        dir.path(),
        &["tlfs", "--duration", "300ms", "--decisions", "--out", "rec"],
    );
    let path = dir.path().join("rec").join(files::DECISIONS);
    let text = fs::read_to_string(&path).unwrap();
    // Some dispatch that went to one guest went to another, so it says.
    let line = text.lines().nth(400).unwrap();
    let (at, line) = text
        .lines()
        .enumerate()
        .skip(400)
        .find(|(_, line)| line.contains(",pick,") && line.contains("run vp="))
        .unwrap_or((400, line));
    let vp = line
        .split("run vp=")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let other = if vp == "0" { "1" } else { "0" };
    let changed = line.replace(&format!("run vp={vp}"), &format!("run vp={other}"));
    fs::write(&path, text.replacen(line, &changed, 1)).unwrap();
    let output = replay(dir.path());
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(3), "{told}{}", stderr(&output));
    let place = format!("tlfs, repetition 1: decision {}, at ", at - 1);
    assert!(told.contains(&place), "{told}");
    assert!(
        told.contains(&format!("recorded `run vp={other}"))
            && told.contains(&format!("replayed `run vp={vp}")),
        "{told}"
    );
}

const LIVELY: &str = r#"
    schema = 1
    name = "lively"
    why = "Whatever a run can have on one LP."
    lps = 1
    duration = "2s"
    warm_up = "200ms"
    [[guest]]
    name = "sleeper"
    reserve = 20
    payload = "periodic"
    period = "20ms"
    run = "1ms"
    [[guest]]
    name = "moody"
    payload = "on-off"
    on = "5ms"
    off = "10ms"
    [[guest]]
    name = "capped"
    weight = 1000
    cap = 25
    [[guest]]
    name = "reserved"
    reserve = 30
    [[change]]
    at = "700ms"
    guest = "capped"
    weight = 50
    cap = 100
    [[change]]
    at = "1300ms"
    guest = "moody"
    add_vps = 1
"#;

pub(crate) fn everything_recorded() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("lively.toml"), LIVELY).unwrap();
    let output = run_in(
        dir.path(),
        &["lively.toml", "--engine", "kvm", "--out", "rec"],
    );
    // How well it went depends on who else uses the machine.
    assert!(
        [0, 3, 4].contains(&output.status.code().unwrap()),
        "{}",
        stderr(&output)
    );
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
    let count = |kind, guest: &str| {
        let of = |event: &&EventRow| event.kind == kind && event.guest.as_deref() == Some(guest);
        events.iter().filter(of).count()
    };
    // Every 20 ms, unless whole periods are missed.
    assert!(count(EventKind::Wake, "sleeper") > 10);
    assert!(count(EventKind::Sleep, "moody") > 10);
    assert_eq!(count(EventKind::VpAdded, "moody"), 1);
    let controls = events
        .iter()
        .find(|event| event.kind == EventKind::Controls)
        .unwrap();
    assert_eq!(
        controls.detail.as_deref(),
        Some("weight=50 reserve=0 cap=100")
    );
    let manifest = read_manifest(&rec).unwrap();
    let run = &manifest.runs[0];
    let due = run.measured_from_ns + 700_000_000;
    assert!(controls.t_ns >= due && controls.t_ns < due + 200_000_000);
    assert_eq!((run.phases.len(), run.convergence.len()), (3, 8));
    assert_eq!(run.wakes.len(), 1);
    // The sleeper's reserve shows in its wakes, and over the whole run and each phase.
    let shares: Vec<ShareRow> = read_rows(&rec, files::SHARES).unwrap();
    let reserves = shares.iter().filter(|row| row.check == Check::Reserve);
    let of = |guest: &str| reserves.clone().filter(|row| row.guest == guest).count();
    assert!(of("reserved") > 20);
    let both_scopes = 2;
    assert_eq!(of("sleeper"), both_scopes * (1 + run.phases.len()));
    assert_eq!(of("reserved") + of("sleeper"), reserves.clone().count());
}

const PACED: &str = r#"
    schema = 1
    name = "paced"
    why = "Guests that pace themselves, beside one that never sleeps."
    lps = 1
    duration = "2s"
    warm_up = "200ms"
    [[guest]]
    name = "pacing"
    reserve = 15
    payload = "probe"
    period = "10ms"
    run = "500us"
    [[guest]]
    name = "serving"
    vps = 2
    weight = 400
    payload = "bursts"
    every = "50ms"
    run = "2ms"
    [[guest]]
    name = "burning"
"#;

pub(crate) fn paced_recorded() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("paced.toml"), PACED).unwrap();
    run_in(
        dir.path(),
        &["paced.toml", "--engine", "kvm", "--out", "rec"],
    );
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let manifest = read_manifest(&rec).unwrap();
    let told = |guest: &str| {
        let results = manifest.runs[0].results.iter();
        results.filter(|it| it.guest == guest).count()
    };
    assert_eq!((told("pacing"), told("serving")), (1, 1));
    assert_eq!(manifest.runs[0].wakes.len(), 1);
}

/// The guests of [`PACED`], of which one comes later and another goes.
const STAYS: &str = r#"
    [[change]]
    at = "700ms"
    guest = "serving"
    start = true
    [[change]]
    at = "1300ms"
    guest = "pacing"
    stop = true
"#;

pub(crate) fn stays_recorded() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("stays.toml"), PACED.to_owned() + STAYS).unwrap();
    let arguments = [
        "stays.toml",
        "--engine",
        "kvm",
        "--decisions",
        "--out",
        "rec",
    ];
    let output = run_in(dir.path(), &arguments);
    assert!(
        stdout(&output).contains("\nthere       serving: from 700ms on\n"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    assert_eq!(replay(dir.path()).status.code(), Some(0));
    let manifest = read_manifest(&rec).unwrap();
    let run = &manifest.runs[0];
    assert_eq!(run.phases.len(), 3);
    let dispatches: Vec<DispatchRow> = read_rows(&rec, files::DISPATCHES).unwrap();
    let spans = |guest: &str| {
        let own = dispatches.iter().filter(|row| row.guest == guest);
        let own: Vec<(u64, u64)> = own.map(|row| (row.start_ns, row.end_ns)).collect();
        (own[0].0, own[own.len() - 1].1)
    };
    let (ms, from) = (1_000_000, run.measured_from_ns);
    assert!(spans("serving").0 >= from + 700 * ms);
    // The root makes a change when it gets the CPU.
    assert!(spans("pacing").1 < from + 1_800 * ms);
    let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
    let stopped = events
        .iter()
        .find(|event| event.kind == EventKind::GuestStop)
        .unwrap();
    assert_eq!(stopped.guest.as_deref(), Some("pacing"));
    let pacing = run.results.iter().find(|it| it.guest == "pacing").unwrap();
    // 130 periods, and what was missed while others had the CPU.
    let periods = pacing.values["bursts"] + pacing.values["missed"];
    assert!((120.0..185.0).contains(&periods), "{pacing:?}");
}

pub(crate) fn cap_holds() {
    let dir = TempDir::new().unwrap();
    run_in(
        dir.path(),
        &["cap-idle", "--duration", "2s", "--out", "rec"],
    );
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    let shares: Vec<ShareRow> = read_rows(&rec, files::SHARES).unwrap();
    let whole = |check| {
        let of = |row: &&ShareRow| row.window_ms == 0 && row.check == check;
        shares.iter().find(of).unwrap()
    };
    // Never more than the cap and what its bucket and one late kick allow.
    let cap = whole(Check::Cap);
    assert_eq!(cap.verdict, Verdict::Pass, "{cap:?}");
    assert!((cap.expected_pct - 25.0).abs() < 1e-9);
    assert!(cap.measured_pct > 5.0, "{cap:?}");
    assert!(shares.iter().all(|row| row.check != Check::Reserve));
    let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
    for kind in [EventKind::Hold, EventKind::Release] {
        assert!(events.iter().filter(|event| event.kind == kind).count() > 10);
    }
}
