//! What is to be run: guests, LPs, changes on the way. The same for every engine.

use crate::dispatch_log::LogEntry;
use crate::engine::EngineError;
use apportion_abi::{Payload, Processor, layout};
use apportion_scheduler::{
    AdmissionError, Config, Controls, GuestId, LpId, LpSet, Nanos, NewGuest, PolicyKind,
    RecordedDemand, ReserveModel, Scheduler, Topology, VpId, WeightScope,
};
use std::collections::HashSet;
use std::sync::Arc;

/// One run: which guests, on how many LPs, under which policy, for how long.
#[derive(Clone, Debug)]
pub struct RunSpec {
    /// How many LPs.
    pub lps: u32,
    /// Into how many NUMA nodes they are divided.
    pub nodes: u32,
    /// The longest dispatch.
    pub slice: Nanos,
    /// Who decides.
    pub policy: PolicyKind,
    /// What reserves mean under contention.
    pub reserve_model: ReserveModel,
    /// Whose claim a weight is.
    pub weight_scope: WeightScope,
    /// Of everything random.
    pub seed: u64,
    /// In the order of their [`GuestId`]s.
    pub guests: Vec<GuestSpec>,
    /// In order of time.
    pub changes: Vec<Change>,
    /// Run before measuring begins.
    pub warm_up: Nanos,
    /// Measured.
    pub duration: Nanos,
    /// Whether to hand over the decision log.
    pub decisions: bool,
    /// For the simulator alone.
    pub simulator: SimulatorSpec,
}

/// What the simulator assumes of the machine it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatorSpec {
    /// What the host takes of an LP at each dispatch.
    pub overhead: Nanos,
    /// How late a dispatch ends at the most, evenly distributed from 0.
    pub kick_latency: Nanos,
}

/// One guest of a run.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// For messages.
    pub name: String,
    /// How many VPs, at least one.
    pub vps: u32,
    /// What each of them was promised.
    pub controls: Controls,
    /// Where it may run; `None` is everywhere.
    pub affinity: Option<LpSet>,
    /// What they do.
    pub payload: Payload,
    /// Of payload `replay`: what it is to do.
    pub demand: Option<Arc<RecordedDemand>>,
    /// Bytes of memory, a multiple of [`apportion_abi::layout::LARGE_PAGE`].
    pub memory: u64,
    /// What they see of the processor.
    pub processor: Processor,
    /// Timer interrupts that each VP gets in a second.
    pub ticks: u32,
}

impl GuestSpec {
    /// A guest with the least memory, all of the processor, free to run anywhere, without ticks.
    pub fn new(name: &str, vps: u32, controls: Controls, payload: Payload) -> GuestSpec {
        GuestSpec {
            name: name.to_owned(),
            vps,
            controls,
            affinity: None,
            payload,
            demand: None,
            memory: layout::LEAST_MEMORY,
            processor: Processor::Host,
            ticks: 0,
        }
    }
}

/// Something that changes while the guests run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// After measuring has begun.
    pub at: Nanos,
    /// What.
    pub action: Action,
}

/// What a [`Change`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Gives a guest other controls.
    SetControls {
        /// Which.
        guest: GuestId,
        /// All three.
        controls: Controls,
    },
    /// A guest starts that is not there before: its numbers are kept for it.
    StartGuest {
        /// Which.
        guest: GuestId,
    },
    /// A guest goes for good.
    StopGuest {
        /// Which.
        guest: GuestId,
    },
    /// Adds one VP to a guest.
    AddVp {
        /// Which.
        guest: GuestId,
    },
    /// Posts interrupts to each VP of a guest.
    PostInterrupts {
        /// Which.
        guest: GuestId,
        /// How many.
        count: u32,
    },
    /// Takes an LP off line.
    LpOff {
        /// Which.
        lp: LpId,
        /// Whatever is reserved.
        force: bool,
    },
    /// Takes it on line again.
    LpOn {
        /// Which.
        lp: LpId,
    },
}

impl RunSpec {
    /// The guest of every VP and the VP's index within it, in the order of
    /// [`VpId`]: those of all guests first, then those that are added.
    pub fn owners(&self) -> Vec<(GuestId, u32)> {
        let guests = self.guests.iter().enumerate();
        let mut owners: Vec<(GuestId, u32)> = guests
            .flat_map(|(guest, spec)| (0..spec.vps).map(move |vp| (GuestId(guest as u32), vp)))
            .collect();
        for change in &self.changes {
            if let Action::AddVp { guest } = change.action {
                let vps = owners.iter().filter(|owner| owner.0 == guest).count();
                owners.push((guest, vps as u32));
            }
        }
        owners
    }

    /// The VPs of `guest`, added ones too, as the scheduler numbers them.
    pub fn vps_of(&self, guest: GuestId) -> Vec<VpId> {
        let owners = self.owners().into_iter().enumerate();
        owners
            .filter(|(_, owner)| owner.0 == guest)
            .map(|(vp, _)| VpId(vp as u32))
            .collect()
    }

    /// The VPs that `guest` starts with, as the scheduler numbers them.
    pub(crate) fn first_vps_of(&self, guest: GuestId) -> impl Iterator<Item = VpId> + use<> {
        let vps = |guests: &[GuestSpec]| guests.iter().map(|guest| guest.vps).sum();
        let before: u32 = vps(&self.guests[..guest.index()]);
        (before..before + self.guests[guest.index()].vps).map(VpId)
    }

    /// The guests that a change starts, so that they are not there before.
    pub(crate) fn latecomers(&self) -> HashSet<GuestId> {
        let starts = self.changes.iter().map(|change| change.action);
        let guests = starts.filter_map(|action| match action {
            Action::StartGuest { guest } => Some(guest),
            _ => None,
        });
        guests.collect()
    }

    /// What the scheduler is made with.
    pub fn config(&self) -> Config {
        Config {
            topology: Topology::even(self.lps, self.nodes),
            slice: self.slice,
            policy: self.policy,
            reserve_model: self.reserve_model,
            weight_scope: self.weight_scope,
            seed: self.seed,
        }
    }

    /// A scheduler with all guests known, those admitted that are there from the start, nothing started.
    ///
    /// # Errors
    /// [`EngineError::Refused`] for the first guest that is not.
    pub(crate) fn admit(&self) -> Result<Scheduler, EngineError> {
        let mut scheduler = Scheduler::new(self.config());
        if self.decisions {
            scheduler.keep_journal();
        }
        let latecomers = self.latecomers();
        for (id, guest) in self.guests.iter().enumerate() {
            let new = NewGuest {
                name: guest.name.clone(),
                vps: guest.vps,
                controls: guest.controls,
                affinity: guest.affinity.clone(),
            };
            if latecomers.contains(&GuestId(id as u32)) {
                scheduler.define_guest(Nanos::ZERO, &new);
            } else {
                let added = scheduler.add_guest(Nanos::ZERO, &new);
                added.map_err(EngineError::Refused)?;
            }
        }
        Ok(scheduler)
    }

    /// Whether an observer may request this, whatever the scheduler says to it.
    pub(crate) fn check_request(&self, action: &Action) -> Result<(), EngineError> {
        match action {
            Action::AddVp { guest }
            | Action::StartGuest { guest }
            | Action::StopGuest { guest } => Err(EngineError::Unplanned {
                guest: self.guests[guest.index()].name.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether every guest and, in their order, every change will be admitted.
    ///
    /// # Errors
    /// [`EngineError::Refused`] and [`EngineError::ChangeRefused`].
    pub fn check_admission(&self) -> Result<(), EngineError> {
        let mut scheduler = self.admit()?;
        for change in &self.changes {
            change
                .action
                .apply(&mut scheduler, Nanos::ZERO)
                .map_err(|source| EngineError::ChangeRefused {
                    at: change.at,
                    source,
                })?;
        }
        Ok(())
    }
}

impl Action {
    /// Whether it may be refused and the run go on. VPs are numbered as they
    /// were planned, so that none can be left out; without a guest that was
    /// to start the run would be another one.
    pub(crate) fn may_be_left_out(self) -> bool {
        !matches!(self, Action::AddVp { .. } | Action::StartGuest { .. })
    }

    /// Does it; VPs that come by it want to run at once. What is to be told of
    /// it; `None` where nothing has changed.
    pub(crate) fn apply(
        self,
        scheduler: &mut Scheduler,
        now: Nanos,
    ) -> Result<Option<LogEntry>, AdmissionError> {
        let at = now;
        Ok(Some(match self {
            Action::SetControls { guest, controls } => {
                scheduler.set_controls(now, guest, controls)?;
                LogEntry::ControlsChanged {
                    guest,
                    controls,
                    at,
                }
            }
            Action::StartGuest { guest } => {
                scheduler.admit_guest(now, guest)?;
                let vps = scheduler.machine().guest(guest).vps.clone();
                scheduler.start(now, &vps);
                LogEntry::GuestStarted { guest, at }
            }
            Action::StopGuest { guest } => {
                // One that has crashed is gone already.
                if !scheduler.machine().guest(guest).is_here() {
                    return Ok(None);
                }
                scheduler.stop_guest(now, guest);
                LogEntry::GuestStopped { guest, at }
            }
            Action::AddVp { guest } => {
                let vp = scheduler.add_vp(now, guest)?;
                scheduler.start(now, &[vp]);
                LogEntry::VpAdded { vp, at }
            }
            // For the engine to do: the scheduler knows no interrupts.
            Action::PostInterrupts { guest, count } => {
                LogEntry::InterruptsPosted { guest, count, at }
            }
            Action::LpOff { lp, force } => {
                scheduler.lp_off(now, lp, force)?;
                let online = false;
                LogEntry::LpChanged { lp, online, at }
            }
            Action::LpOn { lp } => {
                scheduler.lp_on(now, lp)?;
                let online = true;
                LogEntry::LpChanged { lp, online, at }
            }
        }))
    }
}
