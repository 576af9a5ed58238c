//! What to run and what to expect of it: experiments as TOML files, the ones
//! that ship with Apportion, and the shares each guest should see.
//!
//! This crate knows no KVM, no thread and no clock. It takes the types of the
//! controls from the scheduler and nothing else, so that its expected shares
//! check the scheduler's arithmetic instead of repeating it.
#![forbid(unsafe_code)]

mod catalogue;
mod duration;
pub mod expected;
mod experiment;
pub mod limits;
mod suggest;

pub use catalogue::{LoadError, UnknownExperiment, catalogue, find, load, names, suite};
pub use duration::{DurationError, parse_duration};
pub use experiment::{
    Action, Change, Experiment, ExperimentError, Guest, Misfit, Payload, Simulator,
};
pub use suggest::choice;
