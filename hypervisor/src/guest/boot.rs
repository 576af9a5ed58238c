//! The state in which a VP enters: long mode, ring 3, from its first instruction.
//!
//! Some hosts emulate ring-0 guest code (KVM on PVM), hundreds of times slower
//! than native; ring 3 runs natively everywhere. (AMD64 manual vol. 2, 4.7 and 14.6.)

use apportion_abi::layout;
use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

const CR0_PE: u64 = 1 << 0;
const CR0_MP: u64 = 1 << 1;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Bit 1 is always set; IOPL 3 lets ring 3 use ports.
const RFLAGS: u64 = 0x3002;

const USER_CODE: u16 = 0x1b;
const USER_DATA: u16 = 0x23;
const TASK: u16 = 0x28;

/// System registers over those that KVM gives a new vCPU.
pub(crate) fn segments(fresh: kvm_sregs) -> kvm_sregs {
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
    let task = kvm_segment {
        selector: TASK,
        base: layout::TSS,
        limit: 0x67,
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
            limit: 7 * 8 - 1,
            ..kvm_dtable::default()
        },
        // No IDT: any fault is a shutdown, which the host reports as a crash.
        idt: kvm_dtable::default(),
        cr0: CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG,
        cr3: layout::PML4,
        cr4: CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT,
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
