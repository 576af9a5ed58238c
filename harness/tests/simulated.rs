//! The whole tool in virtual time, on any host: the same figures every time, and all of them follow from the files.

mod arriving;
mod recompute;
mod sleepers;
mod squatting;

use apportion_recording::{
    Check, DispatchRow, EventKind, EventRow, Manifest, ShareRow, Verdict, files, read_manifest,
    read_rows,
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

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Runs experiments in the simulator into `rec`; what it printed.
fn simulate(dir: &Path, arguments: &[&str]) -> String {
    let run = ["run", "--engine", "simulator", "--out", "rec"];
    let arguments: Vec<&str> = run.iter().chain(arguments).copied().collect();
    let output = apportion(dir, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    told(&output)
}

fn manifest(dir: &Path) -> Manifest {
    read_manifest(&dir.join("rec")).unwrap()
}

const BUSY: &str = r#"
    schema = 1
    name = "busy"
    why = "Everything at once."
    lps = 3
    duration = "3s"
    warm_up = "150ms"
    [[guest]]
    name = "sleeper"
    reserve = 20
    payload = "periodic"
    period = "20ms"
    run = "1ms"
    [[guest]]
    name = "moody"
    vps = 2
    payload = "on-off"
    on = "5ms"
    off = "7ms"
    [[guest]]
    name = "capped"
    vps = 2
    weight = 300
    cap = 40
    [[guest]]
    name = "reserved"
    reserve = 30
    [[guest]]
    name = "dying"
    payload = "crash"
    after_work = 100000
    [[change]]
    at = "500ms"
    guest = "capped"
    cap = 90
    weight = 100
    [[change]]
    at = "733ms"
    guest = "reserved"
    add_vps = 1
    [[change]]
    at = "1s"
    lp_off = 2
    [[change]]
    at = "1750ms"
    lp_on = 2
    [[change]]
    at = "2500ms"
    guest = "sleeper"
    reserve = 0
"#;

#[test]
fn every_figure_follows_from_the_other_files() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("busy.toml"), BUSY).unwrap();
    for (model, scope) in [("additive", "vp"), ("floor", "guest")] {
        let out = format!("{model}-{scope}");
        let arguments = [
            "run",
            "busy.toml",
            "--engine",
            "simulator",
            "--reserve-model",
            model,
            "--weight-scope",
            scope,
            "--repetitions",
            "2",
            "--out",
            &out,
        ];
        let output = apportion(dir.path(), &arguments);
        // One guest crashes, so it fails.
        assert_eq!(output.status.code(), Some(3), "{}", told(&output));
        let rec = dir.path().join(&out);
        recompute::check(&rec);

        let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
        let kinds = |kind| events.iter().filter(|event| event.kind == kind).count();
        for kind in [
            EventKind::Sleep,
            EventKind::Wake,
            EventKind::Hold,
            EventKind::Release,
            EventKind::GuestCrash,
        ] {
            assert!(kinds(kind) >= 2, "{kind:?}");
        }
        for kind in [EventKind::VpAdded, EventKind::LpOff, EventKind::LpOn] {
            assert_eq!(kinds(kind), 2, "{kind:?}");
        }
        assert_eq!(kinds(EventKind::Controls), 4);
        let manifest = read_manifest(&rec).unwrap();
        assert_eq!(manifest.experiments[0].reserve_model, model);
        assert_eq!(manifest.runs[0].phases.len(), 6);
        assert_eq!(manifest.runs[0].wakes.len(), 1);
        assert_eq!((manifest.runs[0].seed, manifest.runs[1].seed), (1, 2));
    }
}

#[test]
fn shipped_experiments_follow_the_formula() {
    let dir = TempDir::new().unwrap();
    let names = [
        "production-test",
        "cap",
        "cap-idle",
        "reserve",
        "reserve-floor",
        "idle-reserve",
        "wake",
        "live-weight",
        "grow",
        "cap-insurance",
        "come-and-go",
        "duty-cycles",
        "noisy-neighbour",
        "reserve-above-demand",
        "uneven-vps-guest",
    ];
    let text = simulate(dir.path(), &names);
    recompute::check(&dir.path().join("rec"));
    assert_eq!(
        text.matches("engine simulator: virtual time, nothing was measured")
            .count(),
        // And what a claim of noisy-neighbour compares it with.
        names.len() + 1
    );
    let wide = text.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None);
    let manifest = manifest(dir.path());
    assert_eq!(manifest.engine, "simulator");
    for run in &manifest.runs {
        assert_eq!(run.verdict, Verdict::Pass, "{run:?}");
    }
    let wakes = |name: &str| {
        let run = manifest.runs.iter().find(|run| run.experiment == name);
        run.unwrap().wakes[0].clone()
    };
    assert_eq!(wakes("wake").verdict, Some(Verdict::Pass));
    assert_eq!(wakes("wake").undisturbed.wakes, 500);
    let shares: Vec<ShareRow> = read_rows(&dir.path().join("rec"), files::SHARES).unwrap();
    assert!(shares.iter().all(|row| row.engine == "simulator"));
    for check in [Check::Cap, Check::Reserve] {
        assert!(shares.iter().any(|row| row.check == check));
    }
}

#[test]
fn a_seed_decides_everything() {
    let dir = TempDir::new().unwrap();
    let text = BUSY
        .replace("payload = \"crash\"", "")
        .replace("after_work = 100000", "");
    fs::write(dir.path().join("busy.toml"), text).unwrap();
    let dispatches = |seed: &str, out: &str| {
        let arguments = [
            "run",
            "busy.toml",
            "--engine",
            "simulator",
            "--seed",
            seed,
            "--out",
            out,
        ];
        apportion(dir.path(), &arguments);
        fs::read(dir.path().join(out).join(files::DISPATCHES)).unwrap()
    };
    let first = dispatches("7", "a");
    assert!(first.len() > 100_000);
    assert!(first == dispatches("7", "b"));
    assert!(first != dispatches("8", "c"));
}

#[test]
fn reserves_that_a_forced_lp_leaves_no_room_for_are_scaled_and_told() {
    let dir = TempDir::new().unwrap();
    let text = r#"
        schema = 1
        name = "forced"
        why = "An LP that the reserves need."
        lps = 2
        duration = "2s"
        [[guest]]
        name = "pair"
        count = 2
        reserve = 80
        [[change]]
        at = "1s"
        lp_off = 1
        force = true
    "#;
    fs::write(dir.path().join("forced.toml"), text).unwrap();
    let printed = simulate(dir.path(), &["forced.toml"]);
    assert!(printed.contains("scaled down to 62.5 %"), "{printed}");
    recompute::check(&dir.path().join("rec"));
    let kept = manifest(dir.path()).runs[0].reserves_kept_pct.unwrap();
    assert!((kept - 62.5).abs() < 1e-6);
}

#[test]
fn a_policy_that_ignores_controls_fails_what_they_promise() {
    let dir = TempDir::new().unwrap();
    let arguments = [
        "run",
        "reserve",
        "wake",
        "--engine",
        "simulator",
        "--policy",
        "round-robin",
        "--out",
        "rec",
    ];
    let output = apportion(dir.path(), &arguments);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    recompute::check(&dir.path().join("rec"));
    let shares: Vec<ShareRow> = read_rows(&dir.path().join("rec"), files::SHARES).unwrap();
    // It promises no reserves, so none is checked.
    assert!(shares.iter().all(|row| row.check != Check::Reserve));
    assert_eq!(manifest(dir.path()).runs[1].wakes[0].verdict, None);
}

#[test]
fn an_experiment_larger_than_the_host_runs() {
    let dir = TempDir::new().unwrap();
    // Its widest guest may be off by 24 VPs times two lags of b = 2.05 slices: after 2 s that is
    // 0.077 points of 64 LPs, below its tolerance of 0.1, so that there is a verdict.
    simulate(dir.path(), &["numa", "--duration", "2s"]);
    let rec = dir.path().join("rec");
    let dispatches: Vec<DispatchRow> = read_rows(&rec, files::DISPATCHES).unwrap();
    assert_eq!(dispatches.iter().map(|row| row.lp).max(), Some(63));
    recompute::check(&rec);
}

#[test]
fn recorded_decisions_are_taken_again_and_a_changed_one_is_found() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("busy.toml"), BUSY).unwrap();
    let arguments = [
        "run",
        "busy.toml",
        "tlfs",
        "--engine",
        "simulator",
        "--duration",
        "3s",
        "--decisions",
        "--repetitions",
        "2",
        "--out",
        "rec",
    ];
    apportion(dir.path(), &arguments);
    let replay = || apportion(dir.path(), &["replay-decisions", "rec"]);
    let same = replay();
    assert_eq!(same.status.code(), Some(0), "{}", told(&same));
    assert!(told(&same).contains("decisions of 4 run(s) replayed: all identical"));

    let path = dir.path().join("rec").join(files::DECISIONS);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let write = |change: &dyn Fn(usize, &str) -> Option<String>| {
        let changed = lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| change(at, line));
        fs::write(&path, changed.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    };
    let victim = lines
        .iter()
        .position(|line| line.contains(",500,") && line.contains("tlfs,2,"))
        .unwrap();

    // Another answer than the scheduler gave.
    write(&|at, line| {
        Some(match at == victim {
            true => line.rsplit_once(',').unwrap().0.to_owned() + ",nonsense",
            false => line.to_owned(),
        })
    });
    let diverged = replay();
    assert_eq!(diverged.status.code(), Some(3), "{}", told(&diverged));
    let text = told(&diverged);
    assert!(
        text.contains("tlfs, repetition 2: decision 500, at ")
            && text.contains("recorded `nonsense`")
            && text.contains("1 of 4 run(s) diverged"),
        "{text}"
    );

    // No call at all, and a line that is gone.
    write(&|at, line| {
        Some(match at == victim {
            true => line.replace("lp=", "pl="),
            false => line.to_owned(),
        })
    });
    let malformed = replay();
    assert_eq!(malformed.status.code(), Some(2));
    let place = format!("decisions.csv, line {}: ", victim + 1);
    assert!(told(&malformed).contains(&place), "{}", told(&malformed));
    write(&|at, line| (at != victim).then(|| line.to_owned()));
    let missing = replay();
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        told(&missing).contains("decision 500 is missing"),
        "{}",
        told(&missing)
    );
    write(&|at, line| (at + 1 != lines.len()).then(|| line.to_owned()));
    let short = replay();
    assert_eq!(short.status.code(), Some(2));
    assert!(
        told(&short).contains("decisions were recorded"),
        "{}",
        told(&short)
    );
}
