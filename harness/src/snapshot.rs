//! The engine's counters in the words of the result files.

use crate::plan::{Planned, Roster};
use apportion_hypervisor::counters::{Intercept, LpSnapshot, Snapshot, VpSnapshot};
use apportion_recording::{self as recording, Intercepts, LpCounters, RootCounters, VpCounters};
use apportion_scheduler::Nanos;

/// Counters of a run whose guests were started at `start`, taken at `unix_ms`.
pub(crate) fn snapshot(
    planned: &Planned,
    start: Nanos,
    counted: &Snapshot,
    unix_ms: i64,
) -> recording::Snapshot {
    let lps = counted.lps.iter().zip(0..);
    // Hyper-V's root has a VP on each LP; ours is whatever of it was seen there,
    // and one more stands for the host's other CPUs.
    let roots = lps.clone().map(|(of, lp)| (Some(lp), of.root));
    let roots = roots.chain([(None, counted.root_elsewhere)]);
    recording::Snapshot {
        unix_ms,
        wall_ns: counted.at.since(start).0,
        lps: lps.clone().map(|(of, lp)| of_lp(lp, of)).collect(),
        roots: roots
            .map(|(lp, run)| RootCounters { lp, run_ns: run.0 })
            .collect(),
        vps: of_vps(planned, &counted.vps),
    }
}

fn of_lp(lp: u32, of: &LpSnapshot) -> LpCounters {
    LpCounters {
        lp,
        guest_ns: of.guest.0,
        hypervisor_ns: of.hypervisor.0,
        root_ns: of.root.0,
        others_ns: of.others.0,
        steal_ns: of.steal.0,
        idle_ns: of.idle.0,
        context_switches: of.switches,
    }
}

/// Those that are there: one that is to be added has not run yet.
fn of_vps(planned: &Planned, vps: &[VpSnapshot]) -> Vec<VpCounters> {
    let Roster {
        owners, initial, ..
    } = &planned.roster;
    let there = |vp: &usize| *vp < *initial || vps[*vp].dispatches > 0;
    let counters = |vp: usize| {
        let (guest, index) = owners[vp];
        let of = &vps[vp];
        let count = |kind: Intercept| of.intercepts[kind as usize];
        VpCounters {
            guest: planned.spec.guests[guest.index()].name.clone(),
            vp: index,
            guest_ns: of.guest.0,
            hypervisor_ns: of.service.0,
            ready_ns: of.ready.0,
            dispatches: of.dispatches,
            migrations: of.migrations,
            hypercalls: count(Intercept::Hypercall),
            long_spin_waits: of.long_spin_waits,
            interrupts_posted: of.posted,
            interrupts_delivered: of.injected,
            interrupts_pending: of.posted.saturating_sub(of.injected),
            intercepts: Intercepts {
                hypercall: count(Intercept::Hypercall),
                port: count(Intercept::Port),
                memory: count(Intercept::Memory),
                interrupt_window: count(Intercept::InterruptWindow),
                fault: count(Intercept::Fault),
                other: count(Intercept::Other),
            },
        }
    };
    (0..vps.len()).filter(there).map(counters).collect()
}
