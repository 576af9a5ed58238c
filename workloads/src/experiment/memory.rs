//! How much memory guests have, and whether their working sets fit.

use std::cmp::Reverse;

use apportion_abi::layout;
use toml::Spanned;

use super::Guest;
use super::changes::{Action, Change};
use super::diagnostics::{Problem, Problems};
use super::fields::Fields;
use super::guests::Guests;
use crate::limits;
use crate::size::Bytes;

/// What one entry says about the memory of its guests.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    /// What each guest has; `None` is as much as it needs.
    memory: Option<Spanned<Bytes>>,
    /// What each VP needs for itself, if anything.
    working_set: Option<Spanned<Bytes>>,
}

impl Room {
    pub(super) fn read(fields: &mut Fields<'_, '_>, working_set: Option<Spanned<Bytes>>) -> Room {
        let page = Bytes(layout::LARGE_PAGE);
        Room {
            memory: fields.located("memory", |fields| fields.size(&limits::MEMORY, page)),
            working_set,
        }
    }

    /// Bytes of memory of a guest that has `vps` VPs at the most.
    fn memory(&self, vps: u32) -> u64 {
        match &self.memory {
            Some(memory) => memory.get_ref().0,
            None => self.needed(vps),
        }
    }

    /// The least memory in which the working sets of `vps` VPs fit.
    fn needed(&self, vps: u32) -> u64 {
        let each = self.working_set.as_ref().map_or(0, |set| set.get_ref().0);
        let needed = layout::HEAP + u64::from(vps) * each;
        needed
            .next_multiple_of(layout::LARGE_PAGE)
            .max(layout::LEAST_MEMORY)
    }

    /// The complaint about `guest` if it has too little for the working sets of its VPs, `vps` at the most.
    fn too_small(&self, guest: &Guest, vps: u32) -> Option<Problem> {
        let set = self.working_set.as_ref()?;
        let (name, needed) = (&guest.name, Bytes(self.needed(vps)));
        let sets = match vps {
            1 => format!("a working set of {}", set.get_ref()),
            _ => format!("{vps} working sets of {}", set.get_ref()),
        };
        let problem = if limits::MEMORY.check(needed).is_err() {
            let title = format!("guest `{name}` would need {needed} of memory for {sets}");
            let most = limits::MEMORY.highest;
            let label = format!("use a smaller one, or fewer VPs: a guest has at most {most}");
            Problem::at(set.span(), title, label)
        } else {
            let memory = self.memory.as_ref()?;
            let given = memory.get_ref();
            if *given >= needed {
                return None;
            }
            let title = format!("memory {given} of guest `{name}` is too small for {sets}");
            let label = format!("use at least {needed}, or remove this key");
            Problem::at(memory.span(), title, label).context(set.span(), "one for each VP")
        };
        Some(match vps - guest.vps {
            0 => problem,
            added => problem.help(format!("changes add {added} of its {vps} VPs")),
        })
    }
}

/// Gives every guest its memory: what the file says, or what it needs with the VPs that changes add.
pub(super) fn furnish(guests: &mut Guests, changes: &[Change], problems: &mut Problems) {
    let mut vps: Vec<u32> = guests.list.iter().map(|guest| guest.vps).collect();
    for change in changes {
        if let Action::AddVps { guests, vps: added } = &change.action {
            guests.iter().for_each(|&index| vps[index] += added);
        }
    }
    for ((guest, room), vps) in guests.list.iter_mut().zip(&guests.rooms).zip(&mut vps) {
        // More than that has been reported.
        *vps = (*vps).min(limits::VPS.highest);
        guest.memory = room.memory(*vps);
    }
    let mut next = 0;
    for entry in guests.list.chunk_by(|a, b| a.group == b.group) {
        let indices = next..next + entry.len();
        next = indices.end;
        // The largest guest of an entry speaks for all.
        if let Some(largest) = indices.min_by_key(|&index| Reverse(vps[index])) {
            let guest = &guests.list[largest];
            problems.extend(guests.rooms[largest].too_small(guest, vps[largest]));
        }
    }
}
