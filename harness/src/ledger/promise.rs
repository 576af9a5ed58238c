//! What the formula promises over time: solved anew whenever somebody sleeps, wakes, or is changed.

use super::oracle::{EQUAL, Oracle};
use super::window::{VpSums, Window};
use crate::plan::Roster;
use apportion_hypervisor::{GuestSpec, Payload, RunSpec};
use apportion_scheduler::{Controls, GuestId, LpId, Nanos, VpId};

/// Something that the promise depends on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// A VP exists from now on, and wants to run.
    Begins(VpId),
    /// A VP wants to run, or no longer does.
    Wants(VpId, bool),
    /// A guest is gone.
    Gone(GuestId),
    /// A guest has other controls.
    Controls(GuestId, Controls),
    /// An LP is on line or not.
    Lp(LpId, bool),
}

/// By guest, the demand that its payload declares, as a part of one LP; `None` where its sleeps are recorded instead.
pub(super) fn declared_demands(spec: &RunSpec) -> Vec<Option<f64>> {
    let guests = spec.guests.iter();
    guests.map(|guest| declared_demand(guest.payload)).collect()
}

/// What guests turned out to want, having received these parts of an LP per
/// VP. One that paces itself wants more than it declares: sleeping and waking
/// cost it time, and work takes longer than it thinks on a host that is busy.
pub(super) fn demands(spec: &RunSpec, received: &[f64]) -> Vec<Option<f64>> {
    let declared = declared_demands(spec).into_iter();
    let of = |((declared, received), guest): ((Option<f64>, &f64), &GuestSpec)| {
        let paces_itself = !matches!(guest.payload, Payload::Periodic { .. });
        declared.map(|declared| match paces_itself {
            true => declared.max(received.min(1.0)),
            false => declared,
        })
    };
    declared.zip(received).zip(&spec.guests).map(of).collect()
}

/// The demand that a payload declares.
pub(super) fn declared_demand(payload: Payload) -> Option<f64> {
    match payload {
        Payload::Periodic { period, run }
        | Payload::Probe { period, run }
        | Payload::Bursts {
            every: period,
            run,
            random: false,
        } => Some(run.0 as f64 / period.0 as f64),
        _ => None,
    }
}

/// Adds the promise to `windows`, which follow each other. Returns the least
/// part of the reserves that the LPs on line left room for, where it is below 1.
pub(super) fn integrate(
    spec: &RunSpec,
    roster: &Roster,
    demands: Vec<Option<f64>>,
    mut turns: Vec<(Nanos, Turn)>,
    mut windows: &mut [Window],
) -> Option<f64> {
    // Entries come nearly in order, and a VP wakes when it was due.
    turns.sort_by_key(|(at, _)| *at);
    let mut state = State::new(spec, roster);
    let mut oracle = Oracle::new(spec, demands);
    let mut kept: f64 = 1.0;
    for (index, (from, turn)) in turns.iter().enumerate() {
        state.apply(*turn);
        let until = turns.get(index + 1).map_or(Nanos(u64::MAX), |(at, _)| *at);
        let before = windows.iter().take_while(|window| window.end <= *from);
        let passed = before.count();
        windows = &mut windows[passed..];
        if windows.is_empty() {
            break;
        }
        if until <= windows[0].start.max(*from) {
            continue;
        }
        let rates = state.rates(&mut oracle);
        kept = kept.min(rates.reserves_kept);
        for window in windows.iter_mut().take_while(|window| window.start < until) {
            let span = until.min(window.end).since(window.start.max(*from)).0 as f64;
            rates.add(span, window);
        }
    }
    (kept < 1.0 - EQUAL).then_some(kept)
}

/// Who wants to run, and with which controls.
#[derive(Debug)]
pub(super) struct State {
    roster: Roster,
    pub(super) controls: Vec<Controls>,
    pub(super) online: Vec<bool>,
    present: Vec<bool>,
    wants: Vec<bool>,
    /// By guest: VPs that want to run.
    pub(super) wanting: Vec<u32>,
}

impl State {
    pub(super) fn new(spec: &RunSpec, roster: &Roster) -> State {
        State {
            roster: roster.clone(),
            controls: spec.guests.iter().map(|guest| guest.controls).collect(),
            online: vec![true; spec.lps as usize],
            present: vec![false; roster.owners.len()],
            wants: vec![false; roster.owners.len()],
            wanting: vec![0; spec.guests.len()],
        }
    }

    pub(super) fn apply(&mut self, turn: Turn) {
        match turn {
            Turn::Begins(vp) => {
                self.present[vp.index()] = true;
                self.want(vp, true);
            }
            // A crashed guest's VPs may still be told of.
            Turn::Wants(vp, wants) => self.want(vp, wants && self.present[vp.index()]),
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

    /// What every VP accumulates from now on.
    pub(super) fn rates(&self, oracle: &mut Oracle) -> Rates {
        let parts = oracle.solve(self);
        let mut reserves_kept: f64 = 1.0;
        let vps = self.roster.owners.iter().enumerate().map(|(vp, owner)| {
            let guest = owner.0.index();
            let reserve = self.controls[guest].reserve.percent() / 100.0;
            let mut rate = VpSums::default();
            if self.present[vp] {
                rate.present = 1.0;
                rate.cap = self.controls[guest].cap.percent() / 100.0;
                rate.reserve = reserve;
            }
            if let (true, Some(part)) = (self.wants[vp], &parts[guest]) {
                let held = reserve.min(part.upper);
                if part.x < held - EQUAL {
                    rate.reserve = part.x;
                    reserves_kept = reserves_kept.min(part.x / held);
                }
                if oracle.demand[guest].is_none() {
                    rate.wanted = 1.0;
                }
                match part.carries {
                    true => rate.carrying = part.x,
                    false => rate.limited = part.x,
                }
            }
            rate
        });
        Rates {
            vps: vps.collect(),
            lps: self.online.iter().filter(|online| **online).count() as f64,
            reserves_kept,
        }
    }
}

/// Per ns of wall time.
pub(super) struct Rates {
    vps: Vec<VpSums>,
    lps: f64,
    reserves_kept: f64,
}

impl Rates {
    pub(super) fn add(&self, span: f64, window: &mut Window) {
        window.wall += span * self.lps;
        for (sums, rate) in window.vps.iter_mut().zip(&self.vps) {
            sums.carrying += span * rate.carrying;
            sums.limited += span * rate.limited;
            sums.cap += span * rate.cap;
            sums.reserve += span * rate.reserve;
            sums.wanted += span * rate.wanted;
            sums.present += span * rate.present;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{burners, planned_as};
    use apportion_hypervisor::Ns;

    #[test]
    fn what_a_guest_that_paces_itself_received_counts_as_wanted_where_it_is_more() {
        let mut spec = planned_as(burners(&[("a", 100), ("b", 100), ("c", 100), ("d", 100)])).spec;
        let (period, run) = (Ns(10), Ns(4));
        spec.guests[0].payload = Payload::Periodic { period, run };
        spec.guests[1].payload = Payload::Probe { period, run };
        spec.guests[2].payload = Payload::Bursts {
            every: period,
            run,
            random: false,
        };
        let told = |received| demands(&spec, &[received; 4]);
        assert_eq!(told(0.5), [Some(0.4), Some(0.5), Some(0.5), None]);
        // One that is starved still wants what it declares; none can use more than an LP.
        assert_eq!(told(0.1), [Some(0.4), Some(0.4), Some(0.4), None]);
        assert_eq!(told(1.1), [Some(0.4), Some(1.0), Some(1.0), None]);
    }
}
