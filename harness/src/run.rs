//! `apportion run`: plan, run, record, judge, print.

use crate::cli::RunArguments;
use crate::exit::{Code, Failure, worst};
use crate::ledger::Closed;
use crate::plan::{Planned, plan};
use crate::progress::Progress;
use crate::recorder::Recorder;
use crate::verdict::{Judge, of_run, summarise, whole_run_rows};
use crate::{host, table};
use anyhow::Context as _;
use apportion_hypervisor::kvm::KvmEngine;
use apportion_hypervisor::{Engine, EngineError, RunOutcome};
use apportion_recording::{
    Calibration, CrashEntry, Manifest, Noise, RecordingError, RunEntry, SCHEMA, Scope, ShareRow,
    Status, ToolEntry, Verdict, Writer,
};
use apportion_scheduler::Nanos;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where recordings go that were given no place.
const RESULTS: &str = "results";

/// The whole command. Nothing is created before everything that can be checked was checked.
pub(crate) fn run(arguments: &RunArguments) -> Result<Code, Failure> {
    let host_lps = apportion_hypervisor::host::cpus().len() as u32;
    let plans = plan(arguments, host_lps)?;
    let mut engine = KvmEngine::new()?;
    for planned in &plans {
        engine.check(&planned.spec)?;
    }
    if !apportion_hypervisor::host::vps_move_freely() {
        table::tell(
            "warning: before Linux 6.13 a VP that changes its LP waits for the kernel, up to hundreds of \
             milliseconds: expect large errors over short windows",
        );
    }
    let interrupted = catch_signals().context("cannot catch Ctrl-C")?;

    let mut manifest = manifest(&plans, engine.name());
    let writer = match &arguments.out {
        Some(dir) => Writer::create(dir, &manifest)?,
        None => create_default(&plans, &manifest)?,
    };
    let dir = writer.dir().to_owned();
    let mut session = Session {
        writer,
        progress: Progress::new(plans.iter().fold(Nanos::ZERO, |sum, planned| {
            let runs = u64::from(planned.experiment.repetitions);
            sum + Nanos(planned.length().0 * runs)
        })),
        interrupted,
        summed_up: Vec::new(),
        unprinted: None,
    };

    let ran = session.run_all(&mut engine, &plans, &mut manifest);
    let Session {
        writer,
        progress,
        summed_up,
        unprinted,
        ..
    } = session;
    drop(progress);
    manifest.status = match &ran {
        Ok(Flow::Done) => Status::Complete,
        Ok(Flow::Interrupted) => Status::Interrupted,
        Err(_) => Status::Failed,
    };
    manifest.error = ran.as_ref().err().map(Failure::message);
    let verdict = worst(manifest.runs.iter().map(|run| run.verdict));
    // What was cut short is not judged as a whole; each run keeps its own verdict.
    manifest.verdict = (manifest.status == Status::Complete).then_some(verdict);
    let summary: Vec<_> = plans
        .iter()
        .flat_map(|planned| summarise(planned, &summed_up))
        .collect();
    let finished = writer.finish(&manifest, &summary);
    // What went wrong first matters most.
    let flow = ran?;
    finished?;
    if let Some(error) = unprinted {
        return Err(anyhow::Error::new(error)
            .context(format!(
                "cannot print the table; the recording in {} is whole",
                dir.display()
            ))
            .into());
    }

    table::print(&format!("\nrecorded in {}", dir.display()))?;
    Ok(match flow {
        Flow::Done => verdict.into(),
        Flow::Interrupted => {
            table::tell("interrupted: the recording holds what was measured until then");
            Code::Interrupted
        }
    })
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Done,
    Interrupted,
}

/// One invocation's open recording.
struct Session {
    writer: Writer,
    progress: Progress,
    interrupted: Arc<AtomicBool>,
    /// Whole-run rows of scope guest, of every run so far.
    summed_up: Vec<ShareRow>,
    /// Why a table could not be printed.
    unprinted: Option<io::Error>,
}

impl Session {
    /// Every repetition of every experiment; repetitions interleave, so that a
    /// slow change of the machine does not fall on one experiment alone.
    fn run_all(
        &mut self,
        engine: &mut dyn Engine,
        plans: &[Planned],
        manifest: &mut Manifest,
    ) -> Result<Flow, Failure> {
        let most = plans
            .iter()
            .map(|planned| planned.experiment.repetitions)
            .max();
        for repetition in 1..=most.unwrap_or(0) {
            for planned in plans {
                if repetition > planned.experiment.repetitions {
                    continue;
                }
                let (entry, table) = self.run_one(engine, planned, repetition)?;
                let interrupted = entry.interrupted;
                manifest.runs.push(entry);
                self.writer.manifest(manifest)?;
                // Recorded first: whoever reads the table may be gone.
                let printed = self.progress.suspend(|| table::print(&table));
                self.unprinted = self.unprinted.take().or(printed.err());
                if interrupted || self.interrupted.load(Ordering::Relaxed) {
                    return Ok(Flow::Interrupted);
                }
            }
        }
        Ok(Flow::Done)
    }

    fn run_one(
        &mut self,
        engine: &mut dyn Engine,
        planned: &Planned,
        repetition: u32,
    ) -> Result<(RunEntry, String), Failure> {
        let title = match planned.experiment.repetitions {
            1 => planned.name().to_owned(),
            all => format!("{} {repetition}/{all}", planned.name()),
        };
        self.progress.begin(&title, planned.length());
        let mut recorder = Recorder::new(
            planned,
            repetition,
            &mut self.writer,
            &mut self.progress,
            &self.interrupted,
        );
        let outcome = engine.run(&planned.spec, &mut recorder)?;
        let closed = recorder.finish(&outcome).map_err(EngineError::Observer)?;
        self.progress.end();
        let judge = Judge {
            planned,
            repetition,
            engine: engine.name(),
            closed: &closed,
            crashed: &outcome
                .crashes
                .iter()
                .map(|crash| crash.guest)
                .collect::<Vec<_>>(),
        };
        let rows = judge.rows();
        for row in &rows {
            self.writer.share(row)?;
        }
        let entry = run_entry(planned, repetition, &outcome, &closed, of_run(&rows));
        let table = table::run(planned, &entry, &closed, &rows);
        let guests = whole_run_rows(&rows).filter(|row| row.scope == Scope::Guest);
        self.summed_up.extend(guests.cloned());
        Ok((entry, table))
    }
}

fn run_entry(
    planned: &Planned,
    repetition: u32,
    outcome: &RunOutcome,
    closed: &Closed,
    verdict: Verdict,
) -> RunEntry {
    let lps = planned.spec.lps;
    let precision = &closed.precision;
    let whole = closed.whole();
    let wall = whole.as_ref().map_or(0.0, |window| window.wall(lps));
    let of_wall = |part: f64| if wall > 0.0 { 100.0 * part / wall } else { 0.0 };
    let sums = whole.as_ref().map(|window| {
        let received: f64 = window.received.iter().sum();
        (
            received,
            window.work.iter().sum::<f64>(),
            window.delivered(),
        )
    });
    let (received, work, delivered) = sums.unwrap_or_default();
    RunEntry {
        experiment: planned.name().to_owned(),
        repetition,
        start_ns: outcome.start.0,
        measured_from_ns: closed.measured.start.0,
        measured_until_ns: closed.measured.end.0,
        interrupted: outcome.interrupted,
        lp_cpus: outcome.lp_cpus.clone(),
        calibration: Calibration {
            kick_overshoot_p50_ns: precision.overshoot(0.5).0,
            kick_overshoot_p99_ns: precision.overshoot(0.99).0,
            kick_overshoot_max_ns: precision.overshoot(1.0).0,
            work_per_cpu_second: if received > 0.0 {
                work / received * 1e9
            } else {
                0.0
            },
            capacity_pct: of_wall(delivered),
        },
        noise: Noise {
            steal_pct: of_wall(outcome.steal.unwrap_or_default().0 as f64),
            involuntary_switches: outcome.involuntary_switches,
            migrations_per_second_per_lp: if wall > 0.0 {
                precision.migrations as f64 * 1e9 / wall
            } else {
                0.0
            },
            max_lag_slices: precision
                .max_lag
                .map(|lag| lag as f64 / planned.spec.slice.0 as f64),
        },
        crashed: outcome
            .crashes
            .iter()
            .map(|crash| CrashEntry {
                guest: planned.spec.guests[crash.guest.index()].name.clone(),
                vp: crash.vp,
                report: crash.report.clone(),
            })
            .collect(),
        verdict,
    }
}

fn manifest(plans: &[Planned], engine: &str) -> Manifest {
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
        seed: 0,
        host: host::fingerprint(),
        experiments: plans.iter().map(Planned::entry).collect(),
        runs: Vec::new(),
        verdict: None,
        error: None,
    }
}

/// A recording in `results/20261121T101112Z-NAME`, with a number behind it
/// where that exists, and `results/latest` pointing to it.
fn create_default(plans: &[Planned], manifest: &Manifest) -> Result<Writer, RecordingError> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = match plans {
        [one] => one.name(),
        _ => "suite",
    };
    let base = format!("{time}-{name}");
    let mut dir = Path::new(RESULTS).join(&base);
    let mut number = 1;
    loop {
        match Writer::create(&dir, manifest) {
            Err(RecordingError::Exists(_)) => {
                number += 1;
                dir = Path::new(RESULTS).join(format!("{base}-{number}"));
            }
            created => {
                if created.is_ok() {
                    point_latest_to(&dir);
                }
                return created;
            }
        }
    }
}

/// `results/latest` → the newest recording. A convenience: where it cannot be made, a warning is enough.
fn point_latest_to(dir: &Path) {
    let Some(name) = dir.file_name() else { return };
    let (latest, fresh) = (
        Path::new(RESULTS).join("latest"),
        Path::new(RESULTS).join(".latest.new"),
    );
    let replace = || -> io::Result<()> {
        let _ = fs::remove_file(&fresh);
        symlink(name, &fresh)?;
        fs::rename(&fresh, &latest)
    };
    if let Err(error) = replace() {
        table::tell(&format!(
            "warning: cannot point {} to this run: {error}",
            latest.display()
        ));
    }
}

/// Set by the first Ctrl-C or SIGTERM; a second one ends the process at once.
fn catch_signals() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // This order: the shutdown looks at the flag before it is set.
        signal_hook::flag::register_conditional_shutdown(
            signal,
            Code::Interrupted as i32,
            flag.clone(),
        )?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(flag)
}
