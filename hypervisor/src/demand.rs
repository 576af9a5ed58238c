//! How much CPU time a VP wants, and when: paced by the host, the same under every engine.
//!
//! A VP that never sleeps wants everything. Others want a burst of CPU time,
//! sleep, and want the next: the engine ends a dispatch when the burst is done
//! and puts the VP to sleep until the next is due.
//!
//! What a VP is charged beyond its burst (entering and leaving a guest takes
//! time, and a kick comes late) pays for the bursts that follow: the next one is
//! shorter by that, and one that is paid for already is left out. So CPU time
//! charged equals CPU time wanted in the long run, however short the bursts are.

use apportion_abi::Payload;
use apportion_scheduler::{After, Nanos, Random};

/// What is left of a burst when it counts as done: the kick comes at a time,
/// CPU time may lie a little behind it.
const DONE: Nanos = Nanos::from_micros(5);

/// One VP's demand.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pace: Pace,
    /// CPU time in ns that the present burst still wants. Above zero, but within [`Demand::ran`].
    left: i64,
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
                let (period, run) = (Nanos(period.0.max(1)), Nanos(run.0.max(1)));
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
        Demand {
            pace,
            left: signed(left),
            random,
        }
    }

    /// Whether the host puts the VP to sleep.
    pub(crate) fn sleeps(&self) -> bool {
        !matches!(self.pace, Pace::Always)
    }

    /// When a dispatch that begins now and may last until `until` has done the burst.
    pub(crate) fn until(&self, now: Nanos, until: Nanos) -> Nanos {
        until.min(now + Nanos(self.left.unsigned_abs()))
    }

    /// What the VP wants after `ran` more of CPU time.
    pub(crate) fn ran(&mut self, now: Nanos, ran: Nanos) -> After {
        if !self.sleeps() {
            return After::Run;
        }
        self.left = self.left.saturating_sub(signed(ran));
        if self.left > signed(DONE) {
            return After::Run;
        }
        let until = match self.pace {
            Pace::Always => return After::Run,
            Pace::Periodic { period, run, next } => self.next_period(now, period, run, next),
            Pace::OnOff { on, off } => self.next_burst(now, on, off),
        };
        if until <= now {
            After::Run
        } else {
            After::Sleep { until: Some(until) }
        }
    }

    /// When the next burst begins that is not paid for already. Of a burst that is, the sleep remains.
    fn next_burst(&mut self, now: Nanos, on: Nanos, off: Nanos) -> Nanos {
        let mut begins = now;
        loop {
            let burst = Nanos(self.random.exponential(on.0).max(1));
            self.left = self.left.saturating_add(signed(burst));
            begins += Nanos(self.random.exponential(off.0));
            if self.left > 0 {
                return begins;
            }
        }
    }

    /// When the first burst begins, from `next` on, that is not paid for already.
    fn next_period(&mut self, now: Nanos, period: Nanos, run: Nanos, next: Nanos) -> Nanos {
        let paid = Nanos(self.left.min(0).unsigned_abs()).0 / run.0;
        let begins = next + Nanos(paid.saturating_mul(period.0));
        let wanted = Nanos(run.0.saturating_mul(paid + 1));
        self.left = self.left.saturating_add(signed(wanted));
        // Late by whole periods: those are left out, so that no backlog grows.
        let begun = match now >= begins {
            true => 1 + now.since(begins).0 / period.0,
            false => 1,
        };
        let next = begins + Nanos(begun.saturating_mul(period.0));
        self.pace = Pace::Periodic { period, run, next };
        begins
    }
}

fn signed(time: Nanos) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
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

    const fn us(us: u64) -> Nanos {
        Nanos::from_micros(us)
    }

    fn periodic(period: Nanos, run: Nanos) -> Demand {
        let payload = Payload::Periodic {
            period: Ns(period.0),
            run: Ns(run.0),
        };
        Demand::new(payload, 1, 0, ms(0))
    }

    fn on_off(on: Nanos, off: Nanos) -> Demand {
        let payload = Payload::OnOff {
            on: Ns(on.0),
            off: Ns(off.0),
        };
        Demand::new(payload, 1, 0, ms(0))
    }

    /// Runs alone on an LP for `dispatches`, each of which lasts for `overrun` longer than the VP wants, in slices of
    /// 1 ms: CPU time charged, and when it ended.
    fn alone(demand: &mut Demand, dispatches: usize, overrun: Nanos) -> (Nanos, Nanos) {
        let (mut now, mut charged) = (ms(0), ms(0));
        for _ in 0..dispatches {
            let ran = demand.until(now, now + ms(1)).since(now) + overrun;
            assert!(ran > overrun, "a burst that is paid for already");
            now += ran;
            charged += ran;
            if let After::Sleep { until: Some(until) } = demand.ran(now, ran) {
                assert!(until > now);
                now = until;
            }
        }
        (charged, now)
    }

    #[test]
    fn what_was_charged_beyond_a_burst_is_taken_from_the_next() {
        let mut demand = periodic(ms(10), ms(2));
        let After::Sleep { until: Some(first) } = demand.ran(ms(3), ms(3)) else {
            panic!("the burst is done");
        };
        assert_eq!(demand.until(first, ms(99)), first + ms(1));
        // 4 ms for 1: one and a half of the bursts that follow are paid for.
        assert_eq!(
            demand.ran(first + ms(4), ms(4)),
            After::Sleep {
                until: Some(first + ms(20))
            }
        );
        assert_eq!(demand.until(ms(50), ms(99)), ms(51));
    }

    #[test]
    fn what_is_too_little_to_go_on_for_is_added_to_the_next() {
        let mut demand = periodic(ms(10), ms(2));
        let short = ms(2) - us(4);
        let After::Sleep { until: Some(first) } = demand.ran(short, short) else {
            panic!("the burst is done");
        };
        assert_eq!(demand.until(first, ms(99)), first + ms(2) + us(4));
    }

    #[test]
    fn charged_time_follows_the_demand_however_much_each_dispatch_overruns() {
        for run in [10, 12, 20, 40, 100, 400] {
            let mut demand = periodic(ms(1), us(run));
            let (charged, now) = alone(&mut demand, 10_000, us(100));
            let wanted = now.0 as f64 * run as f64 / 1_000.0;
            // The first burst comes a period or two before the others; the last dispatch has paid for some to come.
            let margin = us(2 * run + 100).0 as f64;
            let error = charged.0 as f64 - wanted;
            assert!(error.abs() <= margin, "{run} us: {error} ns of {wanted}");
        }
    }

    #[test]
    fn without_overrun_every_burst_begins_with_its_period() {
        let mut demand = periodic(ms(1), us(10));
        let (charged, now) = alone(&mut demand, 1_000, us(0));
        assert_eq!(charged, us(10_000));
        // One to two periods after the start, then each period.
        assert!((ms(1_000)..ms(1_001)).contains(&now), "{now}");
    }

    #[test]
    fn a_stall_that_was_charged_is_paid_back_and_what_was_missed_is_gone() {
        let mut demand = periodic(ms(10), ms(2));
        let After::Sleep { until: Some(first) } = demand.ran(ms(2), ms(2)) else {
            panic!("the burst is done");
        };
        // 50 ms charged for 2, over five periods: 24 bursts are paid for, the first of them meanwhile.
        assert_eq!(
            demand.ran(first + ms(50), ms(50)),
            After::Sleep {
                until: Some(first + ms(250))
            }
        );
        // 65 ms of waiting, then 2 ms: the burst that fell due last but five is done, and those after it were missed.
        let late = first + ms(250) + ms(65);
        assert_eq!(demand.ran(late, ms(2)), After::Run);
        assert_eq!(
            demand.ran(late + ms(2), ms(2)),
            After::Sleep {
                until: Some(first + ms(320))
            }
        );
    }

    #[test]
    fn an_on_off_vp_has_the_duty_cycle_it_was_given() {
        // In bursts of 50 us, where each dispatch takes 100 us more, most are paid for before they come.
        for (on, off, overrun) in [
            (ms(1), ms(3), us(0)),
            (ms(1), ms(3), us(100)),
            (us(50), us(150), us(0)),
            (us(50), us(150), us(100)),
        ] {
            let mut demand = on_off(on, off);
            let (charged, now) = alone(&mut demand, 40_000, overrun);
            let duty = charged.as_secs_f64() / now.as_secs_f64();
            // At least 10,000 bursts: a standard error of ¼ · ¾ · √(2/10000) = 0.0027, five of which are
            // seen once in 1.7 million seeds.
            assert!((duty - 0.25).abs() < 0.0135, "{on} {overrun}: {duty}");
        }
    }
}
