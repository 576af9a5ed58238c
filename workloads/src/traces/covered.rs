//! For which times a VM has readings, where these come in no order.

use std::collections::BTreeMap;

use apportion_scheduler::Nanos;

/// Times that are taken, in stretches that do not touch, from when until when: readings that follow each other, in
/// whatever order they come, are one.
#[derive(Debug, Default)]
pub(super) struct Covered(BTreeMap<Nanos, Nanos>);

impl Covered {
    /// Takes the time from one to another; false where some of it is taken.
    pub(super) fn take(&mut self, from: Nanos, to: Nanos) -> bool {
        // Of all that begin before its end the last ends last.
        let before = self.0.range(..to).next_back();
        let begin = match before {
            Some((_, end)) if *end > from => return false,
            Some((begin, end)) if *end == from => *begin,
            _ => from,
        };
        let end = self.0.remove(&to).unwrap_or(to);
        self.0.insert(begin, end);
        true
    }

    /// How many stretches there are.
    pub(super) fn stretches(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_time_is_taken_twice(all in prop::collection::vec((0..60_usize, 1..6_usize), 0..60)) {
            let mut covered = Covered::default();
            let mut taken = [false; 66];
            for (from, length) in all {
                let free = taken[from..from + length].iter().all(|it| !it);
                let (begin, end) = (Nanos(from as u64), Nanos((from + length) as u64));
                prop_assert_eq!(covered.take(begin, end), free);
                if free {
                    taken[from..from + length].fill(true);
                }
                let begins = |at: usize| taken[at] && (at == 0 || !taken[at - 1]);
                prop_assert_eq!(covered.stretches(), (0..66).filter(|at| begins(*at)).count());
            }
        }
    }
}
