//! A minimal hypervisor on KVM that dispatches VPs under a scheduler of its own.
//!
//! [`Engine`] is what the harness drives; [`kvm::KvmEngine`] is the real one, and
//! [`SimulatorEngine`] drives the very same scheduler in virtual time.

mod arrivals;
mod clock;
pub mod counters;
mod demand;
pub mod dispatch_log;
pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod guest;
pub mod host;
pub mod kvm;
mod reference;
mod run_spec;
mod simulator;

pub use apportion_abi::{Attack, Features, Ns, Payload, Processor};
pub use apportion_scheduler::{Piece, RecordedDemand};
pub use arrivals::Arrivals;
pub use clock::Clock;
pub use engine::{Burst, Crash, Engine, EngineError, Flow, Observer, RunOutcome, Said, VpReport};
pub use run_spec::{Action, Change, GuestSpec, RunSpec, SimulatorSpec};
pub use simulator::{SimulatorEngine, Trace};
