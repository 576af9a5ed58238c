//! The experiments that ship with Apportion, and how to name one of them or a file.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::{fs, io};

use thiserror::Error;

use crate::experiment::{Experiment, ExperimentError};
use crate::suggest::{listed, nearest};

/// File name and text of an experiment.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$((
            concat!("experiments/", $name, ".toml"),
            include_str!(concat!("../experiments/", $name, ".toml")),
        )),*]
    };
}

/// Each shipped experiment, those of the [`suite`] first.
const SHIPPED: [(&str, &str); 51] = shipped![
    "production-test",
    "three-weights",
    "tlfs",
    "equal",
    "cap",
    "reserve",
    "reserve-floor",
    "sql-mix",
    "three-on-two",
    "ten-one-one",
    "one-to-one",
    "one-to-ten",
    "uneven-vps",
    "uneven-vps-guest",
    "cgroup-over",
    "cgroup-under",
    "cgroup-nested-over",
    "cgroup-nested-under",
    "cgroup-max",
    "reserve-pair",
    "reserve-pair-floor",
    "reserve-above-demand",
    "idle-reserve",
    "cap-idle",
    "cap-insurance",
    "weight-under-cap",
    "wake",
    "duty-cycles",
    "overcommit",
    "live-weight",
    "grow",
    "come-and-go",
    "spin",
    "spin-silent",
    "probe",
    "probe-reserve",
    "noisy-neighbour",
    "ticks",
    "elapsed",
    "elapsed-weights",
    "elapsed-reserves",
    "elapsed-bursts",
    "elapsed-bursts-weights",
    "elapsed-bursts-reserves",
    "affinity",
    "affinity-nodes",
    "numa",
    "numa-1024",
    "hundred-to-one",
    "replay",
    "replay-half",
];

/// How many of them are the suite: each control and reading of a reserve once, in some 80 s.
const SUITE: usize = 7;

/// No shipped experiment has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no shipped experiment is called `{}`{}\n\
     shipped are: {}\n\
     a file is named by an argument that ends in `.toml` or contains `/`",
    .name.escape_debug(),
    did_you_mean(.nearest),
    listed(names())
)]
pub struct UnknownExperiment {
    /// The name asked for.
    pub name: String,
    /// The shipped names that look like it, the nearest first; often empty.
    pub nearest: Vec<&'static str>,
}

/// Why an argument gave no experiment.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The argument is the name of no shipped experiment.
    #[error(transparent)]
    Unknown(#[from] UnknownExperiment),
    /// The argument is a file that cannot be read as text.
    #[error("cannot read experiment file {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says; not a source, since it is part of the message.
        reason: io::Error,
    },
    /// The file was read and is no experiment.
    #[error(transparent)]
    Invalid(#[from] ExperimentError),
}

/// Every shipped experiment, those of the [`suite`] first.
pub fn catalogue() -> &'static [Experiment] {
    static CATALOGUE: LazyLock<Vec<Experiment>> = LazyLock::new(|| {
        let read = |(source, text)| Experiment::parse(text, source);
        let read: Result<Vec<Experiment>, ExperimentError> =
            SHIPPED.into_iter().map(read).collect();
        read.unwrap_or_else(|error| {
            unreachable!("the tests read every shipped experiment\n{error}")
        })
    });
    &CATALOGUE
}

/// What a benchmark runs if it is not told otherwise, in this order: the head of the catalogue.
pub fn suite() -> &'static [Experiment] {
    &catalogue()[..SUITE]
}

/// The names of the shipped experiments, in the order of the catalogue.
pub fn names() -> impl Iterator<Item = &'static str> {
    catalogue()
        .iter()
        .map(|experiment| experiment.name.as_str())
}

/// The shipped experiment of this name.
///
/// # Errors
/// [`UnknownExperiment`], which lists the nearest names and all of them.
pub fn find(name: &str) -> Result<Experiment, UnknownExperiment> {
    let shipped = catalogue()
        .iter()
        .find(|experiment| experiment.name == name);
    shipped.cloned().ok_or_else(|| UnknownExperiment {
        name: name.to_owned(),
        nearest: nearest(name, names()),
    })
}

/// The experiment that an argument of the command line means: a file where it
/// ends in `.toml` or contains `/`, a shipped name otherwise.
///
/// # Errors
/// [`LoadError`]: no such name, an unreadable file, or a file with mistakes.
pub fn load(argument: &str) -> Result<Experiment, LoadError> {
    if !argument.ends_with(".toml") && !argument.contains('/') {
        return Ok(find(argument)?);
    }
    let text = fs::read_to_string(argument).map_err(|reason| LoadError::Unreadable {
        path: PathBuf::from(argument),
        reason,
    })?;
    Ok(Experiment::parse(&text, argument)?)
}

fn did_you_mean(nearest: &[&str]) -> String {
    if nearest.is_empty() {
        String::new()
    } else {
        format!(": did you mean {}?", listed(nearest.iter().copied()))
    }
}
