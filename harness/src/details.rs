//! What the column `detail` of events.csv says, in words `key=value`.

use apportion_hypervisor::GuestSpec;
use apportion_scheduler::Controls;

/// All three controls; reserve and cap in percent of one LP.
pub(crate) fn controls(controls: &Controls) -> String {
    format!(
        "weight={} reserve={} cap={}",
        controls.weight.get(),
        controls.reserve.percent(),
        controls.cap.percent()
    )
}

/// A guest as it is when the run begins; its memory in bytes.
pub(crate) fn defined(guest: &GuestSpec) -> String {
    format!(
        "vps={} {} payload={} memory={}",
        guest.vps,
        controls(&guest.controls),
        guest.payload,
        guest.memory
    )
}
