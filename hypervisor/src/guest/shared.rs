//! What the host shares with a running guest, and how it reads it: all at fixed places inside every guest's memory, so
//! that no access can fail, and nothing of it believed.

use super::memory::GuestMemory;
use apportion_abi::clock::{Line, ReferencePage};
use apportion_abi::hypercall::{LOG_LINE, Status};
use apportion_abi::layout;
use apportion_abi::shared::{CallBlock, DemandRing, Piece, Record, Results, Value, VpLine};
use std::mem::offset_of;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use vm_memory::{Bytes, GuestAddress};

/// So many records can be relied on: the next one may be half written already.
pub(crate) const READABLE: u64 = Results::RECORDS as u64 - 1;

/// A piece of a guest's own account of its work, in reference time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) due: u64,
    pub(crate) start: u64,
    pub(crate) done: u64,
}

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
        let written = || self.load(GuestAddress(base + offset_of!(Results, written) as u64));
        let until = written();
        // A guest can write any number there: what is behind, or ahead by more
        // than there is room for, costs its own records and nothing else.
        let fresh = until.wrapping_sub(*seen);
        let first = until.wrapping_sub(fresh.min(READABLE));
        let read = |number: u64| {
            let slot = number % Results::RECORDS as u64;
            let at = base + offset_of!(Results, records) as u64 + slot * size_of::<Record>() as u64;
            let field = |field: usize| self.load(GuestAddress(at + field as u64));
            Noted {
                due: field(offset_of!(Record, due)),
                start: field(offset_of!(Record, start)),
                done: field(offset_of!(Record, done)),
            }
        };
        let numbers = (0..fresh.min(READABLE)).map(|index| first.wrapping_add(index));
        let noted: Vec<(u64, Noted)> = numbers.map(|number| (number, read(number))).collect();
        // Those that the guest may have begun to overwrite meanwhile may be of two halves.
        let after = written();
        let whole = |(number, _): &(u64, Noted)| after.wrapping_sub(*number) <= READABLE;
        let noted: Vec<Noted> = noted
            .into_iter()
            .filter(whole)
            .map(|(_, noted)| noted)
            .collect();
        *seen = until;
        let lost = fresh - noted.len() as u64;
        (noted, lost)
    }

    /// How many more pieces of demand VP `vp` has room for, when the host has put in `written`.
    pub(crate) fn demand_room(&self, vp: u32, written: u64) -> u64 {
        (DemandRing::PIECES as u64).saturating_sub(written.wrapping_sub(self.demand_taken(vp)))
    }

    /// How many pieces of demand VP `vp` says it has taken out. What was put in before is there for it to see.
    pub(crate) fn demand_taken(&self, vp: u32) -> u64 {
        let ring = layout::demand_ring(vp);
        // The VP says so before it looks whether there is more, the host puts in more before it looks here.
        std::sync::atomic::fence(SeqCst);
        self.load(GuestAddress(ring + offset_of!(DemandRing, taken) as u64))
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

/// For those who play the guest.
#[cfg(any(test, fuzzing))]
impl GuestMemory {
    /// Writes to anywhere in the guest's memory.
    pub(crate) fn poke(&self, at: u64, bytes: &[u8]) {
        let done = self.memory.write_slice(bytes, GuestAddress(at));
        done.expect("inside the guest's memory");
    }

    /// Reads a word from anywhere in the guest's memory.
    pub(crate) fn peek(&self, at: u64) -> u64 {
        let [word] = self.peek_all(at);
        word
    }

    /// Reads some words, one behind the other.
    pub(crate) fn peek_all<const N: usize>(&self, at: u64) -> [u64; N] {
        let mut words = [[0; 8]; N];
        let bytes = words.as_flattened_mut();
        let done = self.memory.read_slice(bytes, GuestAddress(at));
        done.expect("inside the guest's memory");
        words.map(u64::from_le_bytes)
    }
}

/// A field of VP `vp`'s line.
pub(super) fn line(vp: u32, field: usize) -> GuestAddress {
    GuestAddress(layout::vp_line(vp) + field as u64)
}
