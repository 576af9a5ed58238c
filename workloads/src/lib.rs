//! What to run and what to expect of it: experiments as TOML files, the ones
//! that ship with Apportion, and the shares each guest should see.
//!
//! This crate knows no KVM, no thread and no clock. It takes the payloads from
//! what host and guest agree on, the types of the controls from the scheduler
//! and nothing else, so that its expected shares check the scheduler's
//! arithmetic instead of repeating it.
#![forbid(unsafe_code)]

mod bounds;
mod catalogue;
mod duration;
pub mod expected;
mod experiment;
pub mod limits;
pub mod lint;
pub mod predict;
pub mod replay;
mod schema;
mod size;
mod suggest;
pub mod traces;

pub use apportion_abi::{Attack, Ns, Payload, Processor};
pub use bounds::lag_limit;
pub use catalogue::{LoadError, UnknownExperiment, catalogue, find, load, names, suite};
pub use duration::{DurationError, parse_duration};
pub use experiment::{
    Action, Axis, Change, Claim, Experiment, ExperimentError, Guest, Measure, Misfit, NewControls,
    Overrides, Replay, Setting, SettingError, Simulator, Sweep, Together, Unit,
};
pub use schema::schema;
pub use size::{Bytes, SizeError, parse_size};
pub use suggest::choice;
