//! The scheduler as a pure state machine: no I/O, no clock, no threads, no floats in decisions.
//!
//! Time comes in as an argument. Whoever drives it (the KVM dispatchers, a
//! simulator, a test) reports what happened and asks what to run next; equal
//! calls give equal answers on every machine.
#![forbid(unsafe_code)]

mod controls;
mod fair;
mod policy;
mod rates;
mod round_robin;
mod scheduler;
mod units;
mod vps;

pub use controls::{Cap, Controls, ControlsError, Reserve, Weight};
pub use policy::{Policy, PolicyKind, UnknownPolicy};
pub use scheduler::{AddError, Decision, Scheduler};
pub use units::{GuestId, LpId, Nanos, VpId};
pub use vps::{Vp, VpState, VpTable};
