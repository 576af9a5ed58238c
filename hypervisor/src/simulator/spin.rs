//! The spin payload: a guest's VPs share one ticket lock.
//!
//! Each VP thinks, takes a ticket, spins until its ticket is called, works with
//! the lock, and calls the next ticket. Tickets are served in order: where the
//! next holder does not run, everyone behind it waits for it to be dispatched,
//! and those that run spin. That is the waste which the long-spin hint is for.

use apportion_abi::hypercall::notifies;
use apportion_scheduler::{Nanos, VpId};
use std::collections::VecDeque;

/// How long one look at the lock takes, with its pause: a spinner reports after
/// so many looks, and again at each multiple.
pub(super) const SPIN: Nanos = Nanos(25);

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
    /// CPU time from one report to the next, where it reports at all.
    long: Option<Nanos>,
    phase: Phase,
    /// How often it got the lock.
    acquired: u64,
    /// How often it reported.
    notifications: u64,
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
    /// `threshold` as in the payload's parameters: spins, or 0 or 0xFFFF_FFFF for never.
    pub(super) fn new(critical: Nanos, think: Nanos, threshold: u64) -> Spinner {
        Spinner {
            critical: critical.max(Nanos(1)),
            think,
            long: notifies(threshold).then_some(Nanos(threshold.saturating_mul(SPIN.0))),
            phase: Phase::Thinking { left: think },
            acquired: 0,
            notifications: 0,
        }
    }

    /// Whether it waits for the lock.
    pub(super) fn spins(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// CPU time until it does something that [`Spinner::ran`] has to be told of.
    pub(super) fn due(&self) -> Nanos {
        match (self.phase, self.long) {
            (Phase::Thinking { left } | Phase::Holding { left }, _) => left,
            (Phase::Waiting { spun }, Some(long)) => Nanos(long.0 - spun.0 % long.0),
            (Phase::Waiting { .. }, None) => Nanos(u64::MAX),
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
                let before = spun.0;
                *spun += ran;
                if let Some(long) = self.long
                    && spun.0 / long.0 > before / long.0
                {
                    self.notifications += 1;
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

    /// How often it got the lock.
    pub(super) fn acquired(&self) -> u64 {
        self.acquired
    }

    /// How often it reported a long spin.
    pub(super) fn notifications(&self) -> u64 {
        self.notifications
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
        let [mut a, mut b, mut c] = [(); 3].map(|()| Spinner::new(us(3), us(10), 0));
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
        assert_eq!([a.acquired(), b.acquired(), c.acquired()], [2, 1, 1]);
    }

    const LONG_SPIN: Nanos = Nanos::from_micros(50);

    #[test]
    fn a_spinner_reports_at_each_multiple_and_once() {
        let mut lock = Lock {
            held: true,
            ..Lock::default()
        };
        let mut spinner = Spinner::new(us(3), us(1), 2_000);
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
