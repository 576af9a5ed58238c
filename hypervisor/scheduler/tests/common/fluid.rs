//! The fluid ideal: `x = min(u, r + λ·w)` for everyone who wants to run, in
//! floating point, with λ found by fixing claim after claim at what it can use.

use apportion_scheduler::{Controls, Nanos, VpId};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    weight: f64,
    reserve: f64,
    upper: f64,
}

impl Claim {
    pub(crate) fn of(controls: &Controls) -> Claim {
        Claim {
            weight: f64::from(controls.weight.get()),
            reserve: controls.reserve.percent() / 100.0,
            upper: controls.cap.percent() / 100.0,
        }
    }
}

struct Vp {
    claim: Claim,
    wants: bool,
    rate: f64,
    /// In ns.
    ideal: f64,
    /// The furthest that it was behind and ahead of the ideal, in ns.
    behind: f64,
    ahead: f64,
    /// The most by which its lag rose from one moment to a later one, in ns.
    missed: f64,
}

pub(crate) struct Fluid {
    lps: f64,
    /// A sleeper that is ahead counts until it no longer is.
    debts: bool,
    vps: Vec<Vp>,
    /// Whom the rates were solved for.
    counted: Vec<bool>,
}

impl Fluid {
    pub(crate) fn new(lps: u32, debts: bool) -> Fluid {
        Fluid {
            lps: f64::from(lps),
            debts,
            vps: Vec::new(),
            counted: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, claim: Claim) {
        self.vps.push(Vp {
            claim,
            wants: false,
            rate: 0.0,
            ideal: 0.0,
            behind: 0.0,
            ahead: 0.0,
            missed: 0.0,
        });
    }

    pub(crate) fn wants(&mut self, vp: VpId, wants: bool) {
        self.vps[vp.index()].wants = wants;
    }

    /// In ns of CPU time.
    pub(crate) fn received(&self, vp: VpId) -> f64 {
        self.vps[vp.index()].ideal
    }

    /// The furthest that `vp` was behind, in ns.
    pub(crate) fn behind(&self, vp: VpId) -> f64 {
        self.vps[vp.index()].behind
    }

    /// The furthest that `vp` was ahead, in ns.
    pub(crate) fn ahead(&self, vp: VpId) -> f64 {
        self.vps[vp.index()].ahead
    }

    /// The most that `vp` missed of the ideal over any window, in ns.
    pub(crate) fn missed(&self, vp: VpId) -> f64 {
        self.vps[vp.index()].missed
    }

    /// The furthest that anyone was off, in ns.
    pub(crate) fn most(&self) -> f64 {
        let each = self.vps.iter().map(|vp| vp.behind.max(vp.ahead));
        each.fold(0.0, f64::max)
    }

    /// A span has passed in which the same VPs wanted to run, and by the end of which they have received this.
    pub(crate) fn pass(&mut self, span: Nanos, received: &[u64]) {
        let mut left = span.0 as f64;
        while left > 0.0 {
            let paying =
                |vp: &Vp, received: u64| self.debts && !vp.wants && vp.ideal < received as f64;
            let counts: Vec<bool> = self
                .vps
                .iter()
                .zip(received)
                .map(|(vp, &received)| vp.wants || paying(vp, received))
                .collect();
            if counts != self.counted {
                self.solve(&counts);
                self.counted = counts;
            }
            // Sleepers receive nothing: the first to have paid ends the step.
            let step = self
                .vps
                .iter()
                .zip(received)
                .filter(|(vp, received)| !vp.wants && vp.rate > 0.0 && vp.ideal < **received as f64)
                .map(|(vp, received)| (*received as f64 - vp.ideal) / vp.rate)
                .fold(left, f64::min)
                // Not so short that rounding keeps it from ever ending.
                .max(1e-3)
                .min(left);
            for vp in &mut self.vps {
                vp.ideal += vp.rate * step;
            }
            left -= step;
        }
        for (vp, &received) in self.vps.iter_mut().zip(received) {
            let lag = vp.ideal - received as f64;
            vp.behind = vp.behind.max(lag);
            vp.ahead = vp.ahead.max(-lag);
            vp.missed = vp.missed.max(lag + vp.ahead);
        }
    }

    fn solve(&mut self, counts: &[bool]) {
        let mut open: Vec<usize> = (0..self.vps.len()).filter(|&vp| counts[vp]).collect();
        for vp in &mut self.vps {
            vp.rate = 0.0;
        }
        let mut room = self.lps;
        loop {
            let sum = |of: fn(&Claim) -> f64| -> f64 {
                open.iter().map(|&vp| of(&self.vps[vp].claim)).sum()
            };
            let level = (room - sum(|claim| claim.reserve)) / sum(|claim| claim.weight);
            let before = open.len();
            open.retain(|&vp| {
                let Vp { claim, rate, .. } = &mut self.vps[vp];
                let by_weight = claim.reserve + level * claim.weight;
                *rate = by_weight.min(claim.upper);
                let open = by_weight < claim.upper;
                if !open {
                    room -= claim.upper;
                }
                open
            });
            if open.len() == before || open.is_empty() {
                return;
            }
        }
    }
}
