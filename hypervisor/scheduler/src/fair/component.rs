//! VPs that compete with each other for some of the LPs: their time, and who bears what these LPs lose.

use super::Fixed;
use crate::rates::{ONE, RATE_BITS, Rate};

/// What is still owed to rounding before it is paid out: a microsecond.
const ROUNDING: Fixed = 1_000 << RATE_BITS;

/// What a rate gives in `span`.
fn of_span(span: Fixed, rate: u64) -> Fixed {
    span.saturating_mul(Fixed::from(rate)) >> RATE_BITS
}

/// All VPs but where affinities divide them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Component {
    /// Its time τ: wall time, less what all bear of losses alike.
    pub(super) tau: Fixed,
    /// Σ of what its VPs' fluid rises by. Rounded down, so a trifle less than `capacity`.
    pub(super) total: Rate,
    /// What there would be to share if nothing were lost.
    pub(super) capacity: u64,
    /// What rounding kept back so far.
    owed: Fixed,
    /// Everyone has all that it can use: nobody competes.
    pub(super) saturated: bool,
    /// What its LPs lost so far, as far as classes bear it each in its own measure.
    pub(super) lost: Fixed,
    /// What part of a loss falls on classes, each in its own measure; the rest is everybody's.
    pub(super) borne_by_classes: Rate,
    /// How much of its LPs' time is expected to be lost: the rates are what remains.
    pub(super) expected: Rate,
    /// What its VPs get beyond their reserves.
    pub(super) surplus: u64,
    /// What was lost beyond what was expected, and not received beyond reserves since.
    pub(super) borne: Fixed,
}

impl Component {
    pub(super) fn advance(&mut self, span: Fixed) {
        let made_up = of_span(span, self.surplus + self.expected);
        self.borne = (self.borne - made_up).max(0);
        (self.tau, self.owed) = self.after(span);
    }

    /// τ, and what is owed to rounding, `span` later, if nothing is lost meanwhile.
    fn after(&self, span: Fixed) -> (Fixed, Fixed) {
        let owed = self.owed + of_span(span, self.capacity - self.total);
        // In whole parts, so that it makes no difference how often one looks.
        let paid = owed - owed % ROUNDING;
        (self.tau + span + self.stretch(paid), owed - paid)
    }

    /// τ, `span` later, if nothing is lost meanwhile.
    pub(super) fn tau_after(&self, span: Fixed) -> Fixed {
        match span {
            0 => self.tau,
            _ => self.after(span).0,
        }
    }

    /// `amount` of its LPs' time was lost. Those who get something beyond their reserves bear it, up to what they
    /// get in `memory`; the rest is everybody's: reserves shrink where nothing else is left.
    pub(super) fn lose(&mut self, amount: Fixed, memory: Fixed) {
        let most = memory.saturating_mul(Fixed::from(self.surplus + self.expected)) >> RATE_BITS;
        let borne = amount.min((most - self.borne).max(0));
        self.lost += borne;
        self.borne = self.borne.saturating_add(borne);
        self.shrink(amount - of_span(borne, self.borne_by_classes));
    }

    /// Takes `amount` of CPU time off the fluid ideal, from everyone in proportion to what it rises by.
    pub(super) fn shrink(&mut self, amount: Fixed) {
        self.tau -= self.stretch(amount);
    }

    /// So much of τ gives `amount` of CPU time to all together.
    fn stretch(&self, amount: Fixed) -> Fixed {
        match self.total {
            0 => 0,
            total => amount * Fixed::from(ONE) / Fixed::from(total),
        }
    }
}
