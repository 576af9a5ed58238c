//! Guests that come and go, and what else changes on the way.

use super::super::demand::Demand;
use super::super::log::Applied;
use super::super::mix::{Change, lp_set};
use super::Driver;
use apportion_scheduler::{GuestId, LpId, VpId};

impl Driver<'_> {
    pub(super) fn change(&mut self, change: Change) {
        let now = self.time();
        let guest_id = |guest: usize| GuestId(guest as u32);
        let accepted = match change {
            Change::Start { guest } => {
                let id = guest_id(guest);
                if self.scheduler.admit_guest(now, id).is_ok() {
                    let vps = self.scheduler.machine().guest(id).vps.clone();
                    self.start(&vps);
                }
                return;
            }
            Change::AddVp { guest } => {
                if let Ok(vp) = self.scheduler.add_vp(now, guest_id(guest)) {
                    self.know(&[vp], guest);
                    self.start(&[vp]);
                }
                return;
            }
            Change::Stop { guest } => {
                let id = guest_id(guest);
                let vps = self.scheduler.machine().guest(id).vps.clone();
                self.scheduler.stop_guest(now, id);
                vps.into_iter().for_each(|vp| self.stop(vp.index()));
                return;
            }
            Change::Controls { guest, terms } => {
                let members: Vec<usize> = (0..self.vps.len())
                    .filter(|&vp| self.log.vps[vp].guest == guest)
                    .collect();
                members.iter().for_each(|&vp| self.accrue(vp));
                let id = guest_id(guest);
                let accepted = self.scheduler.set_controls(now, id, terms.controls());
                accepted.is_ok().then(|| {
                    for &vp in &members {
                        // A window with two caps has no bound of its own.
                        self.charge_cap(vp, 0);
                        self.vps[vp].least_account = self.vps[vp].cap_account;
                    }
                    self.terms[guest] = terms;
                    Applied::Controls { guest, terms }
                })
            }
            Change::Affinity { guest, lps } => {
                let set = lps.map(lp_set);
                let accepted = self.scheduler.set_affinity(now, guest_id(guest), set);
                let lps = lps.unwrap_or(u64::MAX);
                accepted.is_ok().then_some(Applied::Affinity { guest, lps })
            }
            Change::LpOff { lp } => {
                let accepted = self.scheduler.lp_off(now, LpId(lp), false);
                let lp = lp as usize;
                accepted.is_ok().then_some(Applied::LpOff { lp })
            }
            Change::LpOn { lp } => {
                let accepted = self.scheduler.lp_on(now, LpId(lp));
                let lp = lp as usize;
                accepted.is_ok().then_some(Applied::LpOn { lp })
            }
        };
        if let Some(applied) = accepted {
            self.log.applied.push((self.now as f64, applied));
        }
    }

    pub(super) fn start(&mut self, vps: &[VpId]) {
        let now = self.now as f64;
        for id in vps {
            let vp = id.index();
            let guest = self.log.vps[vp].guest;
            let behaviour = self.mix.guests[guest].behaviour;
            let mut demand = Demand::new(behaviour, self.mix.seed, vp, now);
            self.log.vps[vp].demand = demand.clone();
            self.log.applied.push((now, Applied::Start { vp }));
            let mut piece = demand.first(now);
            if piece.due > now {
                // It starts with what comes first: an API that starts a VP asleep does not exist.
                piece.due = now;
            }
            self.log.vps[vp].pieces.push(piece);
            self.vps[vp].piece = piece;
            self.vps[vp].demand = demand;
            self.vps[vp].present = true;
            self.vps[vp].account_at = self.now;
        }
        self.scheduler.start(self.time(), vps);
    }

    pub(super) fn stop(&mut self, vp: usize) {
        self.accrue(vp);
        if std::mem::replace(&mut self.vps[vp].present, false) {
            let now = self.now as f64;
            self.log.applied.push((now, Applied::Stop { vp }));
        }
        self.vps[vp].piece.work = f64::INFINITY;
    }
}
