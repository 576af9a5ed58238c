//! Performance counters: what an engine counts as a run goes on, and what follows from it.
//!
//! `rates` makes percentages and rates of it, `pdh` and `prometheus` the two
//! texts that other tools read, `files` writes these.

mod files;
mod instances;
mod pdh;
mod prometheus;
mod rates;

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;

pub(crate) use files::CounterFiles;
pub use instances::Instances;
pub use rates::{LpRates, RootRates, VpRates};

/// What was counted from the start of a run's guests on, at one moment; or,
/// as [`Snapshot::since`] gives it, between two moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When it was taken: ms since 1970-01-01, UTC.
    pub unix_ms: i64,
    /// Wall time since the run's guests were started, ns.
    pub wall_ns: u64,
    /// The LPs.
    pub lps: Vec<LpCounters>,
    /// The VPs that are or have been there.
    pub vps: Vec<VpCounters>,
    /// The root, whatever manages the guests: by LP, then on all other CPUs.
    pub roots: Vec<RootCounters>,
}

/// Where an LP's time went. The six times together are its wall time, but for
/// what lies between the readings of different clocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LpCounters {
    /// Which, counted from 0 over those of the experiment.
    pub lp: u32,
    /// CPU time of its dispatcher thread across KVM_RUN, ns.
    pub guest_ns: u64,
    /// The rest of that thread's CPU time, ns.
    pub hypervisor_ns: u64,
    /// CPU time of the root's threads on its host CPU, ns.
    pub root_ns: u64,
    /// CPU time of everybody else on its host CPU, ns.
    pub others_ns: u64,
    /// What an outer host took of its host CPU, ns.
    pub steal_ns: u64,
    /// Time that its host CPU was idle, ns.
    pub idle_ns: u64,
    /// Times that it went from one VP to another.
    pub context_switches: u64,
}

/// What a VP received, and how often it called for anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VpCounters {
    /// Its guest's name.
    pub guest: String,
    /// Which of its guest's, counted from 0.
    pub vp: u32,
    /// CPU time across KVM_RUN, ns.
    pub guest_ns: u64,
    /// CPU time for which its intercepts were served, ns.
    pub hypervisor_ns: u64,
    /// Time that it was Ready and did not run, ns.
    pub ready_ns: u64,
    /// Times that it was given an LP.
    pub dispatches: u64,
    /// Dispatches on another LP than the one before.
    pub migrations: u64,
    /// Hypercalls that it made.
    pub hypercalls: u64,
    /// Hypercalls by which it said that it spins.
    pub long_spin_waits: u64,
    /// Interrupts that somebody raised for it.
    pub interrupts_posted: u64,
    /// Interrupts that it was given.
    pub interrupts_delivered: u64,
    /// Interrupts raised and not yet given to it: a gauge, how many there are now.
    pub interrupts_pending: u64,
    /// Why KVM_RUN came back.
    pub intercepts: Intercepts,
}

/// How often KVM_RUN came back with something to be served, by what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intercepts {
    /// A hypercall.
    pub hypercall: u64,
    /// An access to an I/O port.
    pub port: u64,
    /// An access to memory that is not there.
    pub memory: u64,
    /// The guest can take an interrupt now.
    pub interrupt_window: u64,
    /// A fault that the guest does not serve.
    pub fault: u64,
    /// Anything else.
    pub other: u64,
}

/// What the root took where it was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RootCounters {
    /// On which LP; empty for CPUs that are none.
    pub lp: Option<u32>,
    /// Its CPU time, ns.
    pub run_ns: u64,
}

impl Snapshot {
    /// What was counted between `earlier` and this one. Never less than 0;
    /// gauges and `unix_ms` are as they are here. Who is not in `earlier`
    /// counts from 0, who is not in this one is left out.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        Snapshot {
            unix_ms: self.unix_ms,
            wall_ns: self.wall_ns.saturating_sub(earlier.wall_ns),
            lps: differences(&self.lps, &earlier.lps, |it| it.lp, LpCounters::since),
            vps: differences(&self.vps, &earlier.vps, VpCounters::key, VpCounters::since),
            roots: differences(&self.roots, &earlier.roots, |it| it.lp, RootCounters::since),
        }
    }
}

/// Each of `later`, in order, less its like in `earlier`, where it has one.
fn differences<'a, T: Clone, K: Eq + Hash>(
    later: &'a [T],
    earlier: &'a [T],
    key: impl Fn(&'a T) -> K,
    since: impl Fn(&T, &T) -> T,
) -> Vec<T> {
    let earlier: HashMap<K, &T> = earlier.iter().map(|it| (key(it), it)).collect();
    let of_one = |it| match earlier.get(&key(it)) {
        Some(before) => since(it, before),
        None => it.clone(),
    };
    later.iter().map(of_one).collect()
}

impl LpCounters {
    fn since(&self, earlier: &LpCounters) -> LpCounters {
        let less = |of: fn(&LpCounters) -> u64| of(self).saturating_sub(of(earlier));
        LpCounters {
            lp: self.lp,
            guest_ns: less(|it| it.guest_ns),
            hypervisor_ns: less(|it| it.hypervisor_ns),
            root_ns: less(|it| it.root_ns),
            others_ns: less(|it| it.others_ns),
            steal_ns: less(|it| it.steal_ns),
            idle_ns: less(|it| it.idle_ns),
            context_switches: less(|it| it.context_switches),
        }
    }
}

impl VpCounters {
    /// Who it is within a run.
    fn key(&self) -> (&str, u32) {
        (&self.guest, self.vp)
    }

    fn since(&self, earlier: &VpCounters) -> VpCounters {
        let less = |of: fn(&VpCounters) -> u64| of(self).saturating_sub(of(earlier));
        VpCounters {
            guest: self.guest.clone(),
            vp: self.vp,
            guest_ns: less(|it| it.guest_ns),
            hypervisor_ns: less(|it| it.hypervisor_ns),
            ready_ns: less(|it| it.ready_ns),
            dispatches: less(|it| it.dispatches),
            migrations: less(|it| it.migrations),
            hypercalls: less(|it| it.hypercalls),
            long_spin_waits: less(|it| it.long_spin_waits),
            interrupts_posted: less(|it| it.interrupts_posted),
            interrupts_delivered: less(|it| it.interrupts_delivered),
            interrupts_pending: self.interrupts_pending,
            intercepts: self.intercepts.since(&earlier.intercepts),
        }
    }
}

impl Intercepts {
    /// All of them together.
    pub fn total(&self) -> u64 {
        self.by_kind().iter().map(|(_, count)| count).sum()
    }

    /// Each kind's name, as in `metrics.prom`, and its number.
    pub fn by_kind(&self) -> [(&'static str, u64); 6] {
        [
            ("hypercall", self.hypercall),
            ("port", self.port),
            ("memory", self.memory),
            ("interrupt_window", self.interrupt_window),
            ("fault", self.fault),
            ("other", self.other),
        ]
    }

    fn since(&self, earlier: &Intercepts) -> Intercepts {
        let less = |of: fn(&Intercepts) -> u64| of(self).saturating_sub(of(earlier));
        Intercepts {
            hypercall: less(|it| it.hypercall),
            port: less(|it| it.port),
            memory: less(|it| it.memory),
            interrupt_window: less(|it| it.interrupt_window),
            fault: less(|it| it.fault),
            other: less(|it| it.other),
        }
    }
}

impl RootCounters {
    /// Which it is, as it is written: its LP's number, or `elsewhere`.
    pub fn place(&self) -> String {
        place(self.lp)
    }

    fn since(&self, earlier: &RootCounters) -> RootCounters {
        RootCounters {
            lp: self.lp,
            run_ns: self.run_ns.saturating_sub(earlier.run_ns),
        }
    }
}

/// See [`RootCounters::place`].
fn place(lp: Option<u32>) -> String {
    lp.map_or("elsewhere".to_owned(), |lp| lp.to_string())
}

#[cfg(test)]
mod tests;
