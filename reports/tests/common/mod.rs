//! A small recording whose answers can be worked out by hand.
#![allow(dead_code, reason = "each test file uses its own part")]

use apportion_recording::{
    Calibration, Check, DispatchRow, EventKind, EventRow, ExperimentEntry, GuestEntry, HostEntry,
    Manifest, Noise, Reason, RunEntry, SCHEMA, Scope, ShareRow, SimulatorEntry, Status, SummaryRow,
    ToolEntry, Verdict,
};

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes when its test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One second in ns.
pub(crate) const S: u64 = 1_000_000_000;
/// One millisecond in ns.
pub(crate) const MS: i64 = 1_000_000;

/// Two guests on two LPs, measured from second 1 to second 21.
pub(crate) fn manifest() -> Manifest {
    Manifest {
        schema: SCHEMA,
        tool: ToolEntry {
            name: "apportion".into(),
            version: "0.1.0".into(),
            git_revision: "abc1234".into(),
        },
        created: "2026-01-31T12:00:00Z".into(),
        command: ["apportion", "run", "my file.toml"]
            .map(String::from)
            .to_vec(),
        status: Status::Complete,
        engine: "kvm".into(),
        seed: 7,
        host: HostEntry {
            hostname: "box".into(),
            cpu: "Model 9".into(),
            kernel: "6.1".into(),
            kvm_flavour: "vmx".into(),
            lps: 2,
            governor: "none".into(),
            memory_mib: 2048,
        },
        decisions: false,
        experiments: vec![experiment("pair")],
        runs: vec![run("pair", 1)],
        verdict: Some(Verdict::Pass),
        error: None,
    }
}

pub(crate) fn experiment(name: &str) -> ExperimentEntry {
    ExperimentEntry {
        name: name.into(),
        family: name.into(),
        settings: Vec::new(),
        point: Vec::new(),
        why: "Two guests,\n  one favoured.".into(),
        source: "shipped".into(),
        text: String::new(),
        text_sha256: String::new(),
        policy: "fair".into(),
        reserve_model: "additive".into(),
        weight_scope: "vp".into(),
        seed: 1,
        lps: 2,
        nodes: 1,
        slice_ns: 10_000_000,
        warm_up_ns: S,
        duration_ns: 20 * S,
        repetitions: 1,
        tolerance_pp: 0.5,
        simulator: SimulatorEntry {
            overhead_ns: 2_000,
            kick_latency_ns: 25_000,
        },
        guests: vec![guest("prod", 2, 200), guest("adhoc", 1, 50)],
        replays: Vec::new(),
        changes: Vec::new(),
    }
}

fn guest(name: &str, vps: u32, weight: u32) -> GuestEntry {
    GuestEntry {
        name: name.into(),
        group: name.into(),
        vps,
        weight,
        reserve_pct: 0.0,
        cap_pct: 100.0,
        expected_pct: None,
        affinity: None,
        payload: "burn".into(),
        parameters: BTreeMap::new(),
        memory_bytes: 4 << 20,
        processor: "host".into(),
        ticks: 0,
        replays: None,
    }
}

pub(crate) fn run(experiment: &str, repetition: u32) -> RunEntry {
    RunEntry {
        experiment: experiment.into(),
        repetition,
        seed: 1,
        start_ns: 0,
        measured_from_ns: S,
        measured_until_ns: 21 * S,
        interrupted: false,
        lp_cpus: vec![2, 5],
        calibration: Calibration {
            kick_overshoot_p50_ns: 8_000,
            kick_overshoot_p99_ns: 50_000,
            kick_overshoot_max_ns: 1_200_000,
            lag_limit_ns: 20_100_000,
            work_per_cpu_second: 1.5e8,
            capacity_pct: 98.7,
        },
        noise: Noise {
            steal_pct: 0.25,
            involuntary_switches: 12,
            migrations_per_second_per_lp: 0.075,
            max_lag_slices: Some(1.2),
            idle_while_ready_pct: 0.0,
            clock_error_ns: Some(512),
        },
        crashed: Vec::new(),
        phases: Vec::new(),
        convergence: Vec::new(),
        wakes: Vec::new(),
        idleness: Default::default(),
        service: Vec::new(),
        results: Vec::new(),
        reserves_kept_pct: None,
        decisions: None,
        counters: None,
        verdict: Verdict::Pass,
    }
}

/// `(lp, guest, vp, start, end, ran)`, times in tenths of a second.
pub(crate) fn dispatch(row: (u32, &str, u32, u64, u64, u64)) -> DispatchRow {
    let (lp, guest, vp, start, end, ran) = row;
    DispatchRow {
        experiment: "pair".into(),
        repetition: 1,
        lp,
        guest: guest.into(),
        vp,
        ready_ns: start * S / 10,
        start_ns: start * S / 10,
        end_ns: end * S / 10,
        ran_ns: ran * S / 10,
        work: 1,
        reason: Reason::Slice,
    }
}

pub(crate) fn event(kind: EventKind, lp: u32, t_ns: u64, value: i64) -> EventRow {
    EventRow {
        experiment: "pair".into(),
        repetition: 1,
        t_ns,
        kind,
        lp: Some(lp),
        guest: None,
        vp: None,
        value: Some(value),
        detail: None,
    }
}

pub(crate) fn share(guest: &str, vp: Option<u32>, window_ms: u64, error_pp: f64) -> ShareRow {
    let expected_pct = if guest == "prod" { 80.0 } else { 20.0 };
    ShareRow {
        experiment: "pair".into(),
        repetition: 1,
        engine: "kvm".into(),
        policy: "fair".into(),
        scope: if vp.is_some() {
            Scope::Vp
        } else {
            Scope::Guest
        },
        guest: guest.into(),
        vp,
        weight: if guest == "prod" { 200 } else { 50 },
        reserve_pct: 0.0,
        cap_pct: 100.0,
        check: Check::Share,
        window_ms,
        window_start_ns: S,
        expected_pct,
        measured_pct: expected_pct + error_pp,
        work_pct: expected_pct,
        capacity_pct: 98.7,
        error_pp,
        bound_pp: 0.4,
        tolerance_pp: 0.5,
        verdict: Verdict::Pass,
    }
}

pub(crate) fn summary(guest: &str, measured_pct: f64, interval: Option<(f64, f64)>) -> SummaryRow {
    let expected_pct = if guest == "prod" { 80.0 } else { 20.0 };
    SummaryRow {
        experiment: "pair".into(),
        engine: "kvm".into(),
        policy: "fair".into(),
        guest: guest.into(),
        weight: if guest == "prod" { 200 } else { 50 },
        vps: if guest == "prod" { 2 } else { 1 },
        repetitions: if interval.is_some() { 2 } else { 1 },
        expected_pct,
        measured_pct,
        ci95_low_pct: interval.map(|i| i.0),
        ci95_high_pct: interval.map(|i| i.1),
        work_pct: expected_pct,
        worst_error_pp: measured_pct - expected_pct,
        tolerance_pp: 0.5,
        verdict: Verdict::Pass,
    }
}

/// What ran where: see `known_answers.rs` for the sums.
pub(crate) fn dispatches() -> Vec<DispatchRow> {
    [
        (0, "prod", 0, 5, 15, 8),     // crosses the beginning: 0.4 s inside
        (1, "adhoc", 0, 10, 20, 10),  // begins on the border
        (0, "prod", 0, 20, 70, 50),   //
        (0, "adhoc", 0, 70, 120, 40), // migrated from LP 1
        (1, "prod", 0, 120, 140, 20), // migrated from LP 0
        (1, "prod", 1, 140, 140, 0),  // left at once
        (0, "prod", 0, 190, 230, 30), // migrated from LP 1, crosses the end: 1.5 s inside
        (1, "prod", 1, 210, 220, 10), // begins when measuring has ended
    ]
    .map(dispatch)
    .to_vec()
}

pub(crate) fn events() -> Vec<EventRow> {
    vec![
        event(EventKind::Idle, 0, 12 * S / 10, 400 * MS), // half of it before the beginning
        event(EventKind::Idle, 0, 15 * S, 3000 * MS),
        event(EventKind::Idle, 1, 22 * S, 2000 * MS), // half of it after the end
        event(EventKind::Lag, 0, S, 99 * MS),         // speaks of the warm-up
        event(EventKind::Lag, 0, 2 * S, 5 * MS),
        event(EventKind::Lag, 1, 11 * S, -12 * MS), // ends the first period
        event(EventKind::Lag, 0, 115 * S / 10, 7 * MS),
    ]
}

/// Whole run and windows; the guests not in the manifest's order.
pub(crate) fn shares() -> Vec<ShareRow> {
    let mut rows = vec![
        share("adhoc", None, 0, -0.1),
        share("prod", None, 0, 0.1),
        share("adhoc", Some(0), 0, -0.1),
        share("prod", Some(1), 0, 0.04),
        share("prod", Some(0), 0, 0.06),
    ];
    for error in [0.3, -0.4, 0.1, -0.2, 0.5] {
        rows.push(share("adhoc", None, 100, 0.0));
        rows.push(share("prod", None, 100, error));
        rows.push(share("prod", Some(0), 1000, error / 10.0));
    }
    // Another check's rows are no part of the errors.
    rows.push(ShareRow {
        check: Check::Cap,
        ..share("prod", None, 100, -40.0)
    });
    rows
}
