//! Which part of a trace is wanted.

use std::collections::BTreeSet;

use apportion_scheduler::{Nanos, Random};

/// A part of a trace. What is left out of it is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// VMs of these names and no others; each has to be there.
    pub ids: Option<BTreeSet<String>>,
    /// From this time of the trace, which becomes time zero.
    pub from: Nanos,
    /// For so long.
    pub span: Option<Nanos>,
    /// Of the VMs that have demand in that time, so many.
    pub count: Count,
}

/// How many VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Every one.
    #[default]
    All,
    /// Those named first, in the order of the files.
    First(u32),
    /// A random sample, the same for the same seed and trace. The trace is read twice for it.
    Sample {
        /// How many.
        vms: u32,
        /// Where the choice begins.
        seed: u64,
    },
}

impl Selection {
    /// When it ends.
    pub(super) fn end(&self) -> Option<Nanos> {
        self.span.map(|span| self.from + span)
    }

    /// What of the time from one to another is wanted, counted from the selected time.
    pub(super) fn cut(&self, from: Nanos, to: Nanos) -> Option<(Nanos, Nanos)> {
        let begin = from.max(self.from);
        let end = self.end().map_or(to, |end| to.min(end));
        (begin < end).then(|| (begin - self.from, end - self.from))
    }

    /// Whether nothing from then on is wanted.
    pub(super) fn is_over(&self, at: Nanos) -> bool {
        self.end().is_some_and(|end| at >= end)
    }
}

/// A number for a name, the same on every machine and with every compiler.
pub(super) fn hash(seed: u64, name: &[u8]) -> u64 {
    let step =
        |state: u64, word: u64| (state.rotate_left(29) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut state = step(seed, name.len() as u64);
    let mut words = name.chunks_exact(8);
    for word in &mut words {
        state = step(
            state,
            u64::from_le_bytes(word.try_into().unwrap_or_default()),
        );
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    Random::new(step(state, u64::from_le_bytes(last))).next()
}

/// The `size` names of a stream that have the smallest numbers: a sample of all
/// names in which each is as likely as any other, however often it comes.
#[derive(Debug)]
pub(super) struct Sample {
    size: usize,
    seed: u64,
    kept: BTreeSet<(u64, Box<[u8]>)>,
    /// Numbers at or above this are of no use.
    limit: u64,
}

impl Sample {
    pub(super) fn new(size: u32, seed: u64) -> Sample {
        Sample {
            size: size as usize,
            seed,
            kept: BTreeSet::new(),
            limit: if size == 0 { 0 } else { u64::MAX },
        }
    }

    pub(super) fn offer(&mut self, name: &[u8]) {
        let number = hash(self.seed, name);
        if number >= self.limit {
            return;
        }
        self.kept.insert((number, name.into()));
        if self.kept.len() > self.size {
            self.kept.pop_last();
        }
        if self.kept.len() == self.size {
            self.limit = self.kept.last().map_or(u64::MAX, |(number, _)| *number);
        }
    }

    pub(super) fn names(self) -> impl Iterator<Item = Box<[u8]>> {
        self.kept.into_iter().map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_cut_at_both_ends_and_counted_from_the_first() {
        let wanted = Selection {
            from: Nanos(100),
            span: Some(Nanos(50)),
            ..Selection::default()
        };
        let cut = |from, to| {
            wanted
                .cut(Nanos(from), Nanos(to))
                .map(|(from, to)| (from.0, to.0))
        };
        assert_eq!(cut(90, 110), Some((0, 10)));
        assert_eq!(cut(110, 120), Some((10, 20)));
        assert_eq!(cut(140, 999), Some((40, 50)));
        assert_eq!(cut(0, 100), None);
        assert_eq!(cut(150, 160), None);
        assert!(!wanted.is_over(Nanos(149)) && wanted.is_over(Nanos(150)));
    }

    #[test]
    fn a_sample_takes_names_once_and_no_matter_in_which_order() {
        let names: Vec<String> = (0..1000).map(|it| format!("vm-{it}")).collect();
        let sample = |names: &mut dyn Iterator<Item = &String>, seed| {
            let mut sample = Sample::new(10, seed);
            names.for_each(|name| sample.offer(name.as_bytes()));
            sample.names().collect::<BTreeSet<_>>()
        };
        let forward = sample(&mut names.iter().chain(&names), 1);
        assert_eq!(forward.len(), 10);
        assert_eq!(forward, sample(&mut names.iter().rev(), 1));
        assert_ne!(forward, sample(&mut names.iter(), 2));
        assert_eq!(sample(&mut names.iter().take(3), 1).len(), 3);
    }

    #[test]
    fn each_name_is_as_likely_as_any_other() {
        // 1000 samples of 10 of 100: a name is in 100 of them, with a standard deviation of 9.5; six of them are 57.
        let mut drawn = [0u32; 100];
        for seed in 0..1000 {
            let mut sample = Sample::new(10, seed);
            (0..100u8).for_each(|it| sample.offer(&[b'v', it]));
            sample
                .names()
                .for_each(|name| drawn[usize::from(name[1])] += 1);
        }
        assert!(drawn.iter().all(|it| (43..=157).contains(it)), "{drawn:?}");
    }
}
