//! An experiment: which guests compete, for how long, and under which policy.

mod diagnostics;
mod fields;
mod guests;
mod parse;

use std::fmt;

use apportion_scheduler::{Controls, Nanos, PolicyKind};
use thiserror::Error;

/// An experiment as its file describes it, every number in its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// What to call it: lowercase letters, digits and `-`.
    pub name: String,
    /// The question it answers and where it comes from, for people.
    pub why: String,
    /// LPs given to it, 1 to 4096; `None` is every LP of the host.
    pub lps: Option<u32>,
    /// Length of the measured part, above zero and at most 24 h.
    pub duration: Nanos,
    /// Time before the measured part, recorded but not counted; at most 24 h.
    pub warm_up: Nanos,
    /// The longest time for which a VP is dispatched without a new decision.
    pub slice: Nanos,
    /// Who runs next.
    pub policy: PolicyKind,
    /// How often to run it, 1 to 1000.
    pub repetitions: u32,
    /// Allowed error of a share over the whole run, in percentage points.
    pub tolerance_pp: f64,
    /// The guests, in the order of the file, at least one.
    pub guests: Vec<Guest>,
    /// The file's text, word for word.
    pub text: String,
    /// Where the text came from: the name its diagnostics point to.
    pub source: String,
}

/// One guest of an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Guest {
    /// Unique in its experiment: `test`, or `test-1`, `test-2` where the entry has a count.
    pub name: String,
    /// The name of the entry it comes from, common to all guests of that entry.
    pub group: String,
    /// Number of virtual processors, 1 to 64.
    pub vps: u32,
    /// Weight of each VP; reserve and cap keep their defaults for now.
    pub controls: Controls,
    /// What runs inside.
    pub payload: Payload,
}

/// What a guest executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Counts units of work without end and never yields.
    Burn,
    /// Burns, then faults on purpose.
    Crash {
        /// Units of work until the fault, above zero.
        after_work: u64,
    },
}

impl Payload {
    /// Its name in an experiment file.
    pub const fn name(self) -> &'static str {
        match self {
            Payload::Burn => "burn",
            Payload::Crash { .. } => "crash",
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text is no experiment: a complete report with source, lines and carets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExperimentError {
    /// The text is no TOML.
    #[error("{report}")]
    Syntax {
        /// One diagnostic for each place that cannot be read.
        report: String,
    },
    /// The text is TOML and describes no experiment that this version can run.
    #[error("{report}")]
    Invalid {
        /// One diagnostic for each mistake, in the order of the text.
        report: String,
    },
}

impl Experiment {
    /// Reads an experiment; `source` is what the diagnostics call the text, usually its path.
    ///
    /// # Errors
    /// [`ExperimentError`], whose `Display` shows every mistake found, each
    /// with its line, what is wrong and what is allowed.
    ///
    /// ```
    /// use apportion_workloads::Experiment;
    ///
    /// let text = r#"
    ///     schema = 1
    ///     name = "pair"
    ///     why = "Does twice the weight get twice the CPU?"
    ///
    ///     [[guest]]
    ///     name = "heavy"
    ///     weight = 200
    ///
    ///     [[guest]]
    ///     name = "light"
    /// "#;
    /// let experiment = Experiment::parse(text, "pair.toml")?;
    /// assert_eq!(experiment.guests[1].controls.weight.get(), 100);
    /// # Ok::<(), apportion_workloads::ExperimentError>(())
    /// ```
    pub fn parse(text: &str, source: &str) -> Result<Experiment, ExperimentError> {
        parse::experiment(text, source)
    }
}
