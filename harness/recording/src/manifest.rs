//! `manifest.json`: what was run, where, with which controls, and how it ended.

use crate::rows::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// Seed of everything random.
    pub seed: u64,
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
    /// What it is for.
    pub why: String,
    /// `shipped` or the file's path as given.
    pub source: String,
    /// The TOML text as it stood.
    pub text: String,
    /// SHA-256 of `text`, hexadecimal.
    pub text_sha256: String,
    /// `fair` or `round-robin`.
    pub policy: String,
    /// Number of LPs (M).
    pub lps: u32,
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
    /// The guests and their controls.
    pub guests: Vec<GuestEntry>,
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
    /// What it runs.
    pub payload: String,
}

/// One repetition of one experiment, as it went. Times are ns since the recording's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Which experiment.
    pub experiment: String,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// When its guests were started.
    pub start_ns: u64,
    /// When measuring began; everything before is warm-up.
    pub measured_from_ns: u64,
    /// When measuring ended.
    pub measured_until_ns: u64,
    /// Stopped by the user before its planned end.
    pub interrupted: bool,
    /// Host CPU behind each LP.
    pub lp_cpus: Vec<u32>,
    /// What the run says of the machine's speed and precision.
    pub calibration: Calibration,
    /// What disturbed it.
    pub noise: Noise,
    /// Guests that crashed, in order.
    pub crashed: Vec<CrashEntry>,
    /// Over its guests.
    pub verdict: Verdict,
}

/// A guest's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrashEntry {
    /// Its name.
    pub guest: String,
    /// On which of its VPs.
    pub vp: u32,
    /// What it died of, and the VP's registers.
    pub report: String,
}

/// `GUEST, VP N: REPORT`.
impl fmt::Display for CrashEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, VP {}: {}", self.guest, self.vp, self.report)
    }
}

/// Speed and precision, measured in the run itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Median time from a slice's planned end to the VP having left, ns.
    pub kick_overshoot_p50_ns: u64,
    /// Its 99th percentile: the j of every bound.
    pub kick_overshoot_p99_ns: u64,
    /// Its maximum.
    pub kick_overshoot_max_ns: u64,
    /// Guest-counted units of work per second of charged CPU time.
    pub work_per_cpu_second: f64,
    /// Delivered time as a percentage of wall time.
    pub capacity_pct: f64,
}

/// What disturbed a run, over its measured time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Time that the outer host took (steal in /proc/stat), % of the LPs' wall time.
    pub steal_pct: f64,
    /// Involuntary context switches of the dispatcher threads, warm-up included.
    pub involuntary_switches: u64,
    /// Dispatches of a VP on another LP than its last one, per second and LP.
    pub migrations_per_second_per_lp: f64,
    /// The largest lag in absolute terms of any VP as it was picked or charged,
    /// in slices; empty where the policy has none.
    pub max_lag_slices: Option<f64>,
}
