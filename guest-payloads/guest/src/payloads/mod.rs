//! The payloads: what a VP does, by the start page's choice.

mod bursts;
mod hostile;
mod locks;
mod simple;

use crate::vp::Vp;
use apportion_abi::Payload;

/// Runs a payload for ever.
pub fn run(payload: Payload, vp: &Vp) -> ! {
    match payload {
        // When the paced ones sleep is for the host to say.
        Payload::Burn | Payload::Periodic { .. } | Payload::OnOff { .. } => simple::burn(vp),
        Payload::Crash { after_work } => simple::crash(vp, after_work),
        Payload::Spin {
            critical,
            think,
            threshold,
        } => locks::spin(vp, critical, think, threshold),
        Payload::FixedWork {
            units,
            burst,
            pause,
        } => simple::fixed_work(vp, units, burst, pause),
        Payload::Memory {
            working_set,
            stride,
        } => simple::memory(vp, working_set, stride),
        Payload::Bursts { .. } | Payload::Replay => bursts::bursts(vp),
        Payload::Probe { period, run } => bursts::probe(vp, period, run),
        Payload::YieldLoop { run } => simple::yield_loop(vp, run),
        Payload::Clock { pause } => bursts::clock(vp, pause),
        Payload::Vector => simple::vector(vp),
        Payload::Hostile { attack } => hostile::attack(vp, attack),
    }
}
