//! A guest's memory: image, start page, page tables and descriptor table in their places.

use super::Payload;
use apportion_abi::{MAX_VPS, layout};
use linux_loader::loader::{KernelLoader, elf::Elf};
use std::io::Cursor;
use std::sync::atomic::Ordering;
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Why a guest's memory could not be prepared.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    #[error("cannot map its memory: {0}")]
    Map(#[from] vm_memory::mmap::FromRangesError),
    #[error("cannot load the image: {0}")]
    Image(#[from] linux_loader::loader::Error),
    #[error("cannot write to its memory: {0}")]
    Write(#[from] vm_memory::guest_memory::Error),
    #[error("{0} VPs: a guest has 1 to {MAX_VPS}")]
    Vps(u32),
}

/// Memory of one guest, image loaded, ready for its VPs to enter.
#[derive(Debug)]
pub(crate) struct GuestMemory {
    memory: GuestMemoryMmap,
    /// Where every VP enters.
    pub(crate) entry: u64,
}

/// Present, writable, user, accessed, dirty: guests live at ring 3, so every entry has the U bit.
const ENTRY_FLAGS: u64 = 0b110_0111;
/// In a page directory: a 2 MiB page instead of a table.
const LARGE: u64 = 1 << 7;
const LARGE_PAGE: u64 = 2 << 20;

/// Null, two unused, ring-3 code (0x1b), ring-3 data (0x23), and a busy 64-bit TSS (0x28) of two entries.
const GDT: [u64; 7] = [
    0,
    0,
    0,
    0x00af_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x0000_8b00_0000_0067 | (layout::TSS << 16),
    0,
];

impl GuestMemory {
    pub(crate) fn new(payload: Payload, vps: u32) -> Result<GuestMemory, BuildError> {
        if !(1..=MAX_VPS).contains(&vps) {
            return Err(BuildError::Vps(vps));
        }
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), layout::MEMORY as usize)])?;
        let loaded = Elf::load(
            &memory,
            None,
            &mut Cursor::new(apportion_guest_payloads::IMAGE),
            None,
        )?;

        for (index, entry) in GDT.iter().enumerate() {
            write_u64(&memory, layout::GDT + 8 * index as u64, *entry)?;
        }
        write_u64(&memory, layout::PML4, layout::PDPT | ENTRY_FLAGS)?;
        write_u64(&memory, layout::PDPT, layout::PD | ENTRY_FLAGS)?;
        for page in 0..layout::MEMORY / LARGE_PAGE {
            let entry = (page * LARGE_PAGE) | ENTRY_FLAGS | LARGE;
            write_u64(&memory, layout::PD + 8 * page, entry)?;
        }
        memory.write_slice(
            &payload.start_page(vps).to_bytes(),
            GuestAddress(layout::START_PAGE),
        )?;
        Ok(GuestMemory {
            memory,
            entry: loaded.kernel_load.0,
        })
    }

    /// Where the host has it mapped, and its length in bytes.
    pub(crate) fn host_range(&self) -> Result<(u64, u64), BuildError> {
        let host = self.memory.get_host_address(GuestAddress(0))?;
        Ok((host as u64, layout::MEMORY))
    }

    /// Units of work that VP `vp` has counted so far.
    pub(crate) fn work(&self, vp: u32) -> u64 {
        // `work` is the line's first field, inside memory for every VP that exists.
        self.memory
            .load(GuestAddress(layout::vp_line(vp)), Ordering::Relaxed)
            .expect("VP lines lie in guest memory")
    }
}

fn write_u64(memory: &GuestMemoryMmap, at: u64, value: u64) -> Result<(), BuildError> {
    Ok(memory.write_obj(value, GuestAddress(at))?)
}
