//! The decision log: every call, with its answer, so that a run can be replayed and compared.

mod text;

use crate::admission::AdmissionError;
use crate::controls::Controls;
use crate::machine::Config;
use crate::scheduler::{After, Decision, NewGuest, Scheduler};
use crate::topology::LpSet;
use crate::units::{GuestId, LpId, Nanos, VpId};
use thiserror::Error;

pub use text::UnknownCall;

/// A call that may change the scheduler's state. As text: its [`Call::name`], and its `Display` for the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Scheduler::add_guest`].
    AddGuest(NewGuest),
    /// [`Scheduler::define_guest`].
    DefineGuest(NewGuest),
    /// [`Scheduler::admit_guest`].
    AdmitGuest {
        /// Which.
        guest: GuestId,
    },
    /// [`Scheduler::add_vp`].
    AddVp {
        /// To which.
        guest: GuestId,
    },
    /// [`Scheduler::start`].
    Start(Vec<VpId>),
    /// [`Scheduler::stop`].
    Stop {
        /// Which.
        vp: VpId,
    },
    /// [`Scheduler::stop_guest`].
    StopGuest {
        /// Which.
        guest: GuestId,
    },
    /// [`Scheduler::set_controls`].
    SetControls {
        /// Whose.
        guest: GuestId,
        /// From now on.
        controls: Controls,
    },
    /// [`Scheduler::set_affinity`].
    SetAffinity {
        /// Whose.
        guest: GuestId,
        /// From now on.
        affinity: Option<LpSet>,
    },
    /// [`Scheduler::lp_off`].
    LpOff {
        /// Which.
        lp: LpId,
        /// Whatever is reserved.
        force: bool,
    },
    /// [`Scheduler::lp_on`].
    LpOn {
        /// Which.
        lp: LpId,
    },
    /// [`Scheduler::wake`].
    Wake {
        /// Whom.
        vp: VpId,
    },
    /// [`Scheduler::tick`].
    Tick {
        /// Where.
        lp: LpId,
    },
    /// [`Scheduler::pick`].
    Pick {
        /// Where.
        lp: LpId,
    },
    /// [`Scheduler::charge`].
    Charge {
        /// Where.
        lp: LpId,
        /// CPU time.
        ran: Nanos,
        /// What it wants next.
        after: After,
    },
    /// [`Scheduler::lost`].
    Lost {
        /// Where.
        lp: LpId,
        /// How much.
        span: Nanos,
    },
}

/// What a call gave. Compared as text.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing to tell.
    Done,
    /// The number of what was added.
    Added(u32),
    /// Refused, and nothing changed.
    Refused(Box<AdmissionError>),
    /// A decision, and the LPs called.
    Decision(Decision, Vec<LpId>),
    /// The LPs called.
    Calls(Vec<LpId>),
}

/// A call, when it was made, and what it gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Counted from 0 over the run.
    pub sequence: u64,
    /// The time it was made with.
    pub now: Nanos,
    /// What was called.
    pub call: Call,
    /// What it gave.
    pub answer: Answer,
}

/// Keeps entries once it was asked to.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    keeping: bool,
    sequence: u64,
    entries: Vec<Entry>,
}

impl Journal {
    pub(crate) fn keep(&mut self) {
        self.keeping = true;
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        let room = Vec::with_capacity(self.entries.capacity());
        std::mem::replace(&mut self.entries, room)
    }

    /// Costs a branch where nothing is kept.
    pub(crate) fn note(
        &mut self,
        now: Nanos,
        call: impl FnOnce() -> Call,
        answer: impl FnOnce() -> Answer,
    ) {
        if self.keeping {
            self.entries.push(Entry {
                sequence: self.sequence,
                now,
                call: call(),
                answer: answer(),
            });
            self.sequence += 1;
        }
    }
}

impl From<&[LpId]> for Answer {
    fn from(calls: &[LpId]) -> Answer {
        Answer::Calls(calls.to_vec())
    }
}

impl From<Result<u32, &AdmissionError>> for Answer {
    fn from(added: Result<u32, &AdmissionError>) -> Answer {
        added.map_or_else(
            |error| Answer::Refused(Box::new(error.clone())),
            Answer::Added,
        )
    }
}

impl Answer {
    /// To a change that can be refused.
    pub(crate) fn to_change(changed: &Result<(), AdmissionError>, calls: &[LpId]) -> Answer {
        match changed {
            Ok(()) => calls.into(),
            Err(error) => Answer::Refused(Box::new(error.clone())),
        }
    }
}

/// An entry's call did something else when it was replayed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("decision {sequence}, at {now} ns, `{call}`: recorded `{recorded}`, replayed `{replayed}`")]
pub struct Divergence {
    /// [`Entry::sequence`].
    pub sequence: u64,
    /// When, in ns.
    pub now: u64,
    /// The call with its arguments.
    pub call: String,
    /// What it gave then.
    pub recorded: String,
    /// What it gave now.
    pub replayed: String,
}

/// A scheduler that is led through a journal.
#[derive(Debug)]
pub struct Replay {
    scheduler: Scheduler,
}

impl Replay {
    /// With an empty machine.
    pub fn new(config: Config) -> Replay {
        let mut scheduler = Scheduler::new(config);
        scheduler.keep_journal();
        Replay { scheduler }
    }

    /// Makes one call and compares what it gives with the recorded answer, as text.
    ///
    /// # Errors
    /// The first difference. A call that cannot be made at all is one, too.
    pub fn step(
        &mut self,
        sequence: u64,
        now: Nanos,
        call: &Call,
        recorded: &str,
    ) -> Result<(), Divergence> {
        let possible = self.possible(call);
        let replayed = if possible {
            self.scheduler.apply(now, call);
            let entry = self.scheduler.take_journal().pop();
            self.scheduler.take_calls();
            self.scheduler.take_happened();
            entry.map_or(String::new(), |entry| entry.answer.to_string())
        } else {
            "impossible in this state".to_owned()
        };
        if replayed == recorded {
            return Ok(());
        }
        Err(Divergence {
            sequence,
            now: now.0,
            call: format!("{} {call}", call.name()),
            recorded: recorded.to_owned(),
            replayed,
        })
    }

    /// Whether the call's preconditions hold: a journal may come from anywhere.
    fn possible(&self, call: &Call) -> bool {
        let machine = self.scheduler.machine();
        let has_vp = |vp: &VpId| vp.index() < machine.vps.len();
        let has_guest = |guest: &GuestId| guest.index() < machine.guests.len();
        let has_lp = |lp: &LpId| lp.index() < machine.lps.len();
        match call {
            Call::AddGuest(_) | Call::DefineGuest(_) | Call::LpOff { .. } | Call::LpOn { .. } => {
                true
            }
            Call::AddVp { guest }
            | Call::AdmitGuest { guest }
            | Call::StopGuest { guest }
            | Call::SetControls { guest, .. }
            | Call::SetAffinity { guest, .. } => has_guest(guest),
            Call::Start(vps) => vps.iter().all(has_vp),
            Call::Stop { vp } | Call::Wake { vp } => has_vp(vp),
            Call::Tick { lp } | Call::Lost { lp, .. } => has_lp(lp),
            Call::Pick { lp } => has_lp(lp) && machine.lp(*lp).running.is_none(),
            Call::Charge { lp, .. } => has_lp(lp) && machine.lp(*lp).running.is_some(),
        }
    }
}

impl Scheduler {
    /// Makes a call that is given as a value; its answer goes to the journal.
    fn apply(&mut self, now: Nanos, call: &Call) {
        // What is refused is in the journal.
        match call.clone() {
            Call::AddGuest(new) => drop(self.add_guest(now, &new)),
            Call::DefineGuest(new) => {
                self.define_guest(now, &new);
            }
            Call::AdmitGuest { guest } => drop(self.admit_guest(now, guest)),
            Call::AddVp { guest } => drop(self.add_vp(now, guest)),
            Call::Start(vps) => self.start(now, &vps),
            Call::Stop { vp } => self.stop(now, vp),
            Call::StopGuest { guest } => self.stop_guest(now, guest),
            Call::SetControls { guest, controls } => drop(self.set_controls(now, guest, controls)),
            Call::SetAffinity { guest, affinity } => drop(self.set_affinity(now, guest, affinity)),
            Call::LpOff { lp, force } => drop(self.lp_off(now, lp, force)),
            Call::LpOn { lp } => drop(self.lp_on(now, lp)),
            Call::Wake { vp } => self.wake(now, vp),
            Call::Tick { lp } => self.tick(now, lp),
            Call::Pick { lp } => {
                self.pick(now, lp);
            }
            Call::Charge { lp, ran, after } => self.charge(now, lp, ran, after),
            Call::Lost { lp, span } => self.lost(now, lp, span),
        }
    }
}
