//! The VPs of a run and the state that each is in.

use crate::controls::Controls;
use crate::units::{GuestId, LpId, Nanos, VpId};

/// What a VP is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VpState {
    /// Not yet started, or stopped: takes no part.
    Suspended,
    /// Wants an LP since this time.
    Ready {
        /// Since when.
        since: Nanos,
    },
    /// Has one.
    Running {
        /// Which one.
        lp: LpId,
        /// To be suspended once it has left.
        leaving: bool,
    },
}

/// One VP.
#[derive(Clone, Debug)]
pub struct Vp {
    /// Whose it is.
    pub guest: GuestId,
    /// What it was promised.
    pub controls: Controls,
    /// What it is doing.
    pub state: VpState,
    /// The LP that it last ran on, before its first dispatch the one it was placed on.
    pub home: LpId,
}

/// All VPs of a run, by [`VpId`].
#[derive(Clone, Debug, Default)]
pub struct VpTable(Vec<Vp>);

impl VpTable {
    pub(crate) fn push(&mut self, vp: Vp) -> VpId {
        self.0.push(vp);
        VpId(self.0.len() as u32 - 1)
    }

    /// One VP.
    ///
    /// # Panics
    /// Where `vp` was never added.
    pub fn get(&self, vp: VpId) -> &Vp {
        &self.0[vp.index()]
    }

    pub(crate) fn get_mut(&mut self, vp: VpId) -> &mut Vp {
        &mut self.0[vp.index()]
    }

    /// How many there are, in whatever state.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was added yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (VpId, &Vp)> {
        self.0
            .iter()
            .enumerate()
            .map(|(index, vp)| (VpId(index as u32), vp))
    }

    /// Those that want to run or do: the ones that share the LPs.
    pub fn runnable(&self) -> impl Iterator<Item = (VpId, &Vp)> {
        self.iter().filter(|(_, vp)| match vp.state {
            VpState::Ready { .. } => true,
            VpState::Running { leaving, .. } => !leaving,
            VpState::Suspended => false,
        })
    }

    /// Those that wait for an LP.
    pub fn ready(&self) -> impl Iterator<Item = (VpId, &Vp)> {
        self.iter()
            .filter(|(_, vp)| matches!(vp.state, VpState::Ready { .. }))
    }
}
