//! How one run went: the part of `manifest.json` that is written after each.

use crate::counters::Snapshot;
use crate::result_entry::ResultEntry;
use crate::rows::Verdict;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One repetition of one experiment, as it went. Times are ns since the recording's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    /// Which experiment.
    pub experiment: String,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// Seed of everything random in it.
    pub seed: u64,
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
    /// The spans between changes, in order; none where nothing changes.
    pub phases: Vec<PhaseEntry>,
    /// How soon each guest had its new share after each change.
    pub convergence: Vec<ConvergenceEntry>,
    /// How soon guests with payload `periodic` or `probe` had the CPU after they woke.
    pub wakes: Vec<WakeEntry>,
    /// For how long LPs idled although a VP that was Ready could have run.
    pub idleness: IdlenessEntry,
    /// How every guest was served, in the order of guests.
    pub service: Vec<ServiceEntry>,
    /// What guests report of themselves, those that do.
    pub results: Vec<ResultEntry>,
    /// Where LPs that were forced off line left too little for the reserves:
    /// the part of them that was left at the least, %. Empty where all fitted.
    pub reserves_kept_pct: Option<f64>,
    /// Decisions in `decisions.csv`; empty where they were not asked for.
    pub decisions: Option<u64>,
    /// What was counted while it was measured; empty where the engine counts nothing.
    pub counters: Option<Snapshot>,
    /// Over its guests.
    pub verdict: Verdict,
}

/// A span between two changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseEntry {
    /// From when on.
    pub from_ns: u64,
    /// Until when.
    pub until_ns: u64,
    /// Over its rows in `shares.csv`.
    pub verdict: Verdict,
}

/// How soon a guest had its share after a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConvergenceEntry {
    /// When the change was due.
    pub change_ns: u64,
    /// The guest's name.
    pub guest: String,
    /// From how long after the change on what it received stayed within
    /// `bound_ns` of its due, in steps of 10 ms; empty if it did not.
    pub converged_ms: Option<u64>,
    /// n · 2b of CPU time, with the VPs that it had.
    pub bound_ns: u64,
    /// For how long after the change that was looked at: 1 s, or less where
    /// the next change or the end came sooner.
    pub looked_at_ms: u64,
}

/// From awakening to having received the burst or a whole slice, over a guest's VPs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WakeEntry {
    /// The guest's name.
    pub guest: String,
    /// slice ÷ reserve + slice + j, the largest where the reserve changed; empty without a reserve.
    pub bound_ns: Option<u64>,
    /// All of them.
    pub all: WakeStatistics,
    /// Those during which the outer host visibly took no time.
    pub undisturbed: WakeStatistics,
    /// On the undisturbed ones; empty where no bound holds.
    pub verdict: Option<Verdict>,
}

impl WakeEntry {
    /// The wakes to tell of: the undisturbed ones, or all where none was.
    pub fn told(&self) -> &WakeStatistics {
        match self.undisturbed.wakes {
            0 => &self.all,
            _ => &self.undisturbed,
        }
    }
}

/// The distribution of wake latencies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WakeStatistics {
    /// How many.
    pub wakes: u64,
    /// How many of them within their bound, %; empty where none has one.
    pub within_pct: Option<f64>,
    /// Median, ns.
    pub p50_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// The longest, ns.
    pub max_ns: u64,
}

/// How a guest was served in the measured time, over its VPs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceEntry {
    /// Its name.
    pub guest: String,
    /// Dispatches that began.
    pub dispatches: u64,
    /// Time Ready: wanting an LP and not having one.
    pub ready_ns: u64,
    /// Time on an LP, what the host took of it included.
    pub on_lp_ns: u64,
    /// CPU time received.
    pub received_ns: u64,
    /// Units of work counted.
    pub work: u64,
    /// `ready_ns` by `dispatches`; empty without any.
    pub wait_per_dispatch_ns: Option<f64>,
    /// Time Ready or on an LP by CPU time received: 1 for a guest that never
    /// waits and has its LPs to itself; empty where it received nothing.
    pub stretch: Option<f64>,
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
    /// b: the lag that a VP may have by design, ns.
    pub lag_limit_ns: u64,
    /// Guest-counted units of work per second of charged CPU time.
    pub work_per_cpu_second: f64,
    /// Delivered time as a percentage of wall time.
    pub capacity_pct: f64,
}

/// Below this capacity, %, the host took too much for bounds to tell much.
const BUSY_BELOW_PCT: f64 = 80.0;
/// So many slices late, bounds are too wide to tell much.
const LATE_SLICES: u64 = 2;

impl Calibration {
    /// Of a run on a host too busy for its bounds to tell much: why, and what that means.
    pub fn busy_host(&self, slice_ns: u64) -> Option<(String, &'static str)> {
        let late_ns = self.kick_overshoot_p99_ns;
        let taken = (self.capacity_pct < BUSY_BELOW_PCT)
            .then(|| format!("took {:.0} % of the LPs' time", 100.0 - self.capacity_pct));
        let late = (late_ns > LATE_SLICES * slice_ns)
            .then(|| format!("let kicks be {:.1} ms late (p99)", late_ns as f64 / 1e6));
        let why: Vec<String> = taken.into_iter().chain(late).collect();
        (!why.is_empty()).then(|| {
            (
                format!("the host {}", why.join(" and ")),
                "bounds over short windows say little; repeat on a quieter host",
            )
        })
    }
}

/// Time for which LPs idled although a VP that was Ready could have run there, if others had moved within their
/// affinities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IdlenessEntry {
    /// In intervals that are longer than the grace, summed over LPs.
    pub lasting_ns: u64,
    /// In shorter ones: somebody was on the way.
    pub under_way_ns: u64,
    /// What it takes to call an LP.
    pub grace_ns: u64,
    /// The most that `lasting_ns` may be.
    pub bound_ns: u64,
    /// Empty where nothing was measured, and under other policies than `fair`.
    pub verdict: Option<Verdict>,
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
    /// `lasting_ns` of the run's `idleness`, % of the LPs' wall time.
    pub idle_while_ready_pct: f64,
    /// How far the guests' reference time was from the host's clock at the
    /// most, ns, warm-up included, looked at every 50 ms; empty where guests
    /// ask for the clock itself.
    pub clock_error_ns: Option<u64>,
}
