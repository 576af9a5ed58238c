//! `manifest.json`: what was run, where, with which controls, and how it ended.

use crate::rows::Verdict;
use crate::run_entry::RunEntry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a recording got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Still being written, or its writer died.
    Running,
    /// Everything planned was measured.
    Complete,
    /// Stopped by the user; what was measured until then is here.
    Interrupted,
    /// The tool failed; what was measured until then is here.
    Failed,
}

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`crate::SCHEMA`] of the writer.
    pub schema: u32,
    /// Which build wrote it.
    pub tool: ToolEntry,
    /// When it was begun, RFC 3339, UTC.
    pub created: String,
    /// The command line.
    pub command: Vec<String>,
    /// How far it got.
    pub status: Status,
    /// `kvm` or `simulator`: where the numbers come from.
    pub engine: String,
    /// Seed of the first experiment; each has its own.
    pub seed: u64,
    /// Whether `decisions.csv` was asked for.
    pub decisions: bool,
    /// The machine.
    pub host: HostEntry,
    /// What was planned.
    pub experiments: Vec<ExperimentEntry>,
    /// What was run, in order.
    pub runs: Vec<RunEntry>,
    /// Over all runs; empty until the end.
    pub verdict: Option<Verdict>,
    /// Why it failed, where it did.
    pub error: Option<String>,
}

/// The build that wrote a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolEntry {
    /// `apportion`.
    pub name: String,
    /// Of the package.
    pub version: String,
    /// `git describe --always --dirty` at build time, or `unknown`.
    pub git_revision: String,
}

/// The machine a recording was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostEntry {
    /// Its name.
    pub hostname: String,
    /// Model name of the CPU.
    pub cpu: String,
    /// Release of the kernel.
    pub kernel: String,
    /// `vmx`, `svm`, `pvm` or `unknown`.
    pub kvm_flavour: String,
    /// Host CPUs that this process may use.
    pub lps: u32,
    /// Frequency governor, or `none`.
    pub governor: String,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// One experiment as planned, overrides of the command line applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentEntry {
    /// Its name, as in the CSV files.
    pub name: String,
    /// The name in its text, common to all experiments of one sweep, and to what their claims compare with.
    pub family: String,
    /// What was set on the command line with `--set`.
    pub settings: Vec<SettingEntry>,
    /// What tells it from the others of its family.
    pub point: Vec<SettingEntry>,
    /// What it is for.
    pub why: String,
    /// `shipped` or the file's path as given.
    pub source: String,
    /// The TOML text as it stood.
    pub text: String,
    /// SHA-256 of `text`, hexadecimal.
    pub text_sha256: String,
    /// `fair`, `round-robin`, `stride`, `lottery` or `credit2`.
    pub policy: String,
    /// `additive` or `floor`: what a reserve means under contention.
    pub reserve_model: String,
    /// `vp` or `guest`: whose claim a weight is.
    pub weight_scope: String,
    /// Seed of everything random in the first repetition; each further one has the next.
    pub seed: u64,
    /// Number of LPs (M).
    pub lps: u32,
    /// NUMA nodes that they are divided into.
    pub nodes: u32,
    /// The slice in ns.
    pub slice_ns: u64,
    /// Warm-up in ns, recorded but not measured.
    pub warm_up_ns: u64,
    /// Planned measured time in ns.
    pub duration_ns: u64,
    /// How often it is run.
    pub repetitions: u32,
    /// For verdicts on the whole run, percentage points.
    pub tolerance_pp: f64,
    /// What a simulated host was taken to cost; of no meaning on a real one.
    pub simulator: SimulatorEntry,
    /// The guests, with the controls that they begin with.
    pub guests: Vec<GuestEntry>,
    /// Traces whose demand guests do again, one entry per `[[guest]]` entry.
    pub replays: Vec<ReplayEntry>,
    /// What is altered on the way, in order of time, one entry per guest and per added VP.
    pub changes: Vec<ChangeEntry>,
}

/// A key of the text that had another value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingEntry {
    /// With dots: `guest.test.weight`.
    pub key: String,
    /// As people write it.
    pub value: String,
}

/// What the simulator takes the host to cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimulatorEntry {
    /// Taken of an LP at each dispatch, ns.
    pub overhead_ns: u64,
    /// How late a dispatch ends at the most, uniformly distributed, ns.
    pub kick_latency_ns: u64,
}

/// One guest as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GuestEntry {
    /// Its name, as in the CSV files.
    pub name: String,
    /// The `[[guest]]` entry it came from (several guests where `count` > 1).
    pub group: String,
    /// Number of VPs.
    pub vps: u32,
    /// Weight of each VP.
    pub weight: u32,
    /// Reserve, % of one LP per VP.
    pub reserve_pct: f64,
    /// Cap, % of one LP per VP.
    pub cap_pct: f64,
    /// The share that it is to receive over the whole run, %; empty where that is what the formula promises.
    pub expected_pct: Option<f64>,
    /// The LPs that it may run on; empty for all.
    pub affinity: Option<Vec<u32>>,
    /// What it runs.
    pub payload: String,
    /// The payload's numbers by name; times in ns, and 1 for yes.
    pub parameters: BTreeMap<String, u64>,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// `host` or `compatible`: what it sees of the processor.
    pub processor: String,
    /// Timer interrupts that each VP gets in a second.
    pub ticks: u32,
    /// Whose demand it replays, where it does.
    pub replays: Option<TracedEntry>,
}

/// The VM of a trace whose demand a guest replays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedEntry {
    /// What the trace calls it.
    pub vm: String,
    /// CPU time that it demands in the measured time, scaled and cut, ns.
    pub demand_ns: u64,
    /// CPU time that was cut off of that, since a VP cannot use more than one LP, ns.
    pub cut_ns: u64,
}

/// How a trace is replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayEntry {
    /// The `[[guest]]` entry.
    pub group: String,
    /// The file or folder, or `shipped:` and a name.
    pub trace: String,
    /// SHA-256 of the file, hexadecimal; empty for a folder.
    pub sha256: Option<String>,
    /// In which format it is.
    pub format: String,
    /// The time of the trace at which the guests are started, ns.
    pub from_ns: u64,
    /// Trace time per time of the run.
    pub speed: f64,
    /// Mean length of a burst, ns.
    pub burst_length_ns: u64,
    /// Whether the lengths are exponentially distributed.
    pub random: bool,
    /// Of what is random, in every repetition.
    pub seed: u64,
    /// What the mean demand of all its guests was to be, as a multiple of the LPs.
    pub overcommit: Option<f64>,
    /// What every VM's demand was multiplied by for that.
    pub factor: f64,
}

/// One alteration as planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeEntry {
    /// When, in ns after measuring begins.
    pub at_ns: u64,
    /// What.
    #[serde(flatten)]
    pub action: ActionEntry,
}

/// What a [`ChangeEntry`] does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum ActionEntry {
    /// A guest gets other controls.
    Controls {
        /// Its name.
        guest: String,
        /// Weight of each VP from then on.
        weight: u32,
        /// Reserve, % of one LP per VP.
        reserve_pct: f64,
        /// Cap, % of one LP per VP.
        cap_pct: f64,
    },
    /// A guest starts that is not there before.
    GuestStart {
        /// Its name.
        guest: String,
    },
    /// A guest is stopped for good.
    GuestStop {
        /// Its name.
        guest: String,
    },
    /// A guest gets one more VP.
    AddVp {
        /// Its name.
        guest: String,
    },
    /// Each VP of a guest is posted interrupts.
    Interrupts {
        /// Its name.
        guest: String,
        /// How many each.
        count: u32,
    },
    /// An LP goes off line.
    LpOff {
        /// Which.
        lp: u32,
        /// Even where the reserves no longer fit.
        force: bool,
    },
    /// An LP comes back.
    LpOn {
        /// Which.
        lp: u32,
    },
}
