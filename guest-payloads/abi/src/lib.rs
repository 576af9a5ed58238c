//! What host and guest agree on: where things lie in guest memory, what the start page says, which payloads exist.
#![no_std]
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicU64;

/// Changes whenever anything in this crate changes its meaning.
pub const ABI_VERSION: u32 = 1;

/// The most VPs that one guest may have: their lines and stacks have fixed places.
pub const MAX_VPS: u32 = 64;

/// Guest-physical addresses. Guests map memory one to one, so these are guest-virtual addresses too.
pub mod layout {
    use super::MAX_VPS;

    /// Global descriptor table.
    pub const GDT: u64 = 0x1000;
    /// Task state segment.
    pub const TSS: u64 = 0x2000;
    /// Page tables: one PML4, one PDPT, one page directory of 2 MiB pages.
    pub const PML4: u64 = 0x3000;
    /// See [`PML4`].
    pub const PDPT: u64 = 0x4000;
    /// See [`PML4`].
    pub const PD: u64 = 0x5000;
    /// [`super::StartPage`].
    pub const START_PAGE: u64 = 0x1_0000;
    /// One [`super::VpLine`] per VP.
    pub const VP_LINES: u64 = 0x1_1000;
    /// One stack per VP, growing down.
    pub const STACKS: u64 = 0x2_0000;
    /// Bytes per stack.
    pub const STACK_SIZE: u64 = 0x4000;
    /// Where the image is linked to; guest/link.ld says the same.
    pub const IMAGE: u64 = 0x20_0000;
    /// Bytes of memory that a guest has.
    pub const MEMORY: u64 = 0x40_0000;

    const _: () = assert!(STACKS + STACK_SIZE * MAX_VPS as u64 <= IMAGE);

    /// Where VP `vp` counts its work.
    pub const fn vp_line(vp: u32) -> u64 {
        VP_LINES + vp as u64 * size_of::<super::VpLine>() as u64
    }

    /// The first address above VP `vp`'s stack.
    pub const fn stack_top(vp: u32) -> u64 {
        STACKS + (vp as u64 + 1) * STACK_SIZE
    }
}

/// What a guest's VPs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PayloadId {
    /// Counts integer work for ever, with no exit at all.
    Burn = 1,
    /// Burns `params[0]` units on each VP, then executes an invalid instruction.
    Crash = 2,
}

/// Read by every VP before anything else. Written by the host, never by the guest.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartPage {
    /// [`StartPage::MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the host.
    pub version: u32,
    /// A [`PayloadId`].
    pub payload: u32,
    /// How many VPs the guest has.
    pub vps: u32,
    /// Zero.
    pub reserved: u32,
    /// The payload's parameters.
    pub params: [u64; 4],
}

impl StartPage {
    /// "apportio", little-endian.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"apportio");

    /// The page for a guest of this build.
    pub fn new(payload: PayloadId, vps: u32, params: [u64; 4]) -> StartPage {
        StartPage {
            magic: StartPage::MAGIC,
            version: ABI_VERSION,
            payload: payload as u32,
            vps,
            reserved: 0,
            params,
        }
    }

    /// As it lies in guest memory.
    pub fn to_bytes(&self) -> [u8; size_of::<StartPage>()] {
        let mut bytes = [0; size_of::<StartPage>()];
        bytes[0..8].copy_from_slice(&self.magic.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.vps.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.reserved.to_le_bytes());
        for (to, param) in bytes[24..].chunks_exact_mut(8).zip(self.params) {
            to.copy_from_slice(&param.to_le_bytes());
        }
        bytes
    }
}

/// A VP's own cache line: written by that VP only, read by the host at any time.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct VpLine {
    /// Units of work done so far.
    pub work: AtomicU64,
    /// The last value of the chain of work, so that no compiler can leave it out.
    pub chain: AtomicU64,
}

/// Steps of the dependent chain in one unit of work: about 100 ns on a machine of the 2020s.
pub const STEPS_PER_UNIT: u32 = 64;
