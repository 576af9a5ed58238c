//! What happened in a real run: what the fluid model is fed with, and what it is held against.

use super::demand::{Demand, Piece};
use super::mix::Terms;

/// Pieces of a run, at whose borders service is compared and within which
/// losses count as spread evenly.
pub(crate) const PIECES: usize = 40;

/// A change that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Applied {
    Start { vp: usize },
    Stop { vp: usize },
    Controls { guest: usize, terms: Terms },
    Affinity { guest: usize, lps: u64 },
    LpOff { lp: usize },
    LpOn { lp: usize },
}

/// One VP's run.
#[derive(Clone, Debug)]
pub(crate) struct VpLog {
    pub(crate) guest: usize,
    /// As it was before its first piece.
    pub(crate) demand: Demand,
    /// What it wanted in the real run.
    pub(crate) pieces: Vec<Piece>,
    /// By border: CPU time received.
    pub(crate) service: Vec<f64>,
    /// By border: its reserve, summed over the time for which it wanted to run.
    pub(crate) reserved: Vec<f64>,
    /// By piece of the run: on LPs, and what of that was lost.
    pub(crate) dispatched: Vec<f64>,
    pub(crate) lost: Vec<f64>,
    /// The most that it had beyond its cap over any window, in ns.
    pub(crate) over_cap: f64,
}

/// A whole run. Times in ns.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) vps: Vec<VpLog>,
    pub(crate) applied: Vec<(f64, Applied)>,
    pub(crate) borders: Vec<f64>,
    /// By piece of the run and LP: lost.
    pub(crate) lost: Vec<Vec<f64>>,
    /// By border: for how long LPs have been woken, with a VP waiting meanwhile.
    pub(crate) waking: Vec<f64>,
    /// The least and the most lag that the scheduler reported, in ns.
    pub(crate) lag: (f64, f64),
    /// Idle time of LPs while a VP waited that could have run, beyond what calls take.
    pub(crate) idle: f64,
    pub(crate) dispatches: u64,
}

impl Log {
    pub(crate) fn new(duration: f64, lps: usize) -> Log {
        let border = |index| duration * index as f64 / PIECES as f64;
        Log {
            vps: Vec::new(),
            applied: Vec::new(),
            borders: (1..=PIECES).map(border).collect(),
            lost: vec![vec![0.0; lps]; PIECES],
            waking: Vec::new(),
            lag: (0.0, 0.0),
            idle: 0.0,
            dispatches: 0,
        }
    }

    /// The piece of the run in which `at` lies.
    fn piece_at(&self, at: f64) -> usize {
        self.borders.partition_point(|&border| border <= at)
    }

    /// The pieces of the run that a span lies in, and for how long in each.
    fn split(&self, from: f64, to: f64) -> Vec<(usize, f64)> {
        let mut parts = Vec::new();
        let mut at = from;
        while at < to {
            let piece = self.piece_at(at);
            let Some(&border) = self.borders.get(piece) else {
                break;
            };
            let end = to.min(border);
            parts.push((piece, end - at));
            at = end;
        }
        parts
    }

    /// Notes what an LP lost, from one time to another, and the VP on it with it.
    pub(crate) fn lose(&mut self, lp: usize, vp: Option<usize>, from: f64, to: f64) {
        for (piece, span) in self.split(from, to) {
            self.lost[piece][lp] += span;
            if let Some(vp) = vp {
                self.vps[vp].lost[piece] += span;
            }
        }
    }

    /// Notes a dispatch.
    pub(crate) fn dispatch(&mut self, vp: usize, from: f64, to: f64) {
        for (piece, span) in self.split(from, to) {
            self.vps[vp].dispatched[piece] += span;
        }
    }

    /// What the LPs gave on which a VP ran in a piece of the run, as a part of
    /// wall time: one LP's ceiling for it. It does not choose its LP, and one
    /// that loses more gives less to a VP that has it for itself.
    pub(crate) fn ceiling(&self, piece: usize, vp: usize) -> Option<f64> {
        let vp = &self.vps[vp];
        let dispatched = vp.dispatched[piece];
        (dispatched > 0.0).then(|| (1.0 - vp.lost[piece] / dispatched).max(0.0))
    }

    /// What an LP gives in a piece of the run, as a part of wall time.
    pub(crate) fn delivered(&self, piece: usize, lp: usize) -> f64 {
        let length = self.borders[0];
        (1.0 - self.lost[piece][lp] / length).max(0.0)
    }
}
