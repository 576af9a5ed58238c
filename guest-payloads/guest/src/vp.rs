//! What a payload sees of its VP; the only module besides the entry that touches raw memory.

use apportion_abi::{StartPage, VpLine, layout};

/// The running VP.
pub struct Vp {
    /// The guest's start page.
    pub start: &'static StartPage,
    /// This VP's own cache line.
    pub line: &'static VpLine,
}

impl Vp {
    /// # Safety
    /// `start` must be the start page that the host wrote, and `index` this VP's index.
    pub unsafe fn enter(start: *const StartPage, index: u32) -> Vp {
        // SAFETY: both lie at fixed, mapped, aligned places in guest memory
        // (abi::layout); the page is read-only to all, and the line holds only atomics.
        unsafe {
            Vp {
                start: &*start,
                line: &*(layout::vp_line(index) as *const VpLine),
            }
        }
    }
}

/// Ends the guest by an invalid instruction: with no IDT the host sees a shutdown and reports a crash.
pub fn die() -> ! {
    // SAFETY: ud2 raises #UD and never returns.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
