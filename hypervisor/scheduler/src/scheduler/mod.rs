//! The state machine that its drivers call: which VP is in which state, what an LP does next, and whom to wake for it.

mod changes;
mod dispatch;
mod moves;
mod placement;

use crate::admission::AdmissionError;
use crate::controls::Controls;
use crate::journal::{Answer, Call, Entry, Journal};
use crate::machine::{Config, Machine};
use crate::policy::Policy;
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
    /// By LP, how many VPs are at home there, those of guests that are not there not counted.
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
    /// Waits for a VP that was called away from another LP to come over. This is the
    /// hypervisor's own time: the driver reports it as lost once it is over.
    Await,
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

    /// See [`Policy::expected_loss`].
    pub fn expected_loss(&self, lp: LpId) -> f64 {
        self.policy.expected_loss(lp)
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

    /// Makes a guest known that is to be let in later: it and its VPs have
    /// their numbers, and until then it takes no part.
    pub fn define_guest(&mut self, now: Nanos, new: &NewGuest) -> GuestId {
        let now = self.not_before(now);
        let defined = self.do_define_guest(now, new);
        self.journal.note(
            now,
            || Call::DefineGuest(new.clone()),
            || Answer::Added(defined.0),
        );
        defined
    }

    /// Lets a guest in that was defined, its VPs Suspended, its reserve held from now on.
    ///
    /// # Errors
    /// Where its reserve does not fit, or it was stopped; nothing has changed then.
    pub fn admit_guest(&mut self, now: Nanos, guest: GuestId) -> Result<(), AdmissionError> {
        let now = self.not_before(now);
        let before = self.calls.len();
        let admitted = self.do_admit_guest(now, guest);
        self.journal.note(
            now,
            || Call::AdmitGuest { guest },
            || Answer::to_change(&admitted, &self.calls[before..]),
        );
        admitted
    }

    /// Adds a VP to a guest, Suspended.
    ///
    /// # Errors
    /// Where its reserve does not fit, or the guest is not there; nothing has changed then.
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
        self.do_stop_guest(now, guest);
        self.journal.note(
            now,
            || Call::StopGuest { guest },
            || self.calls[before..].into(),
        );
    }

    /// Changes a guest's controls, running or not.
    ///
    /// # Errors
    /// Where its reserve does not fit, or the guest is not there; nothing has changed then.
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
    /// Where reserves do not fit then, or the guest is not there; nothing has changed then.
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
        self.do_wake(now, vp);
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

/// What all calls need.
impl Scheduler {
    fn not_before(&mut self, now: Nanos) -> Nanos {
        self.now = self.now.max(now);
        self.now
    }

    fn slice(&self) -> Nanos {
        self.machine.config.slice
    }

    fn happens(&mut self, at: Nanos, vp: VpId, what: What) {
        self.happened.push(Happened { vp, at, what });
    }
}
