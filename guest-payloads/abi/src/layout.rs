//! Guest-physical addresses. Guests map memory one to one, so these are guest-virtual addresses too.
//!
//! Everything below [`IMAGE`] has its fixed place, whether a guest uses it or
//! not: what nobody touches costs no host memory.

use crate::MAX_VPS;
use crate::shared::{DemandRing, InterruptFrame, Results, VpLine};

/// Global descriptor table.
pub const GDT: u64 = 0x1000;
/// Page tables: one PML4, one PDPT, and page directories of 2 MiB pages.
pub const PML4: u64 = 0x2000;
/// See [`PML4`].
pub const PDPT: u64 = 0x3000;
/// One page directory per GiB of memory, one behind the other.
pub const PDS: u64 = 0x4000;
/// One task state segment per VP, for its interrupt stack; they share one I/O bitmap.
pub const TSSS: u64 = 0x1_4000;
/// Bytes from one task state segment to the next.
pub const TSS_STRIDE: u64 = 0x80;
/// The I/O bitmap of all VPs, all zero: every port is open to ring 3, and its access is an intercept.
pub const IO_BITMAP: u64 = TSSS + TSS_STRIDE * MAX_VPS as u64;
/// Bytes of the bitmap, with the byte of ones that has to follow it.
pub const IO_BITMAP_SIZE: u64 = 0x2000 + 1;
/// Interrupt descriptor table.
pub const IDT: u64 = 0x1_9000;
/// [`crate::StartPage`].
pub const START_PAGE: u64 = 0x1_a000;
/// [`crate::clock::ReferencePage`].
pub const REFERENCE_PAGE: u64 = 0x1_b000;
/// One [`VpLine`] per VP.
pub const VP_LINES: u64 = 0x1_c000;
/// One [`Results`] per VP.
pub const RESULTS: u64 = 0x2_0000;
/// One [`DemandRing`] per VP.
pub const DEMAND_RINGS: u64 = 0x6_0000;
/// One stack per VP for its interrupt handler, an [`InterruptFrame`] above each.
pub const INTERRUPT_STACKS: u64 = 0xa_0000;
/// Bytes per interrupt stack.
pub const INTERRUPT_STACK_SIZE: u64 = 0x100;
/// What the VPs of a guest share: [`crate::shared::Shared`].
pub const SHARED: u64 = 0xa_4000;
/// One stack per VP, growing down.
pub const STACKS: u64 = 0x10_0000;
/// Bytes per stack.
pub const STACK_SIZE: u64 = 0x4000;
/// Where the image is linked to; guest/link.ld says the same. [`crate::ImageHeader`] comes first.
pub const IMAGE: u64 = 0x20_0000;
/// Where memory begins that payloads may use as they like.
pub const HEAP: u64 = 0x30_0000;
/// Bytes of memory that a guest has at the least.
pub const LEAST_MEMORY: u64 = 0x40_0000;
/// Bytes of memory that a guest has at the most.
pub const MOST_MEMORY: u64 = 16 << 30;
/// Memory comes in multiples of the page that it is mapped by.
pub const LARGE_PAGE: u64 = 2 << 20;

const _: () = assert!(PDS + 0x1000 * (MOST_MEMORY >> 30) <= TSSS);
const _: () = assert!(IO_BITMAP + IO_BITMAP_SIZE <= IDT);
const _: () = assert!(vp_line(MAX_VPS) <= RESULTS);
const _: () = assert!(results(MAX_VPS) <= DEMAND_RINGS);
const _: () = assert!(demand_ring(MAX_VPS) <= INTERRUPT_STACKS);
const _: () = assert!(INTERRUPT_STACKS + INTERRUPT_STACK_SIZE * MAX_VPS as u64 <= SHARED);
const _: () = assert!(STACKS + STACK_SIZE * MAX_VPS as u64 <= IMAGE);

/// The task state segment of VP `vp`.
pub const fn tss(vp: u32) -> u64 {
    TSSS + vp as u64 * TSS_STRIDE
}

/// Where VP `vp` counts its work and makes its hypercalls.
pub const fn vp_line(vp: u32) -> u64 {
    VP_LINES + vp as u64 * size_of::<VpLine>() as u64
}

/// Where VP `vp` leaves its results.
pub const fn results(vp: u32) -> u64 {
    RESULTS + vp as u64 * size_of::<Results>() as u64
}

/// Where VP `vp` finds its demand.
pub const fn demand_ring(vp: u32) -> u64 {
    DEMAND_RINGS + vp as u64 * size_of::<DemandRing>() as u64
}

/// The [`InterruptFrame`] above VP `vp`'s interrupt stack: where its handler's stack begins.
pub const fn interrupt_frame(vp: u32) -> u64 {
    INTERRUPT_STACKS + (vp as u64 + 1) * INTERRUPT_STACK_SIZE - size_of::<InterruptFrame>() as u64
}

/// The first address above VP `vp`'s stack.
pub const fn stack_top(vp: u32) -> u64 {
    STACKS + (vp as u64 + 1) * STACK_SIZE
}
