//! What a guest is before any VP runs: memory with the image in it, and the state its VPs boot in.

mod boot;
mod memory;

use apportion_abi::PayloadId;

pub(crate) use boot::{registers, segments};
pub(crate) use memory::GuestMemory;

/// What a guest's VPs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Count work for ever.
    Burn,
    /// Count `after_work` units on each VP, then fault.
    Crash {
        /// Units of work until the fault.
        after_work: u64,
    },
}

impl Payload {
    fn start_page(self, vps: u32) -> apportion_abi::StartPage {
        let (id, param) = match self {
            Payload::Burn => (PayloadId::Burn, 0),
            Payload::Crash { after_work } => (PayloadId::Crash, after_work),
        };
        apportion_abi::StartPage::new(id, vps, [param, 0, 0, 0])
    }
}
