//! What host and guest share while the guest runs. The host believes none of what a guest writes here.

use core::sync::atomic::AtomicU64;

/// A VP's own lines: what it counts, and its hypercalls.
#[derive(Debug)]
#[repr(C, align(256))]
pub struct VpLine {
    /// Units of work done so far.
    pub work: AtomicU64,
    /// The last value of the chain of work, so that no compiler can leave it out.
    pub chain: AtomicU64,
    /// Not used: what the interrupt handler counts has a cache line of its own.
    pub reserved: [u64; 6],
    /// Interrupts that the VP has handled.
    pub interrupts: AtomicU64,
    /// Not used.
    pub reserved_too: [u64; 7],
    /// The VP's hypercalls.
    pub call: CallBlock,
}

/// Arguments and answer of a VP's hypercall.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct CallBlock {
    /// Written by the VP; see [`crate::hypercall::Call`].
    pub input: [AtomicU64; 2],
    /// Written by the host: a [`crate::hypercall::Status`].
    pub status: AtomicU64,
    /// Written by the host, where the call has an output.
    pub output: AtomicU64,
}

/// Above the interrupt stack of a VP.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct InterruptFrame {
    /// The address of the VP's [`VpLine::interrupts`].
    pub counter: u64,
}

/// What the VPs of a guest share: a ticket lock, its two numbers on lines of their own.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Shared {
    /// The next ticket to be taken.
    pub next_ticket: AtomicU64,
    /// Not used.
    pub reserved: [u64; 7],
    /// The ticket that has the lock.
    pub serving: AtomicU64,
}

macro_rules! values {
    ($($(#[$about:meta])* $index:literal $name:literal $variant:ident $fold:ident)*) => {
        /// A number that a payload reports, by its place in [`Results::values`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Value {
            $($(#[$about])* $variant = $index,)*
        }

        impl Value {
            /// All of them, in order.
            pub const ALL: [Value; [$(Value::$variant),*].len()] = [$(Value::$variant),*];

            /// Its name in result files, which ends in its unit where it has one.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Value::$variant => $name,)*
                }
            }

            /// How the values of a guest's VPs become the guest's.
            pub const fn fold(self) -> Fold {
                match self {
                    $(Value::$variant => Fold::$fold,)*
                }
            }
        }
    };
}

/// How the values of several VPs become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Their sum.
    Sum,
    /// The greatest.
    Max,
    /// The bits that any has.
    Or,
}

values! {
    /// How often it got the lock.
    0 "acquisitions" Acquisitions Sum
    /// How often it looked at a lock that another held.
    1 "spins" Spins Sum
    /// The longest time from wanting the lock to having it.
    2 "longest_wait_ns" LongestWait Max
    /// Long-spin notifications sent.
    3 "notifications" Notifications Sum
    /// Accesses to its working set.
    4 "accesses" Accesses Sum
    /// Reference time at which its fixed work was done, in ns since the guest was created.
    5 "done_at_ns" DoneAt Max
    /// Reference time at which it began, in ns since the guest was created, the latest VP's.
    6 "began_at_ns" BeganAt Max
    /// Bursts, awakenings or readings recorded.
    7 "records" Records Sum
    /// Readings of a clock that went backwards.
    8 "backwards" Backwards Sum
    /// Yields.
    9 "yields" Yields Sum
    /// Hypercalls that gave another status than success.
    10 "refused_calls" RefusedCalls Sum
    /// Bytes that it wrote to.
    11 "bytes_written" BytesWritten Sum
    /// The [`crate::Features`] that CPUID showed it.
    12 "features_seen" FeaturesSeen Or
    /// Features that its payload needs and may not use: it did not start.
    13 "features_missing" FeaturesMissing Or
    /// Time stamps that one unit of work took at the least, times 1024.
    14 "unit_ticks_1024" UnitTicks Max
}

/// What a VP reports: written by that VP, read by the host at any time.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Results {
    /// By [`Value`].
    pub values: [AtomicU64; 32],
    /// How many records were ever written: the next goes to this number modulo [`Results::RECORDS`].
    pub written: AtomicU64,
    /// Not used.
    pub reserved: [u64; 7],
    /// The latest.
    pub records: [Record; Results::RECORDS],
}

impl Results {
    /// How many records there is room for: the host has to read them in time.
    pub const RECORDS: usize = 128;
}

/// A burst, an awakening, or a reading of the clock. Reference times.
#[derive(Debug)]
#[repr(C)]
pub struct Record {
    /// When it was due; of a clock: the page's first reading.
    pub due: AtomicU64,
    /// When its work began; of a clock: what the hypercall gave.
    pub start: AtomicU64,
    /// When its work was done; of a clock: the page's second reading.
    pub done: AtomicU64,
}

/// Demand of a VP with payload `bursts`: the host puts in, the VP takes out.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct DemandRing {
    /// How many pieces the host has ever put in: the next goes to this number modulo [`DemandRing::PIECES`].
    pub written: AtomicU64,
    /// How many the VP has ever taken out.
    pub taken: AtomicU64,
    /// Not used.
    pub reserved: [u64; 6],
    /// The latest.
    pub pieces: [Piece; DemandRing::PIECES],
}

impl DemandRing {
    /// How many pieces there is room for.
    pub const PIECES: usize = 248;
}

/// A piece of work.
#[derive(Debug)]
#[repr(C)]
pub struct Piece {
    /// When: a reference time.
    pub at: AtomicU64,
    /// How much CPU time, in ns.
    pub run_ns: AtomicU64,
}
