//! A minimal hypervisor on KVM that dispatches VPs under a scheduler of its own.
//!
//! [`Engine`] is what the harness drives; [`kvm::KvmEngine`] is the real one.

mod clock;
pub mod dispatch_log;
pub mod engine;
mod guest;
pub mod host;
pub mod kvm;

pub use clock::Clock;
pub use engine::{Engine, EngineError, Flow, GuestSpec, Observer, RunOutcome, RunSpec};
pub use guest::Payload;
