//! Readings that say when they were taken and not for how long they hold: until the next one.

use apportion_scheduler::Nanos;

use super::fields::Bad;

/// How far readings of a format lie apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spacing {
    /// How far, where there is only one.
    pub(super) usual: Nanos,
    /// Further apart than this there are readings missing between two.
    pub(super) longest: Nanos,
}

/// A reading that holds until the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    from: Nanos,
    lps: f64,
    /// For how long the one before it held.
    before: Nanos,
}

/// From when, for how long, and how much.
pub(super) type Reading = (Nanos, Nanos, f64);

impl Spacing {
    /// Takes a reading, and gives the one before it, which is now known to its end.
    pub(super) fn take(
        self,
        held: &mut Option<Held>,
        from: Nanos,
        lps: f64,
    ) -> Result<Option<Reading>, Bad> {
        let Some(last) = *held else {
            let before = self.usual;
            *held = Some(Held { from, lps, before });
            return Ok(None);
        };
        if from <= last.from {
            return Err(Bad::new(
                "time",
                "it is no later than that of the VM's line before: sort the file by VM and time",
            ));
        }
        let apart = from - last.from;
        let before = if apart <= self.longest {
            apart
        } else {
            last.before
        };
        *held = Some(Held { from, lps, before });
        Ok(Some((last.from, before, last.lps)))
    }

    /// The last reading, which holds for as long as the one before it.
    pub(super) fn finish(held: Option<Held>) -> Option<Reading> {
        held.map(|last| (last.from, last.before, last.lps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_holds_until_the_next_and_before_a_gap_as_long_as_the_one_before() {
        let spacing = Spacing {
            usual: Nanos(300),
            longest: Nanos(450),
        };
        let mut held = None;
        let mut taken = Vec::new();
        for at in [0, 310, 1000, 1290] {
            taken.extend(spacing.take(&mut held, Nanos(at), at as f64).unwrap());
        }
        taken.extend(Spacing::finish(held));
        let plain: Vec<_> = taken
            .iter()
            .map(|(from, length, _)| (from.0, length.0))
            .collect();
        assert_eq!(plain, [(0, 310), (310, 310), (1000, 290), (1290, 290)]);
        assert!(spacing.take(&mut held, Nanos(1290), 0.0).is_err());

        let mut alone = None;
        assert_eq!(spacing.take(&mut alone, Nanos(5), 1.0), Ok(None));
        assert_eq!(Spacing::finish(alone), Some((Nanos(5), Nanos(300), 1.0)));
    }
}
