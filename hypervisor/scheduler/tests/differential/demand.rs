//! What a VP wants and when: the same draws for the fluid and for the real run, whichever is done first.

use super::mix::Behaviour;
use super::random::Dice;

/// A piece of work. Times in ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) due: f64,
    pub(crate) work: f64,
}

/// Of one VP.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    behaviour: Behaviour,
    /// When the next period, or the next piece, begins.
    next: f64,
    dice: Dice,
}

/// Whole ns, so that both runs see the same work.
fn whole(time: f64) -> f64 {
    time.round().max(1_000.0)
}

impl Demand {
    pub(crate) fn new(behaviour: Behaviour, seed: u64, vp: usize, start: f64) -> Demand {
        let mut dice = Dice::new(seed ^ (vp as u64 + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let next = match behaviour {
            Behaviour::Periodic { period, .. } => start + period + (period * dice.unit()).floor(),
            Behaviour::Bursts { gap, .. } => start + whole(dice.exponential(gap)),
            _ => start,
        };
        Demand {
            behaviour,
            next,
            dice,
        }
    }

    pub(crate) fn first(&mut self, start: f64) -> Piece {
        match self.behaviour {
            Behaviour::Bursts { .. } => self.after(start),
            _ => self.piece(start),
        }
    }

    fn piece(&mut self, due: f64) -> Piece {
        let work = match self.behaviour {
            Behaviour::Burning => f64::INFINITY,
            Behaviour::Periodic { run, .. } | Behaviour::Fixed { run, .. } => whole(run),
            Behaviour::OnOff { on, .. } => whole(self.dice.exponential(on)),
            Behaviour::Bursts { work, .. } => whole(self.dice.exponential(work)),
        };
        Piece { due, work }
    }

    /// The piece that follows one that was done at `now`. Due earlier than
    /// `now` where it has been waiting.
    pub(crate) fn after(&mut self, now: f64) -> Piece {
        let due = match self.behaviour {
            Behaviour::Burning => f64::INFINITY,
            Behaviour::Periodic { period, .. } => {
                let due = self.next;
                self.next += period;
                if self.next <= now {
                    // Late by whole periods: those are dropped.
                    self.next += (((now - self.next) / period).floor() + 1.0) * period;
                }
                due
            }
            Behaviour::OnOff { off, .. } => now.ceil() + whole(self.dice.exponential(off)),
            Behaviour::Fixed { pause, .. } => now.ceil() + whole(pause),
            Behaviour::Bursts { gap, .. } => {
                let due = self.next;
                self.next += whole(self.dice.exponential(gap));
                due
            }
        };
        self.piece(due)
    }
}
