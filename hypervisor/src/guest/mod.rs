//! What a guest is before any VP runs: memory with the image in it, and the state its VPs boot in.

mod boot;
mod memory;

use apportion_abi::PayloadId;
use apportion_scheduler::Nanos;

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
    /// Each VP wants `run` of CPU time every `period` and sleeps in between.
    Periodic {
        /// From burst to burst.
        period: Nanos,
        /// CPU time of a burst.
        run: Nanos,
    },
    /// Each VP wants bursts of CPU time and sleeps in between, both exponentially distributed.
    OnOff {
        /// Mean CPU time of a burst.
        on: Nanos,
        /// Mean length of a sleep.
        off: Nanos,
    },
    /// The VPs share a lock: each thinks, then needs the lock, and spins while another holds it.
    Spin {
        /// CPU time with the lock.
        critical: Nanos,
        /// CPU time between.
        think: Nanos,
        /// Whether a spinner says so to the hypervisor.
        hint: bool,
    },
}

impl Payload {
    fn start_page(self, vps: u32) -> apportion_abi::StartPage {
        let (id, param) = match self {
            // When the others sleep is for the host to say; `spin` does not run here.
            Payload::Burn
            | Payload::Periodic { .. }
            | Payload::OnOff { .. }
            | Payload::Spin { .. } => (PayloadId::Burn, 0),
            Payload::Crash { after_work } => (PayloadId::Crash, after_work),
        };
        apportion_abi::StartPage::new(id, vps, [param, 0, 0, 0])
    }
}
