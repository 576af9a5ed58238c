//! Manifests and snapshots to write recordings from.
#![allow(dead_code, reason = "no test uses all of it")]

use apportion_recording::{
    ActionEntry, ChangeEntry, ExperimentEntry, GuestEntry, HostEntry, Intercepts, LpCounters,
    Manifest, RootCounters, SCHEMA, SimulatorEntry, Snapshot, Status, ToolEntry, VpCounters,
};
use std::collections::BTreeMap;

/// A second in ns.
pub(crate) const S: u64 = 1_000_000_000;

/// Of a recording on `hostname` with these experiments.
pub(crate) fn manifest(hostname: &str, experiments: Vec<ExperimentEntry>) -> Manifest {
    Manifest {
        schema: SCHEMA,
        tool: ToolEntry {
            name: "apportion".into(),
            version: "0.1.0".into(),
            git_revision: "unknown".into(),
        },
        created: "2026-01-02T03:04:05Z".into(),
        command: vec!["apportion".into(), "run".into()],
        status: Status::Running,
        engine: "kvm".into(),
        seed: 1,
        decisions: false,
        host: HostEntry {
            hostname: hostname.into(),
            cpu: "A CPU".into(),
            kernel: "6.13".into(),
            kvm_flavour: "vmx".into(),
            lps: 2,
            governor: "none".into(),
            memory_mib: 4096,
        },
        experiments,
        runs: Vec::new(),
        verdict: None,
        error: None,
    }
}

/// An experiment with so many LPs, guests with their VPs, and guests that get one more.
pub(crate) fn experiment(
    name: &str,
    lps: u32,
    guests: &[(&str, u32)],
    added: &[&str],
) -> ExperimentEntry {
    ExperimentEntry {
        family: "experiment".to_owned(),
        settings: Vec::new(),
        point: Vec::new(),
        name: name.into(),
        why: "A test.".into(),
        source: "test.toml".into(),
        text: String::new(),
        text_sha256: String::new(),
        policy: "fair".into(),
        reserve_model: "additive".into(),
        weight_scope: "vp".into(),
        seed: 1,
        lps,
        nodes: 1,
        slice_ns: 10_000_000,
        warm_up_ns: S,
        duration_ns: 10 * S,
        repetitions: 1,
        tolerance_pp: 0.5,
        simulator: SimulatorEntry {
            overhead_ns: 0,
            kick_latency_ns: 0,
        },
        guests: guests.iter().map(|&(name, vps)| guest(name, vps)).collect(),
        replays: Vec::new(),
        changes: added.iter().map(|name| add_vp(name)).collect(),
    }
}

fn guest(name: &str, vps: u32) -> GuestEntry {
    GuestEntry {
        expected_pct: None,
        name: name.into(),
        group: name.into(),
        vps,
        weight: 100,
        reserve_pct: 0.0,
        cap_pct: 100.0,
        affinity: None,
        payload: "burn".into(),
        parameters: BTreeMap::new(),
        memory_bytes: 4 << 20,
        processor: "host".into(),
        ticks: 0,
        replays: None,
    }
}

fn add_vp(guest: &str) -> ChangeEntry {
    ChangeEntry {
        at_ns: S,
        action: ActionEntry::AddVp {
            guest: guest.into(),
        },
    }
}

/// A snapshot of these LPs, VPs and VPs of the root after `wall_ns`, in which
/// each has counted in proportion to the time, and to who it is.
pub(crate) fn snapshot(wall_ns: u64, lps: u32, vps: &[(&str, u32)], roots: u32) -> Snapshot {
    let tenths = wall_ns / 10;
    let times = |n: usize| wall_ns * (n as u64 + 1) / 1_000_000;
    Snapshot {
        // 2026-01-02 03:04:05.678, when the guests were started.
        unix_ms: 1_767_323_045_678 + (wall_ns / 1_000_000) as i64,
        wall_ns,
        lps: (0..lps)
            .map(|lp| LpCounters {
                lp,
                guest_ns: 5 * tenths + tenths / 3,
                hypervisor_ns: tenths - tenths / 3,
                root_ns: tenths / 2,
                others_ns: tenths / 4,
                steal_ns: tenths / 4,
                idle_ns: 3 * tenths,
                context_switches: times(lp as usize),
            })
            .collect(),
        vps: vps
            .iter()
            .enumerate()
            .map(|(n, &(guest, vp))| VpCounters {
                guest: guest.into(),
                vp,
                guest_ns: tenths / (n as u64 + 1),
                hypervisor_ns: tenths / 7,
                ready_ns: 2 * tenths,
                dispatches: times(n),
                migrations: times(n) / 2,
                hypercalls: times(n) / 4,
                long_spin_waits: times(n) / 8,
                interrupts_posted: times(n) / 5,
                interrupts_delivered: times(n) / 5 - 1,
                interrupts_pending: 1,
                intercepts: Intercepts {
                    hypercall: times(n) / 4,
                    port: 3,
                    memory: 2,
                    interrupt_window: 1,
                    fault: 0,
                    other: 5,
                },
            })
            .collect(),
        roots: (0..roots)
            .map(Some)
            .chain((roots > 0).then_some(None))
            .zip(1..)
            .map(|(lp, times)| RootCounters {
                lp,
                run_ns: tenths * times,
            })
            .collect(),
    }
}
