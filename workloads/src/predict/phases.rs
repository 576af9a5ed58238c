//! How an experiment stands between two changes.

use apportion_scheduler::{Controls, Nanos};

use crate::{Action, Experiment};

/// What holds from one change to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// When it begins, counted from when measuring begins.
    pub from: Nanos,
    /// When it ends.
    pub until: Nanos,
    /// By LP: whether it is on line.
    pub online: Vec<bool>,
    /// By guest, in the order of [`Experiment::guests`].
    pub guests: Vec<Standing>,
}

/// How a guest stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Its controls.
    pub controls: Controls,
    /// How many VPs it has; none while it is not there.
    pub vps: u32,
    /// How many VPs it will start with, where it has not started yet.
    pub to_start: u32,
}

impl Phase {
    /// How many LPs are on line.
    pub fn lps(&self) -> u32 {
        self.online.iter().filter(|online| **online).count() as u32
    }

    /// How long it lasts.
    pub fn length(&self) -> Nanos {
        self.until.since(self.from)
    }

    /// Makes a change. What a guest or an LP that is not there should do is left out.
    pub(crate) fn apply(&mut self, action: &Action) {
        match action {
            Action::Controls {
                guests, controls, ..
            } => {
                for &guest in guests {
                    let before = self.guests[guest].controls;
                    // Reading the experiment has excluded a cap below its reserve.
                    self.guests[guest].controls = controls.over(before).unwrap_or(before);
                }
            }
            Action::AddVps { guests, vps } => {
                for &guest in guests {
                    self.guests[guest].vps += vps;
                }
            }
            Action::StartGuests { guests } => {
                for &guest in guests {
                    let standing = &mut self.guests[guest];
                    standing.vps += std::mem::take(&mut standing.to_start);
                }
            }
            Action::StopGuests { guests } => {
                for &guest in guests {
                    self.guests[guest].vps = 0;
                }
            }
            Action::PostInterrupts { .. } => {}
            Action::LpOff { lp, .. } => self.turn(*lp, false),
            Action::LpOn { lp } => self.turn(*lp, true),
        }
    }

    fn turn(&mut self, lp: u32, online: bool) {
        if let Some(lp) = self.online.get_mut(lp as usize) {
            *lp = online;
        }
    }

    /// How the experiment begins on so many LPs; it is not known yet when this ends.
    pub(crate) fn first(experiment: &Experiment, lps: u32) -> Phase {
        let starts = |guest: usize| {
            let mut changes = experiment.changes.iter();
            changes.any(|change| {
                matches!(&change.action, Action::StartGuests { guests } if guests.contains(&guest))
            })
        };
        let standing = |(index, guest): (usize, &crate::Guest)| {
            let (vps, to_start) = match starts(index) {
                true => (0, guest.vps),
                false => (guest.vps, 0),
            };
            Standing {
                controls: guest.controls,
                vps,
                to_start,
            }
        };
        Phase {
            from: Nanos::ZERO,
            until: experiment.duration,
            online: vec![true; lps as usize],
            guests: experiment.guests.iter().enumerate().map(standing).collect(),
        }
    }
}

/// The phases of the experiment on so many LPs, in order, one at least. What
/// changes nothing that shares depend on begins none.
pub fn phases(experiment: &Experiment, lps: u32) -> Vec<Phase> {
    let mut phases = vec![Phase::first(experiment, lps)];
    for together in experiment.changes.chunk_by(|a, b| a.at == b.at) {
        let Some(last) = phases.last_mut() else {
            continue;
        };
        let mut next = last.clone();
        together
            .iter()
            .for_each(|change| next.apply(&change.action));
        if next == *last || together[0].at >= experiment.duration {
            continue;
        }
        last.until = together[0].at;
        next.from = together[0].at;
        phases.push(next);
    }
    phases
}
