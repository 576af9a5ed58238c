//! Runs in which somebody changes guests as they go on: what is recorded, and what comes of the verdict.

#[path = "../../tests/recompute/mod.rs"]
mod recompute;

use super::*;
use crate::cli::{Cli, Command};
use crate::exit::Code;
use crate::{entry, plan, replay};
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::{Action, Observer, RunOutcome, RunSpec, SimulatorEngine};
use apportion_recording::{Check, EventKind, EventRow, ShareRow, Verdict, files, read_rows};
use apportion_scheduler::{Cap, Controls, GuestId, Nanos, Reserve, Weight};
use clap::Parser as _;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Two guests on two LPs that lose a twentieth of their time, and one that sleeps and has a reserve.
const EXPERIMENT: &str = r#"
    schema = 1
    name = "live"
    why = "Guests that somebody changes while they run."
    lps = 2
    duration = "4s"
    warm_up = "300ms"
    [simulator]
    overhead = "50us"
    [[guest]]
    name = "first"
    vps = 2
    [[guest]]
    name = "second"
    vps = 2
    [[guest]]
    name = "sleeper"
    reserve = 20
    payload = "periodic"
    period = "20ms"
    run = "1ms"
"#;

/// A planned change that fits until the first guest has a reserve.
const GREEDY: &str = r#"
    [[change]]
    at = "3s"
    guest = "second"
    reserve = 60
"#;

/// Asks for other controls when it is time.
struct Asks {
    passed: Nanos,
    asks: Vec<(Nanos, Action)>,
    refused: Vec<String>,
}

impl Watch for Asks {
    fn begin(&mut self, _: &Planned, _: u32) {}

    fn entry(&mut self, _: &LogEntry) {}

    fn refused(&mut self, _: &Action, why: &str, _: Nanos) {
        self.refused.push(why.to_owned());
    }

    fn requests(&mut self) -> Vec<Action> {
        let due = self.asks.extract_if(.., |(at, _)| *at <= self.passed);
        due.map(|(_, action)| action).collect()
    }

    fn tick(&mut self, passed: Nanos) {
        self.passed = passed;
    }

    fn end(&mut self) {}
}

fn set(guest: u32, weight: i64, reserve: f64, cap: f64) -> Action {
    let controls = Controls::new(
        Weight::new(weight).unwrap(),
        Reserve::from_percent(reserve).unwrap(),
        Cap::from_percent(cap).unwrap(),
    );
    Action::SetControls {
        guest: GuestId(guest),
        controls: controls.unwrap(),
    }
}

/// Runs it in the simulator; the manifest, and what was printed.
fn run(dir: &TempDir, text: &str, asks: &[(u64, Action)]) -> (Manifest, Gathered) {
    let (flow, manifest, summed_up) = run_on(&mut SimulatorEngine::new(), dir, text, asks);
    assert!(matches!(flow, Ok(Flow::Done)));
    (manifest, summed_up)
}

fn run_on(
    engine: &mut dyn Engine,
    dir: &TempDir,
    text: &str,
    asks: &[(u64, Action)],
) -> (Result<Flow, Failure>, Manifest, Gathered) {
    let (file, out) = (dir.path().join("live.toml"), dir.path().join("rec"));
    fs::write(&file, text).unwrap();
    let words = ["apportion", "run", "--engine", "simulator", "--decisions"];
    let words = words.iter().map(|word| word.to_string());
    let cli = Cli::parse_from(words.chain([file.display().to_string()]));
    let Command::Run(arguments) = cli.command else {
        unreachable!("the words say run")
    };
    let plans = plan::plan(&arguments, 2).unwrap();
    let mut manifest = entry::manifest(&plans.runs, &arguments, "simulator");
    let asks = asks
        .iter()
        .map(|&(ms, action)| (Nanos::from_millis(ms), action));
    let mut session = Session {
        writer: Writer::create(&out, &manifest).unwrap(),
        watch: Box::new(Asks {
            passed: Nanos::ZERO,
            asks: asks.collect(),
            refused: Vec::new(),
        }),
        interrupted: Arc::default(),
        summed_up: Gathered::default(),
        unprinted: None,
    };
    let flow = session.run_all(engine, &plans, &mut manifest);
    session.writer.finish(&manifest, &[]).unwrap();
    (flow, manifest, session.summed_up)
}

/// A simulator that fails in the end.
struct Fails(SimulatorEngine);

impl Engine for Fails {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn check(&self, spec: &RunSpec) -> Result<(), EngineError> {
        self.0.check(spec)
    }

    fn run(
        &mut self,
        spec: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, EngineError> {
        self.0.run(spec, observer)?;
        Err(EngineError::Dropped(1))
    }
}

/// A simulator that passes for another engine, and looks how many runs the manifest has when one begins.
struct Looks {
    inner: SimulatorEngine,
    manifest: PathBuf,
    seen: Vec<usize>,
}

impl Engine for Looks {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn check(&self, spec: &RunSpec) -> Result<(), EngineError> {
        self.inner.check(spec)
    }

    fn run(
        &mut self,
        spec: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, EngineError> {
        let text = fs::read_to_string(&self.manifest).unwrap();
        let manifest: Manifest = serde_json::from_str(&text).unwrap();
        self.seen.push(manifest.runs.len());
        self.inner.run(spec, observer)
    }
}

#[test]
fn a_long_run_begins_when_the_manifest_has_all_before_it() {
    let dir = TempDir::new().unwrap();
    let mut engine = Looks {
        inner: SimulatorEngine::new(),
        manifest: dir.path().join("rec").join(files::MANIFEST),
        seen: Vec::new(),
    };
    // So much text that writing it again after each run would take too long.
    let text = format!("repetitions = 3\n{EXPERIMENT}# {}", "x".repeat(16 << 20));
    let (flow, ..) = run_on(&mut engine, &dir, &text, &[]);
    assert!(matches!(flow, Ok(Flow::Done)));
    assert_eq!(engine.seen, [0, 1, 2]);
}

#[test]
fn who_crashed_is_recorded_though_the_run_fails() {
    let dir = TempDir::new().unwrap();
    let doomed = "[[guest]]\nname = \"doomed\"\npayload = \"crash\"\nafter_work = 1000";
    let text = format!("{EXPERIMENT}{doomed}");
    let (flow, ..) = run_on(&mut Fails(SimulatorEngine::new()), &dir, &text, &[]);
    assert!(flow.is_err());
    let events: Vec<EventRow> = read_rows(&dir.path().join("rec"), files::EVENTS).unwrap();
    let mut crashes = events.iter().filter(|it| it.kind == EventKind::GuestCrash);
    let crash = crashes.next().expect("a crash was recorded");
    assert_eq!(crash.guest.as_deref(), Some("doomed"));
    assert!(crash.detail.as_ref().unwrap().contains("simulated fault"));
    assert_eq!(crashes.next(), None);
}

#[test]
fn what_is_changed_live_is_recorded_expected_and_judged() {
    let dir = TempDir::new().unwrap();
    let asks = [
        (0, set(0, 100, 0.0, 60.0)),
        (700, set(0, 400, 0.0, 100.0)),
        (1_420, set(1, 100, 0.0, 30.0)),
        (1_900, set(1, 100, 95.0, 100.0)),
        (2_480, set(1, 100, 10.0, 70.0)),
        (2_490, set(2, 300, 0.0, 100.0)),
    ];
    let (manifest, summed_up) = run(&dir, EXPERIMENT, &asks);
    let rec = dir.path().join("rec");
    let rows = recompute::check(&rec);
    assert!(rows > 40 * 8);
    assert_eq!(manifest.runs[0].verdict, Verdict::Pass);
    assert!(manifest.runs[0].phases.is_empty());
    let first = &summed_up.of("live")[0].share;
    assert_eq!((first.guest.as_str(), first.weight), ("first", 400));

    // Neither a window that a change falls into nor any other is outside its bound.
    let shares: Vec<ShareRow> = read_rows(&rec, files::SHARES).unwrap();
    let outside = shares.iter().filter(|row| row.verdict != Verdict::Pass);
    assert_eq!(outside.collect::<Vec<_>>(), Vec::<&ShareRow>::new());
    for check in [Check::Cap, Check::Reserve] {
        assert!(
            shares
                .iter()
                .any(|row| row.check == check && row.guest == "second")
        );
    }

    let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
    let of = |kind| events.iter().filter(move |event| event.kind == kind);
    let defined: Vec<_> = of(EventKind::GuestDefined)
        .map(|it| it.detail.as_deref().unwrap())
        .collect();
    assert_eq!(defined.len(), 3);
    assert_eq!(
        defined[2],
        "vps=1 weight=100 reserve=20 cap=100 payload=periodic memory=4194304"
    );
    assert_eq!(of(EventKind::Controls).count(), 5);
    let [refused] = of(EventKind::Refused).collect::<Vec<_>>()[..] else {
        panic!("one was refused");
    };
    assert_eq!(refused.guest.as_deref(), Some("second"));
    assert!(
        refused.detail.as_ref().unwrap().contains("190 % of an LP"),
        "{refused:?}"
    );
    assert_eq!(replay::replay(&rec).ok(), Some(Code::Pass));
}

#[test]
fn a_planned_change_that_a_live_one_leaves_no_room_for_is_refused_and_the_run_goes_on() {
    let dir = TempDir::new().unwrap();
    let text = format!("{EXPERIMENT}{GREEDY}");
    let (manifest, _) = run(&dir, &text, &[(1_000, set(0, 100, 50.0, 100.0))]);
    let rec = dir.path().join("rec");
    recompute::check(&rec);
    assert_eq!(manifest.runs[0].verdict, Verdict::Pass);
    let events: Vec<EventRow> = read_rows(&rec, files::EVENTS).unwrap();
    let refused = events
        .iter()
        .filter(|event| event.kind == EventKind::Refused);
    assert_eq!(refused.count(), 1);
}
