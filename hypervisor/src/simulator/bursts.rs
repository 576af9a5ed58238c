//! Payloads that sleep by themselves: work that comes in pieces, each at its time or after a pause.

use super::program::Act;
use crate::arrivals::Arrivals;
use crate::run_spec::GuestSpec;
use apportion_abi::{Ns, Payload};
use apportion_scheduler::{After, Nanos, Piece};

/// A piece of work that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) due: Nanos,
    pub(super) begun: Nanos,
    pub(super) done: Nanos,
    pub(super) run: Nanos,
}

/// One VP.
#[derive(Clone, Debug)]
pub(super) struct Pieces {
    source: Source,
    /// When the present piece was due.
    due: Nanos,
    /// Since when it is worked on, once it is.
    begun: Option<Nanos>,
    /// CPU time that it wants.
    run: Nanos,
    /// CPU time that it still wants; zero where there is none left at all.
    left: Nanos,
}

/// Where the next piece comes from.
#[derive(Clone, Debug)]
enum Source {
    /// Whenever it arrives.
    Arrivals(Arrivals),
    /// Once in a period; what is late by whole periods is left out.
    Period { period: Nanos, run: Nanos },
    /// After a pause, until all is done.
    Pauses {
        burst: Nanos,
        pause: Nanos,
        left: Nanos,
    },
    /// At once: only the LP is given up in between.
    Yields { run: Nanos },
}

impl Pieces {
    /// Of VP `index` of `guest`, which starts at `now`; `None` where its payload is no such one. A
    /// unit of work takes `unit`.
    pub(super) fn new(
        guest: &GuestSpec,
        index: u32,
        seed: u64,
        stream: u64,
        now: Nanos,
        unit: Nanos,
    ) -> Option<Pieces> {
        let time = |units: u64| Nanos(units.saturating_mul(unit.0));
        let source = match guest.payload {
            Payload::Probe {
                period: Ns(period),
                run: Ns(run),
            } => Source::Period {
                period: Nanos(period.max(1)),
                run: Nanos(run.max(1)),
            },
            Payload::FixedWork {
                units,
                burst,
                pause: Ns(pause),
            } => Source::Pauses {
                burst: time(if burst == 0 { units } else { burst }),
                pause: Nanos(pause),
                left: time(units),
            },
            Payload::YieldLoop { run: Ns(run) } => Source::Yields {
                run: Nanos(run.max(1)),
            },
            _ => Source::Arrivals(Arrivals::new(guest, index, seed, stream, now)?),
        };
        let mut pieces = Pieces {
            source,
            due: now,
            begun: None,
            run: Nanos::ZERO,
            left: Nanos::ZERO,
        };
        pieces.take_next(now);
        Some(pieces)
    }

    /// The next piece, looked for at `now`; whether there is one.
    fn take_next(&mut self, now: Nanos) -> bool {
        self.begun = None;
        (self.due, self.run) = match &mut self.source {
            Source::Arrivals(arrivals) => match arrivals.next() {
                Some(Piece { at, run }) => (at, run.max(Nanos(1))),
                None => (now, Nanos::ZERO),
            },
            Source::Period { period, run } => {
                let late = now.since(self.due).0 / period.0;
                (self.due + Nanos(period.0 * late.max(1)), *run)
            }
            Source::Pauses { burst, pause, left } => {
                let piece = (*left).min(*burst);
                // The first begins at once.
                let first = self.left == Nanos::ZERO && self.due == now;
                *left = *left - piece;
                (if first { now } else { now + *pause }, piece)
            }
            Source::Yields { run } => (now, *run),
        };
        self.left = self.run;
        self.left > Nanos::ZERO
    }

    /// When it comes to something, running from `now` on.
    pub(super) fn due(&self, now: Nanos) -> Nanos {
        if self.due > now { now } else { now + self.left }
    }

    /// It ran for `ran` more, up to `now`: what it does next, and what it has done.
    pub(super) fn ran(&mut self, now: Nanos, ran: Nanos) -> (Act, Option<Done>) {
        if self.left == Nanos::ZERO {
            return (Act::Leave(After::Sleep { until: None }), None);
        }
        if self.due > now {
            let until = Some(self.due);
            return (Act::Leave(After::Sleep { until }), None);
        }
        let begun = *self.begun.get_or_insert(now - ran);
        self.left = self.left - ran;
        if self.left > Nanos::ZERO {
            return (Act::On, None);
        }
        let done = Done {
            due: self.due,
            begun,
            done: now,
            run: self.run,
        };
        let more = self.take_next(now);
        let act = match self.source {
            _ if !more => Act::Leave(After::Sleep { until: None }),
            Source::Yields { .. } => Act::Leave(After::Run),
            _ if self.due <= now => Act::On,
            _ => Act::Leave(After::Sleep {
                until: Some(self.due),
            }),
        };
        (act, Some(done))
    }

    /// Whether its work comes to an end, and has.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.source, Source::Pauses { .. }) && self.left == Nanos::ZERO
    }

    /// Whether each piece is something to be recorded.
    pub(super) fn records(&self) -> bool {
        matches!(self.source, Source::Arrivals(_) | Source::Period { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::Controls;

    const UNIT: Nanos = Nanos(100);

    fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    fn pieces(payload: Payload, now: Nanos) -> Option<Pieces> {
        let guest = GuestSpec::new("g", 1, Controls::default(), payload);
        Pieces::new(&guest, 0, 1, 0, now, UNIT)
    }

    fn sleep(until: Nanos) -> Act {
        let until = Some(until);
        Act::Leave(After::Sleep { until })
    }

    #[test]
    fn a_probe_wakes_in_each_period_and_leaves_out_what_it_missed() {
        let payload = Payload::Probe {
            period: Ns(10_000_000),
            run: Ns(1_000_000),
        };
        let mut probe = pieces(payload, ms(100)).unwrap();
        assert_eq!(probe.due(ms(100)), ms(100));
        assert_eq!(probe.ran(ms(100), ms(0)), (sleep(ms(110)), None));
        assert_eq!(probe.due(ms(112)), ms(113));
        let done = Some(Done {
            due: ms(110),
            begun: ms(112),
            done: ms(113),
            run: ms(1),
        });
        assert_eq!(probe.ran(ms(113), ms(1)), (sleep(ms(120)), done));
        // Begins 25 ms late: 130 and 140 are left out, 150 is next.
        assert_eq!(probe.ran(ms(145), Nanos(1)).0, Act::On);
        let (act, _) = probe.ran(ms(146), ms(1));
        assert_eq!(act, Act::On, "140 was due, and is done late");
        assert_eq!(probe.due(ms(146)), ms(147));
    }

    #[test]
    fn fixed_work_is_done_in_bursts_with_pauses_and_then_no_more() {
        let payload = Payload::FixedWork {
            units: 50_000,
            burst: 20_000,
            pause: Ns(7_000_000),
        };
        let mut work = pieces(payload, ms(0)).unwrap();
        assert_eq!(work.due(ms(0)), ms(2));
        assert_eq!(work.ran(ms(2), ms(2)).0, sleep(ms(9)));
        assert_eq!(work.ran(ms(11), ms(2)).0, sleep(ms(18)));
        assert!(!work.is_done());
        assert_eq!(work.due(ms(18)), ms(19));
        let (act, _) = work.ran(ms(19), ms(1));
        assert_eq!(act, Act::Leave(After::Sleep { until: None }));
        assert!(work.is_done());
    }

    #[test]
    fn a_yield_loop_leaves_and_wants_to_run_on() {
        let run = Ns(50_000);
        let mut yields = pieces(Payload::YieldLoop { run }, ms(0)).unwrap();
        for round in 1..4 {
            let now = Nanos(50_000 * round);
            assert_eq!(yields.ran(now, Nanos(50_000)).0, Act::Leave(After::Run));
        }
    }

    #[test]
    fn a_burner_has_no_pieces() {
        assert!(pieces(Payload::Burn, ms(0)).is_none());
    }
}
