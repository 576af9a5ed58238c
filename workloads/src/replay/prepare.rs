//! Reads the traces that an experiment replays, and gives its guests what they say: work, VPs, controls.

use std::path::PathBuf;
use std::sync::Arc;

use apportion_scheduler::{Controls, Nanos};
use thiserror::Error;

use super::file::{self, Read};
use super::recent::Recent;
use super::{ReplayError, Replayed, Way, replay};
use crate::experiment::{About, Action, Experiment, Replay};
use crate::limits;
use crate::traces::{Count, Format, Selection, TracedVm, Watch};

/// An entry of an experiment with its trace read.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The entry.
    pub replay: Replay,
    /// `shipped:` and a name, or the path where the trace was found.
    pub trace: String,
    /// SHA-256 of the file, hexadecimal; `None` for a folder.
    pub sha256: Option<String>,
    /// In which format it is.
    pub format: Format,
    /// What its guests are to do: one and the same where experiments agree on it.
    pub replayed: Arc<Replayed>,
}

/// Why an experiment cannot replay what it names: a report that points to the key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{report}")]
pub struct PrepareError {
    report: String,
}

/// Reads traces for one experiment after the other. What several of them take of a trace is read once, and what they
/// make of it is worked out and kept once, as for most points of a sweep.
#[derive(Debug, Default)]
pub struct Traces {
    read: Recent<Taken, Read>,
    replayed: Recent<(Taken, Way), Replayed>,
}

/// What an entry takes of a trace: the same is read once.
#[derive(Clone, Debug, PartialEq)]
struct Taken {
    trace: String,
    /// Where a relative path begins.
    beside: PathBuf,
    format: Option<Format>,
    names: Option<Vec<String>>,
    vms: usize,
    from: Nanos,
    span: Nanos,
}

impl Taken {
    fn by(experiment: &Experiment, entry: &Replay, way: &Way) -> Taken {
        Taken {
            trace: entry.trace.get_ref().clone(),
            beside: file::beside(experiment).to_owned(),
            format: entry.format,
            names: entry.vms.as_ref().map(|vms| vms.get_ref().clone()),
            vms: entry.count(),
            from: entry.from,
            span: way.span(),
        }
    }

    fn selection(&self) -> Selection {
        let names = self.names.as_ref();
        Selection {
            ids: names.map(|names| names.iter().cloned().collect()),
            from: self.from,
            span: Some(self.span),
            count: match names {
                Some(_) => Count::All,
                None => Count::First(self.vms as u32),
            },
        }
    }
}

/// Which key is wrong, what about it, and what to do.
type Wrong = (About, String, String);

impl Traces {
    /// Reads the traces of an experiment that is to run with so many LPs; its times and its seed are those it will run with.
    ///
    /// Guests of which the file does not say how many VPs they have get as many as their VM has, but no more than LPs; with
    /// `controls = "trace"` those controls of the trace that the file does not name itself. `watch` is told how far the
    /// reading has come.
    ///
    /// # Errors
    /// [`PrepareError`]: a trace that cannot be read, has too few VMs or is too short, or whose VMs do not fit.
    pub fn prepare(
        &mut self,
        experiment: &mut Experiment,
        lps: u32,
        watch: Watch,
    ) -> Result<Vec<Prepared>, PrepareError> {
        let mut prepared = Vec::new();
        for entry in experiment.replays.clone() {
            let of_entry = self.prepare_entry(experiment, entry, lps, watch);
            prepared.push(of_entry.map_err(|report| PrepareError { report })?);
        }
        let vps: u64 = experiment.guests.iter().map(|it| u64::from(it.vps)).sum();
        if let (Some(last), Err(error)) = (prepared.last(), limits::ALL_VPS.check(vps)) {
            let title = format!("with those of the traces the guests have {vps} VPs together");
            let label = format!("use {}, by fewer guests or with `vps`", error.allowed);
            let report = last
                .replay
                .complain(experiment, About::Count, &title, &label);
            return Err(PrepareError { report });
        }
        Ok(prepared)
    }

    fn prepare_entry(
        &mut self,
        experiment: &mut Experiment,
        entry: Replay,
        lps: u32,
        watch: Watch,
    ) -> Result<Prepared, String> {
        let complain =
            |(about, title, label): Wrong| entry.complain(experiment, about, &title, &label);
        if let Some((what, why)) = changed(experiment, &entry) {
            let title = format!("changes {what} guests that replay this trace");
            return Err(complain((About::Trace, title, why.to_owned())));
        }
        let way = entry.way(experiment, lps);
        let taken = Taken::by(experiment, &entry, &way);
        let read = self.read.get_or(taken.clone(), || {
            read(experiment, &entry, &taken, watch).map_err(complain)
        })?;
        let replayed = self.replayed.get_or((taken, way), || {
            let made = replay(&read.vms, read.until - entry.from, &way);
            made.map_err(|error| complain(cannot(&error)))
        })?;
        let controls = read
            .vms
            .iter()
            .zip(&experiment.guests[entry.guests.clone()])
            .map(|(vm, guest)| controls(experiment, &entry, guest.controls, vm))
            .collect::<Result<Vec<_>, _>>()?;
        furnish(experiment, &entry, &read.vms, &controls, &way);
        for (guest, vm) in experiment.guests[entry.guests.clone()]
            .iter_mut()
            .zip(&replayed.vms)
        {
            let all = way.duration.0 as f64 * f64::from(guest.vps);
            guest.traced_demand = Some((vm.demand.0 as f64 / all).min(1.0));
        }
        Ok(Prepared {
            replay: entry,
            trace: read.name.clone(),
            sha256: read.sha256.clone(),
            format: read.format,
            replayed,
        })
    }
}

/// The VMs that an entry takes, in the order of its guests.
fn read(
    experiment: &Experiment,
    entry: &Replay,
    taken: &Taken,
    watch: Watch,
) -> Result<Read, Wrong> {
    let mut read = file::read(experiment, entry, &taken.selection(), watch)?;
    if let Some(names) = &taken.names {
        // In the order in which they are named.
        read.vms
            .sort_by_key(|vm| names.iter().position(|name| *name == vm.id));
    }
    let (wanted, there) = (taken.vms, read.vms.len());
    if there < wanted {
        let title = format!("there are {wanted} guests for {there} VMs of the trace");
        let label = format!("use at most {there}: so many want anything in this time");
        return Err((About::Count, title, label));
    }
    read.vms.truncate(wanted);
    Ok(read)
}

/// Why a trace that was read is not replayed.
fn cannot(error: &ReplayError) -> Wrong {
    let (about, label) = match error {
        ReplayError::TooIdle { .. } => (About::Overcommit, "use less, or more VMs"),
        ReplayError::TooShort { .. } => (
            About::Trace,
            "use a longer trace, a shorter run or a lower `speed`",
        ),
        ReplayError::TooMany { .. } => (
            About::Trace,
            "use a longer `burst_length`, a shorter run or a lower `speed`",
        ),
    };
    (about, error.to_string(), label.to_owned())
}

/// What changes do that a trace cannot go along with, and why not.
fn changed(experiment: &Experiment, entry: &Replay) -> Option<(&'static str, &'static str)> {
    let ours = |guests: &[usize]| guests.iter().any(|guest| entry.guests.contains(guest));
    experiment
        .changes
        .iter()
        .find_map(|change| match &change.action {
            Action::AddVps { guests, .. } if ours(guests) => {
                Some(("add VPs to", "it says nothing of what those are to do"))
            }
            Action::StartGuests { guests } if ours(guests) => Some((
                "start",
                "its demand begins with the run: use `from` and a VM that comes later",
            )),
            Action::StopGuests { guests } if ours(guests) => {
                Some(("stop", "it goes on to the end of the run"))
            }
            _ => None,
        })
}

fn controls(
    experiment: &Experiment,
    entry: &Replay,
    file: Controls,
    vm: &TracedVm,
) -> Result<Controls, String> {
    let controls = entry.controls(file, vm.controls);
    controls.map_err(|error| {
        let title = format!("the controls of VM `{}` do not do: {error}", vm.id);
        let label = "name one of them in this entry, or remove this key";
        entry.complain(experiment, About::Controls, &title, label)
    })
}

fn furnish(
    experiment: &mut Experiment,
    entry: &Replay,
    vms: &[TracedVm],
    controls: &[Controls],
    way: &Way,
) {
    let guests = &mut experiment.guests[entry.guests.clone()];
    for ((guest, vm), controls) in guests.iter_mut().zip(vms).zip(controls) {
        guest.vps = way.vps_of(vm);
        guest.controls = *controls;
    }
}
