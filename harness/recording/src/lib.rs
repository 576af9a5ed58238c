//! The result files: their schema, who writes them and who reads them back.
//!
//! A recording is one directory. Everything that was measured is in
//! `dispatches.csv` and `events.csv`; `manifest.json` says what was run, where
//! and with which controls. `shares.csv` and `summary.csv` are derived from
//! these three and can be recomputed from them. `counters.csv` and
//! `metrics.prom` hold the engine's own performance counters.
#![forbid(unsafe_code)]

mod ceiling;
mod claim_row;
mod counters;
mod manifest;
mod pace;
mod reader;
mod result_entry;
mod rows;
mod run_entry;
mod table;
mod units;
mod writer;

pub use ceiling::Ceiling;
pub use claim_row::ClaimRow;
pub use counters::{
    Instances, Intercepts, LpCounters, LpRates, RootCounters, RootRates, Snapshot, VpCounters,
    VpRates,
};
pub use manifest::{
    ActionEntry, ChangeEntry, ExperimentEntry, GuestEntry, HostEntry, Manifest, ReplayEntry,
    SettingEntry, SimulatorEntry, Status, ToolEntry, TracedEntry,
};
pub use reader::{Rows, read_manifest, read_rows};
pub use result_entry::ResultEntry;
pub use rows::{
    BurstRow, Check, DecisionRow, DemandRow, DispatchRow, EventKind, EventRow, Fared, Reason,
    Scope, ShareRow, SummaryRow, Verdict,
};
pub use run_entry::{
    Calibration, ConvergenceEntry, CrashEntry, IdlenessEntry, Noise, PhaseEntry, RunEntry,
    ServiceEntry, WakeEntry, WakeStatistics,
};
pub use units::{counted, time};
pub use writer::{RecordingError, Writer};

/// The schema that this crate writes. It changes whenever a column does.
pub const SCHEMA: u32 = 4;

/// The names of the files in a recording.
pub mod files {
    /// What was run, where, with which controls, and how it ended.
    pub const MANIFEST: &str = "manifest.json";
    /// One row per dispatch.
    pub const DISPATCHES: &str = "dispatches.csv";
    /// Everything else that a share depends on.
    pub const EVENTS: &str = "events.csv";
    /// What guests with payload `bursts`, `probe` or `replay` did, by their own clock.
    pub const BURSTS: &str = "bursts.csv";
    /// Every call of the scheduler, where it was asked for.
    pub const DECISIONS: &str = "decisions.csv";
    /// Measured against expected, per guest and VP, whole run and windows.
    pub const SHARES: &str = "shares.csv";
    /// One row per claim over all repetitions, where an experiment makes any.
    pub const CLAIMS: &str = "claims.csv";
    /// One row per experiment and guest over all repetitions.
    pub const SUMMARY: &str = "summary.csv";
    /// What guests that replay a trace demanded and received, where there are some.
    pub const DEMAND: &str = "demand.csv";
    /// Performance counters as percentages and rates, in PDH-CSV 4.0.
    pub const COUNTERS: &str = "counters.csv";
    /// The last of them per run, in Prometheus' text format.
    pub const METRICS: &str = "metrics.prom";
    /// All of them.
    pub const ALL: [&str; 11] = [
        MANIFEST, DISPATCHES, EVENTS, BURSTS, DECISIONS, SHARES, CLAIMS, SUMMARY, DEMAND, COUNTERS,
        METRICS,
    ];
}
