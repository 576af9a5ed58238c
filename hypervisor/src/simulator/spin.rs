//! The spin payload: a guest's VPs share one ticket lock.
//!
//! Each VP thinks, takes a ticket, spins until its ticket is called, works with
//! the lock, and calls the next ticket. Tickets are served in order: where the
//! next holder does not run, everyone behind it waits for it to be dispatched,
//! and those that run spin. That is the waste which the long-spin hint is for.

use apportion_scheduler::{Nanos, VpId};
use std::collections::VecDeque;

/// A spinner with hints reports after this much of its own CPU time spent
/// spinning on one ticket, and again at each multiple.
pub(super) const LONG_SPIN: Nanos = Nanos::from_micros(50);

/// One guest's lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Lock {
    held: bool,
    /// Tickets taken and not yet called.
    waiting: VecDeque<VpId>,
}

/// What a spinner comes to while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spun {
    /// Nothing that concerns others.
    On,
    /// It has been spinning for long, and says so.
    Long,
    /// It released the lock, which is now that VP's; see [`Spinner::grant`].
    Pass(VpId),
}

/// One VP.
#[derive(Clone, Debug)]
pub(super) struct Spinner {
    critical: Nanos,
    think: Nanos,
    hint: bool,
    phase: Phase,
    /// How often it got the lock.
    acquired: u64,
}

/// Each with CPU time of the VP's own.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Thinking { left: Nanos },
    Waiting { spun: Nanos },
    Holding { left: Nanos },
}

impl Spinner {
    /// A critical section takes at least 1 ns, or time would stand still.
    pub(super) fn new(critical: Nanos, think: Nanos, hint: bool) -> Spinner {
        Spinner {
            critical: critical.max(Nanos(1)),
            think,
            hint,
            phase: Phase::Thinking { left: think },
            acquired: 0,
        }
    }

    /// CPU time until it does something that [`Spinner::ran`] has to be told of.
    pub(super) fn due(&self) -> Nanos {
        match self.phase {
            Phase::Thinking { left } | Phase::Holding { left } => left,
            Phase::Waiting { spun } if self.hint => Nanos(LONG_SPIN.0 - spun.0 % LONG_SPIN.0),
            Phase::Waiting { .. } => Nanos(u64::MAX),
        }
    }

    /// It ran for `ran` more, at most what is [`Spinner::due`].
    pub(super) fn ran(&mut self, vp: VpId, ran: Nanos, lock: &mut Lock) -> Spun {
        match &mut self.phase {
            Phase::Thinking { left } => {
                *left = *left - ran;
                if *left == Nanos::ZERO {
                    self.acquire(vp, lock);
                }
            }
            Phase::Holding { left } => {
                *left = *left - ran;
                if *left == Nanos::ZERO {
                    return self.release(lock);
                }
            }
            Phase::Waiting { spun } => {
                let before = spun.0 / LONG_SPIN.0;
                *spun += ran;
                if self.hint && spun.0 / LONG_SPIN.0 > before {
                    return Spun::Long;
                }
            }
        }
        Spun::On
    }

    fn acquire(&mut self, vp: VpId, lock: &mut Lock) {
        if lock.held {
            lock.waiting.push_back(vp);
            self.phase = Phase::Waiting { spun: Nanos::ZERO };
        } else {
            lock.held = true;
            self.grant();
        }
    }

    fn release(&mut self, lock: &mut Lock) -> Spun {
        self.phase = Phase::Thinking { left: self.think };
        match lock.waiting.pop_front() {
            Some(next) => Spun::Pass(next),
            None => {
                lock.held = false;
                Spun::On
            }
        }
    }

    /// Its ticket is called: it has the lock, and works with it as soon as it runs.
    pub(super) fn grant(&mut self) {
        self.acquired += 1;
        self.phase = Phase::Holding {
            left: self.critical,
        };
    }

    /// How often it got the lock since the last time.
    pub(super) fn take_acquired(&mut self) -> u64 {
        std::mem::take(&mut self.acquired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: VpId = VpId(0);
    const B: VpId = VpId(1);
    const C: VpId = VpId(2);

    fn us(us: u64) -> Nanos {
        Nanos::from_micros(us)
    }

    #[test]
    fn tickets_are_served_in_order() {
        let mut lock = Lock::default();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Spinner::new(us(3), us(10), false));
        assert_eq!(a.due(), us(10));
        assert_eq!(a.ran(A, us(10), &mut lock), Spun::On);
        assert_eq!(a.due(), us(3));
        b.ran(B, us(10), &mut lock);
        c.ran(C, us(10), &mut lock);
        assert_eq!(b.due(), Nanos(u64::MAX));
        assert_eq!(b.ran(B, us(500), &mut lock), Spun::On);
        assert_eq!(a.ran(A, us(3), &mut lock), Spun::Pass(B));
        b.grant();
        // A is back before B is done, and waits behind C.
        a.ran(A, us(10), &mut lock);
        assert_eq!(b.ran(B, us(3), &mut lock), Spun::Pass(C));
        c.grant();
        assert_eq!(c.ran(C, us(3), &mut lock), Spun::Pass(A));
        a.grant();
        assert_eq!(a.ran(A, us(3), &mut lock), Spun::On);
        assert!(!lock.held);
        assert_eq!(
            [
                a.take_acquired(),
                b.take_acquired(),
                c.take_acquired(),
                a.take_acquired()
            ],
            [2, 1, 1, 0]
        );
    }

    #[test]
    fn a_spinner_reports_at_each_multiple_and_once() {
        let mut lock = Lock {
            held: true,
            ..Lock::default()
        };
        let mut spinner = Spinner::new(us(3), us(1), true);
        spinner.ran(A, us(1), &mut lock);
        assert_eq!(spinner.due(), LONG_SPIN);
        assert_eq!(spinner.ran(A, us(20), &mut lock), Spun::On);
        assert_eq!(spinner.due(), us(30));
        assert_eq!(spinner.ran(A, us(30), &mut lock), Spun::Long);
        assert_eq!(spinner.ran(A, Nanos::ZERO, &mut lock), Spun::On);
        assert_eq!(spinner.due(), LONG_SPIN);
        assert_eq!(spinner.ran(A, LONG_SPIN, &mut lock), Spun::Long);
    }
}
