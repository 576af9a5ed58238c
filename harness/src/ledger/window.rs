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
    /// ∫ of what the formula promises of wall time, where what LPs lose is missing to it: see [`Window::kept`].
    pub(crate) carrying: f64,
    /// The same where it gets that whatever is lost.
    pub(crate) limited: f64,
    /// What is left of both, worked out piece by piece: see [`Promise`](super::promise::Promise).
    pub(crate) expected: f64,
    /// ∫ of its cap while it exists.
    pub(crate) cap: f64,
    /// ∫ of its reserve while it exists, as far as the LPs on line suffice for the reserves.
    pub(crate) reserve: f64,
    /// How long it wanted to run; zero for a VP whose demand is declared.
    pub(crate) wanted: f64,
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
        self.carrying += more.carrying;
        self.limited += more.limited;
        self.expected += more.expected;
        self.cap += more.cap;
        self.reserve += more.reserve;
        self.wanted += more.wanted;
        self.present += more.present;
    }
}

/// Which part, 0 to 1, is left of what is promised, given what the LPs lost: see [`Window::kept`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) carrying: f64,
    pub(super) limited: f64,
}

impl Kept {
    pub(super) const ALL: Kept = Kept {
        carrying: 1.0,
        limited: 1.0,
    };

    /// What is left of both.
    pub(super) fn of(self, sums: &VpSums) -> f64 {
        sums.carrying * self.carrying + sums.limited * self.limited
    }
}

/// What one window's sums are. Times are on the engine's clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
    pub(crate) vps: Vec<VpSums>,
    /// Idle time of the LPs on line, ns.
    pub(crate) idle: f64,
    /// Wall time of the LPs on line, ns.
    pub(crate) wall: f64,
}

impl Window {
    pub(crate) fn empty(start: Nanos, end: Nanos, vps: usize) -> Window {
        Window {
            start,
            end,
            vps: vec![VpSums::default(); vps],
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

    /// How much of `carrying` and of `limited` is left of the promise, given what the LPs lost.
    ///
    /// Where the formula's parts x use up all LPs, what the LPs lose is missing
    /// to everybody in proportion to x, but for a VP that gets all of its
    /// declared demand. Where an LP is idle, a loss is missing only to VPs that
    /// cannot make up for it: those with x = 1 LP (there is no more to have),
    /// and those that the LPs they are bound to keep below their own upper
    /// bound. The others are limited by themselves, by a cap or a demand, and
    /// get their x of wall time whatever is lost. With C the sum of ∫x dt that
    /// carries the loss L = wall − delivered, a VP expects
    ///
    /// `carrying · max(0, C − L) / C + limited`
    ///
    /// and no more than was delivered. Where nobody is limited that is
    /// `carrying · delivered / wall`.
    pub(super) fn kept(&self) -> Kept {
        let (carrying, limited) = (self.total(|vp| vp.carrying), self.total(|vp| vp.limited));
        let delivered = self.delivered();
        let part = |part: f64, of: f64| if of > 0.0 { part / of } else { 1.0 };
        let lost = self.wall - delivered;
        Kept {
            carrying: part(carrying - lost, carrying).max(0.0),
            limited: part(delivered, limited).min(1.0),
        }
    }

    /// Makes it longer by the window that follows it.
    pub(crate) fn extend(&mut self, next: &Window) {
        self.end = next.end;
        self.idle += next.idle;
        self.wall += next.wall;
        for (vp, more) in self.vps.iter_mut().zip(&next.vps) {
            vp.add(more);
        }
    }
}

/// Works out what each VP may expect in a piece of time, from what was lost in all of it.
pub(super) fn expect(piece: &mut [Window]) {
    let Some(sums) = merge(piece) else { return };
    let kept = sums.kept();
    for vp in piece.iter_mut().flat_map(|window| &mut window.vps) {
        vp.expected = kept.of(vp);
    }
}

/// Windows that follow each other, as one.
pub(crate) fn merge(windows: &[Window]) -> Option<Window> {
    let mut merged = windows.first()?.clone();
    windows[1..].iter().for_each(|next| merged.extend(next));
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(vps: Vec<VpSums>, idle: f64, wall: f64) -> Vec<f64> {
        let mut cells = [Window {
            vps,
            idle,
            wall,
            ..Window::empty(Nanos(0), Nanos(100), 0)
        }];
        expect(&mut cells);
        cells[0].vps.iter().map(|vp| vp.expected).collect()
    }

    fn vp(carrying: f64, limited: f64, received: f64) -> VpSums {
        VpSums {
            carrying,
            limited,
            received,
            ..VpSums::default()
        }
    }

    #[test]
    fn under_contention_a_loss_is_shared_in_proportion() {
        // Promised 75 and 25 of 100, of which 90 were delivered.
        let vps = vec![vp(75.0, 0.0, 70.0), vp(25.0, 0.0, 20.0)];
        assert_eq!(expected(vps, 0.0, 100.0), [67.5, 22.5]);
    }

    #[test]
    fn beside_an_idle_lp_a_capped_vp_gets_its_cap_whatever_is_lost() {
        // Two LPs: one busy and short of 10, the other with the capped VP.
        let vps = vec![vp(100.0, 0.0, 90.0), vp(0.0, 25.0, 25.0)];
        assert_eq!(expected(vps, 75.0, 200.0), [90.0, 25.0]);
    }

    #[test]
    fn nobody_expects_more_than_was_delivered() {
        let vps = vec![vp(50.0, 0.0, 0.0), vp(0.0, 25.0, 10.0)];
        assert_eq!(expected(vps, 0.0, 100.0), [0.0, 10.0]);
        assert_eq!(expected(vec![vp(0.0, 0.0, 0.0)], 0.0, 0.0), [0.0]);
    }
}
