//! A guest's memory before it runs: image, start page, page tables and descriptor tables in their places.

use super::boot::{GDT, interrupt_gate};
use super::image::{Image, ImageError};
use super::shared::line;
use apportion_abi::shared::VpLine;
use apportion_abi::{INTERRUPT_VECTOR, MAX_VPS, StartPage, layout};
use std::mem::offset_of;
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Why a guest's memory could not be prepared.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The system refused it.
    #[error("cannot map its memory: {0}")]
    Map(#[from] vm_memory::mmap::FromRangesError),
    /// The image is none.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Something lies outside its memory.
    #[error("cannot write to its memory: {0}")]
    Write(#[from] vm_memory::guest_memory::Error),
    /// More VPs than there is room for.
    #[error("{0} VPs: a guest has 1 to {MAX_VPS}")]
    Vps(u32),
    /// Too little, too much, or a fraction of a page.
    #[error(
        "{bytes} bytes of memory: a guest has {} MiB to {} GiB, in multiples of {} MiB",
        layout::LEAST_MEMORY >> 20,
        layout::MOST_MEMORY >> 30,
        layout::LARGE_PAGE >> 20
    )]
    Memory {
        /// As given.
        bytes: u64,
    },
}

/// Memory of one guest, image loaded, ready for its VPs to enter.
#[derive(Debug)]
pub struct GuestMemory {
    pub(super) memory: GuestMemoryMmap,
    size: u64,
    /// Where every VP enters.
    pub(crate) entry: u64,
}

/// Present, writable, user, accessed, dirty: guests live at ring 3, so every entry has the U bit.
const ENTRY_FLAGS: u64 = 0b110_0111;
/// In a page directory: a 2 MiB page instead of a table.
const LARGE: u64 = 1 << 7;
/// In a task state segment (AMD64 manual vol. 2, 12.2.5).
const TSS_RSP0: u64 = 4;
const TSS_IO_BITMAP: u64 = 0x66;

impl GuestMemory {
    /// Loads `image` into memory of the size that the start page tells.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn new(image: &[u8], start: &StartPage) -> Result<GuestMemory, BuildError> {
        if !(1..=MAX_VPS).contains(&start.vps) {
            return Err(BuildError::Vps(start.vps));
        }
        let size = start.memory;
        let sizes = layout::LEAST_MEMORY..=layout::MOST_MEMORY;
        if !sizes.contains(&size) || !size.is_multiple_of(layout::LARGE_PAGE) {
            return Err(BuildError::Memory { bytes: size });
        }
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), size as usize)])?;
        let Image { entry, handler } = Image::load(image, &memory)?;
        let guest = GuestMemory {
            memory,
            size,
            entry,
        };
        guest.write_tables(start.vps, handler)?;
        guest
            .memory
            .write_slice(&start.to_bytes(), GuestAddress(layout::START_PAGE))?;
        Ok(guest)
    }

    fn write_tables(&self, vps: u32, handler: u64) -> Result<(), BuildError> {
        for (entry, at) in GDT.into_iter().zip((layout::GDT..).step_by(8)) {
            self.write(at, entry)?;
        }
        self.write(layout::PML4, layout::PDPT | ENTRY_FLAGS)?;
        for gib in 0..self.size.div_ceil(1 << 30) {
            let directory = layout::PDS + 0x1000 * gib;
            self.write(layout::PDPT + 8 * gib, directory | ENTRY_FLAGS)?;
        }
        for page in 0..self.size / layout::LARGE_PAGE {
            // The directories lie one behind the other, and are one table here.
            let entry = (page * layout::LARGE_PAGE) | ENTRY_FLAGS | LARGE;
            self.write(layout::PDS + 8 * page, entry)?;
        }
        let gate = layout::IDT + 16 * u64::from(INTERRUPT_VECTOR);
        let [low, high] = interrupt_gate(handler);
        self.write(gate, low)?;
        self.write(gate + 8, high)?;
        self.write(layout::IO_BITMAP + layout::IO_BITMAP_SIZE - 1, 0xff_u8)?;
        for vp in 0..vps {
            let tss = layout::tss(vp);
            let (frame, bitmap) = (layout::interrupt_frame(vp), layout::IO_BITMAP - tss);
            self.write(tss + TSS_RSP0, frame)?;
            self.write(tss + TSS_IO_BITMAP, bitmap as u16)?;
            self.write(frame, line(vp, offset_of!(VpLine, interrupts)).0)?;
        }
        Ok(())
    }

    fn write<T: vm_memory::ByteValued>(&self, at: u64, value: T) -> Result<(), BuildError> {
        Ok(self.memory.write_obj(value, GuestAddress(at))?)
    }

    /// Where the host has it mapped, and its length in bytes.
    pub(crate) fn host_range(&self) -> Result<(u64, u64), BuildError> {
        let host = self.memory.get_host_address(GuestAddress(0))?;
        Ok((host as u64, self.size))
    }
}
