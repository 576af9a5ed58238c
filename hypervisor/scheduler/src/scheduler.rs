//! The state machine that its drivers call: which VP is in which state, what an LP does next, and whom to wake for it.

use crate::admission::{AdmissionError, Wanted};
use crate::caps::Bucket;
use crate::controls::Controls;
use crate::journal::{Answer, Call, Entry, Journal};
use crate::machine::{Config, Guest, Machine, Vp, VpState};
use crate::policy::{Leave, Policy};
use crate::timers::Timers;
use crate::topology::LpSet;
use crate::units::{GuestId, LpId, Nanos, VpId};

/// Schedules VPs on LPs.
///
/// Calls come in order of time; a `now` earlier than the one before counts as
/// equal to it. After any call the driver takes [`Scheduler::take_calls`] and
/// calls those LPs to decide anew: an idle one is woken, a busy one leaves its
/// VP. An LP that is idle, or runs, wakes at its [`Scheduler::next_timer`] and
/// calls [`Scheduler::tick`].
#[derive(Debug)]
pub struct Scheduler {
    /// Of the latest call.
    now: Nanos,
    machine: Machine,
    policy: Box<dyn Policy>,
    timers: Timers,
    /// By LP, how many VPs were placed there.
    placed: Vec<u32>,
    /// LPs that have to decide anew.
    calls: Vec<LpId>,
    /// What happened to VPs.
    happened: Vec<Happened>,
    /// How many LPs are idle.
    idle: usize,
    journal: Journal,
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
    /// Nothing: no VP that may run there is Ready.
    Idle,
}

/// What a VP that has left its LP wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// To run on.
    Run,
    /// To run on; it has been spinning on a lock for long (Hyper-V's hypercall 0x0008).
    Spin,
    /// To sleep, until woken or until this time.
    Sleep {
        /// When it wakes by itself.
        until: Option<Nanos>,
    },
}

/// A change of a VP's state that no call of the driver's tells by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Whose.
    pub vp: VpId,
    /// When the scheduler learned of it.
    pub at: Nanos,
    /// What.
    pub what: What,
}

/// See [`Happened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It went to sleep: it wants nothing.
    Slept,
    /// It wants to run again, since `due`: when its sleep was to end, or when it was woken.
    Woke {
        /// Not after [`Happened::at`].
        due: Nanos,
    },
    /// Its cap holds it.
    Held,
    /// Its cap holds it no more.
    Released,
}

/// A guest to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGuest {
    /// For messages.
    pub name: String,
    /// How many VPs.
    pub vps: u32,
    /// What each was promised.
    pub controls: Controls,
    /// Where it may run; `None` is everywhere.
    pub affinity: Option<LpSet>,
}

impl Scheduler {
    /// A scheduler for an empty machine.
    ///
    /// # Panics
    /// Where the slice is zero.
    pub fn new(config: Config) -> Scheduler {
        assert!(config.slice > Nanos::ZERO);
        let lps = config.topology.lps();
        Scheduler {
            now: Nanos::ZERO,
            policy: config.policy.build(&config),
            machine: Machine::new(config),
            timers: Timers::new(lps),
            placed: vec![0; lps as usize],
            calls: Vec::new(),
            happened: Vec::new(),
            idle: 0,
            journal: Journal::default(),
        }
    }

    /// The machine as it is.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// See [`Policy::lag`].
    pub fn lag(&self, now: Nanos, vp: VpId) -> Option<i64> {
        self.policy.lag(now, vp, &self.machine)
    }

    /// From now on every call is kept, with its answer, until taken.
    pub fn keep_journal(&mut self) {
        self.journal.keep();
    }

    /// The calls kept since the last time.
    pub fn take_journal(&mut self) -> Vec<Entry> {
        self.journal.take()
    }

    /// The LPs to be called since the last time.
    pub fn take_calls(&mut self) -> std::vec::Drain<'_, LpId> {
        self.calls.drain(..)
    }

    /// What happened to VPs since the last time, in order.
    pub fn take_happened(&mut self) -> std::vec::Drain<'_, Happened> {
        self.happened.drain(..)
    }

    /// When `lp` has to call [`Scheduler::tick`].
    pub fn next_timer(&self, lp: LpId) -> Option<Nanos> {
        self.timers.next(lp).map(|(at, _)| at)
    }

    /// Adds a guest, its VPs Suspended, its reserve held from now on.
    ///
    /// # Errors
    /// Where its reserve does not fit; nothing has changed then.
    pub fn add_guest(&mut self, now: Nanos, new: &NewGuest) -> Result<GuestId, AdmissionError> {
        let now = self.not_before(now);
        let added = self.do_add_guest(now, new);
        self.journal.note(
            now,
            || Call::AddGuest(new.clone()),
            || Answer::from(added.as_ref().map(|id| id.0)),
        );
        added
    }

    /// Adds a VP to a guest, Suspended.
    ///
    /// # Errors
    /// Where its reserve does not fit, or the guest was stopped; nothing has changed then.
    pub fn add_vp(&mut self, now: Nanos, guest: GuestId) -> Result<VpId, AdmissionError> {
        let now = self.not_before(now);
        let added = self.do_add_vp(now, guest);
        self.journal.note(
            now,
            || Call::AddVp { guest },
            || Answer::from(added.as_ref().map(|id| id.0)),
        );
        added
    }

    /// Makes Suspended VPs want to run, all at this instant.
    pub fn start(&mut self, now: Nanos, vps: &[VpId]) {
        let now = self.not_before(now);
        let before = self.calls.len();
        self.do_start(now, vps);
        self.journal.note(
            now,
            || Call::Start(vps.to_vec()),
            || self.calls[before..].into(),
        );
    }

    /// Takes a VP out for good: one that runs leaves when it is next charged.
    pub fn stop(&mut self, now: Nanos, vp: VpId) {
        let now = self.not_before(now);
        let before = self.calls.len();
        self.do_stop(now, vp);
        self.journal
            .note(now, || Call::Stop { vp }, || self.calls[before..].into());
    }

    /// Stops all VPs of a guest and gives its reserve back.
    pub fn stop_guest(&mut self, now: Nanos, guest: GuestId) {
        let now = self.not_before(now);
        let before = self.calls.len();
        for vp in self.machine.guest(guest).vps.clone() {
            self.do_stop(now, vp);
        }
        self.machine.guests[guest.index()].stopped = true;
        self.policy.changed(now, &self.machine);
        self.journal.note(
            now,
            || Call::StopGuest { guest },
            || self.calls[before..].into(),
        );
    }

    /// Changes a guest's controls, running or not.
    ///
    /// # Errors
    /// Where its reserve does not fit, or the guest was stopped; nothing has changed then.
    pub fn set_controls(
        &mut self,
        now: Nanos,
        guest: GuestId,
        controls: Controls,
    ) -> Result<(), AdmissionError> {
        let now = self.not_before(now);
        let before = self.calls.len();
        let changed = self.do_set_controls(now, guest, controls);
        self.journal.note(
            now,
            || Call::SetControls { guest, controls },
            || Answer::to_change(&changed, &self.calls[before..]),
        );
        changed
    }

    /// Changes where a guest may run. A VP that runs where it may no longer is called away.
    ///
    /// # Errors
    /// Where reserves do not fit then, or the guest was stopped; nothing has changed then.
    pub fn set_affinity(
        &mut self,
        now: Nanos,
        guest: GuestId,
        affinity: Option<LpSet>,
    ) -> Result<(), AdmissionError> {
        let now = self.not_before(now);
        let before = self.calls.len();
        let changed = self.do_set_affinity(now, guest, affinity.clone());
        self.journal.note(
            now,
            || Call::SetAffinity { guest, affinity },
            || Answer::to_change(&changed, &self.calls[before..]),
        );
        changed
    }

    /// Takes an LP off line: what runs there is called away and goes elsewhere.
    ///
    /// # Errors
    /// Where reserves need it, unless forced (then all reserves shrink to what
    /// is there); where it is the last one, of the machine or of a guest.
    pub fn lp_off(&mut self, now: Nanos, lp: LpId, force: bool) -> Result<(), AdmissionError> {
        let now = self.not_before(now);
        let before = self.calls.len();
        let changed = self.do_lp_off(now, lp, force);
        self.journal.note(
            now,
            || Call::LpOff { lp, force },
            || Answer::to_change(&changed, &self.calls[before..]),
        );
        changed
    }

    /// Takes an LP on line again.
    ///
    /// # Errors
    /// Where there is no such LP.
    pub fn lp_on(&mut self, now: Nanos, lp: LpId) -> Result<(), AdmissionError> {
        let now = self.not_before(now);
        let before = self.calls.len();
        let changed = self.do_lp_on(now, lp);
        self.journal.note(
            now,
            || Call::LpOn { lp },
            || Answer::to_change(&changed, &self.calls[before..]),
        );
        changed
    }

    /// A sleeping VP wants to run. One that runs does not sleep after this
    /// dispatch; any other wants to run already.
    pub fn wake(&mut self, now: Nanos, vp: VpId) {
        let now = self.not_before(now);
        let before = self.calls.len();
        let entry = &mut self.machine.vps[vp.index()];
        // It may have decided to sleep already, and not have been charged yet.
        entry.woken = matches!(entry.state, VpState::Running { .. });
        if matches!(entry.state, VpState::Sleeping { .. }) && self.rouse(now, vp) {
            self.place(now, vp);
        }
        self.journal
            .note(now, || Call::Wake { vp }, || self.calls[before..].into());
    }

    /// What `lp` owed by `now` is done: sleeps and holds end. It may run on,
    /// unless it is among those called.
    pub fn tick(&mut self, now: Nanos, lp: LpId) {
        let now = self.not_before(now);
        let before = self.calls.len();
        for vp in self.fire(now, lp) {
            self.place(now, vp);
        }
        self.journal
            .note(now, || Call::Tick { lp }, || self.calls[before..].into());
    }

    /// What `lp`, which runs nothing, does from `now` on.
    ///
    /// # Panics
    /// Where `lp` has not been charged for its last dispatch.
    pub fn pick(&mut self, now: Nanos, lp: LpId) -> Decision {
        let now = self.not_before(now);
        let before = self.calls.len();
        let decision = self.do_pick(now, lp);
        self.journal.note(
            now,
            || Call::Pick { lp },
            || Answer::Decision(decision, self.calls[before..].to_vec()),
        );
        decision
    }

    /// The VP on `lp` has left it after `ran` of CPU time.
    ///
    /// # Panics
    /// Where nothing runs on `lp`.
    pub fn charge(&mut self, now: Nanos, lp: LpId, ran: Nanos, after: After) {
        let now = self.not_before(now);
        let before = self.calls.len();
        self.do_charge(now, lp, ran, after);
        self.journal.note(
            now,
            || Call::Charge { lp, ran, after },
            || self.calls[before..].into(),
        );
    }

    /// `span` of `lp`'s time up to `now` reached neither a guest nor idle.
    pub fn lost(&mut self, now: Nanos, lp: LpId, span: Nanos) {
        let now = self.not_before(now);
        self.policy.lost(now, lp, span);
        self.journal
            .note(now, || Call::Lost { lp, span }, || Answer::Done);
    }
}

/// What the calls do.
impl Scheduler {
    fn not_before(&mut self, now: Nanos) -> Nanos {
        self.now = self.now.max(now);
        self.now
    }

    fn slice(&self) -> Nanos {
        self.machine.config.slice
    }

    fn do_add_guest(&mut self, now: Nanos, new: &NewGuest) -> Result<GuestId, AdmissionError> {
        self.machine.admit(&Wanted {
            guest: None,
            name: &new.name,
            vps: new.vps as usize,
            reserve: new.controls.reserve,
            affinity: new.affinity.as_ref(),
        })?;
        self.machine.restricted |= new.affinity.is_some();
        let id = GuestId(self.machine.guests.len() as u32);
        let mut guest = Guest {
            name: new.name.clone(),
            controls: new.controls,
            affinity: new.affinity.clone(),
            node: None,
            vps: Vec::new(),
            stopped: false,
        };
        guest.node = self.node_for(&guest, new.vps);
        self.machine.guests.push(guest);
        for _ in 0..new.vps {
            self.push_vp(now, id);
        }
        self.policy.changed(now, &self.machine);
        Ok(id)
    }

    /// The node for a guest of so many VPs: of those that can hold it, the one
    /// with the fewest VPs per LP; `None` where it fits on none.
    fn node_for(&self, guest: &Guest, vps: u32) -> Option<u32> {
        let topology = &self.machine.config.topology;
        let usable = |node: u32| {
            topology
                .lps_of(node)
                .filter(|&lp| guest.may_use(lp) && !self.machine.lp(lp).offline)
        };
        let load = |node: u32| -> (u64, u64) {
            let placed = usable(node).map(|lp| u64::from(self.placed[lp.index()]));
            (placed.sum(), usable(node).count() as u64)
        };
        (0..topology.nodes())
            .filter(|&node| usable(node).count() >= vps as usize)
            .min_by(|&a, &b| {
                let ((in_a, lps_a), (in_b, lps_b)) = (load(a), load(b));
                (in_a * lps_b).cmp(&(in_b * lps_a))
            })
    }

    fn do_add_vp(&mut self, now: Nanos, id: GuestId) -> Result<VpId, AdmissionError> {
        let guest = self.machine.guest(id);
        refuse_stopped(guest)?;
        self.machine.admit(&Wanted {
            guest: Some(id),
            name: &guest.name,
            vps: guest.vps.len() + 1,
            reserve: guest.controls.reserve,
            affinity: guest.affinity.as_ref(),
        })?;
        let vp = self.push_vp(now, id);
        self.policy.changed(now, &self.machine);
        Ok(vp)
    }

    fn push_vp(&mut self, now: Nanos, id: GuestId) -> VpId {
        let home = self.emptiest_lp(id);
        self.placed[home.index()] += 1;
        let vp = VpId(self.machine.vps.len() as u32);
        let controls = self.machine.guest(id).controls;
        self.machine.vps.push(Vp {
            guest: id,
            state: VpState::Suspended,
            home,
            bucket: Bucket::new(controls.cap, self.slice(), now),
            timer: None,
            woken: false,
        });
        self.machine.guests[id.index()].vps.push(vp);
        vp
    }

    /// Of the LPs that a guest may use, on its node where it has one, the one with the fewest VPs.
    fn emptiest_lp(&self, id: GuestId) -> LpId {
        let guest = self.machine.guest(id);
        let topology = &self.machine.config.topology;
        let usable = |lp: &LpId| guest.may_use(*lp) && !self.machine.lp(*lp).offline;
        let fewest = |lps: &mut dyn Iterator<Item = LpId>| {
            lps.filter(usable).min_by_key(|lp| self.placed[lp.index()])
        };
        guest
            .node
            .and_then(|node| fewest(&mut topology.lps_of(node)))
            .or_else(|| fewest(&mut self.machine.online()))
            // Admission leaves every guest an LP; a stopped one needs none.
            .unwrap_or(LpId(0))
    }

    fn do_start(&mut self, now: Nanos, vps: &[VpId]) {
        let mut joining = Vec::new();
        for &vp in vps {
            let stopped = self.machine.guest_of(vp).stopped;
            match &mut self.machine.vps[vp.index()].state {
                _ if stopped => {}
                state @ VpState::Suspended => {
                    *state = VpState::Ready { since: now };
                    joining.push(vp);
                }
                VpState::Running { leaving, .. } => *leaving = false,
                _ => {}
            }
        }
        self.policy.join(now, &joining, &self.machine);
        for vp in joining {
            if self.make_ready_or_hold(now, vp) {
                self.place(now, vp);
            }
        }
    }

    fn do_stop(&mut self, now: Nanos, vp: VpId) {
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
                self.suspend(now, vp);
            }
            VpState::Held { .. } | VpState::Sleeping { .. } => {
                self.cancel_timer(vp);
                self.suspend(now, vp);
            }
        }
    }

    fn suspend(&mut self, now: Nanos, vp: VpId) {
        self.machine.vps[vp.index()].state = VpState::Suspended;
        self.policy.leave(now, vp, Leave::Stops, &self.machine);
    }

    fn do_set_controls(
        &mut self,
        now: Nanos,
        id: GuestId,
        controls: Controls,
    ) -> Result<(), AdmissionError> {
        let guest = self.machine.guest(id);
        refuse_stopped(guest)?;
        self.machine.admit(&Wanted {
            guest: Some(id),
            name: &guest.name,
            vps: guest.vps.len(),
            reserve: controls.reserve,
            affinity: guest.affinity.as_ref(),
        })?;
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

    fn do_set_affinity(
        &mut self,
        now: Nanos,
        id: GuestId,
        affinity: Option<LpSet>,
    ) -> Result<(), AdmissionError> {
        let guest = self.machine.guest(id);
        refuse_stopped(guest)?;
        self.machine.admit(&Wanted {
            guest: Some(id),
            name: &guest.name,
            vps: guest.vps.len(),
            reserve: guest.controls.reserve,
            affinity: affinity.as_ref(),
        })?;
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
        Ok(())
    }

    fn set_home(&mut self, vp: VpId, lp: LpId) {
        let before = std::mem::replace(&mut self.machine.vps[vp.index()].home, lp);
        self.placed[before.index()] -= 1;
        self.placed[lp.index()] += 1;
    }

    /// Gives a VP another home where its own may not be used any more: LPs go off line, affinities change.
    fn rehome(&mut self, now: Nanos, vp: VpId) {
        let home = self.machine.vp(vp).home;
        if self.machine.may_run(vp, home) {
            return;
        }
        let state = self.machine.vp(vp).state;
        if let VpState::Ready { .. } = state {
            self.policy.unready(now, vp, &self.machine);
        }
        let next = self.emptiest_lp(self.machine.vp(vp).guest);
        self.set_home(vp, next);
        match state {
            VpState::Ready { .. } => {
                self.policy.ready(now, vp, &self.machine);
                self.place(now, vp);
            }
            VpState::Running { lp, .. } => self.call(lp),
            VpState::Held { until } | VpState::Sleeping { until: Some(until) } => {
                self.cancel_timer(vp);
                self.set_timer(vp, until);
            }
            VpState::Sleeping { until: None } | VpState::Suspended => {}
        }
    }

    fn do_lp_off(&mut self, now: Nanos, lp: LpId, force: bool) -> Result<(), AdmissionError> {
        self.machine.admit_without(lp, force)?;
        if self.machine.lp(lp).offline {
            return Ok(());
        }
        self.not_idle(lp);
        self.machine.lps[lp.index()].offline = true;
        self.policy.changed(now, &self.machine);
        for vp in (0..self.machine.vps.len() as u32).map(VpId) {
            if self.machine.vp(vp).home == lp {
                self.rehome(now, vp);
            }
        }
        self.place_called_for(now, lp);
        Ok(())
    }

    fn do_lp_on(&mut self, now: Nanos, lp: LpId) -> Result<(), AdmissionError> {
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

    /// Its sleep is over. Whether it is Ready: its cap may hold it.
    fn rouse(&mut self, now: Nanos, vp: VpId) -> bool {
        let due = self.machine.vp(vp).timer.map_or(now, |(_, at)| at.min(now));
        self.happens(now, vp, What::Woke { due });
        self.cancel_timer(vp);
        self.machine.vps[vp.index()].state = VpState::Ready { since: now };
        self.policy.join(now, &[vp], &self.machine);
        self.make_ready_or_hold(now, vp)
    }

    /// Ready, unless its cap has not enough for a slice.
    fn make_ready_or_hold(&mut self, now: Nanos, vp: VpId) -> bool {
        let slice = self.slice();
        let entry = &mut self.machine.vps[vp.index()];
        let release = entry
            .bucket
            .as_mut()
            .map_or(now, |bucket| bucket.full_slice_at(now, slice));
        let was_held = matches!(entry.state, VpState::Held { .. });
        if release > now {
            entry.state = VpState::Held { until: release };
            self.set_timer(vp, release);
            if !was_held {
                self.happens(now, vp, What::Held);
            }
            return false;
        }
        entry.state = VpState::Ready { since: now };
        if was_held {
            self.happens(now, vp, What::Released);
        }
        self.policy.ready(now, vp, &self.machine);
        true
    }

    /// Finds an LP for a VP that has become Ready: an idle one, or one whose VP it outranks.
    fn place(&mut self, now: Nanos, vp: VpId) {
        if !self.place_on_idle(vp) {
            self.preempt_for(now, vp);
        }
    }

    /// Calls its home if that is idle, or another idle LP, those of its node first.
    fn place_on_idle(&mut self, vp: VpId) -> bool {
        if self.idle == 0 {
            return false;
        }
        let home = self.machine.vp(vp).home;
        let topology = &self.machine.config.topology;
        let idle = |lp: &LpId| self.machine.lp(*lp).idle && self.machine.may_run(vp, *lp);
        let found = Some(home)
            .filter(idle)
            .or_else(|| topology.lps_of(topology.node_of(home)).find(idle))
            .or_else(|| self.machine.online().find(idle));
        if let Some(lp) = found {
            self.call(lp);
            self.machine.lps[lp.index()].called_for.push(vp);
        }
        found.is_some()
    }

    /// Of the LPs of its node, calls the one whose VP is outranked most, if by more than a slice.
    fn preempt_for(&mut self, now: Nanos, vp: VpId) {
        let Some(urgency) = self.policy.urgency(now, vp, &self.machine) else {
            return;
        };
        let home = self.machine.vp(vp).home;
        let topology = &self.machine.config.topology;
        let least = topology
            .lps_of(topology.node_of(home))
            .filter(|&lp| self.machine.may_run(vp, lp) && !self.machine.lp(lp).called)
            .filter_map(|lp| {
                let running = self.machine.lp(lp).running?;
                let other = self.policy.urgency(now, running, &self.machine)?;
                Some((other, lp))
            })
            // Among equals its home, so that it stays there.
            .min_by_key(|&(other, lp)| (other, lp != home, lp));
        let margin = i64::try_from(self.slice().0).unwrap_or(i64::MAX);
        if let Some((other, lp)) = least
            && urgency.saturating_sub(other) > margin
        {
            self.call(lp);
        }
    }

    fn happens(&mut self, at: Nanos, vp: VpId, what: What) {
        self.happened.push(Happened { vp, at, what });
    }

    /// `lp` has to decide anew.
    fn call(&mut self, lp: LpId) {
        self.not_idle(lp);
        let entry = &mut self.machine.lps[lp.index()];
        if !entry.called {
            entry.called = true;
            self.calls.push(lp);
        }
    }

    fn not_idle(&mut self, lp: LpId) {
        let idle = &mut self.machine.lps[lp.index()].idle;
        self.idle -= usize::from(*idle);
        *idle = false;
    }

    fn set_timer(&mut self, vp: VpId, at: Nanos) {
        let home = self.machine.vp(vp).home;
        self.machine.vps[vp.index()].timer = Some((home, at));
        self.timers.set(home, at, vp);
        // An idle LP sleeps until the timer it knew of.
        if self.timers.next(home) == Some((at, vp)) && self.machine.lp(home).idle {
            self.call(home);
        }
    }

    fn cancel_timer(&mut self, vp: VpId) {
        if let Some((lp, at)) = self.machine.vps[vp.index()].timer.take() {
            self.timers.cancel(lp, at, vp);
        }
    }

    /// Ends the sleeps and holds that `lp` owns and that are due; the VPs that are Ready now.
    fn fire(&mut self, now: Nanos, lp: LpId) -> Vec<VpId> {
        let mut ready = Vec::new();
        while let Some((at, vp)) = self.timers.next(lp)
            && at <= now
        {
            let is_ready = match self.machine.vp(vp).state {
                VpState::Held { .. } => {
                    self.cancel_timer(vp);
                    self.make_ready_or_hold(now, vp)
                }
                // Sleeping: nothing else has a timer.
                _ => self.rouse(now, vp),
            };
            if is_ready {
                ready.push(vp);
            }
        }
        ready
    }

    fn do_pick(&mut self, now: Nanos, lp: LpId) -> Decision {
        assert_eq!(self.machine.lp(lp).running, None, "{lp:?} runs a VP");
        self.not_idle(lp);
        // It is deciding already: nothing below needs to call it.
        self.machine.lps[lp.index()].called = true;
        let ready = self.fire(now, lp);
        let decision = self.choose(now, lp);
        self.machine.lps[lp.index()].called = false;
        // Who might have run here and does not may run elsewhere.
        if let Some(vp) = self.machine.lps[lp.index()].left.take()
            && self.is_ready(vp)
        {
            self.place_on_idle(vp);
        }
        self.place_called_for(now, lp);
        for vp in ready {
            if self.is_ready(vp) {
                self.place(now, vp);
            }
        }
        decision
    }

    fn is_ready(&self, vp: VpId) -> bool {
        matches!(self.machine.vp(vp).state, VpState::Ready { .. })
    }

    /// Finds other LPs for the VPs for which `lp` was called and which it did not take.
    fn place_called_for(&mut self, now: Nanos, lp: LpId) {
        if self.machine.lps[lp.index()].called_for.is_empty() {
            return;
        }
        for vp in std::mem::take(&mut self.machine.lps[lp.index()].called_for) {
            if self.is_ready(vp) {
                self.place(now, vp);
            }
        }
    }

    fn choose(&mut self, now: Nanos, lp: LpId) -> Decision {
        let picked = match self.machine.lp(lp).offline {
            true => None,
            false => self.policy.pick(now, lp, &self.machine),
        };
        let Some(vp) = picked else {
            if !self.machine.lp(lp).offline {
                self.machine.lps[lp.index()].idle = true;
                self.idle += 1;
            }
            return Decision::Idle;
        };
        let slice = self.slice();
        let entry = &mut self.machine.vps[vp.index()];
        let VpState::Ready { since } = entry.state else {
            unreachable!("a policy picks among the Ready");
        };
        entry.woken = false;
        entry.state = VpState::Running {
            lp,
            since: now,
            leaving: false,
        };
        if let Some(bucket) = &mut entry.bucket {
            bucket.begin(now, slice);
        }
        self.set_home(vp, lp);
        self.machine.lps[lp.index()].running = Some(vp);
        Decision::Run {
            vp,
            until: now + slice,
            ready_since: since,
        }
    }

    fn do_charge(&mut self, now: Nanos, lp: LpId, ran: Nanos, after: After) {
        let vp = self.machine.lps[lp.index()]
            .running
            .take()
            .expect("a VP runs where one is charged");
        let slice = self.slice();
        let entry = &mut self.machine.vps[vp.index()];
        let leaving = matches!(entry.state, VpState::Running { leaving: true, .. });
        entry.state = VpState::Suspended;
        if let Some(bucket) = &mut entry.bucket {
            bucket.take(now, ran, slice);
        }
        self.policy.charge(now, vp, ran, &self.machine);
        if leaving {
            return self.suspend(now, vp);
        }
        self.rehome(now, vp);
        let woken = self.machine.vp(vp).woken;
        match after {
            After::Sleep { .. } if woken => {}
            After::Sleep { until } => {
                self.machine.vps[vp.index()].state = VpState::Sleeping { until };
                self.policy.leave(now, vp, Leave::Sleeps, &self.machine);
                self.happens(now, vp, What::Slept);
                if let Some(until) = until {
                    self.set_timer(vp, until);
                }
                return;
            }
            After::Spin => self.policy.spun(now, vp, &self.machine),
            After::Run => {}
        }
        // Where it may run here no longer it has another home already.
        let stays = self.machine.vp(vp).home == lp;
        let next = stays.then(|| self.policy.moves(vp, &self.machine));
        let next = next.flatten();
        if let Some(next) = next {
            self.set_home(vp, next);
            self.call(next);
        }
        if self.make_ready_or_hold(now, vp) {
            match next {
                // Its home decides, and if that does not take it, it is placed anew.
                Some(next) => self.machine.lps[next.index()].called_for.push(vp),
                // Its own LP decides next, and this VP may be its choice.
                None => self.machine.lps[lp.index()].left = Some(vp),
            }
        }
    }
}

fn refuse_stopped(guest: &Guest) -> Result<(), AdmissionError> {
    if guest.stopped {
        return Err(AdmissionError::Stopped {
            guest: guest.name.clone(),
        });
    }
    Ok(())
}
