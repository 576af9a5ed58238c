//! What VPs do when they run: their payloads in virtual time.
//!
//! Work is counted in units of [`UNIT`] of CPU time, but for the time that a VP spins.

use super::bursts::{Done, Pieces};
use super::queue::NEVER;
use super::spin::{Lock, Spinner, Spun};
use crate::demand::Demand;
use crate::engine::Burst;
use crate::run_spec::GuestSpec;
use apportion_abi::Payload;
use apportion_abi::shared::Value;
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
    /// By guest: how many VPs it has.
    counts: Vec<u32>,
    /// By guest.
    locks: Vec<Lock>,
    /// Pieces of work that were done since the last time.
    bursts: Vec<Burst>,
}

#[derive(Debug)]
struct Program {
    guest: GuestId,
    /// Which of its guest's VPs it is.
    index: u32,
    /// CPU time since the last unit of work that was reported.
    cpu: Nanos,
    kind: Kind,
    began: Nanos,
    /// When its fixed work was done.
    done: Option<Nanos>,
    yields: u64,
}

#[derive(Debug)]
enum Kind {
    Burn,
    /// Faults after so much more CPU time.
    Crash {
        left: Nanos,
    },
    Paced(Demand),
    Pieces(Pieces),
    Spin(Spinner),
}

impl Program {
    /// Of VP `vp`, which is number `index` of its guest.
    fn new(
        guest: GuestId,
        index: u32,
        vp: VpId,
        spec: &GuestSpec,
        seed: u64,
        now: Nanos,
    ) -> Program {
        let stream = u64::from(vp.0);
        let kind = match spec.payload {
            Payload::Crash { after_work } => Kind::Crash {
                left: Nanos(after_work.saturating_mul(UNIT.0)),
            },
            Payload::Periodic { .. } | Payload::OnOff { .. } => {
                Kind::Paced(Demand::new(spec.payload, seed, stream, now))
            }
            Payload::Spin {
                critical,
                think,
                threshold,
            } => Kind::Spin(Spinner::new(Nanos(critical.0), Nanos(think.0), threshold)),
            _ => match Pieces::new(spec, index, seed, stream, now, UNIT) {
                Some(pieces) => Kind::Pieces(pieces),
                None => Kind::Burn,
            },
        };
        Program {
            guest,
            index,
            cpu: Nanos::ZERO,
            kind,
            began: now,
            done: None,
            yields: 0,
        }
    }
}

impl Programs {
    pub(super) fn new(guests: usize) -> Programs {
        Programs {
            vps: Vec::new(),
            counts: vec![0; guests],
            locks: vec![Lock::default(); guests],
            bursts: Vec::new(),
        }
    }

    /// The next VP, which begins at `now`.
    pub(super) fn add(&mut self, guest: GuestId, spec: &GuestSpec, seed: u64, now: Nanos) {
        let vp = VpId(self.vps.len() as u32);
        let index = self.counts[guest.index()];
        self.counts[guest.index()] += 1;
        self.vps
            .push(Program::new(guest, index, vp, spec, seed, now));
    }

    /// A VP that was to come begins at `now`.
    pub(super) fn begin(&mut self, vp: VpId, spec: &GuestSpec, seed: u64, now: Nanos) {
        let program = &mut self.vps[vp.index()];
        let (guest, index) = (program.guest, program.index);
        *program = Program::new(guest, index, vp, spec, seed, now);
    }

    /// When `vp`, running from `now` on, comes to something by itself.
    pub(super) fn due(&self, vp: VpId, now: Nanos) -> Nanos {
        match &self.vps[vp.index()].kind {
            Kind::Burn => NEVER,
            Kind::Crash { left } => now + *left,
            Kind::Paced(demand) => demand.until(now, NEVER),
            Kind::Pieces(pieces) => pieces.due(now),
            Kind::Spin(spinner) => now + spinner.due(),
        }
    }

    /// `vp` ran for `ran` more, up to `now`, which is no later than [`Programs::due`].
    pub(super) fn ran(&mut self, vp: VpId, now: Nanos, ran: Nanos) -> Act {
        let program = &mut self.vps[vp.index()];
        let works = !matches!(&program.kind, Kind::Spin(spinner) if spinner.spins());
        program.cpu += if works { ran } else { Nanos::ZERO };
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
            Kind::Pieces(pieces) => {
                let (act, done) = pieces.ran(now, ran);
                if let Some(piece) = done.filter(|_| pieces.records()) {
                    let Done {
                        due,
                        begun: start,
                        done,
                        run,
                    } = piece;
                    self.bursts.push(Burst {
                        vp,
                        due,
                        start,
                        done,
                        run,
                    });
                }
                if pieces.is_done() {
                    program.done.get_or_insert(now);
                }
                program.yields += u64::from(act == Act::Leave(After::Run));
                act
            }
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
        let units = program.cpu.0 / UNIT.0;
        program.cpu = Nanos(program.cpu.0 % UNIT.0);
        units
    }

    /// Pieces of work that were done since the last time, by any VP.
    pub(super) fn take_bursts(&mut self) -> Vec<Burst> {
        std::mem::take(&mut self.bursts)
    }

    /// What a guest would report of this VP; times are counted from `start`, when the guests were created.
    pub(super) fn report(&self, vp: VpId, start: Nanos) -> Vec<(Value, u64)> {
        let program = &self.vps[vp.index()];
        let fixed = matches!(&program.kind, Kind::Pieces(pieces) if !pieces.records());
        let mut values = Vec::new();
        if let Kind::Spin(spinner) = &program.kind {
            values.push((Value::Acquisitions, spinner.acquired()));
            values.push((Value::Notifications, spinner.notifications()));
        }
        if fixed {
            values.push((Value::BeganAt, program.began.since(start).0));
            values.push((Value::Yields, program.yields));
        }
        if let Some(done) = program.done {
            values.push((Value::DoneAt, done.since(start).0));
        }
        values
    }

    /// How many VPs there are.
    pub(super) fn count(&self) -> u32 {
        self.vps.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::Controls;

    fn guest(payload: Payload) -> GuestSpec {
        GuestSpec::new("g", 1, Controls::default(), payload)
    }

    #[test]
    fn work_is_counted_in_whole_units_and_nothing_is_lost_between_dispatches() {
        let mut programs = Programs::new(1);
        programs.add(GuestId(0), &guest(Payload::Burn), 1, Nanos::ZERO);
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
        programs.add(GuestId(0), &guest(payload), 1, Nanos::ZERO);
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
