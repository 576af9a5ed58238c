//! Who has columns in `counters.csv`.

use crate::manifest::{ActionEntry, ExperimentEntry, Manifest};
use std::collections::HashMap;

/// Everybody who is in any run of the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// Number of LPs.
    pub lps: u32,
    /// Guests and their numbers of VPs, those that are added on the way too.
    pub vps: Vec<(String, u32)>,
}

impl Instances {
    /// Of all experiments of a recording. Guests of the same name in several
    /// experiments share columns.
    pub fn of(manifest: &Manifest) -> Instances {
        let most_lps = manifest.experiments.iter().map(|it| it.lps).max();
        let lps = most_lps.unwrap_or_default();
        let mut vps: Vec<(String, u32)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for experiment in &manifest.experiments {
            let added = added_vps(experiment);
            for guest in &experiment.guests {
                let name = guest.name.as_str();
                let added = added.get(name).copied().unwrap_or_default();
                let place = *places.entry(name).or_insert_with(|| {
                    vps.push((name.to_owned(), 0));
                    vps.len() - 1
                });
                vps[place].1 = vps[place].1.max(guest.vps.saturating_add(added));
            }
        }
        Instances { lps, vps }
    }

    /// The root's: one per LP, as Hyper-V's has, and one for all other CPUs.
    pub(super) fn every_root(&self) -> impl Iterator<Item = Option<u32>> {
        (0..self.lps).map(Some).chain([None])
    }

    /// Every VP: its guest, and its number there.
    pub(super) fn every_vp(&self) -> impl Iterator<Item = (&str, u32)> {
        self.vps
            .iter()
            .flat_map(|(guest, vps)| (0..*vps).map(move |vp| (guest.as_str(), vp)))
    }
}

/// How many VPs each guest gets on the way.
fn added_vps(experiment: &ExperimentEntry) -> HashMap<&str, u32> {
    let mut added = HashMap::new();
    for change in &experiment.changes {
        if let ActionEntry::AddVp { guest } = &change.action {
            *added.entry(guest.as_str()).or_default() += 1;
        }
    }
    added
}
