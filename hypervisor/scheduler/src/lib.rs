//! The scheduler as a pure state machine: no I/O, no clock, no threads, no floats in decisions.
//!
//! Time comes in as an argument. Whoever drives it (the KVM dispatchers, a
//! simulator, a test) reports what happened and asks what to run next; equal
//! calls give equal answers on every machine.
#![forbid(unsafe_code)]

mod admission;
mod bottlenecks;
mod caps;
mod controls;
mod fair;
mod journal;
mod machine;
mod policy;
mod random;
mod rates;
mod scheduler;
mod timers;
mod topology;
mod units;
mod work;
mod yardsticks;

pub use admission::{AdmissionError, Holder};
pub use caps::DEPTH as CAP_DEPTH_SLICES;
pub use controls::{Cap, Controls, ControlsError, Reserve, ReserveModel, Weight, WeightScope};
pub use journal::{Answer, Call, Divergence, Entry, Replay, UnknownCall};
pub use machine::{Config, Guest, Lp, Machine, Presence, Vp, VpState};
pub use policy::{Leave, Policy, PolicyKind, UnknownPolicy};
pub use random::Random;
pub use scheduler::{After, Decision, Happened, NewGuest, Scheduler, What};
pub use topology::{LpSet, Topology};
pub use units::{GuestId, LpId, Nanos, VpId};
pub use work::{Piece, RecordedDemand};
