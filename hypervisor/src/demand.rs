//! How much CPU time a VP wants, and when: paced by the host, the same under every engine.
//!
//! A VP that never sleeps wants everything. Others want a burst of CPU time,
//! sleep, and want the next: the engine ends a dispatch when the burst is done
//! and puts the VP to sleep until the next is due.

use apportion_abi::Payload;
use apportion_scheduler::{After, Nanos, Random};

/// What is left of a burst when it counts as done: the kick comes at a time,
/// CPU time may lie a little behind it.
const DONE: Nanos = Nanos::from_micros(5);

/// One VP's demand.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pace: Pace,
    /// CPU time that the present burst still wants.
    left: Nanos,
    random: Random,
}

#[derive(Clone, Copy, Debug)]
enum Pace {
    /// Never sleeps.
    Always,
    /// The next burst of `run` begins at `next`.
    Periodic {
        period: Nanos,
        run: Nanos,
        next: Nanos,
    },
    /// Bursts and sleeps, exponentially distributed.
    OnOff { on: Nanos, off: Nanos },
}

impl Demand {
    /// Of a VP that starts at `start`; `stream` tells VPs apart. A periodic one
    /// begins with a burst; its periods begin at a random time one to two periods later.
    pub(crate) fn new(payload: Payload, seed: u64, stream: u64, start: Nanos) -> Demand {
        let mut random = Random::stream(seed, stream);
        let (pace, left) = match payload {
            Payload::Periodic { period, run } => {
                let (period, run) = (Nanos(period.0), Nanos(run.0));
                let next = start + period + Nanos(random.below(period.0));
                (Pace::Periodic { period, run, next }, run)
            }
            Payload::OnOff { on, off } => {
                let (on, off) = (Nanos(on.0), Nanos(off.0));
                let first = Nanos(random.exponential(on.0).max(1));
                (Pace::OnOff { on, off }, first)
            }
            // The guest sleeps by itself, if at all.
            _ => (Pace::Always, Nanos(u64::MAX)),
        };
        Demand { pace, left, random }
    }

    /// Whether the host puts the VP to sleep.
    pub(crate) fn sleeps(&self) -> bool {
        !matches!(self.pace, Pace::Always)
    }

    /// When a dispatch that begins now and may last until `until` has done the burst.
    pub(crate) fn until(&self, now: Nanos, until: Nanos) -> Nanos {
        until.min(now + self.left)
    }

    /// What the VP wants after `ran` more of CPU time.
    pub(crate) fn ran(&mut self, now: Nanos, ran: Nanos) -> After {
        if !self.sleeps() {
            return After::Run;
        }
        self.left = self.left - ran;
        if self.left > DONE {
            return After::Run;
        }
        let until = match &mut self.pace {
            Pace::Always => return After::Run,
            Pace::Periodic { period, run, next } => {
                self.left = *run;
                let begins = *next;
                *next += *period;
                // Late by whole periods: those are left out, so that no backlog grows.
                while *next <= now {
                    *next += *period;
                }
                begins
            }
            Pace::OnOff { on, off } => {
                self.left = Nanos(self.random.exponential(on.0).max(1));
                now + Nanos(self.random.exponential(off.0))
            }
        };
        if until <= now {
            After::Run
        } else {
            After::Sleep { until: Some(until) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_abi::Ns;

    const fn ms(ms: u64) -> Nanos {
        Nanos::from_millis(ms)
    }

    #[test]
    fn a_burner_never_sleeps() {
        let mut demand = Demand::new(Payload::Burn, 1, 0, ms(0));
        assert_eq!(demand.until(ms(3), ms(4)), ms(4));
        assert_eq!(demand.ran(ms(9_999), ms(9_999)), After::Run);
    }

    #[test]
    fn a_periodic_vp_sleeps_until_its_next_period() {
        let payload = Payload::Periodic {
            period: Ns(ms(10).0),
            run: Ns(ms(2).0),
        };
        let mut demand = Demand::new(payload, 1, 0, ms(100));
        assert_eq!(demand.until(ms(100), ms(101)), ms(101));
        assert_eq!(demand.ran(ms(101), ms(1)), After::Run);
        assert_eq!(demand.until(ms(101), ms(200)), ms(102));
        let After::Sleep { until: Some(first) } = demand.ran(ms(102), ms(1)) else {
            panic!("the burst is done");
        };
        assert!((ms(110)..ms(120)).contains(&first), "{first}");
        let After::Sleep {
            until: Some(second),
        } = demand.ran(first + ms(2), ms(2))
        else {
            panic!("the burst is done");
        };
        assert_eq!(second, first + ms(10));
        // Three periods late: it goes on at once, and the missed ones are gone.
        let late = second + ms(31);
        assert!(matches!(demand.ran(late, ms(2)), After::Run));
        assert!(matches!(
            demand.ran(late + ms(2), ms(2)),
            After::Sleep { until: Some(next) } if next == second + ms(40)
        ));
    }

    #[test]
    fn an_on_off_vp_has_the_duty_cycle_it_was_given() {
        let payload = Payload::OnOff {
            on: Ns(ms(1).0),
            off: Ns(ms(3).0),
        };
        let mut demand = Demand::new(payload, 1, 0, ms(0));
        let (mut now, mut on) = (ms(0), ms(0));
        for _ in 0..10_000 {
            let burst = demand.left;
            on += burst;
            now += burst;
            if let After::Sleep { until: Some(until) } = demand.ran(now, burst) {
                now = until;
            }
        }
        let duty = on.as_secs_f64() / now.as_secs_f64();
        // Standard error about ¼ · ¾ · √(2/10000).
        assert!((duty - 0.25).abs() < 0.014, "{duty}");
    }
}
