//! The state in which a VP enters: long mode, ring 3, from its first instruction.
//!
//! Some hosts emulate ring-0 guest code (KVM on PVM), hundreds of times slower
//! than native; ring 3 runs natively everywhere. (AMD64 manual vol. 2, 4.7 and 14.6.)

use apportion_abi::{INTERRUPT_VECTOR, layout};
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

const CR0_PE: u64 = 1 << 0;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Bit 1 is always set; interrupts are on. IOPL is 0: the I/O bitmap opens the
/// ports (PVM keeps no IOPL), and a guest cannot turn interrupts off.
const RFLAGS: u64 = 0x202;

const USER_CODE: u16 = 0x1b;
const USER_DATA: u16 = 0x23;
const TASK: u16 = 0x28;
/// Ring-0 code, for the interrupt handler.
const KERNEL_CODE: u16 = 0x38;

/// By selector: null, two unused, ring-3 code (0x1b), ring-3 data (0x23), a
/// busy 64-bit TSS (0x28) of two entries, ring-0 code (0x38).
pub(crate) const GDT: [u64; 8] = [
    0,
    0,
    0,
    0x00af_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x0000_8b00_0000_0067 | (layout::TSSS & 0xffff) << 16 | (layout::TSSS >> 16 & 0xff) << 32,
    0,
    0x00af_9b00_0000_ffff,
];

/// The gate of [`INTERRUPT_VECTOR`], an interrupt gate that ring 3 cannot call:
/// its two words (AMD64 manual vol. 2, 4.8.4).
pub(crate) const fn interrupt_gate(handler: u64) -> [u64; 2] {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00;
    [
        handler & 0xffff
            | (KERNEL_CODE as u64) << 16
            | PRESENT_INTERRUPT_GATE << 32
            | (handler >> 16 & 0xffff) << 48,
        handler >> 32,
    ]
}

/// System registers of VP `vp` over those that KVM gives a new vCPU.
/// `xsave`: whether it may use registers beyond the first x86-64 ones.
pub(crate) fn segments(fresh: kvm_sregs, vp: u32, xsave: bool) -> kvm_sregs {
    let code = kvm_segment {
        selector: USER_CODE,
        limit: u32::MAX,
        type_: 11,
        present: 1,
        dpl: 3,
        s: 1,
        l: 1,
        g: 1,
        ..kvm_segment::default()
    };
    let data = kvm_segment {
        selector: USER_DATA,
        type_: 3,
        l: 0,
        db: 1,
        ..code
    };
    let tss = layout::tss(vp);
    let task = kvm_segment {
        selector: TASK,
        base: tss,
        limit: (layout::IO_BITMAP + layout::IO_BITMAP_SIZE - tss - 1) as u32,
        type_: 11,
        present: 1,
        ..kvm_segment::default()
    };
    kvm_sregs {
        cs: code,
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: task,
        gdt: kvm_dtable {
            base: layout::GDT,
            limit: size_of_val(&GDT) as u16 - 1,
            ..kvm_dtable::default()
        },
        // One gate: any fault is a shutdown, which the host reports as a crash.
        idt: kvm_dtable {
            base: layout::IDT,
            limit: 16 * (INTERRUPT_VECTOR as u16 + 1) - 1,
            ..kvm_dtable::default()
        },
        cr0: CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG,
        cr3: layout::PML4,
        cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | if xsave { CR4_OSXSAVE } else { 0 },
        efer: EFER_LME | EFER_LMA,
        ..fresh
    }
}

/// General registers of VP `vp`: at the image's entry with its two arguments, on its own stack.
pub(crate) fn registers(entry: u64, vp: u32) -> kvm_regs {
    kvm_regs {
        rip: entry,
        // As after a call: the ABI wants rsp + 8 to be a multiple of 16 at a function's entry.
        rsp: layout::stack_top(vp) - 8,
        rdi: layout::START_PAGE,
        rsi: u64::from(vp),
        rflags: RFLAGS,
        ..kvm_regs::default()
    }
}
