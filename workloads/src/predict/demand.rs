//! How much of an LP a VP wants, by what runs on it.

use apportion_abi::{Ns, Payload};

use crate::Guest;

/// CPU time of a unit of work in ns, about; which it is on a host a run measures.
const UNIT_NS: f64 = 100.0;

/// What each VP of a guest wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// Of one LP, 0 to 1.
    pub part: f64,
    /// How that is known.
    pub basis: Basis,
}

/// Where a demand comes from, and so how far what follows from it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It never sleeps.
    Endless,
    /// It never sleeps until its work is done, or until it faults.
    UntilDone,
    /// It wants so much in every period.
    Declared,
    /// It wants so much on average, now more and now less.
    Mean,
    /// It sleeps nearly always.
    Slight,
    /// It replays a trace that was not read.
    Unread,
}

impl Demand {
    /// What each VP of a guest wants if nobody holds it up.
    pub fn of(guest: &Guest) -> Demand {
        let of = |part, basis| Demand { part, basis };
        match guest.payload {
            Payload::Periodic { period, run } | Payload::Probe { period, run } => {
                of(ratio(run, period), Basis::Declared)
            }
            Payload::Bursts { every, run, random } => {
                let basis = if random { Basis::Mean } else { Basis::Declared };
                of(ratio(run, every), basis)
            }
            Payload::OnOff { on, off } => of(ratio(on, Ns(on.0 + off.0)), Basis::Mean),
            Payload::FixedWork { burst: 0, .. } | Payload::Crash { .. } => {
                of(1.0, Basis::UntilDone)
            }
            Payload::FixedWork { burst, pause, .. } => {
                let on = burst as f64 * UNIT_NS;
                of(on / (on + pause.0 as f64), Basis::Mean)
            }
            Payload::Replay => match guest.traced_demand {
                Some(mean) => of(mean, Basis::Mean),
                None => of(1.0, Basis::Unread),
            },
            Payload::Clock { .. } => of(0.0, Basis::Slight),
            Payload::Burn
            | Payload::Spin { .. }
            | Payload::Memory { .. }
            | Payload::YieldLoop { .. }
            | Payload::Vector
            | Payload::Hostile { .. } => of(1.0, Basis::Endless),
        }
    }

    /// Whether it never sleeps.
    pub fn is_endless(&self) -> bool {
        self.basis == Basis::Endless
    }
}

impl Basis {
    /// In a word, for tools.
    pub const fn name(self) -> &'static str {
        match self {
            Basis::Endless => "endless",
            Basis::UntilDone => "until-done",
            Basis::Declared => "declared",
            Basis::Mean => "mean",
            Basis::Slight => "slight",
            Basis::Unread => "unread",
        }
    }

    /// What is assumed of a guest with such a demand; `None` where nothing need be.
    pub const fn assumption(self) -> Option<&'static str> {
        match self {
            Basis::Endless => None,
            Basis::UntilDone => {
                Some("wants all it can get until its work is done, which is left out here")
            }
            Basis::Declared => Some("wants what its payload declares, evenly over time"),
            Basis::Mean => {
                Some("wants its mean all the time; its bursts shift shares by some points")
            }
            Basis::Unread => Some("wants all it can get: its trace was not read"),
            Basis::Slight => Some("sleeps nearly always: what it takes is left out here"),
        }
    }
}

fn ratio(run: Ns, of: Ns) -> f64 {
    (run.0 as f64 / of.0.max(1) as f64).min(1.0)
}
