//! The guest: every VP enters at `_start`, reads the start page and runs the payload named there.
#![no_std]
#![no_main]

mod calls;
mod interrupts;
mod payloads;
mod processor;
mod time;
mod vp;
mod work;

use apportion_abi::shared::Value;
use apportion_abi::{ImageHeader, Payload, StartPage};
use vp::Vp;

/// What the host reads before it lets any VP enter.
#[unsafe(link_section = ".header")]
#[used]
static HEADER: ImageHeader<unsafe extern "C" fn()> = ImageHeader::new(interrupts::entry);

/// Each VP's first instruction, at ring 3, on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn _start(start: *const StartPage, index: u32) -> ! {
    // SAFETY: the host passes the start page's address in the first argument
    // register and the VP's index in the second.
    let vp = unsafe { Vp::enter(start, index) };
    if !vp.start.is_for(index) {
        vp::die();
    }
    vp.report(Value::FeaturesSeen, processor::seen().0);
    match Payload::from_words(vp.start.payload, &vp.start.words) {
        Some(payload) => payloads::run(payload, &vp),
        None => vp::die(),
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    vp::die()
}
