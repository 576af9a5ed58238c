//! Random numbers that are the same on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, every seed is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Another sequence for each `stream` of the same seed.
    pub fn stream(seed: u64, stream: u64) -> Random {
        // Seed and stream count for different things: stream 2 of seed 1 is not
        // stream 1 of seed 2.
        let mut first = Random::new(seed);
        Random(Random::new(first.next() ^ stream).next())
    }

    /// 64 random bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends: an iterator's Option would only be in the way"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, evenly but for 1 part in 2^64; 0 where `bound` is.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Exponentially distributed with this mean, in whole numbers.
    ///
    /// Von Neumann's method (1951): it compares random numbers and computes no
    /// logarithm, so that it gives the same on every machine.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        let mut whole = 0u64;
        loop {
            let first = self.next();
            let mut last = first;
            let mut falls = 0u32;
            loop {
                let next = self.next();
                if next >= last {
                    break;
                }
                last = next;
                falls += 1;
            }
            if falls.is_multiple_of(2) {
                let part = ((u128::from(first) * u128::from(mean)) >> 64) as u64;
                return mean.saturating_mul(whole).saturating_add(part);
            }
            whole += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_paper() {
        // The first outputs of splitmix64.c for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_streams_of_a_seed_differ_and_are_always_the_same() {
        let first = |seed, stream| Random::stream(seed, stream).next();
        assert_eq!(first(1, 2), 16_613_338_946_343_043_936);
        assert_eq!(first(1, 3), 15_354_349_423_939_954_581);
        assert_ne!(first(1, 2), first(2, 1));
        assert_ne!(first(1, 1), first(2, 2));
        assert_eq!(first(7, 1 << 32), 3_809_561_202_018_297_774);
    }

    #[test]
    fn exponential_has_its_mean_and_its_tail() {
        let mut random = Random::new(7);
        let draws: Vec<u64> = (0..100_000).map(|_| random.exponential(1_000)).collect();
        let mean = draws.iter().sum::<u64>() as f64 / 1e5;
        // Standard error 1000/√100000 = 3.2: five of them.
        assert!((mean - 1_000.0).abs() < 16.0, "{mean}");
        let beyond = draws.iter().filter(|&&draw| draw > 2_000).count() as f64 / 1e5;
        // e^−2 = 0.1353, standard error 0.0011.
        assert!((beyond - 0.1353).abs() < 0.0055, "{beyond}");
    }

    #[test]
    fn below_stays_below() {
        let mut random = Random::new(1);
        assert!((0..1_000).all(|_| random.below(7) < 7));
        assert_eq!(random.below(0), 0);
    }
}
