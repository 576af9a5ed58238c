//! `apportion run` and `apportion top`: plan, run, record, judge, print.

use crate::cli::RunArguments;
use crate::engine::{self, Chosen};
use crate::entry;
use crate::exit::{Code, Failure, worst};
use crate::plan::{Planned, plan};
use crate::progress::Progress;
use crate::session::{Flow, Session};
use crate::signals;
use crate::table;
use crate::top::{self, Top};
use crate::verdict::{Gathered, claims, summarise};
use crate::watch::Watch;
use anyhow::Context as _;
use apportion_recording::{Manifest, RecordingError, Status, Writer};
use apportion_scheduler::Nanos;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where recordings go that were given no place.
const RESULTS: &str = "results";

/// What is to be seen meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// How far it is.
    Progress,
    /// What every guest receives.
    Top,
}

/// The whole command. Nothing is created before everything that can be checked was checked.
pub(crate) fn run(arguments: &RunArguments, show: Show) -> Result<Code, Failure> {
    let host_lps = apportion_hypervisor::host::cpus().len() as u32;
    let plan = plan(arguments, host_lps)?;
    let plans = &plan.runs;
    let Chosen {
        mut engine,
        instead_of_kvm,
    } = engine::choose(arguments.engine, plans, host_lps)?;
    if let Some(why) = &instead_of_kvm {
        table::tell(&format!(
            "{why}\nrunning SIMULATED instead: virtual time, nothing is measured"
        ));
    }
    for planned in plans {
        engine.check(&planned.spec)?;
    }
    if engine.name() == "kvm" && !apportion_hypervisor::host::vps_move_freely() {
        table::tell(
            "warning: before Linux 6.13 a VP that changes its LP waits for the kernel, up to hundreds of \
             milliseconds: expect large errors over short windows",
        );
    }
    let on_screen = show == Show::Top && top::on_a_terminal();
    let interrupted = match on_screen {
        true => signals::catch_then(top::restore),
        false => signals::catch(),
    }
    .context("cannot catch Ctrl-C")?;

    let mut manifest = entry::manifest(plans, arguments, engine.name());
    let writer = match &arguments.out {
        Some(dir) => Writer::create(dir, &manifest)?,
        None => create_default(plans, &manifest)?,
    };
    let dir = writer.dir().to_owned();
    let length = plans.iter().fold(Nanos::ZERO, |sum, planned| {
        let runs = u64::from(planned.experiment.repetitions);
        sum + Nanos(planned.length().0 * runs)
    });
    let watch: Box<dyn Watch> = match show {
        Show::Progress => Box::new(Progress::new(length, engine.name())),
        Show::Top => Box::new(Top::new(
            engine.name(),
            on_screen.then(|| interrupted.clone()),
        )),
    };
    let mut session = Session {
        writer,
        watch,
        interrupted,
        summed_up: Gathered::default(),
        unprinted: None,
    };

    let ran = session.run_all(engine.as_mut(), &plan, &mut manifest);
    let Session {
        writer,
        watch,
        summed_up,
        unprinted,
        ..
    } = session;
    drop(watch);
    manifest.status = match &ran {
        Ok(Flow::Done) => Status::Complete,
        Ok(Flow::Interrupted) => Status::Interrupted,
        Err(_) => Status::Failed,
    };
    manifest.error = ran.as_ref().err().map(Failure::message);
    // What was cut short is not judged as a whole; each run keeps its own verdict.
    let claims = match manifest.status {
        Status::Complete => claims(&plan, &manifest.runs, &summed_up),
        _ => Vec::new(),
    };
    let of_runs = manifest.runs.iter().map(|run| run.verdict);
    let verdict = worst(of_runs.chain(claims.iter().map(|claim| claim.verdict)));
    manifest.verdict = (manifest.status == Status::Complete).then_some(verdict);
    let summary: Vec<_> = plans
        .iter()
        .flat_map(|planned| summarise(planned, summed_up.of(planned.name())))
        .collect();
    let claimed = match claims.is_empty() {
        true => Ok(()),
        false => writer.claims(&claims),
    };
    let finished = writer.finish(&manifest, &summary);
    // What went wrong first matters most.
    let flow = ran?;
    claimed?;
    finished?;
    if let Some(error) = unprinted {
        return Err(anyhow::Error::new(error)
            .context(format!(
                "cannot print the table; the recording in {} is whole",
                dir.display()
            ))
            .into());
    }

    if manifest.status == Status::Complete {
        let sweeps = table::sweeps(&plan, &manifest.runs, &summed_up);
        for text in sweeps.into_iter().chain(table::claims(&claims)) {
            table::print(&text)?;
        }
    }
    table::print(&format!("\nrecorded in {}", dir.display()))?;
    let code = match flow {
        Flow::Done => verdict.into(),
        Flow::Interrupted => {
            table::tell(if summed_up.is_empty() {
                "interrupted: the recording holds nothing but warm-up"
            } else {
                "interrupted: the recording holds what was measured until then"
            });
            Code::Interrupted
        }
    };
    Ok(match instead_of_kvm {
        Some(why) => {
            table::tell(&format!(
                "{why}\nthe above is SIMULATED: virtual time, nothing was measured (skipped, exit code 77)"
            ));
            // Whatever the verdicts, nothing was measured.
            if code == Code::Interrupted {
                code
            } else {
                Code::Skipped
            }
        }
        None => code,
    })
}

/// A recording in `results/20261121T101112Z-NAME`, with a number behind it
/// where that exists, and `results/latest` pointing to it.
fn create_default(plans: &[Planned], manifest: &Manifest) -> Result<Writer, RecordingError> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = match plans {
        [first, others @ ..] if others.iter().all(|it| it.family() == first.family()) => {
            first.family()
        }
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
