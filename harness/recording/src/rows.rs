//! One type per CSV file; the field order is the column order.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a dispatch ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// The slice was used up.
    #[default]
    Slice,
    /// Another VP was given the LP before the slice's end.
    Preempted,
    /// The VP had nothing to do.
    Idle,
    /// The cap's tokens were used up.
    Capped,
    /// The guest asked for a service that ends the dispatch.
    Hypercall,
    /// The guest crashed.
    Fault,
    /// The run or the guest was stopped.
    End,
}

/// A row of `dispatches.csv`: one dispatch of one VP on one LP.
///
/// Timestamps are nanoseconds since the recording's start, on one clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DispatchRow {
    /// The experiment's name.
    pub experiment: String,
    /// Counted from 1.
    pub repetition: u32,
    /// The LP, counted from 0 over those of the experiment.
    pub lp: u32,
    /// The guest's name.
    pub guest: String,
    /// The VP within its guest, counted from 0.
    pub vp: u32,
    /// When the VP became Ready.
    pub ready_ns: u64,
    /// When it was picked; its slice ends one slice later.
    pub start_ns: u64,
    /// When it had left the LP.
    pub end_ns: u64,
    /// CPU time charged.
    pub ran_ns: u64,
    /// Units of work that the guest counted meanwhile.
    pub work: u64,
    /// Why it ended.
    pub reason: Reason,
}

/// What a row of `events.csv` tells.
///
/// `t_ns` is when it happened, for [`EventKind::Idle`], [`EventKind::Lost`] and
/// [`EventKind::Lag`] the end of the period that it speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The run begins with the guest as `detail` tells it (one row per guest).
    GuestDefined,
    /// The guest's VPs became runnable (one row per VP).
    #[default]
    GuestStart,
    /// The guest was stopped by the host (one row per VP).
    GuestStop,
    /// The guest crashed; `detail` has its registers.
    GuestCrash,
    /// A VP left the runnable set because its guest crashed.
    VpRemoved,
    /// A VP was added to a running guest, and wants to run.
    VpAdded,
    /// A VP went to sleep: it wants nothing.
    Sleep,
    /// A VP wants to run again, since `value` ns before `t_ns`.
    Wake,
    /// The VP's cap holds it; it still wants to run.
    Hold,
    /// The VP's cap holds it no more.
    Release,
    /// A guest has other controls; `detail` has them.
    Controls,
    /// A change that was asked for is not made; `detail` says why.
    Refused,
    /// Each VP of a guest was posted `value` interrupts.
    Interrupts,
    /// A guest said the line that is in `detail`.
    GuestLog,
    /// An LP was taken off line.
    LpOff,
    /// An LP came back.
    LpOn,
    /// The LP had nothing to run for the `value` ns up to `t_ns`.
    Idle,
    /// Of the LP's time since its last such row, `value` ns reached neither a guest nor idle.
    Lost,
    /// The largest lag in absolute terms of a VP as it was picked or charged on
    /// the LP (where lag has its extremes) since the LP's last such row: `value` ns, signed.
    Lag,
    /// Measuring begins.
    MeasureStart,
    /// Measuring ends.
    MeasureEnd,
}

/// A row of `events.csv`. Fields that a kind has no use for are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// The experiment's name.
    pub experiment: String,
    /// Counted from 1.
    pub repetition: u32,
    /// When, in nanoseconds since the recording's start.
    pub t_ns: u64,
    /// What.
    pub kind: EventKind,
    /// On which LP.
    pub lp: Option<u32>,
    /// Of which guest.
    pub guest: Option<String>,
    /// Of which VP within the guest.
    pub vp: Option<u32>,
    /// How much, in the unit that the kind names.
    pub value: Option<i64>,
    /// In words.
    pub detail: Option<String>,
}

/// A row of `decisions.csv`: one call of the scheduler and what it gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DecisionRow {
    /// The experiment's name.
    pub experiment: String,
    /// Counted from 1.
    pub repetition: u32,
    /// Counted from 0 over the run.
    pub sequence: u64,
    /// The time it was made with, in nanoseconds since the recording's start; 0 before the run.
    pub now_ns: u64,
    /// Which call.
    pub call: String,
    /// Its arguments, as words `key=value`.
    pub arguments: String,
    /// What it gave, in words.
    pub result: String,
}

/// A row of `bursts.csv`: a piece of work in a guest's own time.
///
/// Timestamps are nanoseconds since the recording's start, in steps of 100. What is replayed and was not done when the
/// run was stopped has neither begin nor end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BurstRow {
    /// The experiment's name.
    pub experiment: String,
    /// Counted from 1.
    pub repetition: u32,
    /// The guest's name.
    pub guest: String,
    /// The VP within its guest, counted from 0.
    pub vp: u32,
    /// When it was due: arrived, or was to wake.
    pub due_ns: u64,
    /// When the guest began with it.
    pub start_ns: Option<u64>,
    /// When it was done.
    pub done_ns: Option<u64>,
    /// The CPU time that it was to take.
    pub run_ns: u64,
}

/// How a guest fared that replays what a trace demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fared {
    /// It received what it demanded.
    #[default]
    Met,
    /// It received less, and no less than the formula promised: it demanded more than was its due.
    BeyondDue,
    /// It received less than it demanded and than the formula promised.
    Short,
}

impl fmt::Display for Fared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Fared::Met => "met",
            Fared::BeyondDue => "beyond-due",
            Fared::Short => "short",
        })
    }
}

/// A row of `demand.csv`: what a guest that replays a trace demanded and received in the measured time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DemandRow {
    /// The experiment's name.
    pub experiment: String,
    /// Counted from 1.
    pub repetition: u32,
    /// The engine that produced the numbers.
    pub engine: String,
    /// The guest's name.
    pub guest: String,
    /// What the trace calls it.
    pub vm: String,
    /// Its number of VPs.
    pub vps: u32,
    /// CPU time that the trace demands, scaled and cut.
    pub trace_ns: u64,
    /// Bursts that fell due.
    pub bursts: u64,
    /// CPU time of those.
    pub due_ns: u64,
    /// CPU time received.
    pub received_ns: u64,
    /// CPU time that had fallen due and was not received as measuring began.
    pub backlog_before_ns: u64,
    /// The same as it ended.
    pub backlog_ns: u64,
    /// Bursts that fell due in the measured time and were not done by its end.
    pub unfinished: u64,
    /// Time from when a burst was due until it was done, or measuring ended, ÷ the CPU time it takes: the median; empty
    /// without bursts.
    pub stretch_p50: Option<f64>,
    /// The 95th percentile of that.
    pub stretch_p95: Option<f64>,
    /// Whether it got what it demanded.
    pub fared: Fared,
}

/// Whether a row speaks of a guest or of one of its VPs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All VPs of the guest together.
    #[default]
    Guest,
    /// One VP.
    Vp,
}

/// Which promise a row checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The share of delivered time, two-sided.
    #[default]
    Share,
    /// The cap, from above, against wall time.
    Cap,
    /// The reserve, from below, against wall time.
    Reserve,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Within tolerance (a window: within its bound).
    Pass,
    /// Outside tolerance and outside what the bound explains.
    Fail,
    /// Nothing can be said: too short or too noisy.
    Inconclusive,
    /// Not measured.
    #[default]
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Skipped => "skipped",
        })
    }
}

/// A row of `shares.csv`. Percentages are of the delivered time of the experiment's LPs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShareRow {
    /// The experiment's name.
    pub experiment: String,
    /// Counted from 1.
    pub repetition: u32,
    /// The engine that produced the numbers.
    pub engine: String,
    /// The policy that scheduled.
    pub policy: String,
    /// Guest or VP.
    pub scope: Scope,
    /// The guest's name.
    pub guest: String,
    /// The VP within its guest; empty for scope guest.
    pub vp: Option<u32>,
    /// The guest's weight.
    pub weight: u32,
    /// The guest's reserve, % of one LP per VP.
    pub reserve_pct: f64,
    /// The guest's cap, % of one LP per VP.
    pub cap_pct: f64,
    /// What is checked.
    pub check: Check,
    /// The length of the window or phase in milliseconds; 0 for the whole run.
    pub window_ms: u64,
    /// The window's start, in nanoseconds since the recording's start.
    pub window_start_ns: u64,
    /// What the formula promises.
    pub expected_pct: f64,
    /// What was received.
    pub measured_pct: f64,
    /// Its part of all guests' counted work.
    pub work_pct: f64,
    /// Delivered time as a percentage of wall time, over the window.
    pub capacity_pct: f64,
    /// Measured minus expected, in percentage points.
    pub error_pp: f64,
    /// The scheduler's own bound on the error over this window.
    pub bound_pp: f64,
    /// The experiment's tolerance for the whole run.
    pub tolerance_pp: f64,
    /// The outcome.
    pub verdict: Verdict,
}

/// A row of `summary.csv`: one experiment and guest over all repetitions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SummaryRow {
    /// The experiment's name.
    pub experiment: String,
    /// The engine that produced the numbers.
    pub engine: String,
    /// The policy that scheduled.
    pub policy: String,
    /// The guest's name.
    pub guest: String,
    /// Its weight.
    pub weight: u32,
    /// Its number of VPs.
    pub vps: u32,
    /// How many repetitions were measured.
    pub repetitions: u32,
    /// What the formula promises, % of delivered time (mean over repetitions).
    pub expected_pct: f64,
    /// What was received, mean over repetitions.
    pub measured_pct: f64,
    /// Lower end of the 95 % confidence interval of the mean; empty below two repetitions.
    pub ci95_low_pct: Option<f64>,
    /// Upper end of it.
    pub ci95_high_pct: Option<f64>,
    /// Part of all guests' counted work, mean over repetitions.
    pub work_pct: f64,
    /// The largest error of any repetition, in percentage points, signed.
    pub worst_error_pp: f64,
    /// The tolerance it was held against.
    pub tolerance_pp: f64,
    /// The worst verdict of any repetition.
    pub verdict: Verdict,
}
