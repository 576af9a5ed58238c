//! What the manifest says: of the invocation as it begins, and of each run as it ends.

use crate::cli::RunArguments;
use crate::exit::worst;
use crate::host;
use crate::ledger::VpSums;
use crate::plan::Planned;
use crate::recorder::Recorded;
use crate::results::results;
use crate::snapshot::snapshot;
use crate::verdict::{Judge, Row, Span, convergence, idleness, of_run, wakes};
use apportion_hypervisor::{RunOutcome, RunSpec};
use apportion_recording::{
    Calibration, CrashEntry, DemandRow, Manifest, Noise, PhaseEntry, RunEntry, SCHEMA,
    ServiceEntry, Status, ToolEntry,
};
use apportion_scheduler::{GuestId, Nanos};

/// The manifest before anything has run.
pub(crate) fn manifest(plans: &[Planned], arguments: &RunArguments, engine: &str) -> Manifest {
    Manifest {
        schema: SCHEMA,
        tool: ToolEntry {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: env!("APPORTION_REVISION").to_owned(),
        },
        created: jiff::Timestamp::now().to_string(),
        command: std::env::args().collect(),
        status: Status::Running,
        engine: engine.to_owned(),
        seed: plans.first().map_or(0, |planned| planned.spec.seed),
        decisions: arguments.decisions,
        host: host::fingerprint(),
        experiments: plans.iter().map(Planned::entry).collect(),
        runs: Vec::new(),
        verdict: None,
        error: None,
    }
}

/// One run as it went.
pub(crate) fn run_entry(
    judge: &Judge<'_>,
    spec: &RunSpec,
    outcome: &RunOutcome,
    rows: &[Row],
    recorded: &Recorded,
    demand: &[DemandRow],
) -> RunEntry {
    let (planned, closed) = (judge.planned, judge.closed);
    let counted = outcome.measured.as_ref().map(|both| {
        // The latter is the last that was recorded; of the former only the counters matter.
        let of = |it| snapshot(planned, outcome.start, it, recorded.counted_unix_ms);
        let [before, after] = both.each_ref().map(of);
        after.since(&before)
    });
    let (wakes, idleness) = (wakes(judge), idleness(judge));
    RunEntry {
        experiment: planned.name().to_owned(),
        repetition: judge.repetition,
        seed: spec.seed,
        start_ns: outcome.start.0,
        measured_from_ns: closed.measured.start.0,
        measured_until_ns: closed.measured.end.0,
        interrupted: outcome.interrupted,
        lp_cpus: outcome.lp_cpus.clone(),
        calibration: calibration(judge),
        noise: noise(judge, outcome, idleness.lasting_ns),
        crashed: outcome
            .crashes
            .iter()
            .map(|crash| CrashEntry {
                guest: planned.spec.guests[crash.guest.index()].name.clone(),
                vp: crash.vp,
                report: crash.report.clone(),
            })
            .collect(),
        phases: phases(judge, rows),
        convergence: convergence(judge),
        verdict: of_run(rows, &wakes, &idleness),
        wakes,
        idleness,
        service: service(judge),
        reserves_kept_pct: closed.reserves_kept.map(|part| 100.0 * part),
        results: results(planned, outcome, closed, &recorded.bursts, demand),
        decisions: spec.decisions.then_some(recorded.decisions),
        counters: counted,
    }
}

fn service(judge: &Judge<'_>) -> Vec<ServiceEntry> {
    let Some(whole) = judge.closed.whole() else {
        return Vec::new();
    };
    let roster = &judge.planned.roster;
    let entry = |guest: GuestId| {
        let sum = |of: fn(&VpSums) -> f64| whole.sum(roster.vps_of(guest), of);
        let (dispatches, ready) = (sum(|vp| vp.dispatches), sum(|vp| vp.ready));
        let (on_lp, received) = (sum(|vp| vp.on_lp), sum(|vp| vp.received));
        ServiceEntry {
            guest: judge.planned.spec.guests[guest.index()].name.clone(),
            dispatches: dispatches as u64,
            ready_ns: ready.round() as u64,
            on_lp_ns: on_lp.round() as u64,
            received_ns: received.round() as u64,
            work: sum(|vp| vp.work).round() as u64,
            wait_per_dispatch_ns: (dispatches > 0.0).then(|| ready / dispatches),
            stretch: (received > 0.0).then(|| (ready + on_lp) / received),
        }
    };
    roster.guests().map(entry).collect()
}

fn calibration(judge: &Judge<'_>) -> Calibration {
    let precision = &judge.closed.precision;
    let sums = judge.closed.whole().map(|whole| {
        let (received, work) = (whole.total(|vp| vp.received), whole.total(|vp| vp.work));
        (received, work, whole.delivered(), whole.wall)
    });
    let (received, work, delivered, wall) = sums.unwrap_or_default();
    let quotient = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
    Calibration {
        kick_overshoot_p50_ns: precision.overshoot(0.5).0,
        kick_overshoot_p99_ns: precision.overshoot(0.99).0,
        kick_overshoot_max_ns: precision.overshoot(1.0).0,
        lag_limit_ns: judge.bounds().lag_ns().round() as u64,
        work_per_cpu_second: quotient(work, received) * 1e9,
        capacity_pct: 100.0 * quotient(delivered, wall),
    }
}

fn noise(judge: &Judge<'_>, outcome: &RunOutcome, idle_ns: u64) -> Noise {
    let closed = judge.closed;
    let wall = closed.whole().map_or(0.0, |whole| whole.wall);
    let of_wall = |part: f64| if wall > 0.0 { part / wall } else { 0.0 };
    let pct = |time: Nanos| 100.0 * of_wall(time.0 as f64);
    Noise {
        steal_pct: pct(outcome.steal.unwrap_or_default()),
        involuntary_switches: outcome.involuntary_switches,
        migrations_per_second_per_lp: of_wall(closed.precision.migrations as f64 * 1e9),
        max_lag_slices: closed
            .precision
            .max_lag
            .map(|lag| lag as f64 / judge.planned.spec.slice.0 as f64),
        idle_while_ready_pct: pct(Nanos(idle_ns)),
        clock_error_ns: outcome.clock_error.map(|error| error.0),
    }
}

fn phases(judge: &Judge<'_>, rows: &[Row]) -> Vec<PhaseEntry> {
    let phases = judge.closed.phases().into_iter().enumerate();
    phases
        .map(|(index, phase)| PhaseEntry {
            from_ns: phase.start.0,
            until_ns: phase.end.0,
            verdict: worst(
                rows.iter()
                    .filter(|row| row.span == Span::Phase(index) && row.counts)
                    .map(|row| row.share.verdict),
            ),
        })
        .collect()
}
