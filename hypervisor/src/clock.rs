//! The one clock of a recording, and the CPU time of a thread.

use apportion_scheduler::Nanos;
use rustix::time::{ClockId, Timespec, clock_gettime};

fn nanos(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CLOCK_MONOTONIC in ns. Safe in a signal handler.
pub(crate) fn monotonic() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// CPU time that the calling thread has received; the kernel leaves steal out.
pub(crate) fn thread_cpu() -> Nanos {
    Nanos(nanos(clock_gettime(ClockId::ThreadCPUTime)))
}

/// CPU time that all threads of this process have received.
pub(crate) fn process_cpu() -> Nanos {
    Nanos(nanos(clock_gettime(ClockId::ProcessCPUTime)))
}

/// CLOCK_MONOTONIC counted from an origin: the same for every LP and every run of a recording.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: u64,
}

impl Clock {
    /// A clock that shows zero now.
    pub fn start() -> Clock {
        Clock {
            origin: monotonic(),
        }
    }

    /// The time since its start.
    pub fn now(&self) -> Nanos {
        Nanos(monotonic() - self.origin)
    }

    /// `at` as CLOCK_MONOTONIC counts.
    pub(crate) fn to_monotonic(self, at: Nanos) -> u64 {
        self.origin + at.0
    }
}
