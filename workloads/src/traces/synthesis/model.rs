//! The demand of made-up VMs, interval by interval.

use std::f64::consts::TAU;

use apportion_scheduler::Random;

use super::{DAY, Style, Synthesis};

/// Numbers of VPs, each with its probability in percent.
pub(super) const SIZES: [(u32, u64); 5] = [(1, 30), (2, 30), (4, 25), (8, 10), (16, 5)];

/// Mean number of VPs, but for buckets.
pub const MEAN_VPS: f64 = 3.5;

/// Mean use of VPs: that of Beta(1, 4).
pub const MEAN_USE: f64 = 0.2;

/// Mean demand of a VM in LPs, but for buckets: size and use have nothing to do with each other.
pub const MEAN_LPS: f64 = MEAN_VPS * MEAN_USE;

/// The second parameter of the distribution of mean use.
const BETA: f64 = 4.0;

/// How far the day, the noise and bursts move the use, in parts of the way to its nearer end.
pub(super) const DAILY: f64 = 0.4;
pub(super) const NOISY: f64 = 0.3;
pub(super) const BURSTY: f64 = 0.3;

/// What noise keeps from one interval to the next.
pub(super) const KEPT: f64 = 0.8;

/// Part of all intervals that have a burst, and probability that one is its last.
pub(super) const BUSY: f64 = 0.05;
const LAST: f64 = 1.0 / 3.0;
/// Probability that a burst begins after an interval without one, so that as many begin as end.
const FIRST: f64 = BUSY * LAST / (1.0 - BUSY);

/// Peaks are up to so far from 14:00, in days.
pub(super) const SPREAD: f64 = 2.0 / 24.0;
const PEAK: f64 = 14.0 / 24.0;

/// A made-up VM.
#[derive(Clone, Debug)]
pub(super) struct Vm {
    pub(super) vps: u32,
    /// Mean use, a part of its VPs.
    pub(super) mean: f64,
    /// Sine and cosine of where its day begins.
    day: (f64, f64),
    noise: f64,
    busy: bool,
    random: Random,
}

/// Sine and cosine of each interval's time of the day.
pub(super) struct Days(Vec<(f64, f64)>);

impl Days {
    pub(super) fn new(synthesis: &Synthesis) -> Days {
        let part = synthesis.interval.0 as f64 / DAY.0 as f64;
        // Where a day is no whole number of intervals each has a time of its own.
        let count = match DAY.0.is_multiple_of(synthesis.interval.0) {
            true => (DAY.0 / synthesis.interval.0).min(synthesis.intervals()),
            false => synthesis.intervals(),
        };
        let of = |at: u64| (TAU * part * at as f64).sin_cos();
        Days((0..count).map(of).collect())
    }

    pub(super) fn at(&self, interval: u64) -> (f64, f64) {
        self.0[(interval % self.0.len() as u64) as usize]
    }
}

impl Vm {
    pub(super) fn new(synthesis: &Synthesis, style: Style, index: u32) -> Vm {
        let mut random = Random::stream(synthesis.seed, u64::from(index));
        let vps = in_style(size(random.below(100)), style);
        // The inverse of 1 − (1 − x)⁴.
        let mean = 1.0 - unit(&mut random).powf(1.0 / BETA);
        let peak = PEAK + SPREAD * (2.0 * unit(&mut random) - 1.0);
        // The sine is 1 a quarter of a day behind its beginning.
        let day = (TAU * (peak - 0.25)).sin_cos();
        let mut vm = Vm {
            vps,
            mean,
            day,
            noise: 0.0,
            busy: unit(&mut random) < BUSY,
            random,
        };
        // 0.8⁶⁴ is 6·10⁻⁷: nothing is left of how the noise began.
        (0..64).for_each(|_| vm.make_noise());
        vm
    }

    fn make_noise(&mut self) {
        let innovation = 2.0 * unit(&mut self.random) - 1.0;
        self.noise = KEPT * self.noise + (1.0 - KEPT) * innovation;
    }

    /// Its use in the next interval, a part of its VPs.
    pub(super) fn next(&mut self, (sine, cosine): (f64, f64)) -> f64 {
        self.make_noise();
        let chance = if self.busy { LAST } else { FIRST };
        self.busy ^= unit(&mut self.random) < chance;
        let busy = if self.busy { 1.0 } else { 0.0 };
        // The sine of the difference.
        let day = sine * self.day.1 - cosine * self.day.0;
        let room = self.mean.min(1.0 - self.mean);
        self.mean + room * (DAILY * day + NOISY * self.noise + BURSTY * (busy - BUSY))
    }
}

fn size(mut percent: u64) -> u32 {
    for (vps, probability) in SIZES {
        if percent < probability {
            return vps;
        }
        percent -= probability;
    }
    SIZES[0].0
}

/// V2 has buckets of up to 2, 4, 8 and 24 cores.
fn in_style(vps: u32, style: Style) -> u32 {
    match (style, vps) {
        (Style::AzureV2, 1) => 2,
        (Style::AzureV2, 16) => 24,
        _ => vps,
    }
}

/// From 0, inclusive, to 1, exclusive.
fn unit(random: &mut Random) -> f64 {
    (random.next() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_scheduler::Nanos;

    const SYNTHESIS: Synthesis = Synthesis {
        vms: 1,
        interval: Nanos(300_000_000_000),
        span: DAY,
        seed: 7,
    };

    /// Intervals of one VM that are looked at.
    const LENGTH: usize = 200_000;

    /// What noise and bursts were.
    fn chance() -> Vec<(f64, bool)> {
        let mut vm = Vm::new(&SYNTHESIS, Style::Own, 0);
        let mut next = || {
            vm.next((0.0, 1.0));
            (vm.noise, vm.busy)
        };
        (0..LENGTH).map(|_| next()).collect()
    }

    fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = values.len() as f64;
        values.sum::<f64>() / count
    }

    #[test]
    fn noise_is_autoregressive() {
        let noise: Vec<f64> = chance().iter().map(|it| it.0).collect();
        assert!(noise.iter().all(|it| (-1.0..=1.0).contains(it)));
        // Var = (1 − ρ)²·(1/3) ÷ (1 − ρ²) = 1/27. Its estimate from n values has a relative deviation of about
        // √(2/n·(1 + ρ²)/(1 − ρ²)) = 0.7 %, that of the mean is σ·√((1 + ρ)/(1 − ρ)/n) = 0.0013, and that of the
        // correlation √((1 − ρ²)/n) = 0.0013. Each is allowed four times.
        let variance = mean(noise.iter().map(|it| it * it));
        assert!((variance * 27.0 - 1.0).abs() < 0.028, "{variance}");
        let middle = mean(noise.iter().copied());
        assert!(middle.abs() < 0.0052, "{middle}");
        let together = mean(noise.windows(2).map(|pair| pair[0] * pair[1]));
        let kept = together / variance;
        assert!((kept - KEPT).abs() < 0.0054, "{kept}");
    }

    #[test]
    fn bursts_take_a_twentieth_of_the_time_and_three_intervals_each() {
        let busy: Vec<bool> = chance().iter().map(|it| it.1).collect();
        let intervals = busy.iter().filter(|it| **it).count() as f64;
        let bursts = busy.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        // States of an interval and the next correlate by r = 1 − 1/3 − 1/57 = 0.649: the deviation of the part is
        // √(0.05·0.95·(1 + r)/(1 − r)/n) = 0.00106. Of the mean of 3,333 lengths it is √6/√3333 = 0.042.
        let part = intervals / LENGTH as f64;
        assert!((part - BUSY).abs() < 0.0043, "{part}");
        let length = intervals / bursts;
        assert!((length - 3.0).abs() < 0.17, "{length}");
        assert!((FIRST - 1.0 / 57.0).abs() < 1e-12);
    }

    #[test]
    fn use_stays_between_none_and_all() {
        for index in 0..300 {
            let mut vm = Vm::new(&SYNTHESIS, Style::Own, index);
            let days = Days::new(&SYNTHESIS);
            for at in 0..2 * SYNTHESIS.intervals() {
                let used = vm.next(days.at(at));
                assert!((0.0..=1.0).contains(&used), "{used}");
            }
        }
    }

    #[test]
    fn days_begin_anew_also_where_they_are_no_whole_number_of_intervals() {
        let of = |seconds: u64| Synthesis {
            interval: Nanos(seconds * 1_000_000_000),
            span: Nanos(3 * DAY.0),
            ..SYNTHESIS
        };
        let (even, uneven) = (Days::new(&of(3600)), Days::new(&of(7000)));
        assert_eq!((even.0.len(), uneven.0.len()), (24, 37));
        assert_eq!(even.at(30), even.at(6));
        assert!((even.at(6).0 - 1.0).abs() < 1e-12);
    }
}
