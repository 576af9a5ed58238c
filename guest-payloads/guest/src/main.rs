//! The guest: every VP enters at `_start`, reads the start page and runs the payload named there.
#![no_std]
#![no_main]

mod payloads;
mod vp;

use apportion_abi::{ABI_VERSION, StartPage};
use vp::Vp;

/// Each VP's first instruction, at ring 3, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn _start(start: *const StartPage, index: u32) -> ! {
    // SAFETY: the host passes the start page's address in the first argument
    // register and the VP's index in the second, and no VP ever writes the page.
    let vp = unsafe { Vp::enter(start, index) };
    if vp.start.magic != StartPage::MAGIC || vp.start.version != ABI_VERSION {
        vp::die();
    }
    match payloads::find(vp.start.payload) {
        Some(run) => run(&vp),
        None => vp::die(),
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    vp::die()
}
