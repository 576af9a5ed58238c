//! Percentages and rates of what was counted over a span of wall time.

use super::{LpCounters, RootCounters, VpCounters};

/// Where an LP's time went, % of its wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LpRates {
    /// Guests, %.
    pub guest_pct: f64,
    /// Their dispatcher, %.
    pub hypervisor_pct: f64,
    /// The root, %.
    pub root_pct: f64,
    /// Everybody else on the host CPU, %.
    pub others_pct: f64,
    /// The outer host, %.
    pub steal_pct: f64,
    /// Nobody, %.
    pub idle_pct: f64,
    /// Changes from one VP to another, per second.
    pub context_switches_per_second: f64,
}

/// What a VP received and called for. Percentages are of one LP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VpRates {
    /// It ran, %.
    pub guest_pct: f64,
    /// Its intercepts were served, %.
    pub hypervisor_pct: f64,
    /// How long it was Ready before a dispatch, on average, ns; 0 where there was none.
    pub wait_ns_per_dispatch: f64,
    /// Dispatches per second.
    pub dispatches_per_second: f64,
    /// Dispatches on another LP than the one before, per second.
    pub migrations_per_second: f64,
    /// Intercepts of all kinds per second.
    pub intercepts_per_second: f64,
    /// Hypercalls per second.
    pub hypercalls_per_second: f64,
    /// Hypercalls by which it said that it spins, per second.
    pub long_spin_waits_per_second: f64,
    /// Interrupts raised for it per second.
    pub interrupts_posted_per_second: f64,
}

/// What a thread of the root took. Percentages are of one LP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RootRates {
    /// Its CPU time, %. What of it was spent in the host's kernel is not told apart.
    pub run_pct: f64,
}

impl LpCounters {
    /// Of what was counted over `wall_ns`; all 0 where no time passed.
    pub fn rates(&self, wall_ns: u64) -> LpRates {
        let pct = |part| percentage(part, wall_ns);
        LpRates {
            guest_pct: pct(self.guest_ns),
            hypervisor_pct: pct(self.hypervisor_ns),
            root_pct: pct(self.root_ns),
            others_pct: pct(self.others_ns),
            steal_pct: pct(self.steal_ns),
            idle_pct: pct(self.idle_ns),
            context_switches_per_second: per_second(self.context_switches, wall_ns),
        }
    }
}

impl LpRates {
    /// What Hyper-V calls total: guests and hypervisor, %.
    pub fn total_pct(&self) -> f64 {
        self.guest_pct + self.hypervisor_pct
    }

    /// All six together, %: 100 but for what different clocks differ by.
    pub fn sum_pct(&self) -> f64 {
        self.total_pct() + self.root_pct + self.others_pct + self.steal_pct + self.idle_pct
    }
}

impl VpCounters {
    /// Of what was counted over `wall_ns`; all 0 where no time passed, but for the wait.
    pub fn rates(&self, wall_ns: u64) -> VpRates {
        let rate = |count| per_second(count, wall_ns);
        VpRates {
            guest_pct: percentage(self.guest_ns, wall_ns),
            hypervisor_pct: percentage(self.hypervisor_ns, wall_ns),
            wait_ns_per_dispatch: quotient(self.ready_ns, self.dispatches),
            dispatches_per_second: rate(self.dispatches),
            migrations_per_second: rate(self.migrations),
            intercepts_per_second: rate(self.intercepts.total()),
            hypercalls_per_second: rate(self.hypercalls),
            long_spin_waits_per_second: rate(self.long_spin_waits),
            interrupts_posted_per_second: rate(self.interrupts_posted),
        }
    }
}

impl VpRates {
    /// What Hyper-V calls total: the guest and the serving of its intercepts, %.
    pub fn total_pct(&self) -> f64 {
        self.guest_pct + self.hypervisor_pct
    }
}

impl RootCounters {
    /// Of what was counted over `wall_ns`; 0 where no time passed.
    pub fn rates(&self, wall_ns: u64) -> RootRates {
        RootRates {
            run_pct: percentage(self.run_ns, wall_ns),
        }
    }
}

fn percentage(part_ns: u64, wall_ns: u64) -> f64 {
    100.0 * quotient(part_ns, wall_ns)
}

fn per_second(count: u64, wall_ns: u64) -> f64 {
    1e9 * quotient(count, wall_ns)
}

fn quotient(part: u64, of: u64) -> f64 {
    match of {
        0 => 0.0,
        of => part as f64 / of as f64,
    }
}
