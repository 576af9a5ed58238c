//! The one interrupt handler: counts and returns.

use core::arch::global_asm;

unsafe extern "C" {
    /// Where the processor goes, at ring 0, on the VP's interrupt stack.
    #[link_name = "interrupt_entry"]
    pub fn entry();
}

// The processor has pushed five words below the stack's top, where
// `apportion_abi::shared::InterruptFrame` lies: with rax pushed, the counter's
// address is six words up. Other VPs have counters of their own, so nothing is
// locked, and nobody else runs on this stack: interrupts are off in here.
global_asm!(
    ".section .text.interrupt_entry",
    ".global interrupt_entry",
    "interrupt_entry:",
    "push rax",
    "mov rax, [rsp + 48]",
    "inc qword ptr [rax]",
    "pop rax",
    "iretq",
);
