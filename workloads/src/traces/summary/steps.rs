//! Demand of all VMs over time, in steps.

use apportion_scheduler::Nanos;

/// Steps of time that are told apart; where there are more, two and two are taken together.
const MOST_STEPS: usize = 1 << 20;

/// Demand of all over time.
#[derive(Default)]
pub(super) struct Steps {
    width: Nanos,
    cpu_seconds: Vec<f64>,
}

impl Steps {
    /// Adds demand; the first tells how wide steps are.
    pub(super) fn add(
        &mut self,
        from: Nanos,
        length: Nanos,
        lps: f64,
        width: impl FnOnce() -> Nanos,
    ) {
        if self.cpu_seconds.is_empty() {
            self.width = width();
        }
        let to = from + length;
        while ((to.0.saturating_sub(1)) / self.width.0) as usize >= MOST_STEPS {
            self.widen();
        }
        let last = (to.0.saturating_sub(1) / self.width.0) as usize;
        if last >= self.cpu_seconds.len() {
            self.cpu_seconds.resize(last + 1, 0.0);
        }
        let mut now = from.0;
        while now < to.0 {
            let step = now / self.width.0;
            let until = to.0.min((step + 1).saturating_mul(self.width.0));
            self.cpu_seconds[step as usize] += lps * (until - now) as f64 / 1e9;
            now = until;
        }
    }

    /// How wide they are.
    pub(super) fn width(&self) -> Nanos {
        self.width
    }

    /// CPU time in all, in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.cpu_seconds.iter().sum()
    }

    /// Takes two and two together.
    fn widen(&mut self) {
        self.width = self.width + self.width;
        let pairs = self.cpu_seconds.chunks(2).map(|pair| pair.iter().sum());
        self.cpu_seconds = pairs.collect();
    }

    /// Demand of each step in LPs, between these times.
    pub(super) fn demand(&self, from: Nanos, to: Nanos) -> Vec<f64> {
        let first = (from.0 / self.width.0) as usize;
        let of = |(at, cpu_seconds): (usize, &f64)| {
            let begin = at as u64 * self.width.0;
            let length = to.0.min(begin.saturating_add(self.width.0)) - from.0.max(begin);
            cpu_seconds / (length as f64 / 1e9)
        };
        let steps = self.cpu_seconds.iter().enumerate();
        steps.skip(first).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn demand_is_divided_over_steps_and_they_are_taken_together_where_there_are_too_many() {
        let mut steps = Steps::default();
        steps.add(Nanos(0), Nanos(SECOND), 2.0, || Nanos(SECOND));
        steps.add(Nanos(SECOND / 2), Nanos(2 * SECOND), 1.0, || unreachable!());
        assert_eq!(steps.cpu_seconds, [2.5, 1.0, 0.5]);
        let demand = steps.demand(Nanos(0), Nanos(5 * SECOND / 2));
        assert_eq!(demand, [2.5, 1.0, 1.0]);

        let far = MOST_STEPS as u64 * SECOND;
        steps.add(Nanos(far), Nanos(SECOND), 1.0, || unreachable!());
        assert_eq!(steps.width, Nanos(2 * SECOND));
        assert_eq!(steps.cpu_seconds[..2], [3.5, 0.5]);
        assert_eq!(steps.cpu_seconds.iter().sum::<f64>(), 5.0);
        assert!(steps.cpu_seconds.len() <= MOST_STEPS);
    }
}
