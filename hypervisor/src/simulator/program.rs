//! What VPs do when they run: their payloads in virtual time.
//!
//! Work is counted in units of [`UNIT`] of CPU time by every payload but spin,
//! whose unit is one acquisition of its lock.

use super::queue::NEVER;
use super::spin::{Lock, Spinner, Spun};
use crate::demand::Demand;
use crate::guest::Payload;
use apportion_scheduler::{After, GuestId, Nanos, VpId};

/// The CPU time of one unit of work.
pub(super) const UNIT: Nanos = Nanos(100);

/// What a VP comes to by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Nothing: it runs on.
    On,
    /// It leaves its LP.
    Leave(After),
    /// It faults.
    Crash,
    /// It released a lock, which that VP gets; see [`Programs::grant`].
    Pass(VpId),
}

/// The programs of all VPs.
#[derive(Debug)]
pub(super) struct Programs {
    /// By [`VpId`].
    vps: Vec<Program>,
    /// By guest.
    locks: Vec<Lock>,
}

#[derive(Debug)]
struct Program {
    guest: GuestId,
    /// CPU time since the last unit of work that was reported.
    cpu: Nanos,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Burn,
    /// Faults after so much more CPU time.
    Crash {
        left: Nanos,
    },
    Paced(Demand),
    Spin(Spinner),
}

impl Programs {
    pub(super) fn new(guests: usize) -> Programs {
        Programs {
            vps: Vec::new(),
            locks: vec![Lock::default(); guests],
        }
    }

    /// The next VP, which begins at `now`.
    pub(super) fn add(&mut self, guest: GuestId, payload: Payload, seed: u64, now: Nanos) {
        let stream = self.vps.len() as u64;
        let kind = match payload {
            Payload::Burn => Kind::Burn,
            Payload::Crash { after_work } => Kind::Crash {
                left: Nanos(after_work.saturating_mul(UNIT.0)),
            },
            Payload::Periodic { .. } | Payload::OnOff { .. } => {
                Kind::Paced(Demand::new(payload, seed, stream, now))
            }
            Payload::Spin {
                critical,
                think,
                hint,
            } => Kind::Spin(Spinner::new(critical, think, hint)),
        };
        self.vps.push(Program {
            guest,
            cpu: Nanos::ZERO,
            kind,
        });
    }

    /// When `vp`, running from `now` on, comes to something by itself.
    pub(super) fn due(&self, vp: VpId, now: Nanos) -> Nanos {
        match &self.vps[vp.index()].kind {
            Kind::Burn => NEVER,
            Kind::Crash { left } => now + *left,
            Kind::Paced(demand) => demand.until(now, NEVER),
            Kind::Spin(spinner) => now + spinner.due(),
        }
    }

    /// `vp` ran for `ran` more, up to `now`, which is no later than [`Programs::due`].
    pub(super) fn ran(&mut self, vp: VpId, now: Nanos, ran: Nanos) -> Act {
        let program = &mut self.vps[vp.index()];
        program.cpu += ran;
        match &mut program.kind {
            Kind::Burn => Act::On,
            Kind::Crash { left } => {
                *left = *left - ran;
                if *left == Nanos::ZERO {
                    Act::Crash
                } else {
                    Act::On
                }
            }
            Kind::Paced(demand) => match demand.ran(now, ran) {
                After::Run => Act::On,
                after => Act::Leave(after),
            },
            Kind::Spin(spinner) => {
                match spinner.ran(vp, ran, &mut self.locks[program.guest.index()]) {
                    Spun::On => Act::On,
                    Spun::Long => Act::Leave(After::Spin),
                    Spun::Pass(next) => Act::Pass(next),
                }
            }
        }
    }

    /// `vp` gets the lock that was passed to it. What it ran before must have been told.
    pub(super) fn grant(&mut self, vp: VpId) {
        if let Kind::Spin(spinner) = &mut self.vps[vp.index()].kind {
            spinner.grant();
        }
    }

    /// Units of work since the last time.
    pub(super) fn take_work(&mut self, vp: VpId) -> u64 {
        let program = &mut self.vps[vp.index()];
        if let Kind::Spin(spinner) = &mut program.kind {
            return spinner.take_acquired();
        }
        let units = program.cpu.0 / UNIT.0;
        program.cpu = Nanos(program.cpu.0 % UNIT.0);
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_in_whole_units_and_nothing_is_lost_between_dispatches() {
        let mut programs = Programs::new(1);
        programs.add(GuestId(0), Payload::Burn, 1, Nanos::ZERO);
        let mut work = 0;
        for _ in 0..10 {
            assert_eq!(programs.due(VpId(0), Nanos(5)), NEVER);
            assert_eq!(programs.ran(VpId(0), Nanos(5), Nanos(250)), Act::On);
            work += programs.take_work(VpId(0));
        }
        assert_eq!(work, 25);
    }

    #[test]
    fn a_crash_comes_after_the_work_it_was_given() {
        let mut programs = Programs::new(1);
        let payload = Payload::Crash { after_work: 30 };
        programs.add(GuestId(0), payload, 1, Nanos::ZERO);
        assert_eq!(programs.due(VpId(0), Nanos(50)), Nanos(3_050));
        assert_eq!(programs.ran(VpId(0), Nanos(1_050), Nanos(1_000)), Act::On);
        assert_eq!(programs.due(VpId(0), Nanos(9_000)), Nanos(11_000));
        assert_eq!(
            programs.ran(VpId(0), Nanos(11_000), Nanos(2_000)),
            Act::Crash
        );
        assert_eq!(programs.take_work(VpId(0)), 30);
    }
}
