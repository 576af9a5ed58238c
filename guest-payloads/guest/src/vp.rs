//! What a payload sees of its VP: its places in guest memory, as references.

use apportion_abi::clock::ReferencePage;
use apportion_abi::shared::{DemandRing, Record, Results, Shared, Value, VpLine};
use apportion_abi::{StartPage, layout};
use core::sync::atomic::Ordering::{Relaxed, Release};

/// The running VP.
pub struct Vp {
    /// Within its guest.
    pub index: u32,
    /// The guest's start page.
    pub start: &'static StartPage,
    /// This VP's own lines.
    pub line: &'static VpLine,
    /// What it reports.
    pub results: &'static Results,
    /// What the host wants it to do.
    pub demand: &'static DemandRing,
    /// What it shares with the guest's other VPs.
    pub shared: &'static Shared,
    /// How it tells the time.
    pub reference: &'static ReferencePage,
}

impl Vp {
    /// # Safety
    /// `start` must be the start page that the host wrote, and `index` this VP's index.
    pub unsafe fn enter(start: *const StartPage, index: u32) -> Vp {
        // SAFETY: all lie at fixed, mapped, aligned places in guest memory
        // (abi::layout); the start page is read-only to all, the rest holds only
        // atomics. (A guest that overwrites them on purpose does so through raw
        // pointers, and runs on from nothing that it overwrote.)
        unsafe {
            Vp {
                index,
                start: &*start,
                line: &*(layout::vp_line(index) as *const VpLine),
                results: &*(layout::results(index) as *const Results),
                demand: &*(layout::demand_ring(index) as *const DemandRing),
                shared: &*(layout::SHARED as *const Shared),
                reference: &*(layout::REFERENCE_PAGE as *const ReferencePage),
            }
        }
    }

    /// Sets one of the numbers that it reports.
    pub fn report(&self, value: Value, to: u64) {
        self.results.values[value as usize].store(to, Relaxed);
    }

    /// Adds to one of the numbers that it reports.
    pub fn count(&self, value: Value, more: u64) {
        let counter = &self.results.values[value as usize];
        counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Leaves a record for the host.
    pub fn record(&self, due: u64, start: u64, done: u64) {
        let written = self.results.written.load(Relaxed);
        let record: &Record = &self.results.records[written as usize % Results::RECORDS];
        record.due.store(due, Relaxed);
        record.start.store(start, Relaxed);
        record.done.store(done, Relaxed);
        // Released: whoever sees the number sees the record.
        self.results.written.store(written.wrapping_add(1), Release);
        self.count(Value::Records, 1);
    }
}

/// Ends the guest by an invalid instruction: no gate handles it, so that the host sees a shutdown and reports a crash.
pub fn die() -> ! {
    // SAFETY: ud2 raises #UD and never returns.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}
