//! A minimal hypervisor on KVM that dispatches VPs under a scheduler of its own.
//!
//! [`Engine`] is what the harness drives; [`kvm::KvmEngine`] is the real one, and
//! [`SimulatorEngine`] drives the very same scheduler in virtual time.

mod clock;
mod demand;
pub mod dispatch_log;
pub mod engine;
mod guest;
pub mod host;
pub mod kvm;
mod run_spec;
mod simulator;

pub use clock::Clock;
pub use engine::{Engine, EngineError, Flow, Observer, RunOutcome};
pub use guest::Payload;
pub use run_spec::{Action, Change, GuestSpec, RunSpec, SimulatorSpec};
pub use simulator::{SimulatorEngine, Trace};
