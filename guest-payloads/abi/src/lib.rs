//! What host and guest agree on: where things lie in guest memory, what the start page says, which payloads and
//! hypercalls exist.
#![no_std]
#![forbid(unsafe_code)]

pub mod clock;
pub mod hypercall;
pub mod layout;
mod payload;
mod processor;
pub mod shared;
mod start;

pub use payload::{Attack, Ns, Parameter, Payload};
pub use processor::{Features, Processor};
pub use start::{ImageHeader, StartPage};

/// Changes whenever anything in this crate changes its meaning.
pub const ABI_VERSION: u32 = 3;

/// The most VPs that one guest may have: their lines and stacks have fixed places.
pub const MAX_VPS: u32 = 64;

/// The vector of interrupts that the host posts.
pub const INTERRUPT_VECTOR: u8 = 0x30;

/// Steps of the dependent chain in one unit of work: about 100 ns on a machine of the 2020s.
pub const STEPS_PER_UNIT: u32 = 64;
