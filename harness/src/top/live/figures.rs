//! What a second came to, and the picture of it.

use super::Live;
use crate::ledger::LpSums;
use crate::top::picture::{Line, LpLine, Picture, Second, Sums, percent};
use apportion_hypervisor::counters::{LpSnapshot, VpSnapshot};
use apportion_recording::counted;
use apportion_scheduler::{Nanos, VpId};

impl Live {
    /// A second is over: what it came to is shown, and the next begins.
    pub(super) fn close(&mut self, now: Nanos) {
        let span = now.since(self.since).0 as f64;
        self.since = now;
        for lp in &mut self.lps {
            if self.simulated {
                // An LP tells that it was idle when it no longer is, which may
                // be never; what it loses, it loses within dispatches.
                let there = if lp.online { span } else { 0.0 };
                lp.idle = (there - lp.busy).max(0.0);
            }
        }
        let lps = self.lps.iter().map(|lp| LpSums {
            received: lp.ran,
            idle: lp.idle,
        });
        let lps: Vec<LpSums> = lps.collect();
        let idle: f64 = lps.iter().map(|lp| lp.idle).sum();
        let received: Vec<f64> = self.vps.iter().map(|vp| vp.sums.ran).collect();
        let expected = self.outlook.look(now, &received, &lps);
        self.second = Some(Second {
            span,
            delivered: received.iter().sum::<f64>() + idle,
            foreseen: expected.is_some(),
            counted: self.counted_before.is_some(),
        });
        for (vp, sums) in self.vps.iter_mut().enumerate() {
            sums.shown = std::mem::take(&mut sums.sums);
            sums.shown.expected = expected.as_ref().map_or(0.0, |expected| expected[vp]);
        }
        self.close_lps(span);
        self.close_counters();
    }

    /// As the entries tell it; counters, where there are some, tell more.
    fn close_lps(&mut self, span: f64) {
        for lp in &mut self.lps {
            let part = |time: f64| Some(percent(time, span));
            lp.shown.parts = [
                part(lp.ran),
                part(lp.busy - lp.ran),
                None,
                None,
                None,
                part(lp.idle),
            ];
            (lp.ran, lp.busy, lp.idle) = (0.0, 0.0, 0.0);
        }
    }

    fn close_counters(&mut self) {
        let (Some(before), Some(now)) = (&self.counted_before, &self.counted) else {
            return;
        };
        let span = now.at.since(before.at).0 as f64;
        let lps = before.lps.iter().zip(&now.lps);
        for (lp, (before, now)) in self.lps.iter_mut().zip(lps) {
            lp.shown.parts = lp_parts(before, now, span);
        }
        let vps = before.vps.iter().zip(&now.vps);
        for (vp, (before, now)) in self.vps.iter_mut().zip(vps) {
            let rate =
                |of: fn(&VpSnapshot) -> u64| of(now).saturating_sub(of(before)) as f64 / span * 1e9;
            vp.shown.intercepts = rate(|vp| vp.intercepts.iter().sum());
            vp.shown.hypercalls = rate(|vp| vp.intercepts[HYPERCALL]);
            vp.shown.long_spins = rate(|vp| vp.long_spin_waits);
            vp.shown.interrupts = rate(|vp| vp.posted);
        }
    }

    /// All of it, as it stands.
    pub(crate) fn picture(&self) -> Picture {
        let spec = &self.planned.spec;
        let line = |&id: &VpId| {
            let vp = &self.vps[id.index()];
            vp.present.then(|| Line {
                guest: vp.guest,
                vp: Some(vp.index),
                name: format!("{}:{}", self.name(vp.guest), vp.index),
                state: vp.state,
                vps: 1,
                controls: self.guests[vp.guest.index()].controls,
                sums: vp.shown,
            })
        };
        let roster = &self.planned.roster;
        let vps: Vec<Line> = roster
            .guests()
            .flat_map(|guest| roster.vps_of(guest).iter().filter_map(line))
            .collect();
        let guests = vps.chunk_by(|a, b| a.guest == b.guest);
        Picture {
            title: self.title.clone(),
            simulated: self.simulated,
            machine: format!(
                "{}, slice {}, policy {}",
                counted(spec.lps.into(), "LP"),
                spec.slice,
                spec.policy
            ),
            passed: self.passed,
            length: self.planned.length(),
            second: self.second,
            lps: self
                .lps
                .iter()
                .map(|lp| LpLine {
                    online: lp.online,
                    ..lp.shown
                })
                .collect(),
            guests: guests.filter_map(|vps| self.of_guest(vps)).collect(),
            vps,
        }
    }

    /// The lines of its VPs as one.
    fn of_guest(&self, vps: &[Line]) -> Option<Line> {
        let first = vps.first()?;
        let mut sums = Sums::default();
        vps.iter().for_each(|vp| sums += vp.sums);
        Some(Line {
            vp: None,
            name: self.name(first.guest).to_owned(),
            state: vps.iter().map(|vp| vp.state).min()?,
            vps: vps.len() as u32,
            sums,
            ..first.clone()
        })
    }
}

/// Among the intercepts of a VP.
const HYPERCALL: usize = apportion_hypervisor::counters::Intercept::Hypercall as usize;

/// In the order of [`crate::top::picture::LP_PARTS`].
fn lp_parts(before: &LpSnapshot, now: &LpSnapshot, span: f64) -> [Option<f64>; 6] {
    let part =
        |of: fn(&LpSnapshot) -> Nanos| Some(percent(of(now).since(of(before)).0 as f64, span));
    [
        part(|lp| lp.guest),
        part(|lp| lp.hypervisor),
        part(|lp| lp.root),
        part(|lp| lp.others),
        part(|lp| lp.steal),
        part(|lp| lp.idle),
    ]
}
