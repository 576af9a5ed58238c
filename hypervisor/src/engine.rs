//! The one interface between whoever wants guests run and whatever runs them.

use crate::counters::Snapshot;
use crate::dispatch_log::LogEntry;
use crate::run_spec::{Action, RunSpec};
use apportion_abi::Features;
use apportion_abi::shared::Value;
use apportion_scheduler::{AdmissionError, Entry, GuestId, Nanos, VpId};
use std::error::Error as StdError;
use std::io;
use thiserror::Error;

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It is interrupted: guests are stopped, and what was measured stands.
    Stop,
}

/// Receives a run's log while it runs.
pub trait Observer {
    /// One entry. Those of one LP and those of one VP come in order of time.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the run is stopped then.
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Box<dyn StdError + Send + Sync>>;

    /// The scheduler's decisions since the last time, where [`RunSpec::decisions`] asks for them.
    ///
    /// # Errors
    /// Whatever kept them from being recorded; the run is stopped then.
    fn decisions(&mut self, entries: Vec<Entry>) -> Result<(), Box<dyn StdError + Send + Sync>>;

    /// A burst, an awakening or a reading that a guest recorded by itself. Those of one VP come in order.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the run is stopped then.
    fn burst(&mut self, _: &Burst) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }

    /// A guest has crashed. [`LogEntry::GuestCrashed`] tells it as well, in its place among the entries.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the run is stopped then.
    fn crashed(&mut self, _: &Crash) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }

    /// A line that a guest said for the log.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the run is stopped then.
    fn said(&mut self, _: &Said) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }

    /// All counters: as the guests start, about once a second, as measuring begins and as it ends.
    ///
    /// # Errors
    /// Whatever kept them from being recorded; the run is stopped then.
    fn counters(&mut self, _: &Snapshot) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }

    /// What is to be changed now, asked about every 50 ms while the guests run.
    ///
    /// What is done is logged as a planned change is, what is refused goes to
    /// [`refused`](Observer::refused). They speak of guests and LPs of the run;
    /// guests that start or stop, and [`Action::AddVp`], can only be planned.
    fn requests(&mut self) -> Vec<Action> {
        Vec::new()
    }

    /// The scheduler refused what was requested, or what was planned and no
    /// longer fits since something was changed on request. Nothing has changed.
    ///
    /// # Errors
    /// Whatever kept it from being recorded; the run is stopped then.
    fn refused(
        &mut self,
        _action: &Action,
        _why: &AdmissionError,
        _at: Nanos,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        Ok(())
    }

    /// About every 50 ms: it is `now`, and the run ends at `until`.
    ///
    /// # Errors
    /// Whatever kept the entries from being recorded; the run is stopped then.
    fn tick(&mut self, now: Nanos, until: Nanos) -> Result<Flow, Box<dyn StdError + Send + Sync>>;
}

/// How a run went. Times are on the engine's clock.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// When the guests became runnable.
    pub start: Nanos,
    /// When measuring began.
    pub measured_from: Nanos,
    /// When it ended: as planned, or at the interruption.
    pub measured_until: Nanos,
    /// When the guests were stopped.
    pub stopped: Nanos,
    /// Whether the observer stopped it.
    pub interrupted: bool,
    /// The host CPU behind each LP.
    pub lp_cpus: Vec<u32>,
    /// Guests that crashed: [`Observer::crashed`] was told of each.
    pub crashes: Vec<Crash>,
    /// Time that the outer host took from the LPs while measuring, where the kernel tells.
    pub steal: Option<Nanos>,
    /// Involuntary context switches of the dispatchers.
    pub involuntary_switches: u64,
    /// By guest: bytes of its memory that were touched; empty where no memory is behind it.
    pub memory: Vec<u64>,
    /// What each VP that was there says of itself.
    pub reports: Vec<VpReport>,
    /// The counters as measuring began and as it ended; an engine that has none leaves it out.
    pub measured: Option<[Snapshot; 2]>,
    /// How far the guests' reference time was from the engine's clock at the
    /// most; `None` where they ask for the clock itself.
    pub clock_error: Option<Nanos>,
    /// The counters at the very end, when every interrupt was handled.
    pub counters: Option<Snapshot>,
}

/// What a VP reports by itself, see [`Value`]; nothing of it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpReport {
    /// Which VP.
    pub vp: VpId,
    /// What its guest may use of the processor.
    pub features: Features,
    /// As measuring began.
    pub before: Vec<(Value, u64)>,
    /// As it ended.
    pub after: Vec<(Value, u64)>,
    /// Pieces of work that it recorded, and overwrote before the host had read
    /// them: [`Observer::burst`] was not told of them.
    pub records_lost: u64,
    /// Pieces of work that arrived while it had nothing to do, and that the host
    /// gave it more than a millisecond late.
    pub pieces_late: u64,
}

/// A piece of work in a guest's own time, on the engine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Whose.
    pub vp: VpId,
    /// When it was due; of payload `clock`: the page's first reading.
    pub due: Nanos,
    /// When it began; of payload `clock`: what the hypercall gave.
    pub start: Nanos,
    /// When it was done; of payload `clock`: the page's second reading.
    pub done: Nanos,
    /// How much CPU time it was to take; of payload `clock` none.
    pub run: Nanos,
}

/// A line that a guest said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which guest.
    pub guest: GuestId,
    /// Which of its VPs.
    pub vp: u32,
    /// When.
    pub at: Nanos,
    /// Printable text.
    pub text: String,
}

/// A guest's end.
#[derive(Clone, Debug)]
pub struct Crash {
    /// Whose.
    pub guest: GuestId,
    /// On which of its VPs.
    pub vp: u32,
    /// When.
    pub at: Nanos,
    /// What KVM said, and the VP's registers.
    pub report: String,
}

/// Why a run could not be done.
#[derive(Debug, Error)]
pub enum EngineError {
    /// There is no KVM to run on.
    #[error("KVM is not available: {reason}; {remedy}")]
    Unavailable {
        /// What failed.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// More LPs than the host has.
    #[error(
        "{wanted} LPs were asked for, this host has {available}: use --lps {available} or fewer, or --engine simulator"
    )]
    TooFewLps {
        /// Asked for.
        wanted: u32,
        /// There are.
        available: u32,
    },
    /// The scheduler refused a guest.
    #[error("refused: {0}")]
    Refused(AdmissionError),
    /// The scheduler refused a change.
    #[error("the change at {at} was refused: {source}")]
    ChangeRefused {
        /// When it was to be.
        at: Nanos,
        /// Why.
        source: AdmissionError,
    },
    /// The observer requested a VP, or that a guest starts or stops.
    #[error("guest {guest} cannot start, stop or get a VP on request: plan a change that does it")]
    Unplanned {
        /// Whose.
        guest: String,
    },
    /// The engine cannot run this.
    #[error("{what}: use --engine {instead}")]
    Unsupported {
        /// What, and of which engine.
        what: String,
        /// The engine that can.
        instead: &'static str,
    },
    /// A guest could not be built.
    #[error("guest {guest}: cannot {step}: {source}")]
    Guest {
        /// Its name.
        guest: String,
        /// What was being done.
        step: &'static str,
        /// The library's or the system's answer.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A dispatcher could not be set up.
    #[error("LP {lp}: cannot {step}: {source}")]
    Lp {
        /// Which.
        lp: u32,
        /// What was being done.
        step: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// More guests and VPs than the process may have open files.
    #[error(
        "{needed} file descriptors are needed (one per guest and per VP), the limit is {limit}: \
         raise it with `ulimit -n {needed}` or use fewer guests"
    )]
    TooFewFiles {
        /// Needed.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// More memory than the host has left.
    #[error(
        "the guests may use {} MiB of memory together, the host has {} MiB left: \
         use fewer guests or a smaller `memory`",
        .wanted >> 20,
        .available >> 20
    )]
    TooLittleMemory {
        /// By all guests, bytes.
        wanted: u64,
        /// Left, bytes.
        available: u64,
    },
    /// KVM refused to run a VP.
    #[error("LP {lp}: KVM_RUN failed: {source}")]
    Run {
        /// Where.
        lp: u32,
        /// The system's answer.
        source: io::Error,
    },
    /// A dispatcher panicked, which is a fault of ours; the run was stopped at once.
    #[error("LP {lp}: its dispatcher panicked: {message}{}", refused_too(*.refused))]
    Panicked {
        /// Where.
        lp: u32,
        /// What the panic said.
        message: String,
        /// The number on x86-64 of a system call that a dispatcher was refused, before or by the panic.
        refused: Option<u32>,
    },
    /// A dispatcher asked the kernel for something that it has no business with; it was refused.
    #[error(
        "LP {lp}: its dispatcher made system call {call}, which it may not, and was refused: either a guest broke out \
         of KVM, or a library calls what the list in hypervisor/src/kvm/seccomp.rs lacks"
    )]
    Forbidden {
        /// Where.
        lp: u32,
        /// The call's number on x86-64.
        call: u32,
    },
    /// The recording could not keep up, so that it is incomplete.
    #[error(
        "{0} dispatches were lost because recording them fell behind: use a longer --slice or leave the host more idle"
    )]
    Dropped(u64),
    /// The observer refused an entry.
    #[error("cannot record the run: {0}")]
    Observer(Box<dyn StdError + Send + Sync>),
}

fn refused_too(call: Option<u32>) -> String {
    let told = |call| {
        format!(
            " (system call {call} was refused, too: a panic's backtrace makes some, run without RUST_BACKTRACE to see)"
        )
    };
    call.map(told).unwrap_or_default()
}

/// Runs guests.
pub trait Engine {
    /// `kvm` or `simulator`: stamped on everything that it produces.
    fn name(&self) -> &'static str;

    /// Whether this host can run `spec`, before anything is created.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn check(&self, spec: &RunSpec) -> Result<(), EngineError>;

    /// Runs `spec` to its end, handing everything that happens to `observer`.
    ///
    /// # Errors
    /// See [`EngineError`]; guests are stopped in every case.
    fn run(
        &mut self,
        spec: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, EngineError>;
}
