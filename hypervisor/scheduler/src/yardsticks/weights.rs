//! What a weight is worth to a policy that knows nothing but weights.

use crate::controls::WeightScope;
use crate::machine::{Machine, VpState};
use crate::units::VpId;

/// Bits after the binary point of a share of a weight.
const BITS: u32 = 16;

/// A VP's weight: its guest's, or where weights are the guests' its part of
/// that, the guest's VPs that want to run sharing evenly. At least 1.
pub(super) fn weight(vp: VpId, machine: &Machine) -> u64 {
    let guest = machine.guest_of(vp);
    let sharing = match machine.config().weight_scope {
        WeightScope::Vp => 1,
        WeightScope::Guest => guest
            .vps
            .iter()
            // While it is being charged a VP is in none of these states, and wants to run all the same.
            .filter(|&&other| other == vp || wants_to_run(other, machine))
            .count() as u64,
    };
    ((u64::from(guest.controls.weight.get()) << BITS) / sharing).max(1)
}

/// The most that any VP's weight can be.
pub(super) fn highest_weight(machine: &Machine) -> u64 {
    let running = machine.guests().filter(|(_, guest)| guest.is_here());
    let weights = running.map(|(_, guest)| u64::from(guest.controls.weight.get()) << BITS);
    weights.max().unwrap_or(1)
}

fn wants_to_run(vp: VpId, machine: &Machine) -> bool {
    matches!(
        machine.vp(vp).state,
        VpState::Ready { .. } | VpState::Running { .. } | VpState::Held { .. }
    )
}
