//! The engine on real KVM.

mod kvm_only;

use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::kvm::KvmEngine;
use apportion_hypervisor::{
    Engine, EngineError, Flow, GuestSpec, Observer, Payload, RunOutcome, RunSpec, host,
};
use apportion_scheduler::{Controls, GuestId, Nanos, PolicyKind, Weight};
use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    kvm_only::main(&[
        (
            "weights_become_shares_of_the_time_delivered",
            weights_become_shares,
        ),
        ("guest_work_agrees_with_charged_time", work_agrees_with_time),
        ("round_robin_ignores_weights", round_robin_ignores_weights),
        ("a_vp_is_never_on_two_lps_at_once", never_on_two_lps),
        (
            "a_crashed_guest_is_named_and_the_others_go_on",
            crash_is_named,
        ),
        ("an_lp_without_a_vp_is_recorded_as_idle", idle_is_recorded),
        (
            "an_interrupted_run_keeps_what_was_measured",
            interrupted_run,
        ),
        ("more_lps_than_the_host_has_are_refused", too_many_lps),
    ])
}

/// Keeps everything; stops after a while if told to.
#[derive(Default)]
struct Keep {
    dispatches: Vec<Dispatch>,
    idle: Nanos,
    crashed: Vec<GuestId>,
    stop_after: Option<Nanos>,
}

impl Observer for Keep {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Box<dyn Error + Send + Sync>> {
        match *entry {
            LogEntry::Dispatch(dispatch) => self.dispatches.push(dispatch),
            LogEntry::Idle { start, end, .. } => self.idle += end.since(start),
            LogEntry::GuestCrashed { guest, .. } => self.crashed.push(guest),
            LogEntry::GuestStarted { .. } | LogEntry::Sample { .. } => {}
        }
        Ok(())
    }

    fn tick(&mut self, now: Nanos, _: Nanos) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        Ok(match self.stop_after {
            Some(stop) if now >= stop => Flow::Stop,
            _ => Flow::Continue,
        })
    }
}

impl Keep {
    fn sum(&self, of: impl Fn(&Dispatch) -> u64, vps: impl Iterator<Item = u32>) -> f64 {
        let vps: Vec<u32> = vps.collect();
        self.dispatches
            .iter()
            .filter(|dispatch| vps.contains(&dispatch.vp.0))
            .map(|dispatch| of(dispatch) as f64)
            .sum()
    }

    /// Percentages by guest.
    fn shares(&self, spec: &RunSpec, of: impl Fn(&Dispatch) -> u64 + Copy) -> Vec<f64> {
        let by_guest: Vec<f64> = (0..spec.guests.len() as u32)
            .map(|guest| self.sum(of, spec.vps_of(GuestId(guest)).map(|vp| vp.0)))
            .collect();
        let total: f64 = by_guest.iter().sum();
        by_guest
            .into_iter()
            .map(|part| 100.0 * part / total)
            .collect()
    }
}

fn guest(name: &str, vps: u32, weight: i64, payload: Payload) -> GuestSpec {
    GuestSpec {
        name: name.to_owned(),
        vps,
        controls: Controls::with_weight(Weight::new(weight).unwrap()),
        payload,
    }
}

fn burners(lps: u32, policy: PolicyKind, guests: &[(u32, i64)]) -> RunSpec {
    RunSpec {
        lps,
        slice: Nanos::from_millis(1),
        policy,
        guests: guests
            .iter()
            .map(|&(vps, weight)| guest("burner", vps, weight, Payload::Burn))
            .collect(),
        warm_up: Nanos::from_millis(100),
        duration: Nanos::from_millis(1_500),
    }
}

/// As many LPs as the host has, two at the most.
fn lps() -> u32 {
    host::cpus().len().min(2) as u32
}

fn run(spec: &RunSpec) -> (Keep, RunOutcome) {
    let mut keep = Keep::default();
    let outcome = KvmEngine::new().unwrap().run(spec, &mut keep).unwrap();
    (keep, outcome)
}

/// A guest's error is at most its VPs' lag: 2 slices each by design on several
/// LPs, plus what one long theft by the outer host adds before it is charged.
/// 5 pp of 1.6 s × 2 LPs are 160 ms, 40 times that for 2 VPs at 1 ms.
const MARGIN_PP: f64 = 5.0;

fn assert_near(measured: &[f64], expected: &[f64]) {
    for (measured_pct, expected_pct) in measured.iter().zip(expected) {
        assert!(
            (measured_pct - expected_pct).abs() < MARGIN_PP,
            "{measured:.2?} for {expected:.2?}"
        );
    }
}

fn weights_become_shares() {
    let spec = burners(
        lps(),
        PolicyKind::Fair,
        &[(2, 200), (2, 200), (2, 50), (2, 50)],
    );
    let (keep, outcome) = run(&spec);
    assert!(!outcome.interrupted);
    assert_near(&keep.shares(&spec, |d| d.ran.0), &[40.0, 40.0, 10.0, 10.0]);
}

fn work_agrees_with_time() {
    let spec = burners(lps(), PolicyKind::Fair, &[(2, 300), (2, 100)]);
    let (keep, _) = run(&spec);
    let time = keep.shares(&spec, |d| d.ran.0);
    let work = keep.shares(&spec, |d| d.work);
    assert!(
        keep.dispatches
            .iter()
            .all(|d| d.work > 0 || d.ran < Nanos::from_millis(1))
    );
    // One guest's work per CPU second can differ from the other's only by what
    // the LPs' speeds do while it runs there: 2 pp of a 75 % share are 2.7 %.
    for (work, time) in work.iter().zip(&time) {
        assert!(
            (work - time).abs() < 2.0,
            "{work} % of the work for {time} % of the time"
        );
    }
}

fn round_robin_ignores_weights() {
    let spec = burners(1, PolicyKind::RoundRobin, &[(1, 1000), (1, 10)]);
    let (keep, _) = run(&spec);
    assert_near(&keep.shares(&spec, |d| d.ran.0), &[50.0, 50.0]);
}

fn never_on_two_lps() {
    // Five VPs on two LPs: they have to move.
    let spec = burners(lps(), PolicyKind::Fair, &[(1, 100); 5]);
    let (mut keep, _) = run(&spec);
    keep.dispatches.sort_by_key(|d| d.start);
    let mut last_end = HashMap::new();
    for d in &keep.dispatches {
        assert!(d.ready <= d.start && d.start <= d.end, "{d:?}");
        assert!(
            d.ran <= d.end.since(d.start),
            "charged more than passed: {d:?}"
        );
        let last = last_end.insert(d.vp, d.end).unwrap_or_default();
        assert!(last <= d.start, "{d:?} began before {last:?}");
    }
    assert_eq!(last_end.len(), 5);
}

fn crash_is_named() {
    let mut spec = burners(lps(), PolicyKind::Fair, &[(2, 100), (2, 100)]);
    spec.guests.push(guest(
        "doomed",
        2,
        100,
        Payload::Crash { after_work: 10_000 },
    ));
    let (keep, outcome) = run(&spec);
    assert_eq!(keep.crashed, [GuestId(2)]);
    let [crash] = &outcome.crashes[..] else {
        panic!("one crash: {:?}", outcome.crashes);
    };
    assert_eq!(crash.guest, GuestId(2));
    assert!(crash.report.contains("shutdown"), "{}", crash.report);
    assert!(
        crash.report.contains("rip=0x20"),
        "inside the image: {}",
        crash.report
    );
    let faults: Vec<_> = keep
        .dispatches
        .iter()
        .filter(|d| d.reason == Reason::Fault)
        .collect();
    assert!(
        matches!(faults.len(), 1 | 2),
        "one VP, or both at the same time: {faults:?}"
    );
    // Its VPs are never entered again, and the others share what it leaves.
    let doomed: Vec<_> = spec.vps_of(GuestId(2)).collect();
    let later = |d: &&Dispatch| d.start > crash.at;
    assert!(
        !keep
            .dispatches
            .iter()
            .filter(later)
            .any(|d| doomed.contains(&d.vp))
    );
    assert!(keep.dispatches.iter().filter(later).count() > 100);
}

fn idle_is_recorded() {
    if lps() < 2 {
        println!("one LP only: nothing to leave idle");
        return;
    }
    let spec = burners(2, PolicyKind::Fair, &[(1, 100)]);
    let (keep, outcome) = run(&spec);
    let wall = outcome.measured_until.since(outcome.start);
    // One LP of two has nothing to do but to log it.
    assert!(
        keep.idle > Nanos(wall.0 * 8 / 10),
        "{} of {wall}",
        keep.idle
    );
    assert!(
        keep.idle <= wall + Nanos::from_millis(200),
        "{} of {wall}",
        keep.idle
    );
}

fn interrupted_run() {
    let mut spec = burners(lps(), PolicyKind::Fair, &[(1, 100), (1, 100)]);
    spec.duration = Nanos::from_millis(60_000);
    let mut engine = KvmEngine::new().unwrap();
    let mut keep = Keep {
        stop_after: Some(Nanos::from_millis(400)),
        ..Keep::default()
    };
    let outcome = engine.run(&spec, &mut keep).unwrap();
    assert!(outcome.interrupted);
    assert!(outcome.measured_until < Nanos::from_millis(20_000));
    assert!(keep.dispatches.iter().any(|d| d.reason == Reason::End));
}

fn too_many_lps() {
    let available = host::cpus().len() as u32;
    let spec = burners(available + 1, PolicyKind::Fair, &[(1, 100)]);
    let refused = KvmEngine::new().unwrap().run(&spec, &mut Keep::default());
    assert!(matches!(
        refused,
        Err(EngineError::TooFewLps { wanted, available: a }) if wanted == available + 1 && a == available
    ));
}
