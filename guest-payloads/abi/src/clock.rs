//! The reference time: one clock for all VPs of a guest, readable without an exit.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Acquire, fence};

/// Units of reference time in a second.
pub const PER_SECOND: u64 = 10_000_000;
/// Nanoseconds in a unit of reference time.
pub const UNIT_NS: u64 = 100;

/// The page through which a guest reads the reference time, as Hyper-V lays it
/// out (TLFS, "Partition Reference Time Enlightenment"): time = tsc · scale ÷ 2⁶⁴ + offset.
///
/// The host writes it anew from time to time. While it does, and where the
/// time-stamp counter does not tell time, the sequence is zero; readers take
/// the hypercall then.
#[derive(Debug)]
#[repr(C)]
pub struct ReferencePage {
    /// Changes whenever scale or offset do; zero: not valid.
    pub sequence: AtomicU32,
    /// Zero.
    pub reserved: u32,
    /// In units of reference time per 2⁶⁴ ticks.
    pub scale: AtomicU64,
    /// In units of reference time, as two's complement.
    pub offset: AtomicU64,
}

/// The line that a page holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// See [`ReferencePage::scale`].
    pub scale: u64,
    /// See [`ReferencePage::offset`].
    pub offset: i64,
}

impl Line {
    /// The reference time at this count of the time-stamp counter.
    pub const fn at(self, tsc: u64) -> u64 {
        let scaled = (tsc as u128 * self.scale as u128) >> 64;
        (scaled as u64).wrapping_add_signed(self.offset)
    }
}

impl ReferencePage {
    /// The reference time, with the counter read by `tsc`; `None` where the page is not valid.
    pub fn read(&self, mut tsc: impl FnMut() -> u64) -> Option<u64> {
        loop {
            let sequence = self.sequence.load(Acquire);
            if sequence == 0 {
                return None;
            }
            // A page read in two halves fits no sequence: acquire keeps what
            // follows behind, the fence what was read before the look back.
            let line = Line {
                scale: self.scale.load(Acquire),
                offset: self.offset.load(Acquire) as i64,
            };
            let now = tsc();
            fence(Acquire);
            if self.sequence.load(Acquire) == sequence {
                return Some(line.at(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::Ordering::Relaxed;

    fn page(sequence: u32, line: Line) -> ReferencePage {
        ReferencePage {
            sequence: AtomicU32::new(sequence),
            reserved: 0,
            scale: AtomicU64::new(line.scale),
            offset: AtomicU64::new(line.offset as u64),
        }
    }

    #[test]
    fn a_line_counts_in_units_of_100_ns() {
        // 2 GHz: 200 ticks are 100 ns.
        let line = Line {
            scale: u64::MAX / 200 + 1,
            offset: -3,
        };
        assert_eq!(line.at(2_000_000_000), PER_SECOND - 3);
    }

    #[test]
    fn a_page_that_changes_while_it_is_read_is_read_again() {
        let page = page(
            7,
            Line {
                scale: 0,
                offset: 1,
            },
        );
        let mut reads = 0;
        let read = page.read(|| {
            reads += 1;
            if reads == 1 {
                page.offset.store(2, Relaxed);
                page.sequence.store(8, Relaxed);
            }
            0
        });
        assert_eq!((read, reads), (Some(2), 2));
    }

    #[test]
    fn a_page_without_a_sequence_tells_nothing() {
        assert_eq!(page(0, Line::default()).read(|| 0), None);
    }
}
