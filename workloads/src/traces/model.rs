//! What a trace says: who wanted how much CPU time, and when.

use apportion_scheduler::Nanos;

/// One VM (container, node, task) of a trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedVm {
    /// What the trace calls it.
    pub id: String,
    /// Its virtual processors, at least 1.
    pub vps: u32,
    /// What the trace says of its controls.
    pub controls: TracedControls,
    /// What it wanted.
    pub demand: TracedDemand,
}

/// Controls as far as a trace knows them; percentages are of one LP, per VP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TracedControls {
    /// Relative claim of each VP.
    pub weight: Option<i64>,
    /// Guaranteed to each VP.
    pub reserve_pct: Option<f64>,
    /// Never exceeded by a VP.
    pub cap_pct: Option<f64>,
}

/// What a VM wanted, in one of two forms.
#[derive(Clone, Debug, PartialEq)]
pub enum TracedDemand {
    /// Mean demand over intervals, in order of time, not overlapping; gaps are allowed.
    Means(Vec<Interval>),
    /// Pieces of work, in order of when they fall due.
    Bursts(Vec<Burst>),
}

/// Mean demand of a whole VM over a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// When it begins, since the trace's beginning or the selected time.
    pub from: Nanos,
    /// How long it lasts, above zero.
    pub length: Nanos,
    /// Demand in LPs: 1.0 is one LP fully used. From 0 to the VM's VPs.
    pub lps: f64,
}

impl Interval {
    /// When it ends.
    pub fn end(&self) -> Nanos {
        self.from + self.length
    }

    /// CPU time that it asks for, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        self.lps * self.length.as_secs_f64()
    }
}

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// The VP that has to do it, counted from 0.
    pub vp: u32,
    /// When it falls due.
    pub at: Nanos,
    /// CPU time that it takes, above zero.
    pub run: Nanos,
}

impl Burst {
    /// When it would be done on an LP of its own.
    pub fn end(&self) -> Nanos {
        self.at + self.run
    }
}

impl TracedVm {
    /// CPU time that it asks for in all, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        match &self.demand {
            TracedDemand::Means(intervals) => intervals.iter().map(Interval::cpu_seconds).sum(),
            TracedDemand::Bursts(bursts) => bursts.iter().map(|it| it.run.as_secs_f64()).sum(),
        }
    }

    /// When its demand ends: the end of its last interval, or when its last burst would be done.
    pub fn end(&self) -> Nanos {
        match &self.demand {
            TracedDemand::Means(intervals) => intervals.last().map(Interval::end),
            TracedDemand::Bursts(bursts) => bursts.iter().map(Burst::end).max(),
        }
        .unwrap_or_default()
    }
}
