//! What a stretch of measured time sums up to, and what may be expected of it.

use apportion_scheduler::{Nanos, VpId};

/// One VP's sums, in ns but for `work`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct VpSums {
    /// CPU time received.
    pub(crate) received: f64,
    /// Units of work.
    pub(crate) work: f64,
    /// Dispatches that began.
    pub(crate) dispatches: f64,
    /// Time Ready before them.
    pub(crate) ready: f64,
    /// Time on an LP.
    pub(crate) on_lp: f64,
    /// ∫ of what the formula promises, given what LPs lost: see [`Promise`](super::promise::Promise).
    pub(crate) expected: f64,
    /// ∫ of its cap while it exists.
    pub(crate) cap: f64,
    /// ∫ of its reserve while it wants to run, no more than the demand that it declares, as far as the LPs on line suffice
    /// for the reserves. For one that awaits work, while it exists: see [`work_due`](super::Closed::work_due).
    pub(crate) reserve: f64,
    /// The part of that which losses leave.
    pub(crate) reserve_left: f64,
    /// How long it existed.
    pub(crate) present: f64,
}

impl VpSums {
    fn add(&mut self, more: &VpSums) {
        self.received += more.received;
        self.work += more.work;
        self.dispatches += more.dispatches;
        self.ready += more.ready;
        self.on_lp += more.on_lp;
        self.expected += more.expected;
        self.cap += more.cap;
        self.reserve += more.reserve;
        self.reserve_left += more.reserve_left;
        self.present += more.present;
    }
}

/// One LP's sums, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LpSums {
    /// CPU time that VPs received on it.
    pub(crate) received: f64,
    /// Idle time.
    pub(crate) idle: f64,
}

/// What one window's sums are. Times are on the engine's clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
    pub(crate) vps: Vec<VpSums>,
    /// By LP; empty where no guest is bound to some of them.
    pub(crate) lps: Vec<LpSums>,
    /// Idle time of the LPs on line, ns.
    pub(crate) idle: f64,
    /// Wall time of the LPs on line, ns.
    pub(crate) wall: f64,
}

impl Window {
    pub(crate) fn empty(start: Nanos, end: Nanos, vps: usize, lps: usize) -> Window {
        Window {
            start,
            end,
            vps: vec![VpSums::default(); vps],
            lps: vec![LpSums::default(); lps],
            idle: 0.0,
            wall: 0.0,
        }
    }

    /// How long it is.
    pub(crate) fn length(&self) -> Nanos {
        self.end.since(self.start)
    }

    /// One kind of sum over some VPs.
    pub(crate) fn sum(&self, vps: &[VpId], of: impl Fn(&VpSums) -> f64) -> f64 {
        // From zero, since nothing at all sums up to -0.
        vps.iter()
            .fold(0.0, |sum, vp| sum + of(&self.vps[vp.index()]))
    }

    /// One kind of sum over all VPs.
    pub(crate) fn total(&self, of: impl Fn(&VpSums) -> f64) -> f64 {
        self.vps.iter().map(of).sum()
    }

    /// Received by guests plus idle, ns.
    pub(crate) fn delivered(&self) -> f64 {
        self.total(|vp| vp.received) + self.idle
    }

    /// The CPU time in ns that these VPs should have received, given what the LPs lost.
    pub(crate) fn expected(&self, vps: &[VpId]) -> f64 {
        self.sum(vps, |vp| vp.expected)
    }

    /// Makes it longer by the window that follows it.
    pub(crate) fn extend(&mut self, next: &Window) {
        self.end = next.end;
        self.idle += next.idle;
        self.wall += next.wall;
        for (vp, more) in self.vps.iter_mut().zip(&next.vps) {
            vp.add(more);
        }
        for (lp, more) in self.lps.iter_mut().zip(&next.lps) {
            lp.received += more.received;
            lp.idle += more.idle;
        }
    }
}

/// Windows that follow each other, as one.
pub(crate) fn merge(windows: &[Window]) -> Option<Window> {
    let mut merged = windows.first()?.clone();
    windows[1..].iter().for_each(|next| merged.extend(next));
    Some(merged)
}
