//! Where a guest's weight alone would give it more than its VPs can use.

use crate::manifest::{ExperimentEntry, GuestEntry};
use std::fmt;

/// A guest whose expected share is what its VPs can use, not what its weight would give it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceiling<'a> {
    /// Which.
    pub guest: &'a GuestEntry,
    /// Its part of all weights, %.
    pub by_weight_pct: f64,
    /// What its VPs can use, % of all LPs.
    pub most_pct: f64,
}

impl ExperimentEntry {
    /// Guests that have less than their part of all weights, since a VP has no
    /// more than one LP, or its cap. None where weights are not all that counts.
    pub fn ceilings(&self) -> Vec<Ceiling<'_>> {
        let by_weight_alone = self.changes.is_empty()
            && self.weight_scope == "vp"
            && self.guests.iter().all(|guest| {
                guest.reserve_pct == 0.0 && guest.affinity.is_none() && guest.payload == "burn"
            });
        if !by_weight_alone {
            return Vec::new();
        }
        let claim = |guest: &GuestEntry| f64::from(guest.weight) * f64::from(guest.vps);
        let all: f64 = self.guests.iter().map(claim).sum();
        let guests = self.guests.iter().map(|guest| Ceiling {
            guest,
            by_weight_pct: 100.0 * claim(guest) / all,
            most_pct: guest.cap_pct * f64::from(guest.vps) / f64::from(self.lps),
        });
        guests.filter(|it| it.by_weight_pct > it.most_pct).collect()
    }
}

/// `heavy: 83.33 % by weight, but its 1 VP(s) can use 50.00 %, one LP each`.
impl fmt::Display for Ceiling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GuestEntry {
            name, vps, cap_pct, ..
        } = self.guest;
        write!(
            f,
            "{name}: {:.2} % by weight, but its {vps} VP(s) can use {:.2} %, ",
            self.by_weight_pct, self.most_pct
        )?;
        match cap_pct {
            100.0 => f.write_str("one LP each"),
            cap => write!(f, "{cap} % of an LP each"),
        }
    }
}
