//! One random experiment: machine, guests, what they do, what changes, what is lost.

use apportion_scheduler::{Cap, Controls, LpId, LpSet, Reserve, ReserveModel, Weight, WeightScope};
use std::fmt;

/// What a mix is about. A mix's number modulo the kinds is its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Weights, reserves and caps of guests that never sleep; every LP is wanted.
    Burning,
    /// As burning, on several NUMA nodes.
    Nodes,
    /// As burning, and demand, with caps, is below what the LPs give.
    Caps,
    /// Guests that never sleep, some bound to LPs.
    Affinity,
    /// Bound and free guests, some of which stop: LPs become idle.
    Squatting,
    /// Guests that sleep, each burst and period of at least four slices.
    LongSleepers,
    /// Guests that sleep, each period shorter than four slices.
    ShortSleepers,
    /// Work that arrives whether or not the last piece is done.
    Arrivals,
    /// LPs lose time, on single ones too, beside guests with reserves.
    Losses,
    /// Guests come and go, controls and affinities change, LPs go off and on.
    Newcomers,
    /// Anything of the above at once.
    Everything,
}

impl Kind {
    pub(crate) const ALL: [Kind; 11] = [
        Kind::Burning,
        Kind::Nodes,
        Kind::Caps,
        Kind::Affinity,
        Kind::Squatting,
        Kind::LongSleepers,
        Kind::ShortSleepers,
        Kind::Arrivals,
        Kind::Losses,
        Kind::Newcomers,
        Kind::Everything,
    ];

    pub(crate) fn of(number: u64) -> Kind {
        Kind::ALL[(number % Kind::ALL.len() as u64) as usize]
    }
}

/// What a VP wants. Times in ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behaviour {
    Burning,
    /// `run` every `period`; a VP that is late by whole periods drops those.
    Periodic {
        run: f64,
        period: f64,
    },
    /// Exponential bursts and sleeps; a sleep begins when the burst ends.
    OnOff {
        on: f64,
        off: f64,
    },
    /// Exponential pieces that arrive at exponential intervals, whether or not the last one is done.
    Bursts {
        work: f64,
        gap: f64,
    },
    /// Fixed work with fixed pauses.
    Fixed {
        run: f64,
        pause: f64,
    },
}

impl Behaviour {
    /// Whether what it wants next depends on when the last piece was done.
    pub(crate) fn is_closed(self) -> bool {
        !matches!(self, Behaviour::Burning | Behaviour::Bursts { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Terms {
    pub(crate) weight: u32,
    /// In percent of one LP.
    pub(crate) reserve: f64,
    /// In percent of one LP.
    pub(crate) cap: f64,
}

impl Terms {
    pub(crate) fn controls(self) -> Controls {
        let weight = Weight::new(i64::from(self.weight)).expect("a weight in range");
        let reserve = Reserve::from_percent(self.reserve).expect("a reserve in range");
        let cap = Cap::from_percent(self.cap).expect("a cap in range");
        Controls::new(weight, reserve, cap).expect("a cap above the reserve")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) vps: u32,
    pub(crate) terms: Terms,
    /// A bit per LP; `None` is everywhere.
    pub(crate) affinity: Option<u64>,
    pub(crate) behaviour: Behaviour,
    /// When it starts, in ns.
    pub(crate) begins: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Controls { guest: usize, terms: Terms },
    Affinity { guest: usize, lps: Option<u64> },
    AddVp { guest: usize },
    Start { guest: usize },
    Stop { guest: usize },
    LpOff { lp: u32 },
    LpOn { lp: u32 },
}

/// An LP gives nothing for a while; the VP on it stays there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) lp: u32,
    pub(crate) at: u64,
    pub(crate) span: u64,
}

/// Times in ns.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    /// How to get it again: a number, then mutations.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) lps: u32,
    pub(crate) nodes: u32,
    pub(crate) slice: u64,
    pub(crate) model: ReserveModel,
    pub(crate) scope: WeightScope,
    pub(crate) duration: u64,
    /// A dispatch ends later than it should by up to this.
    pub(crate) overshoot: u64,
    /// Lost at the begin of each dispatch.
    pub(crate) overhead: u64,
    /// A called LP decides up to this later.
    pub(crate) latency: u64,
    /// Sleepers are held to their reserves with no allowance for waits.
    pub(crate) is_strict: bool,
    pub(crate) guests: Vec<Guest>,
    pub(crate) changes: Vec<(u64, Change)>,
    pub(crate) stalls: Vec<Stall>,
}

impl Mix {
    /// How much later than in theory anything may come: j of the stated bounds.
    pub(crate) fn lateness(&self) -> f64 {
        let stall = self.stalls.iter().map(|stall| stall.span).max();
        (self.overshoot + self.latency + self.overhead + stall.unwrap_or(0)) as f64
    }

    pub(crate) fn has_capped_sleepers(&self) -> bool {
        let sleeps = |guest: &Guest| guest.behaviour != Behaviour::Burning;
        self.guests.iter().any(sleeps) && self.guests.iter().any(|guest| guest.terms.cap < 100.0)
    }

    /// Some VP sleeps.
    pub(crate) fn has_sleepers(&self) -> bool {
        let sleeps = |guest: &Guest| !matches!(guest.behaviour, Behaviour::Burning);
        self.guests.iter().any(sleeps)
    }

    pub(crate) fn has_closed(&self) -> bool {
        self.guests.iter().any(|guest| guest.behaviour.is_closed())
    }
}

pub(crate) fn lp_set(bits: u64) -> LpSet {
    (0..64).filter(|lp| bits >> lp & 1 == 1).map(LpId).collect()
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_slices = |time: f64| time / self.slice as f64;
        writeln!(
            f,
            "APPORTION_MIX={} ({:?}): {} LPs, {} nodes, slice {} us, {} slices, {}, weight per {}, overshoot {} us, \
             overhead {} us, latency {} us, {} stalls",
            self.name,
            self.kind,
            self.lps,
            self.nodes,
            self.slice as f64 / 1e3,
            in_slices(self.duration as f64).round(),
            self.model.name(),
            self.scope.name(),
            self.overshoot as f64 / 1e3,
            self.overhead as f64 / 1e3,
            self.latency as f64 / 1e3,
            self.stalls.len(),
        )?;
        for (index, guest) in self.guests.iter().enumerate() {
            write!(
                f,
                "  g{index}: {} VPs, weight {}, reserve {} %, cap {} %",
                guest.vps, guest.terms.weight, guest.terms.reserve, guest.terms.cap
            )?;
            if let Some(bits) = guest.affinity {
                write!(f, ", on {:?}", lp_set(bits))?;
            }
            let (what, first, second) = match guest.behaviour {
                Behaviour::Burning => ("burns", 0.0, 0.0),
                Behaviour::Periodic { run, period } => ("periodic", run, period),
                Behaviour::OnOff { on, off } => ("on-off", on, off),
                Behaviour::Bursts { work, gap } => ("bursts", work, gap),
                Behaviour::Fixed { run, pause } => ("fixed", run, pause),
            };
            write!(f, ", {what}")?;
            if first > 0.0 {
                write!(
                    f,
                    " {:.4}/{:.4} slices",
                    in_slices(first),
                    in_slices(second)
                )?;
            }
            if guest.begins > 0 {
                write!(f, ", from slice {:.1}", in_slices(guest.begins as f64))?;
            }
            writeln!(f)?;
        }
        for (at, change) in &self.changes {
            writeln!(f, "  at slice {:.1}: {change:?}", in_slices(*at as f64))?;
        }
        Ok(())
    }
}
