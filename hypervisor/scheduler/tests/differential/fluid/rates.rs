//! What every VP that has work receives per time, and the notes at the borders.

use super::super::formula::{Claim, rates};
use super::{Fluid, OneLp, Source};
use apportion_scheduler::WeightScope;

/// So many slices back losses are made up for, as the project says.
const MADE_UP: f64 = 128.0;

impl Fluid<'_> {
    pub(super) fn solve(&mut self) {
        if self.source == Source::Reserved {
            for vp in &mut self.vps {
                vp.rate = self.terms[vp.guest].reserve / 100.0;
            }
            return;
        }
        let delivered: Vec<f64> = (0..self.mix.lps as usize)
            .map(|lp| match self.online >> lp & 1 {
                1 if self.one_lp == OneLp::Remembered => self.remembered(lp),
                1 => self.log.delivered(self.piece, lp),
                _ => 0.0,
            })
            .collect();
        let wanting: Vec<usize> = (0..self.vps.len())
            .filter(|&vp| self.vps[vp].present && self.vps[vp].backlog > 0.0)
            .collect();
        let mut siblings = vec![0.0f64; self.terms.len()];
        for &vp in &wanting {
            siblings[self.vps[vp].guest] += 1.0;
        }
        let claims: Vec<Claim> = wanting
            .iter()
            .map(|&vp| {
                let guest = self.vps[vp].guest;
                let terms = self.terms[guest];
                let lps = self.allowed[guest] & self.online;
                let members = (0..delivered.len()).filter(|lp| lps >> lp & 1 == 1);
                let total: f64 = members.map(|lp| delivered[lp]).sum();
                let mean = total / f64::from(lps.count_ones()).max(1.0);
                let one = match self.one_lp {
                    OneLp::Own => self.log.ceiling(self.piece, vp).unwrap_or(mean),
                    OneLp::Mean | OneLp::Remembered => mean,
                };
                let split = match self.mix.scope {
                    WeightScope::Vp => 1.0,
                    WeightScope::Guest => siblings[guest],
                };
                Claim {
                    weight: f64::from(terms.weight) / split,
                    reserve: terms.reserve / 100.0,
                    ceiling: match self.vps[vp].credit > 0.0 {
                        true => one,
                        false => one.min(terms.cap / 100.0),
                    },
                    lps,
                }
            })
            .collect();
        let (rates, shrank) = rates(&claims, self.mix.model, &delivered);
        self.outcome.shrank |= shrank;
        let (given, room) = (rates.iter().sum::<f64>(), delivered.iter().sum::<f64>());
        self.outcome.had_room &= given < room - 1e-9;
        self.vps.iter_mut().for_each(|vp| vp.rate = 0.0);
        let mut at_cap = vec![false; self.vps.len()];
        for (&vp, rate) in wanting.iter().zip(&rates) {
            self.vps[vp].rate = *rate;
            let cap = self.terms[self.vps[vp].guest].cap / 100.0;
            at_cap[vp] = *rate >= cap - 1e-9;
        }
        for (was, is) in self.was_at_cap.iter_mut().zip(at_cap) {
            *was &= is;
        }
    }

    /// What an LP gave on average, in this piece of the run and in those before it for which losses are made up.
    fn remembered(&self, lp: usize) -> f64 {
        let length = self.log.borders[0] / self.mix.slice as f64;
        let before = (MADE_UP / length).ceil() as usize;
        let pieces = self.piece.saturating_sub(before)..=self.piece;
        let count = pieces.clone().count() as f64;
        pieces
            .map(|piece| self.log.delivered(piece, lp))
            .sum::<f64>()
            / count
    }

    pub(super) fn note(&mut self) {
        for (vp, course) in self.vps.iter().zip(&mut self.outcome.courses) {
            course.service.push(vp.service);
            course.slack.push(vp.slack);
            course.capped.push(vp.capped);
        }
        for (was, course) in self.was_at_cap.iter_mut().zip(&mut self.outcome.courses) {
            course.at_cap.push(std::mem::replace(was, true));
        }
    }
}
