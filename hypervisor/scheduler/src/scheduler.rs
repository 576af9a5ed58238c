//! The state machine that the dispatchers drive: which VP is in which state, and what an LP does next.

use crate::controls::{Cap, Controls, Reserve};
use crate::policy::{Policy, PolicyKind};
use crate::units::{GuestId, LpId, Nanos, VpId};
use crate::vps::{Vp, VpState, VpTable};
use thiserror::Error;

/// Schedules VPs on a fixed number of LPs.
///
/// Calls come in order of time; a `now` earlier than the one before counts as equal to it.
#[derive(Debug)]
pub struct Scheduler {
    lps: u32,
    slice: Nanos,
    vps: VpTable,
    /// By LP, who runs there.
    running: Vec<Option<VpId>>,
    policy: Box<dyn Policy>,
}

/// What an LP does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Runs this VP.
    Run {
        /// Which.
        vp: VpId,
        /// Until then at most.
        until: Nanos,
        /// Since when the VP was Ready.
        ready_since: Nanos,
    },
    /// Nothing: no VP is Ready.
    Idle,
}

/// Why a VP was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddError {
    /// Better refused than accepted and ignored.
    #[error("this version schedules by weight only: leave reserve at 0 % and cap at 100 %")]
    NotEnforced,
}

impl Scheduler {
    /// A scheduler for `lps` LPs (at least one) that dispatches for at most `slice` at a time.
    ///
    /// # Panics
    /// Where `lps` or `slice` is zero.
    pub fn new(lps: u32, slice: Nanos, policy: PolicyKind) -> Scheduler {
        assert!(lps > 0 && slice > Nanos::ZERO);
        Scheduler {
            lps,
            slice,
            vps: VpTable::default(),
            running: vec![None; lps as usize],
            policy: policy.build(lps, slice),
        }
    }

    /// Adds a Suspended VP of `guest`. VPs are placed on the LPs in turn.
    ///
    /// # Errors
    /// [`AddError::NotEnforced`] for controls that nothing here would honour yet.
    pub fn add(&mut self, guest: GuestId, controls: Controls) -> Result<VpId, AddError> {
        if controls.reserve != Reserve::default() || controls.cap != Cap::default() {
            return Err(AddError::NotEnforced);
        }
        let home = LpId(self.vps.len() as u32 % self.lps);
        Ok(self.vps.push(Vp {
            guest,
            controls,
            state: VpState::Suspended,
            home,
        }))
    }

    /// Makes every Suspended VP among `vps` Ready.
    pub fn resume(&mut self, now: Nanos, vps: impl IntoIterator<Item = VpId>) {
        for vp in vps {
            let entry = self.vps.get_mut(vp);
            match &mut entry.state {
                VpState::Suspended => entry.state = VpState::Ready { since: now },
                VpState::Running { leaving, .. } => *leaving = false,
                VpState::Ready { .. } => {}
            }
        }
        self.policy.changed(now, &self.vps);
    }

    /// Takes every VP of `guest` out: those that run leave when they are next
    /// charged; returns the LPs they are on, to be kicked.
    pub fn suspend_guest(&mut self, now: Nanos, guest: GuestId) -> Vec<LpId> {
        let mut busy = Vec::new();
        for index in 0..self.vps.len() {
            let entry = self.vps.get_mut(VpId(index as u32));
            if entry.guest != guest {
                continue;
            }
            match &mut entry.state {
                VpState::Running { lp, leaving } => {
                    *leaving = true;
                    busy.push(*lp);
                }
                state => *state = VpState::Suspended,
            }
        }
        self.policy.changed(now, &self.vps);
        busy
    }

    /// What `lp`, which runs nothing, does from `now` on.
    ///
    /// # Panics
    /// Where `lp` has not been charged for its last dispatch.
    pub fn pick(&mut self, now: Nanos, lp: LpId) -> Decision {
        assert_eq!(self.running[lp.index()], None, "{lp:?} runs a VP");
        let Some(vp) = self.policy.pick(now, lp, &self.vps) else {
            return Decision::Idle;
        };
        let entry = self.vps.get_mut(vp);
        let VpState::Ready { since } = entry.state else {
            unreachable!("a policy picks among the Ready");
        };
        entry.state = VpState::Running { lp, leaving: false };
        entry.home = lp;
        self.running[lp.index()] = Some(vp);
        Decision::Run {
            vp,
            until: now + self.slice,
            ready_since: since,
        }
    }

    /// The VP on `lp` has left it after `ran` of CPU time; it is Ready again, or Suspended where its guest was.
    ///
    /// # Panics
    /// Where nothing runs on `lp`.
    pub fn charge(&mut self, now: Nanos, lp: LpId, ran: Nanos) {
        let vp = self.running[lp.index()]
            .take()
            .expect("a VP runs where one is charged");
        self.policy.charge(now, vp, ran);
        let entry = self.vps.get_mut(vp);
        let leaving = matches!(entry.state, VpState::Running { leaving: true, .. });
        entry.state = if leaving {
            VpState::Suspended
        } else {
            VpState::Ready { since: now }
        };
        if leaving {
            self.policy.changed(now, &self.vps);
        }
    }

    /// `span` of `lp`'s time up to `now` reached neither a guest nor idle.
    pub fn lost(&mut self, now: Nanos, lp: LpId, span: Nanos) {
        self.policy.lost(now, lp, span);
    }

    /// See [`Policy::lag`].
    pub fn lag(&self, now: Nanos, vp: VpId) -> Option<i64> {
        self.policy.lag(now, vp)
    }

    /// The VPs and their states.
    pub fn vps(&self) -> &VpTable {
        &self.vps
    }
}
