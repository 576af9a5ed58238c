//! What the dispatchers report: one bounded ring per LP, filled without allocating, drained off the hot path.

use apportion_scheduler::{Controls, GuestId, Happened, LpId, Nanos, VpId};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a dispatch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The slice was used up.
    Slice,
    /// The dispatcher was called away before the slice's end.
    Preempted,
    /// The VP had nothing more to do, and sleeps.
    Idle,
    /// The slice was used up, and with it the cap's tokens.
    Capped,
    /// The guest said that it has been spinning for long, or yielded: an idle call whose time had already come.
    Hypercall,
    /// The guest crashed.
    Fault,
    /// The run ended, or the guest was stopped.
    End,
}

/// One dispatch of one VP.
#[derive(Clone, Copy, Debug)]
pub struct Dispatch {
    /// Where.
    pub lp: LpId,
    /// Who.
    pub vp: VpId,
    /// When the VP became Ready.
    pub ready: Nanos,
    /// When it was picked. Its slice counts from when it is about to be entered, some microseconds later.
    pub start: Nanos,
    /// When it had left the LP.
    pub end: Nanos,
    /// CPU time charged.
    pub ran: Nanos,
    /// Units of work that the guest counted meanwhile.
    pub work: u64,
    /// Why it ended.
    pub reason: Reason,
}

/// What happens on an LP, in its order.
#[derive(Clone, Copy, Debug)]
pub enum LogEntry {
    /// A dispatch has ended.
    Dispatch(Dispatch),
    /// The LP had nothing to run from `start` to `end`.
    Idle {
        /// Where.
        lp: LpId,
        /// From.
        start: Nanos,
        /// To.
        end: Nanos,
    },
    /// What one LP lost, and the largest lag seen there, since its last sample.
    Sample {
        /// Where.
        lp: LpId,
        /// When.
        at: Nanos,
        /// Time that reached neither a guest nor idle.
        lost: Nanos,
        /// The largest lag in absolute terms of a VP as it was picked or charged there, in ns.
        lag: Option<(VpId, i64)>,
    },
    /// A VP went to sleep or woke, or its cap held or released it.
    Vp(Happened),
    /// A VP was added to a running guest, and wants to run.
    VpAdded {
        /// Which.
        vp: VpId,
        /// When.
        at: Nanos,
    },
    /// A guest has other controls.
    ControlsChanged {
        /// Which.
        guest: GuestId,
        /// From now on.
        controls: Controls,
        /// When.
        at: Nanos,
    },
    /// Interrupts were posted to each VP of a guest.
    InterruptsPosted {
        /// Which.
        guest: GuestId,
        /// How many to each.
        count: u32,
        /// When.
        at: Nanos,
    },
    /// An LP was taken off line or on line.
    LpChanged {
        /// Which.
        lp: LpId,
        /// As it is now.
        online: bool,
        /// When.
        at: Nanos,
    },
    /// A guest's VPs became runnable.
    GuestStarted {
        /// Which.
        guest: GuestId,
        /// When.
        at: Nanos,
    },
    /// A guest is gone, as it was planned: none of its VPs runs any more but to leave.
    GuestStopped {
        /// Which.
        guest: GuestId,
        /// When.
        at: Nanos,
    },
    /// A guest's VPs stopped being runnable because it crashed.
    GuestCrashed {
        /// Which.
        guest: GuestId,
        /// The VP that faulted, within the guest.
        vp: u32,
        /// When.
        at: Nanos,
    },
}

impl LogEntry {
    /// When what it tells had happened.
    pub(crate) fn at(&self) -> Nanos {
        match *self {
            LogEntry::Dispatch(Dispatch { end, .. }) | LogEntry::Idle { end, .. } => end,
            LogEntry::Sample { at, .. }
            | LogEntry::VpAdded { at, .. }
            | LogEntry::ControlsChanged { at, .. }
            | LogEntry::InterruptsPosted { at, .. }
            | LogEntry::LpChanged { at, .. }
            | LogEntry::Vp(Happened { at, .. })
            | LogEntry::GuestStarted { at, .. }
            | LogEntry::GuestStopped { at, .. }
            | LogEntry::GuestCrashed { at, .. } => at,
        }
    }
}

/// Entries per LP: at slices of 100 µs the drain may stall for 6 s before one is lost.
const CAPACITY: usize = 1 << 16;

/// The dispatcher's end of one LP's ring.
#[derive(Debug)]
pub(crate) struct LogWriter {
    ring: Producer<LogEntry>,
    dropped: Arc<AtomicU64>,
}

impl LogWriter {
    pub(crate) fn push(&mut self, entry: LogEntry) {
        if self.ring.push(entry).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The recorder's end.
#[derive(Debug)]
pub(crate) struct LogReader {
    ring: Consumer<LogEntry>,
    dropped: Arc<AtomicU64>,
}

impl LogReader {
    /// Moves everything that had happened by `cut` to `entries`.
    pub(crate) fn drain_until(&mut self, cut: Nanos, entries: &mut Vec<LogEntry>) {
        while self.ring.peek().is_ok_and(|entry| entry.at() <= cut) {
            entries.extend(self.ring.pop());
        }
    }

    /// Entries that found the ring full. Any at all make the recording incomplete.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// One LP's ring.
pub(crate) fn ring() -> (LogWriter, LogReader) {
    let (producer, consumer) = RingBuffer::new(CAPACITY);
    let dropped = Arc::new(AtomicU64::new(0));
    (
        LogWriter {
            ring: producer,
            dropped: dropped.clone(),
        },
        LogReader {
            ring: consumer,
            dropped,
        },
    )
}
