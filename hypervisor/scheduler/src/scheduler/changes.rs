//! Guests, VPs and LPs come, change and go.

use super::{NewGuest, Scheduler};
use crate::admission::{AdmissionError, Wanted};
use crate::caps::Bucket;
use crate::controls::{Controls, Reserve};
use crate::machine::{Guest, Presence, Vp, VpState};
use crate::policy::Leave;
use crate::topology::LpSet;
use crate::units::{GuestId, LpId, Nanos, VpId};

impl Scheduler {
    pub(super) fn do_add_guest(
        &mut self,
        now: Nanos,
        new: &NewGuest,
    ) -> Result<GuestId, AdmissionError> {
        self.machine.admit(&Wanted {
            guest: None,
            name: &new.name,
            vps: new.vps as usize,
            reserve: new.controls.reserve,
            affinity: new.affinity.as_ref(),
        })?;
        let id = self.push_guest(now, new);
        self.let_in(now, id);
        Ok(id)
    }

    pub(super) fn do_define_guest(&mut self, now: Nanos, new: &NewGuest) -> GuestId {
        let id = self.push_guest(now, new);
        self.policy.changed(now, &self.machine);
        id
    }

    pub(super) fn do_admit_guest(&mut self, now: Nanos, id: GuestId) -> Result<(), AdmissionError> {
        let guest = self.machine.guest(id);
        match guest.presence {
            Presence::Here => return Ok(()),
            Presence::Stopped => return Err(stopped(guest)),
            Presence::Awaited => {}
        }
        self.machine.admit(&Wanted {
            // It was promised nothing by now.
            guest: None,
            name: &guest.name,
            vps: guest.vps.len(),
            reserve: guest.controls.reserve,
            affinity: guest.affinity.as_ref(),
        })?;
        self.let_in(now, id);
        Ok(())
    }

    /// A guest that is not there yet.
    fn push_guest(&mut self, now: Nanos, new: &NewGuest) -> GuestId {
        let id = GuestId(self.machine.guests.len() as u32);
        self.machine.guests.push(Guest {
            name: new.name.clone(),
            controls: new.controls,
            affinity: new.affinity.clone(),
            node: None,
            vps: Vec::new(),
            presence: Presence::Awaited,
        });
        for _ in 0..new.vps {
            self.push_vp(now, id);
        }
        id
    }

    /// A guest that was admitted gets its place.
    fn let_in(&mut self, now: Nanos, id: GuestId) {
        let mut guest = self.machine.guest(id).clone();
        self.machine.restricted |= guest.affinity.is_some();
        guest.node = self.node_for(&guest, guest.vps.len() as u32);
        guest.presence = Presence::Here;
        let vps = guest.vps.clone();
        self.machine.guests[id.index()] = guest;
        for vp in vps {
            self.house(vp);
        }
        self.policy.changed(now, &self.machine);
    }

    pub(super) fn do_add_vp(&mut self, now: Nanos, id: GuestId) -> Result<VpId, AdmissionError> {
        let guest = self.machine.guest(id);
        let (vps, reserve) = (guest.vps.len() + 1, guest.controls.reserve);
        self.admit_as(id, vps, reserve, guest.affinity.as_ref())?;
        let vp = self.push_vp(now, id);
        self.house(vp);
        self.policy.changed(now, &self.machine);
        Ok(vp)
    }

    /// Whether a guest that is there may have so many VPs, with such a reserve, on such LPs.
    fn admit_as(
        &self,
        id: GuestId,
        vps: usize,
        reserve: Reserve,
        affinity: Option<&LpSet>,
    ) -> Result<(), AdmissionError> {
        let guest = self.machine.guest(id);
        match guest.presence {
            Presence::Here => {}
            Presence::Stopped => return Err(stopped(guest)),
            Presence::Awaited => {
                return Err(AdmissionError::Awaited {
                    guest: guest.name.clone(),
                });
            }
        }
        self.machine.admit(&Wanted {
            guest: Some(id),
            name: &guest.name,
            vps,
            reserve,
            affinity,
        })
    }

    fn push_vp(&mut self, now: Nanos, id: GuestId) -> VpId {
        let cap = self.machine.guest(id).controls.cap;
        let vp = VpId(self.machine.vps.len() as u32);
        self.machine.vps.push(Vp {
            guest: id,
            state: VpState::Suspended,
            home: LpId(0),
            bucket: Bucket::new(cap, self.slice(), now),
            timer: None,
            woken: false,
            expected: None,
        });
        self.machine.guests[id.index()].vps.push(vp);
        vp
    }

    /// Gives a VP of a guest that has just come to be there a home.
    fn house(&mut self, vp: VpId) {
        let home = self.emptiest_lp(self.machine.vp(vp).guest);
        self.placed[home.index()] += 1;
        self.machine.vps[vp.index()].home = home;
    }

    pub(super) fn do_start(&mut self, now: Nanos, vps: &[VpId]) {
        let mut joining = Vec::new();
        for &vp in vps {
            let here = self.machine.guest_of(vp).is_here();
            match &mut self.machine.vps[vp.index()].state {
                _ if !here => {}
                state @ VpState::Suspended => {
                    *state = VpState::Ready { since: now };
                    joining.push(vp);
                }
                VpState::Running { leaving, .. } => *leaving = false,
                _ => {}
            }
        }
        self.policy.start(now, &joining, &self.machine);
        for vp in joining {
            if self.make_ready_or_hold(now, vp) {
                self.place(now, vp);
            }
        }
    }

    pub(super) fn do_stop(&mut self, now: Nanos, vp: VpId) {
        match self.machine.vps[vp.index()].state {
            VpState::Suspended => {}
            VpState::Running { lp, since, .. } => {
                self.machine.vps[vp.index()].state = VpState::Running {
                    lp,
                    since,
                    leaving: true,
                };
                self.call(lp);
            }
            VpState::Ready { .. } => {
                self.policy.unready(now, vp, &self.machine);
                self.cancel_timer(vp);
                self.comes_not(vp);
                self.suspend(now, vp);
            }
            VpState::Held { .. } | VpState::Sleeping { .. } => {
                self.cancel_timer(vp);
                self.suspend(now, vp);
            }
        }
    }

    pub(super) fn do_stop_guest(&mut self, now: Nanos, id: GuestId) {
        let vps = self.machine.guest(id).vps.clone();
        for &vp in &vps {
            self.do_stop(now, vp);
        }
        let presence = &mut self.machine.guests[id.index()].presence;
        if std::mem::replace(presence, Presence::Stopped) == Presence::Here {
            // Their homes have room for others.
            for vp in vps {
                self.placed[self.machine.vp(vp).home.index()] -= 1;
            }
        }
        self.policy.changed(now, &self.machine);
    }

    pub(super) fn suspend(&mut self, now: Nanos, vp: VpId) {
        self.machine.vps[vp.index()].state = VpState::Suspended;
        self.policy.leave(now, vp, Leave::Stops, &self.machine);
    }

    pub(super) fn do_set_controls(
        &mut self,
        now: Nanos,
        id: GuestId,
        controls: Controls,
    ) -> Result<(), AdmissionError> {
        let guest = self.machine.guest(id);
        let affinity = guest.affinity.as_ref();
        self.admit_as(id, guest.vps.len(), controls.reserve, affinity)?;
        let vps = guest.vps.clone();
        self.machine.guests[id.index()].controls = controls;
        self.policy.changed(now, &self.machine);
        let slice = self.slice();
        for vp in vps {
            let entry = &mut self.machine.vps[vp.index()];
            entry.bucket = match entry.bucket {
                Some(bucket) => bucket.with_cap(controls.cap, slice, now),
                None => Bucket::new(controls.cap, slice, now),
            };
            // Held under the old cap: looked at again under the new one.
            if matches!(entry.state, VpState::Held { .. }) {
                self.cancel_timer(vp);
                if self.make_ready_or_hold(now, vp) {
                    self.place(now, vp);
                }
            }
        }
        Ok(())
    }

    pub(super) fn do_set_affinity(
        &mut self,
        now: Nanos,
        id: GuestId,
        affinity: Option<LpSet>,
    ) -> Result<(), AdmissionError> {
        let guest = self.machine.guest(id);
        let reserve = guest.controls.reserve;
        self.admit_as(id, guest.vps.len(), reserve, affinity.as_ref())?;
        let vps = guest.vps.clone();
        self.machine.restricted |= affinity.is_some();
        let guest = &mut self.machine.guests[id.index()];
        guest.affinity = affinity;
        let moved = guest.clone();
        self.machine.guests[id.index()].node = self.node_for(&moved, vps.len() as u32);
        for &vp in &vps {
            self.rehome(now, vp);
        }
        self.policy.changed(now, &self.machine);
        // Who waits may use LPs now that it might not before, idle ones too.
        for vp in vps {
            if self.is_ready(vp) {
                self.place_on_idle(vp);
            }
        }
        self.call_for_moves(now);
        Ok(())
    }

    pub(super) fn do_lp_off(
        &mut self,
        now: Nanos,
        lp: LpId,
        force: bool,
    ) -> Result<(), AdmissionError> {
        self.machine.admit_without(lp, force)?;
        if self.machine.lp(lp).offline {
            return Ok(());
        }
        let awaited =
            self.machine.lp(lp).running.is_none() && self.machine.lp(lp).expects.is_some();
        self.not_idle(lp);
        let expected = self.machine.lp(lp).expects;
        self.no_longer_expects(lp);
        self.machine.lps[lp.index()].offline = true;
        self.policy.changed(now, &self.machine);
        if awaited {
            self.call(lp);
        }
        for vp in (0..self.machine.vps.len() as u32).map(VpId) {
            if self.machine.vp(vp).home == lp {
                self.rehome(now, vp);
            }
        }
        self.place_called_for(lp);
        if let Some(vp) = expected.filter(|&vp| self.is_ready(vp)) {
            self.place(now, vp);
        }
        Ok(())
    }

    pub(super) fn do_lp_on(&mut self, now: Nanos, lp: LpId) -> Result<(), AdmissionError> {
        let lps = self.machine.lps.len() as u32;
        let Some(entry) = self.machine.lps.get_mut(lp.index()) else {
            return Err(AdmissionError::UnknownLp { lp: lp.0, lps });
        };
        if entry.offline {
            entry.offline = false;
            self.policy.changed(now, &self.machine);
            self.call(lp);
        }
        Ok(())
    }
}

fn stopped(guest: &Guest) -> AdmissionError {
    AdmissionError::Stopped {
        guest: guest.name.clone(),
    }
}
