//! An experiment: which guests compete, for how long, and under which policy.

mod affinity;
pub(crate) mod changes;
mod claims;
mod controls;
mod defaults;
pub(crate) mod diagnostics;
mod fields;
mod guests;
pub(crate) mod keys;
mod measure;
mod memory;
mod misfit;
pub(crate) mod parse;
mod payloads;
mod points;
mod processor;
mod replay;
mod settings;
pub(crate) mod sources;
mod sweep;

use std::sync::Arc;

use apportion_abi::{Payload, Processor};
use apportion_scheduler::{Controls, Nanos, PolicyKind, ReserveModel, WeightScope};
use thiserror::Error;

use defaults::Idle;

pub use changes::{Action, Change};
pub use claims::Claim;
pub use controls::NewControls;
pub use measure::{Measure, Together, Unit};
pub use misfit::Misfit;
pub(crate) use replay::About;
pub use replay::Replay;
pub use settings::{Setting, SettingError};
pub use sweep::{Axis, Overrides, Sweep};

/// An experiment as its file describes it, every number in its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// What to call it: the name of its family, and in brackets what tells it from the others.
    pub name: String,
    /// The name in its file: lowercase letters, digits and `-`.
    pub family: String,
    /// What the command line set, whichever of the family it is.
    pub settings: Vec<Setting>,
    /// What tells it from the others of its family; empty where it is the only one.
    pub point: Vec<Setting>,
    /// The others of its family, which all have it in common, as text and source.
    pub sweep: Arc<Sweep>,
    /// The question it answers and where it comes from, for people.
    pub why: String,
    /// LPs given to it, 1 to 4096; `None` is every LP of the host.
    pub lps: Option<u32>,
    /// NUMA nodes that the LPs are divided into evenly, in order; 1 to 64, at most one per LP.
    pub nodes: u32,
    /// Length of the measured part, above zero and at most 24 h.
    pub duration: Nanos,
    /// Time before the measured part, recorded but not counted; at most 24 h.
    pub warm_up: Nanos,
    /// The longest time for which a VP is dispatched without a new decision.
    pub slice: Nanos,
    /// Who runs next.
    pub policy: PolicyKind,
    /// Whose claim a weight is.
    pub weight_scope: WeightScope,
    /// What a reserve means while the LPs are contended.
    pub reserve_model: ReserveModel,
    /// How often to run it, 1 to 1000.
    pub repetitions: u32,
    /// Allowed error of a share over the whole run, in percentage points.
    pub tolerance_pp: f64,
    /// Where everything random in the run begins, below 2⁶³.
    pub seed: u64,
    /// What the simulator takes the host to cost.
    pub simulator: Simulator,
    /// The guests, in the order of the file, at least one.
    pub guests: Vec<Guest>,
    /// Whose demand which of them replay, in the order of the file.
    pub replays: Vec<Replay>,
    /// What is altered during the run, in order of time; equal times in the order of the file.
    pub changes: Vec<Change>,
    /// What has to hold besides the shares.
    pub claims: Vec<Claim>,
    /// The file's text, word for word.
    pub text: Arc<str>,
    /// Where the text came from: the name its diagnostics point to.
    pub source: Arc<str>,
    /// Defaults that none of its guests can have: those of some other point may.
    idle: Vec<Idle>,
}

/// The costs of a simulated host; a real one has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulator {
    /// What the host takes of an LP at each dispatch, at most 1 ms.
    pub overhead: Nanos,
    /// How late a dispatch ends at the most, uniformly distributed; at most 1 ms.
    pub kick_latency: Nanos,
}

impl Default for Simulator {
    fn default() -> Simulator {
        Simulator {
            overhead: Nanos::from_micros(2),
            kick_latency: Nanos::from_micros(25),
        }
    }
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
    /// Weight, reserve and cap of each VP when the run begins; the cap is no less than the reserve.
    pub controls: Controls,
    /// The share that it is to receive over the whole run, % of the delivered time; `None` is what the formula promises.
    pub expected: Option<f64>,
    /// The LPs that its VPs may run on, in ascending order, at least one; `None` is every LP.
    pub affinity: Option<Vec<u32>>,
    /// Bytes of memory, 4 MiB to 16 GiB and a multiple of 2 MiB; the working sets of all its VPs
    /// fit, those included that changes add.
    pub memory: u64,
    /// Which instructions it may use.
    pub processor: Processor,
    /// Periodic timer interrupts that each VP gets in a second, at most 10000.
    pub ticks: u32,
    /// What runs inside.
    pub payload: Payload,
    /// What each of its VPs wants of an LP on average over the measured time, 0 to 1, where it
    /// replays a trace that was read.
    pub traced_demand: Option<f64>,
}

impl Guest {
    /// Whether a name of the file means it: its own, or that of its entry.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.group == name
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
        let experiment = parse::read(parse::Read {
            text: text.into(),
            source: source.into(),
            sweep: None,
            settings: Vec::new(),
            point: Vec::new(),
        })?;
        experiment.check_points()?;
        Ok(experiment)
    }
}
