//! Work that is known before it is done: the same for those who plan it and those who run it.

use crate::units::Nanos;

/// A piece of work that a VP is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When it arrives: on the clock of who asks, or of recorded ones since the guests were started.
    pub at: Nanos,
    /// How much CPU time it takes.
    pub run: Nanos,
}

/// Work that was recorded elsewhere, to be done by a guest with payload `replay`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedDemand {
    /// By VP of the guest, in order of time; one for which there is none never wakes.
    pub vps: Vec<Vec<Piece>>,
}
