//! Who is who in a run: VPs by guest, worked out once.

use apportion_hypervisor::RunSpec;
use apportion_scheduler::{GuestId, VpId};

/// The VPs of a run and whose they are.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    /// By [`VpId`]: the guest, and the VP's number within it.
    pub(crate) owners: Vec<(GuestId, u32)>,
    /// By guest: its VPs, those that are added to it on the way last.
    vps: Vec<Vec<VpId>>,
    /// How many VPs guests have as they start: the others are added.
    pub(crate) initial: usize,
}

impl Roster {
    pub(crate) fn new(spec: &RunSpec) -> Roster {
        let owners = spec.owners();
        let mut vps = vec![Vec::new(); spec.guests.len()];
        for (vp, (guest, _)) in owners.iter().enumerate() {
            vps[guest.index()].push(VpId(vp as u32));
        }
        Roster {
            initial: spec.guests.iter().map(|guest| guest.vps as usize).sum(),
            owners,
            vps,
        }
    }

    /// All guests.
    pub(crate) fn guests(&self) -> impl Iterator<Item = GuestId> + use<> {
        (0..self.vps.len() as u32).map(GuestId)
    }

    /// The VPs of a guest, added ones too.
    pub(crate) fn vps_of(&self, guest: GuestId) -> &[VpId] {
        &self.vps[guest.index()]
    }

    /// The VPs that a guest starts with.
    pub(crate) fn initial_vps_of(&self, guest: GuestId) -> impl Iterator<Item = VpId> {
        let initial = self.initial;
        let vps = self.vps_of(guest).iter().copied();
        vps.filter(move |vp| vp.index() < initial)
    }
}
