//! The engine in virtual time: the same scheduler, simulated LPs and guests.
//!
//! Nothing is measured here, and nothing waits: a run takes as long as the
//! scheduler's decisions take to compute. It is the same on every machine, for
//! all that is random in it comes from [`RunSpec::seed`].
//!
//! The model of an LP: after each decision the host takes
//! [`SimulatorSpec::overhead`](crate::SimulatorSpec::overhead) of it, which
//! counts as lost; then the VP runs until it sleeps, faults or gives a hint, at
//! that very moment, or until a kick ends its slice or calls its LP away, which
//! comes late by 0 to [`SimulatorSpec::kick_latency`](crate::SimulatorSpec::kick_latency),
//! evenly distributed. An idle LP that is called wakes as late; timers are punctual.

mod bursts;
mod lps;
mod program;
mod queue;
mod run;
mod spin;
mod trace;

use crate::engine::{Engine, EngineError, Observer, RunOutcome};
use crate::run_spec::{Action, Change, RunSpec};
use apportion_abi::{Ns, Payload};
use apportion_scheduler::Nanos;
pub use trace::Trace;

/// Guests in virtual time. See the [crate's text](crate) for when to use it.
///
/// Its clock stands at zero at first, and between runs.
#[derive(Debug, Default)]
pub struct SimulatorEngine {
    now: Nanos,
    trace: Option<Trace>,
}

impl SimulatorEngine {
    /// An engine that has run nothing.
    pub fn new() -> SimulatorEngine {
        SimulatorEngine::default()
    }

    /// What the last run that came to its end did; `None` before the first.
    pub fn last_trace(&self) -> Option<Trace> {
        self.trace
    }
}

impl Engine for SimulatorEngine {
    fn name(&self) -> &'static str {
        "simulator"
    }

    fn check(&self, spec: &RunSpec) -> Result<(), EngineError> {
        if let Some(what) = unsupported(spec) {
            return Err(EngineError::Unsupported {
                what,
                instead: "kvm",
            });
        }
        spec.check_admission()
    }

    /// [`RunOutcome::lp_cpus`] are the numbers of the LPs: no host CPU is behind them.
    fn run(
        &mut self,
        spec: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, EngineError> {
        self.check(spec)?;
        self.trace = None;
        let (outcome, trace) = run::run(spec, self.now, observer)?;
        self.now = outcome.stopped;
        self.trace = Some(trace);
        Ok(outcome)
    }
}

/// What of a run the simulator cannot do.
fn unsupported(spec: &RunSpec) -> Option<String> {
    if spec.lps == 0 {
        return Some("the simulator needs at least one LP".to_owned());
    }
    if spec.slice == Nanos::ZERO {
        return Some("the simulator needs a slice above zero".to_owned());
    }
    let posts = |change: &Change| matches!(change.action, Action::PostInterrupts { .. });
    if spec.changes.iter().any(posts) {
        return Some("interrupts are posted, which are not simulated".to_owned());
    }
    spec.guests.iter().find_map(|guest| {
        let what = match guest.payload {
            Payload::Periodic { period: Ns(0), .. } => "has a period of zero".to_owned(),
            Payload::Clock { .. } | Payload::Hostile { .. } => {
                format!("has payload {}, which takes a real guest", guest.payload)
            }
            _ if guest.ticks > 0 => "has ticks, which are not simulated".to_owned(),
            _ => return None,
        };
        Some(format!("guest {} {what}", guest.name))
    })
}
