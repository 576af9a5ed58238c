//! What a claim can be about.

use apportion_abi::Payload;

use crate::suggest::listed;

/// A figure of a run, of one guest or of all guests of an entry together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure(&'static Row);

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Of the delivered time, 0 to 100.
    Percent,
    /// So many in a second.
    PerSecond,
    /// ns; in the file a time in quotes.
    Time,
    /// One time by another.
    Ratio,
}

/// What the figures of several guests make together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// Their sum.
    Sum,
    /// The largest of them.
    Max,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: &'static str,
    unit: Unit,
    together: Together,
    /// The payloads whose guests have it; empty for all.
    payloads: &'static [&'static str],
}

const fn row(
    name: &'static str,
    unit: Unit,
    together: Together,
    payloads: &'static [&'static str],
) -> Row {
    Row {
        name,
        unit,
        together,
        payloads,
    }
}

/// The payloads that record when each piece of work was due, begun and done.
const PACED: &[&str] = &["probe", "bursts", "replay"];

/// Every measure; `workloads/README.md` says what each of them is.
static ROWS: [Row; 17] = [
    row("share", Unit::Percent, Together::Sum, &[]),
    row("work", Unit::PerSecond, Together::Sum, &[]),
    row("wait_per_dispatch", Unit::Time, Together::Max, &[]),
    row("stretch", Unit::Ratio, Together::Max, &[]),
    row("lateness_p50", Unit::Time, Together::Max, PACED),
    row("lateness_p99", Unit::Time, Together::Max, PACED),
    row("lateness_max", Unit::Time, Together::Max, PACED),
    row("response_p50", Unit::Time, Together::Max, PACED),
    row("response_p99", Unit::Time, Together::Max, PACED),
    row("response_max", Unit::Time, Together::Max, PACED),
    row("stretch_p50", Unit::Ratio, Together::Max, &["replay"]),
    row("stretch_p95", Unit::Ratio, Together::Max, &["replay"]),
    row("elapsed", Unit::Time, Together::Max, &["fixed-work"]),
    row("acquisitions", Unit::PerSecond, Together::Sum, &["spin"]),
    row("longest_wait", Unit::Time, Together::Max, &["spin"]),
    row("accesses", Unit::PerSecond, Together::Sum, &["memory"]),
    row("yields", Unit::PerSecond, Together::Sum, &["yield-loop"]),
];

impl Measure {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Measure> {
        ROWS.iter().map(Measure)
    }

    /// Its name in an experiment file.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it is counted in.
    pub fn unit(self) -> Unit {
        self.0.unit
    }

    /// What the figures of several guests make.
    pub fn together(self) -> Together {
        self.0.together
    }

    /// Whether guests with this payload have it.
    pub fn suits(self, payload: Payload) -> bool {
        self.0.payloads.is_empty() || self.0.payloads.contains(&payload.name())
    }

    /// The payloads that have it, in words.
    pub(super) fn owners(self) -> String {
        match self.0.payloads {
            [] => "every payload".to_owned(),
            [only] => format!("payload `{only}`"),
            several => format!("payloads {}", listed(several.iter().copied())),
        }
    }
}
