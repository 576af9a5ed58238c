//! The guest's end of the hypercalls: see `apportion_abi::hypercall`.

use crate::vp::Vp;
use apportion_abi::hypercall::{Call, FOREVER, PORT, Status};
use apportion_abi::shared::Value;
use core::sync::atomic::Ordering::Relaxed;

/// Makes a call by its code, whether there is such a call or not: its status and its output.
pub fn raw(vp: &Vp, code: u32, input: [u64; 2]) -> (u64, u64) {
    let block = &vp.line.call;
    block.input[0].store(input[0], Relaxed);
    block.input[1].store(input[1], Relaxed);
    // SAFETY: an intercept. The host reads this VP's block and writes its answer
    // to it, so memory counts as changed, which is asm!'s default.
    unsafe {
        core::arch::asm!("out dx, eax", in("dx") PORT, in("eax") code, options(nostack));
    }
    (block.status.load(Relaxed), block.output.load(Relaxed))
}

/// Makes a call; its output, if the host did what was asked.
fn call(vp: &Vp, call: Call, input: [u64; 2]) -> Option<u64> {
    let (status, output) = raw(vp, call as u32, input);
    if status == Status::Success as u64 {
        return Some(output);
    }
    vp.count(Value::RefusedCalls, 1);
    None
}

/// Says that it has been spinning on a lock for so many spins.
pub fn notify_long_spin_wait(vp: &Vp, spins: u64) {
    call(vp, Call::NotifyLongSpinWait, [spins, 0]);
}

/// The reference time; 0 where the host refuses to tell.
pub fn reference_time(vp: &Vp) -> u64 {
    call(vp, Call::ReferenceTime, [0, 0]).unwrap_or(0)
}

/// CPU time that the VP was charged so far, in units of 100 ns; 0 where the host refuses to tell.
pub fn runtime(vp: &Vp) -> u64 {
    call(vp, Call::VpRuntime, [0, 0]).unwrap_or(0)
}

/// Sleeps until this reference time or an interrupt; gives the LP up where it has passed.
pub fn idle_until(vp: &Vp, time: u64) {
    call(vp, Call::GuestIdle, [time, 0]);
}

/// Writes a line to the host's log.
pub fn log(vp: &Vp, line: &str) {
    call(vp, Call::Log, [line.as_ptr() as u64, line.len() as u64]);
}

/// Says that it is done, for ever.
pub fn done(vp: &Vp) -> ! {
    loop {
        call(vp, Call::Done, [0, 0]);
        // An interrupt may have woken it.
        idle_until(vp, FOREVER);
    }
}
