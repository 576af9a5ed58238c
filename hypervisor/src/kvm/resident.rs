//! How much of a guest's memory the host has given it.
#![expect(unsafe_code, reason = "mincore, which no safe library offers")]

use crate::guest::GuestMemory;

/// Bytes that the guest or the host has touched; `None` where the system does not tell.
pub(super) fn resident(memory: &GuestMemory) -> Option<u64> {
    const PAGE: u64 = 4096;
    let (start, length) = memory.host_range().ok()?;
    let mut pages = vec![0_u8; length.div_ceil(PAGE) as usize];
    // SAFETY: the range is a mapping that `memory` owns, and there is a byte for each of its pages.
    let told = unsafe {
        libc::mincore(
            start as *mut libc::c_void,
            length as usize,
            pages.as_mut_ptr(),
        )
    };
    let touched = pages.iter().filter(|page| **page & 1 == 1).count() as u64;
    (told == 0).then_some(touched * PAGE)
}
