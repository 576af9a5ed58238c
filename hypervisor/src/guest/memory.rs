//! A guest's memory: image, start page, page tables and descriptor tables in their places, and what is shared with it.

use super::boot::{GDT, interrupt_gate};
use super::image::{Image, ImageError};
use apportion_abi::clock::{Line, ReferencePage};
use apportion_abi::hypercall::{LOG_LINE, Status};
use apportion_abi::shared::{CallBlock, DemandRing, Piece, Record, Results, Value, VpLine};
use apportion_abi::{INTERRUPT_VECTOR, MAX_VPS, StartPage, layout};
use std::mem::offset_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
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
    memory: GuestMemoryMmap,
    size: u64,
    /// Where every VP enters.
    pub(crate) entry: u64,
}

/// A piece of a guest's own account of its work, in reference time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) due: u64,
    pub(crate) start: u64,
    pub(crate) done: u64,
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

/// What is shared with the running guest: all at fixed places inside every
/// guest's memory, so that no access can fail, and none believed.
impl GuestMemory {
    fn load(&self, at: GuestAddress) -> u64 {
        self.memory.load(at, Acquire).unwrap_or(0)
    }

    fn store(&self, at: GuestAddress, value: u64) {
        // Fixed places lie inside every guest's memory; see `new`.
        let _ = self.memory.store(value, at, Release);
    }

    /// Units of work that VP `vp` has counted so far.
    pub(crate) fn work(&self, vp: u32) -> u64 {
        self.load(line(vp, offset_of!(VpLine, work)))
    }

    /// Interrupts that VP `vp` says it has handled.
    pub(crate) fn interrupts_handled(&self, vp: u32) -> u64 {
        self.load(line(vp, offset_of!(VpLine, interrupts)))
    }

    /// The arguments of VP `vp`'s hypercall.
    pub(crate) fn call_input(&self, vp: u32) -> [u64; 2] {
        let input = offset_of!(VpLine, call) + offset_of!(CallBlock, input);
        [0, 8].map(|word| self.load(line(vp, input + word)))
    }

    /// Answers VP `vp`'s hypercall.
    pub(crate) fn answer(&self, vp: u32, status: Status, output: u64) {
        let block = offset_of!(VpLine, call);
        let place = |field: usize| line(vp, block + field);
        self.store(place(offset_of!(CallBlock, output)), output);
        self.store(place(offset_of!(CallBlock, status)), status as u64);
    }

    /// At most [`LOG_LINE`] bytes of what the guest has at `address`, fit to
    /// be shown: whatever is no printable text is escaped. `None` where that is not its memory.
    pub(crate) fn text(&self, address: u64, length: u64) -> Option<String> {
        let mut bytes = [0; LOG_LINE as usize];
        let bytes = &mut bytes[..length.min(LOG_LINE) as usize];
        self.memory.read_slice(bytes, GuestAddress(address)).ok()?;
        Some(String::from_utf8_lossy(bytes).escape_debug().to_string())
    }

    /// The numbers that VP `vp` reports, by [`Value`].
    pub(crate) fn values(&self, vp: u32) -> Vec<(Value, u64)> {
        let values = layout::results(vp) + offset_of!(Results, values) as u64;
        let value = |value: Value| self.load(GuestAddress(values + 8 * value as u64));
        Value::ALL.map(|it| (it, value(it))).to_vec()
    }

    /// What VP `vp` has recorded since `seen` of its records, oldest first, and
    /// how many were overwritten before they could be read. Moves `seen` on.
    pub(crate) fn records(&self, vp: u32, seen: &mut u64) -> (Vec<Noted>, u64) {
        let base = layout::results(vp);
        let written = self.load(GuestAddress(base + offset_of!(Results, written) as u64));
        let room = Results::RECORDS as u64;
        // A guest can write any number there: what is behind, or ahead by more
        // than there is room for, costs its own records and nothing else.
        let fresh = written.wrapping_sub(*seen);
        let first = written.wrapping_sub(fresh.min(room));
        let noted = (0..fresh.min(room)).map(|index| {
            let slot = first.wrapping_add(index) % room;
            let at = base + offset_of!(Results, records) as u64 + slot * size_of::<Record>() as u64;
            let field = |field: usize| self.load(GuestAddress(at + field as u64));
            Noted {
                due: field(offset_of!(Record, due)),
                start: field(offset_of!(Record, start)),
                done: field(offset_of!(Record, done)),
            }
        });
        let noted = noted.collect();
        *seen = written;
        (noted, fresh.saturating_sub(room))
    }

    /// How many more pieces of demand VP `vp` has room for, when the host has put in `written`.
    pub(crate) fn demand_room(&self, vp: u32, written: u64) -> u64 {
        let ring = layout::demand_ring(vp);
        let taken = self.load(GuestAddress(ring + offset_of!(DemandRing, taken) as u64));
        (DemandRing::PIECES as u64).saturating_sub(written.wrapping_sub(taken))
    }

    /// Puts in VP `vp`'s piece of demand number `written`: so much CPU time in ns, at a reference time.
    pub(crate) fn put_demand(&self, vp: u32, written: u64, at: u64, run_ns: u64) {
        let ring = layout::demand_ring(vp);
        let slot = written % DemandRing::PIECES as u64;
        let piece = ring + offset_of!(DemandRing, pieces) as u64 + slot * size_of::<Piece>() as u64;
        let store = |field: usize, value| self.store(GuestAddress(piece + field as u64), value);
        store(offset_of!(Piece, at), at);
        store(offset_of!(Piece, run_ns), run_ns);
        let written = written.wrapping_add(1);
        self.store(
            GuestAddress(ring + offset_of!(DemandRing, written) as u64),
            written,
        );
    }

    /// Makes the reference page show `line`, or nothing.
    pub(crate) fn show_time(&self, sequence: u32, line: Option<Line>) {
        let place = |field: usize| GuestAddress(layout::REFERENCE_PAGE + field as u64);
        let sequence_at = place(offset_of!(ReferencePage, sequence));
        // Not valid while it is half written: readers ask by hypercall meanwhile.
        let _ = self.memory.store(0_u32, sequence_at, Release);
        std::sync::atomic::fence(Release);
        let Some(line) = line else { return };
        let put = |field: usize, value: u64| {
            let _ = self.memory.store(value, place(field), Relaxed);
        };
        put(offset_of!(ReferencePage, scale), line.scale);
        put(offset_of!(ReferencePage, offset), line.offset as u64);
        let _ = self.memory.store(sequence, sequence_at, Release);
    }
}

/// A field of VP `vp`'s line.
fn line(vp: u32, field: usize) -> GuestAddress {
    GuestAddress(layout::vp_line(vp) + field as u64)
}
