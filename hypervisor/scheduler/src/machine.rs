//! The machine as it is: LPs, guests and VPs, and the state that each is in. What policies read.

use crate::caps::Bucket;
use crate::controls::{Controls, ReserveModel, WeightScope};
use crate::policy::PolicyKind;
use crate::topology::{LpSet, Topology};
use crate::units::{GuestId, LpId, Nanos, VpId};

/// What a scheduler is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The LPs, all on line at first.
    pub topology: Topology,
    /// The longest dispatch, above zero.
    pub slice: Nanos,
    /// Who decides.
    pub policy: PolicyKind,
    /// What reserves mean under contention.
    pub reserve_model: ReserveModel,
    /// Whose claim a weight is.
    pub weight_scope: WeightScope,
    /// Of the policies that draw lots.
    pub seed: u64,
}

impl Config {
    /// `lps` LPs on one node, everything else at its default.
    pub fn new(lps: u32, slice: Nanos, policy: PolicyKind) -> Config {
        Config {
            topology: Topology::even(lps, 1),
            slice,
            policy,
            reserve_model: ReserveModel::default(),
            weight_scope: WeightScope::default(),
            seed: 1,
        }
    }
}

/// What a VP is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VpState {
    /// Not yet started, or stopped: takes no part.
    Suspended,
    /// Wants nothing until woken, or until this time where it set one.
    Sleeping {
        /// When it wakes by itself.
        until: Option<Nanos>,
    },
    /// Wants to run and is held by its cap until this time. Counts as runnable.
    Held {
        /// When its bucket holds a whole slice.
        until: Nanos,
    },
    /// Wants an LP since this time.
    Ready {
        /// Since when.
        since: Nanos,
    },
    /// Has one.
    Running {
        /// Which one.
        lp: LpId,
        /// Since when.
        since: Nanos,
        /// To be suspended once it has left.
        leaving: bool,
    },
}

/// One VP.
#[derive(Clone, Debug)]
pub struct Vp {
    /// Whose it is.
    pub guest: GuestId,
    /// What it is doing.
    pub state: VpState,
    /// The LP that it last ran on, before its first dispatch the one it was placed on.
    pub home: LpId,
    /// Present while its guest has a cap below 100 %.
    pub(crate) bucket: Option<Bucket>,
    /// The LP that wakes for it, and when: the end of its sleep or of its hold, or when it may preempt.
    pub(crate) timer: Option<(LpId, Nanos)>,
    /// It was woken since its dispatch began.
    pub(crate) woken: bool,
    /// The LP that keeps itself free for it.
    pub(crate) expected: Option<LpId>,
}

/// Whether a guest is there: only then does it hold its reserve, and do its VPs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Not yet.
    Awaited,
    /// It is.
    Here,
    /// No more, for good.
    Stopped,
}

/// One guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// For messages.
    pub name: String,
    /// What each of its VPs was promised.
    pub controls: Controls,
    /// Where it may run; `None` is everywhere.
    pub affinity: Option<LpSet>,
    /// The NUMA node it was placed on; `None` where it is larger than every
    /// node that it may use, so that it spans them.
    pub node: Option<u32>,
    /// Its VPs, in order.
    pub vps: Vec<VpId>,
    /// Whether it is there.
    pub presence: Presence,
}

impl Guest {
    /// Whether it is there.
    pub fn is_here(&self) -> bool {
        self.presence == Presence::Here
    }

    /// Whether it may run on `lp`.
    pub fn may_use(&self, lp: LpId) -> bool {
        self.affinity.as_ref().is_none_or(|set| set.contains(lp))
    }
}

/// One LP.
#[derive(Clone, Debug, Default)]
pub struct Lp {
    /// Taken off line by its owner.
    pub offline: bool,
    /// Who runs there.
    pub running: Option<VpId>,
    /// It found nothing to do, and nobody has called it since.
    pub(crate) idle: bool,
    /// Called away from what it runs, to decide anew.
    pub(crate) called: bool,
    /// The VP that has just left it and is Ready.
    pub(crate) left: Option<VpId>,
    /// The VPs for which it was called.
    pub(crate) called_for: Vec<VpId>,
    /// The VP that runs here next, whoever else is Ready.
    pub(crate) expects: Option<VpId>,
}

impl Lp {
    /// It runs nothing, and decides again when it is called.
    pub(crate) fn waits(&self) -> bool {
        self.idle || (self.running.is_none() && self.expects.is_some())
    }
}

/// LPs, guests and VPs.
#[derive(Clone, Debug)]
pub struct Machine {
    pub(crate) config: Config,
    pub(crate) lps: Vec<Lp>,
    pub(crate) guests: Vec<Guest>,
    pub(crate) vps: Vec<Vp>,
    /// Some guest has, or had, an affinity.
    pub(crate) restricted: bool,
}

impl Machine {
    pub(crate) fn new(config: Config) -> Machine {
        Machine {
            lps: vec![Lp::default(); config.topology.lps() as usize],
            guests: Vec::new(),
            vps: Vec::new(),
            restricted: false,
            config,
        }
    }

    /// What it was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// One VP.
    ///
    /// # Panics
    /// Where `vp` was never added.
    pub fn vp(&self, vp: VpId) -> &Vp {
        &self.vps[vp.index()]
    }

    /// One guest.
    ///
    /// # Panics
    /// Where `guest` was never added.
    pub fn guest(&self, guest: GuestId) -> &Guest {
        &self.guests[guest.index()]
    }

    /// The guest of a VP.
    pub fn guest_of(&self, vp: VpId) -> &Guest {
        self.guest(self.vp(vp).guest)
    }

    /// One LP.
    pub fn lp(&self, lp: LpId) -> &Lp {
        &self.lps[lp.index()]
    }

    /// All VPs, in whatever state.
    pub fn vps(&self) -> impl Iterator<Item = (VpId, &Vp)> {
        let numbered = self.vps.iter().enumerate();
        numbered.map(|(index, vp)| (VpId(index as u32), vp))
    }

    /// All guests, those that are not there too.
    pub fn guests(&self) -> impl Iterator<Item = (GuestId, &Guest)> {
        let numbered = self.guests.iter().enumerate();
        numbered.map(|(index, guest)| (GuestId(index as u32), guest))
    }

    /// The LPs that are on line.
    pub fn online(&self) -> impl Iterator<Item = LpId> {
        let numbered = self.lps.iter().enumerate();
        numbered
            .filter(|(_, lp)| !lp.offline)
            .map(|(index, _)| LpId(index as u32))
    }

    /// Whether `vp` may run on `lp`: on line, and in its guest's affinity.
    pub fn may_run(&self, vp: VpId, lp: LpId) -> bool {
        !self.lps[lp.index()].offline && self.guest_of(vp).may_use(lp)
    }

    /// The Ready VPs that may run on `lp`, by a scan over all: for policies that keep no queues.
    pub fn ready_for(&self, lp: LpId) -> impl Iterator<Item = VpId> {
        self.vps()
            .filter(|(_, vp)| matches!(vp.state, VpState::Ready { .. }))
            .map(|(vp, _)| vp)
            .filter(move |&vp| self.may_run(vp, lp))
    }

    /// Since when `vp` has been running, where it is.
    pub(crate) fn running_since(&self, vp: VpId) -> Option<Nanos> {
        match self.vp(vp).state {
            VpState::Running { since, .. } => Some(since),
            _ => None,
        }
    }
}
