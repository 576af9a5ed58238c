//! Who wants to run at a moment, and what the formula promises everybody from then on.

use super::delivery::Delivery;
use super::oracle::{EQUAL, Oracle};
use super::window::{VpSums, Window};
use crate::plan::Roster;
use apportion_hypervisor::RunSpec;
use apportion_scheduler::{Controls, GuestId, LpId, VpId};
use std::sync::Arc;

/// So little work, ns, is what rounding leaves.
const NOTHING: f64 = 1e-3;

/// Something that the promise depends on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// A VP exists from now on, and wants to run unless work has to arrive for it.
    Begins(VpId),
    /// A VP wants to run, or no longer does.
    Wants(VpId, bool),
    /// So much more work, ns, is to be done by a VP.
    Arrives(VpId, f64),
    /// A guest is gone.
    Gone(GuestId),
    /// A guest has other controls.
    Controls(GuestId, Controls),
    /// An LP is on line or not.
    Lp(LpId, bool),
}

/// Who wants to run, and with which controls.
#[derive(Clone, Debug)]
pub(super) struct State {
    roster: Arc<Roster>,
    pub(super) controls: Vec<Controls>,
    pub(super) online: Vec<bool>,
    present: Vec<bool>,
    wants: Vec<bool>,
    /// By VP that wants to run while work is left: how much, ns.
    backlog: Vec<Option<f64>>,
    /// By guest: VPs that want to run.
    pub(super) wanting: Vec<u32>,
}

impl State {
    /// Before anybody is there. VPs of guests that `await_work` want to run while work is left that arrived for them.
    pub(super) fn new(
        spec: &RunSpec,
        roster: &Roster,
        await_work: impl Fn(GuestId) -> bool,
    ) -> State {
        let backlog = roster.owners.iter();
        State {
            backlog: backlog
                .map(|(guest, _)| await_work(*guest).then_some(0.0))
                .collect(),
            roster: Arc::new(roster.clone()),
            controls: spec.guests.iter().map(|guest| guest.controls).collect(),
            online: vec![true; spec.lps as usize],
            present: vec![false; roster.owners.len()],
            wants: vec![false; roster.owners.len()],
            wanting: vec![0; spec.guests.len()],
        }
    }

    /// Makes a turn.
    pub(super) fn apply(&mut self, turn: Turn) {
        match turn {
            Turn::Begins(vp) => {
                self.present[vp.index()] = true;
                self.want(vp, self.backlog[vp.index()].is_none());
            }
            // A crashed guest's VPs may still be told of.
            Turn::Wants(vp, wants) => self.want(vp, wants && self.present[vp.index()]),
            Turn::Arrives(vp, work) => {
                let present = self.present[vp.index()];
                if let (true, Some(left)) = (present, &mut self.backlog[vp.index()]) {
                    *left += work;
                    self.want(vp, true);
                }
            }
            Turn::Gone(guest) => {
                for index in 0..self.roster.vps_of(guest).len() {
                    let vp = self.roster.vps_of(guest)[index];
                    self.present[vp.index()] = false;
                    self.want(vp, false);
                }
            }
            Turn::Controls(guest, controls) => self.controls[guest.index()] = controls,
            Turn::Lp(lp, online) => self.online[lp.index()] = online,
        }
    }

    fn want(&mut self, vp: VpId, wants: bool) {
        let before = std::mem::replace(&mut self.wants[vp.index()], wants);
        let wanting = &mut self.wanting[self.roster.owners[vp.index()].0.index()];
        *wanting = *wanting + u32::from(wants) - u32::from(before);
    }

    /// What every VP accumulates from now on, where LPs deliver so much of their time.
    pub(super) fn rates(&self, delivery: &Delivery, oracle: &mut Oracle) -> Rates {
        let parts = oracle.solve(self, delivery);
        let mut reserves_kept: f64 = 1.0;
        let vps = self.roster.owners.iter().enumerate().map(|(vp, owner)| {
            let guest = owner.0.index();
            let reserve = self.controls[guest].reserve.percent() / 100.0;
            let mut rate = VpSums::default();
            if self.present[vp] {
                rate.present = 1.0;
                rate.cap = self.controls[guest].cap.percent() / 100.0;
            }
            let (mut due, mut left) = (reserve, reserve);
            if let (true, Some(part)) = (self.wants[vp], &parts[guest]) {
                let held = reserve.min(part.upper);
                if part.without_losses < held - EQUAL {
                    due = part.without_losses;
                    reserves_kept = reserves_kept.min(part.without_losses / held);
                }
                if part.x < held - EQUAL {
                    left = part.x.min(due);
                }
                rate.expected = part.x;
            }
            let demand = match oracle.demand[guest] {
                Some(demand) => demand,
                // What arrives for it is known apart from when it runs.
                None if self.wants[vp] || self.backlog[vp].is_some() => 1.0,
                None => 0.0,
            };
            if self.present[vp] {
                (rate.reserve, rate.reserve_left) = (due.min(demand), left.min(demand));
            }
            rate
        });
        Rates {
            vps: vps.collect(),
            lps: self.online.iter().filter(|online| **online).count() as f64,
            reserves_kept,
        }
    }

    /// How long it takes at these rates until the first VP has no work left; infinite where none has any.
    pub(super) fn until_done(&self, rates: &Rates) -> f64 {
        let mut until = f64::INFINITY;
        for (vp, rate) in rates.vps.iter().enumerate() {
            if let (true, Some(left)) = (self.wants[vp], self.backlog[vp]) {
                until = until.min(left / rate.expected);
            }
        }
        until
    }

    /// Work is done at these rates for `span` ns. Whether anybody has none left.
    pub(super) fn work(&mut self, rates: &Rates, span: f64) -> bool {
        let mut done = false;
        for (vp, rate) in rates.vps.iter().enumerate() {
            if let (true, Some(left)) = (self.wants[vp], &mut self.backlog[vp]) {
                *left -= span * rate.expected;
                if *left < NOTHING {
                    *left = 0.0;
                    self.want(VpId(vp as u32), false);
                    done = true;
                }
            }
        }
        done
    }
}

/// Per ns of wall time.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    vps: Vec<VpSums>,
    lps: f64,
    pub(super) reserves_kept: f64,
}

impl Rates {
    /// Adds what accumulates in `span` ns.
    pub(super) fn add(&self, span: f64, window: &mut Window) {
        window.wall += span * self.lps;
        for (sums, rate) in window.vps.iter_mut().zip(&self.vps) {
            sums.expected += span * rate.expected;
            sums.cap += span * rate.cap;
            sums.reserve += span * rate.reserve;
            sums.reserve_left += span * rate.reserve_left;
            sums.present += span * rate.present;
        }
    }
}
