//! Admission: what is promised can be kept, or it is not promised.
//!
//! The reserves of all VPs together take at most [`PROMISED`] of every LP on
//! line, so that every weight is worth something; with affinity they also fit
//! on the LPs they may use. A guest with a reserve has no more VPs than LPs
//! that it may use: more could never run at once.

use crate::bottlenecks::Places;
use crate::controls::{FULL, Reserve};
use crate::machine::Machine;
use crate::topology::LpSet;
use crate::units::{GuestId, LpId};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use thiserror::Error;

/// The part of each LP that reserves may take, in thousandths of a percent.
const PROMISED: u64 = 99_000;

/// Why something was refused. Percentages are of one LP.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum AdmissionError {
    /// The reserves do not fit on the LPs.
    #[error(
        "{what} needs {wanted} % of an LP in reserves, and of the {total} % that {lps} LP(s) can promise (99 % of each) \
         {left} % is left{}: lower a reserve, use fewer VPs, or give it more LPs", held(.holders)
    )]
    Reserves {
        /// Who or what asked.
        what: String,
        /// Needed by it.
        wanted: f64,
        /// What can be promised.
        total: f64,
        /// On so many LPs.
        lps: u32,
        /// Not yet promised to others.
        left: f64,
        /// Who holds the rest.
        holders: Vec<Holder>,
    },
    /// The reserves would fit, but not on the LPs that their guests may use.
    #[error(
        "{what}: the reserves of {} do not fit on the LPs that these guests may use: lower a reserve or widen an affinity",
        listed(.guests)
    )]
    Affinity {
        /// Who or what asked.
        what: String,
        /// The guests that cannot all be served.
        guests: Vec<String>,
    },
    /// A reserve on more VPs than can run at once.
    #[error(
        "guest {guest} has {vps} VPs and may use {lps} LP(s): its reserve of {reserve} % per VP cannot be guaranteed, \
         since no more VPs than LPs run at once: use reserve 0, or at most {lps} VP(s)"
    )]
    MoreVpsThanLps {
        /// Which.
        guest: String,
        /// It would have.
        vps: usize,
        /// It may use.
        lps: u32,
        /// Of each VP.
        reserve: f64,
    },
    /// An affinity leaves no LP.
    #[error("guest {guest}: none of the LPs {lps:?} of its affinity is on line")]
    NoLp {
        /// Which.
        guest: String,
        /// What it may use.
        lps: LpSet,
    },
    /// The reserves need the LP.
    #[error(
        "LP {lp} cannot be taken off line: reserves of {reserved} % of an LP are promised{}, and {lps} LP(s) can promise \
         {total} %: lower a reserve, stop a guest, or force it (`force = true` in an experiment), which scales all \
         reserves down", held(.holders)
    )]
    LpNeeded {
        /// Which.
        lp: u32,
        /// Promised.
        reserved: f64,
        /// LPs that would be left.
        lps: u32,
        /// What they could promise.
        total: f64,
        /// Who holds it.
        holders: Vec<Holder>,
    },
    /// It is the last one, or the last one of a guest.
    #[error("LP {lp} cannot be taken off line: {reason}")]
    LastLp {
        /// Which.
        lp: u32,
        /// Why, and what to do, in words.
        reason: String,
    },
    /// There is no such LP.
    #[error("there is no LP {lp}: LPs are numbered 0 to {}", .lps - 1)]
    UnknownLp {
        /// Asked for.
        lp: u32,
        /// There are.
        lps: u32,
    },
    /// The guest has not been let in.
    #[error("guest {guest} has not started: nothing of it can be changed before")]
    Awaited {
        /// Which.
        guest: String,
    },
    /// The guest was stopped.
    #[error("guest {guest} was stopped: nothing of it can be changed")]
    Stopped {
        /// Which.
        guest: String,
    },
}

/// A guest and what it holds in reserves, in percent of one LP.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// Its name.
    pub guest: String,
    /// Of all its VPs.
    pub percent: f64,
}

/// At most this many holders are named; the rest is summed up.
const NAMED: usize = 8;

fn held(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let mut text = " (held by ".to_owned();
    for (index, Holder { guest, percent }) in holders.iter().take(NAMED).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{guest}: {percent} %");
    }
    if holders.len() > NAMED {
        let rest = &holders[NAMED..];
        let percent: f64 = rest.iter().map(|holder| holder.percent).sum();
        // Thousandths are what a reserve is counted in.
        let percent = (percent * 1_000.0).round() / 1_000.0;
        let _ = write!(text, ", {} more: {percent} %", rest.len());
    }
    text + ")"
}

fn listed(names: &[String]) -> String {
    names.join(", ")
}

fn percent(parts: u64) -> f64 {
    parts as f64 / 1_000.0
}

/// What a guest claims, or would claim if a change were made.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// The one that stands for it now, if it is there already.
    pub(crate) guest: Option<GuestId>,
    pub(crate) name: &'a str,
    pub(crate) vps: usize,
    pub(crate) reserve: Reserve,
    pub(crate) affinity: Option<&'a LpSet>,
}

impl Wanted<'_> {
    fn parts(&self) -> u64 {
        self.vps as u64 * u64::from(self.reserve.parts())
    }
}

/// Whether all LPs of `narrow` are in `wide`; `None` is all there are.
fn covers(wide: Option<&LpSet>, narrow: Option<&LpSet>) -> bool {
    wide.is_none_or(|wide| narrow.is_some_and(|narrow| narrow.iter().all(|lp| wide.contains(lp))))
}

impl Machine {
    /// Every guest that holds a promise, but for `except`.
    fn promises(&self, except: Option<GuestId>) -> impl Iterator<Item = Wanted<'_>> {
        self.guests()
            .filter(move |(id, guest)| Some(*id) != except && guest.is_here())
            .map(|(id, guest)| Wanted {
                guest: Some(id),
                name: &guest.name,
                vps: guest.vps.len(),
                reserve: guest.controls.reserve,
                affinity: guest.affinity.as_ref(),
            })
    }

    /// Whether no more is wanted than nothing, or than the guest was promised
    /// before: such a change is always possible, also where LPs were forced off line.
    fn is_promised(&self, wanted: &Wanted<'_>) -> bool {
        let before = wanted.guest.map(|id| self.guest(id));
        let covered = before.is_some_and(|guest| {
            wanted.reserve <= guest.controls.reserve
                && wanted.vps <= guest.vps.len()
                && covers(wanted.affinity, guest.affinity.as_ref())
        });
        covered || wanted.parts() == 0
    }

    /// Whether `wanted` can be promised beside everything that is.
    pub(crate) fn admit(&self, wanted: &Wanted<'_>) -> Result<(), AdmissionError> {
        let usable = |lp: &LpId| wanted.affinity.is_none_or(|set| set.contains(*lp));
        if let Some(set) = wanted.affinity
            && let Some(lp) = set.iter().find(|lp| lp.index() >= self.lps.len())
        {
            return Err(AdmissionError::UnknownLp {
                lp: lp.0,
                lps: self.lps.len() as u32,
            });
        }
        let lps = self.online().filter(usable).count() as u32;
        if let (0, Some(set)) = (lps, wanted.affinity) {
            return Err(AdmissionError::NoLp {
                guest: wanted.name.to_owned(),
                lps: set.clone(),
            });
        }
        if self.is_promised(wanted) {
            return Ok(());
        }
        if wanted.vps > lps as usize {
            return Err(AdmissionError::MoreVpsThanLps {
                guest: wanted.name.to_owned(),
                vps: wanted.vps,
                lps,
                reserve: wanted.reserve.percent(),
            });
        }
        let online: Vec<LpId> = self.online().collect();
        let total = online.len() as u64 * PROMISED;
        let others: u64 = self.promises(wanted.guest).map(|g| g.parts()).sum();
        if others + wanted.parts() > total {
            return Err(AdmissionError::Reserves {
                what: format!("guest {}", wanted.name),
                wanted: percent(wanted.parts()),
                total: percent(total),
                lps: online.len() as u32,
                left: percent(total.saturating_sub(others)),
                holders: self.holders(wanted.guest),
            });
        }
        let all = self.promises(wanted.guest).chain([wanted.clone()]);
        self.places_suffice(&format!("guest {}", wanted.name), all, &online)
    }

    /// Whether `lp` can go off line; with `force` reserves do not count.
    pub(crate) fn admit_without(&self, lp: LpId, force: bool) -> Result<(), AdmissionError> {
        if lp.index() >= self.lps.len() {
            return Err(AdmissionError::UnknownLp {
                lp: lp.0,
                lps: self.lps.len() as u32,
            });
        }
        let left: Vec<LpId> = self.online().filter(|&other| other != lp).collect();
        let last = |reason| Err(AdmissionError::LastLp { lp: lp.0, reason });
        if left.is_empty() {
            return last("it is the last one on line: bring another one on line first".to_owned());
        }
        let stranded = self
            .guests()
            .find(|(_, guest)| guest.is_here() && !left.iter().any(|&other| guest.may_use(other)));
        if let Some((_, guest)) = stranded {
            return last(format!(
                "guest {} may use no other: widen its affinity",
                guest.name
            ));
        }
        if force {
            return Ok(());
        }
        let reserved: u64 = self.promises(None).map(|guest| guest.parts()).sum();
        let total = left.len() as u64 * PROMISED;
        if reserved > total {
            return Err(AdmissionError::LpNeeded {
                lp: lp.0,
                reserved: percent(reserved),
                lps: left.len() as u32,
                total: percent(total),
                holders: self.holders(None),
            });
        }
        for guest in self.promises(None) {
            let usable = |other: &&LpId| guest.affinity.is_none_or(|set| set.contains(**other));
            let lps = left.iter().filter(usable).count() as u32;
            if guest.reserve > Reserve::default() && guest.vps > lps as usize {
                return last(format!(
                    "guest {} has a reserve on {} VPs, and {lps} LP(s) would be left to it: \
                     set its reserve to 0, or force it (`force = true` in an experiment)",
                    guest.name, guest.vps
                ));
            }
        }
        self.places_suffice(&format!("LP {} off line", lp.0), self.promises(None), &left)
    }

    fn holders(&self, except: Option<GuestId>) -> Vec<Holder> {
        self.promises(except)
            .filter(|guest| guest.parts() > 0)
            .map(|guest| Holder {
                guest: guest.name.to_owned(),
                percent: percent(guest.parts()),
            })
            .collect()
    }

    /// Whether all reserves fit on the LPs that their guests may use.
    fn places_suffice<'a>(
        &self,
        what: &str,
        guests: impl Iterator<Item = Wanted<'a>>,
        online: &[LpId],
    ) -> Result<(), AdmissionError> {
        let guests: Vec<Wanted<'_>> = guests.filter(|guest| guest.parts() > 0).collect();
        if guests.iter().all(|guest| guest.affinity.is_none()) {
            return Ok(());
        }
        let sets: Vec<Option<&LpSet>> = guests.iter().map(|guest| guest.affinity).collect();
        let places = places(&sets, online, |_| PROMISED).0;
        let wanted: Vec<u64> = guests.iter().map(Wanted::parts).collect();
        let groups: Vec<usize> = (0..guests.len()).collect();
        let kinds: Vec<usize> = (0..places.lps.len()).collect();
        let unserved = places.unserved(&groups, &kinds, &wanted);
        if unserved.is_empty() {
            return Ok(());
        }
        Err(AdmissionError::Affinity {
            what: what.to_owned(),
            guests: unserved
                .into_iter()
                .map(|group| guests[group].name.to_owned())
                .collect(),
        })
    }
}

/// Groups by affinity and kinds of LPs; and the kind of each of `online`.
pub(crate) fn places(
    sets: &[Option<&LpSet>],
    online: &[LpId],
    room_of: impl Fn(LpId) -> u64,
) -> (Places, Vec<usize>) {
    let mut kinds: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    let (mut lps, mut room) = (Vec::new(), Vec::new());
    let mut kind_of = Vec::new();
    for &lp in online {
        let by: Vec<bool> = sets
            .iter()
            .map(|set| set.is_none_or(|set| set.contains(lp)))
            .collect();
        let next = kinds.len();
        let kind = *kinds.entry(by).or_insert(next);
        if kind == lps.len() {
            lps.push(0);
            room.push(0);
        }
        lps[kind] += 1;
        room[kind] += room_of(lp);
        kind_of.push(kind);
    }
    let mut allowed = vec![vec![false; lps.len()]; sets.len()];
    for (by, kind) in kinds {
        for (group, allows) in by.into_iter().enumerate() {
            allowed[group][kind] = allows;
        }
    }
    (Places { allowed, lps, room }, kind_of)
}

/// One LP's worth of reserves, so that the units above can be trusted.
const _: () = assert!(PROMISED < FULL as u64);
