//! One VP's bursts: on for as long as each takes, off until its demand has caught up with it.

use apportion_scheduler::{Nanos, Random};

use super::Piece;

/// An LP, as [`Part::billionths`] counts it.
pub(super) const WHOLE: u64 = 1_000_000_000;

/// A while for which a VP's demand is constant; the next follows at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// How long.
    pub(super) length: Nanos,
    /// Billionths of an LP, no more than [`WHOLE`].
    pub(super) billionths: u64,
}

impl Part {
    /// What it adds to the demand, in billionths of a nanosecond.
    pub(super) fn work(&self) -> u128 {
        u128::from(self.length.0) * u128::from(self.billionths)
    }
}

/// The bursts of a VP with this demand, stretch by stretch.
///
/// Demand adds up as time goes by. The first burst falls due as soon as there
/// is any, and each further one when demand has added up to all bursts before
/// it. Since demand adds up no faster than one VP can work, each can be done
/// before the next is due. So what has fallen due by any time is what was
/// demanded until then, plus what of the last burst is not: less than one
/// burst. Nothing is lost from one interval to the next. Where a stretch ends
/// the sum is exact: a burst that reaches beyond it is cut there, and what is
/// left of it falls due as the next stretch begins.
pub(super) fn bursts(
    stretches: &[&[Part]],
    length: Nanos,
    random: bool,
    mut from: Random,
) -> Vec<Piece> {
    // As if it had begun long ago: VPs do not keep step.
    let mut next = 1 + from.below(length.0);
    let mut given = 0;
    let mut list = Vec::new();
    let (mut begins, mut before) = (Nanos::ZERO, 0_u128);
    for parts in stretches {
        let all = before + parts.iter().map(Part::work).sum::<u128>();
        let all = (all / u128::from(WHOLE)) as u64;
        for part in *parts {
            let after = before + part.work();
            // Where nothing is demanded nothing falls due, also if a fraction is left over.
            while part.billionths > 0
                && given < all
                && u128::from(given) * u128::from(WHOLE) < after
            {
                let missing = (u128::from(given) * u128::from(WHOLE)).saturating_sub(before);
                let at = missing.div_ceil(u128::from(part.billionths)) as u64;
                let run = next.min(all - given);
                list.push(Piece {
                    at: begins + Nanos(at),
                    run: Nanos(run),
                });
                given += run;
                next -= run;
                if next == 0 {
                    next = match random {
                        true => from
                            .exponential(length.0)
                            .clamp(length.0.div_ceil(10), length.0 * 4),
                        false => length.0,
                    };
                }
            }
            (begins, before) = (begins + part.length, after);
        }
    }
    list
}
