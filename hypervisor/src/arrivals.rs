//! What arrives for VPs that pace themselves, piece by piece, the same under every engine.

use crate::run_spec::GuestSpec;
use apportion_abi::{Ns, Payload};
use apportion_scheduler::{Nanos, Piece, Random, RecordedDemand};
use std::sync::Arc;

/// What arrives for a VP, one piece of work after the other, whether the last is done or not.
///
/// It follows from the run's specification alone, so that whoever judges a run knows it, too.
#[derive(Clone, Debug)]
pub struct Arrivals(Source);

#[derive(Clone, Debug)]
enum Source {
    /// Without end.
    Drawn {
        next: Nanos,
        every: Nanos,
        run: Nanos,
        /// Where both are exponentially distributed.
        random: Option<Random>,
    },
    /// As recorded.
    Recorded {
        demand: Arc<RecordedDemand>,
        /// Within its guest.
        vp: usize,
        start: Nanos,
        next: usize,
    },
}

impl Arrivals {
    /// Of VP `index` of `guest`, which starts at `start` on the engine's clock; `None` where its payload is no
    /// such one. `seed` is the run's, and `stream` tells its VPs apart: the number of the VP in the whole run.
    #[must_use]
    pub fn new(
        guest: &GuestSpec,
        index: u32,
        seed: u64,
        stream: u64,
        start: Nanos,
    ) -> Option<Arrivals> {
        match guest.payload {
            Payload::Bursts {
                every: Ns(every),
                run: Ns(run),
                random,
            } => {
                let mut from = Random::stream(seed, stream);
                Some(Arrivals(Source::Drawn {
                    // VPs do not start together.
                    next: start + Nanos(from.below(every)),
                    every: Nanos(every),
                    run: Nanos(run),
                    random: random.then_some(from),
                }))
            }
            Payload::Replay => Some(Arrivals(Source::Recorded {
                demand: guest.demand.clone().unwrap_or_default(),
                vp: index as usize,
                start,
                next: 0,
            })),
            _ => None,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        match &mut self.0 {
            Source::Drawn {
                next,
                every,
                run,
                random,
            } => {
                let at = *next;
                let (every, run) = match random {
                    Some(random) => (
                        Nanos(random.exponential(every.0)),
                        Nanos(random.exponential(run.0)),
                    ),
                    None => (*every, *run),
                };
                *next = at + every;
                Some(Piece { at, run })
            }
            Source::Recorded {
                demand,
                vp,
                start,
                next,
            } => {
                let piece = *demand.vps.get(*vp)?.get(*next)?;
                *next += 1;
                Some(Piece {
                    at: *start + piece.at,
                    ..piece
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::Controls;

    const fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    fn guest(payload: Payload) -> GuestSpec {
        GuestSpec::new("g", 1, Controls::default(), payload)
    }

    #[test]
    fn arrivals_have_the_means_they_were_given() {
        let payload = |random| Payload::Bursts {
            every: Ns(ms(10).0),
            run: Ns(ms(2).0),
            random,
        };
        let arrivals = |random| Arrivals::new(&guest(payload(random)), 0, 7, 3, ms(100)).unwrap();
        let mut even = arrivals(false);
        let first = even.next().unwrap();
        assert!((ms(100)..ms(110)).contains(&first.at), "{first:?}");
        assert_eq!(first.run, ms(2));
        let (at, run) = (first.at + ms(10), ms(2));
        assert_eq!(even.next(), Some(Piece { at, run }));
        let (mut last, mut sum) = (Nanos::ZERO, Nanos::ZERO);
        for Piece { at, run } in arrivals(true).take(10_000) {
            assert!(at >= last);
            last = at;
            sum += run;
        }
        // Standard errors of 1 %.
        assert!((last.as_secs_f64() - 100.1).abs() < 4.0, "{last}");
        assert!((sum.as_secs_f64() - 20.0).abs() < 0.8, "{sum}");
        assert!(Arrivals::new(&guest(Payload::Burn), 0, 1, 0, ms(0)).is_none());
    }

    #[test]
    fn recorded_pieces_arrive_as_recorded_and_then_no_more() {
        let piece = |at, run| Piece {
            at: ms(at),
            run: ms(run),
        };
        let mut guest = guest(Payload::Replay);
        let of = |guest: &GuestSpec, vp| {
            let arrivals = Arrivals::new(guest, vp, 1, 0, ms(100)).unwrap();
            arrivals.collect::<Vec<_>>()
        };
        assert_eq!(of(&guest, 0), []);
        let vps = vec![vec![], vec![piece(0, 3), piece(10, 1)]];
        guest.demand = Some(Arc::new(RecordedDemand { vps }));
        assert_eq!(of(&guest, 0), []);
        assert_eq!(of(&guest, 1), [piece(100, 3), piece(110, 1)]);
        // One that was added on the way.
        assert_eq!(of(&guest, 2), []);
    }
}
