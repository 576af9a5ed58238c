//! What a view shows: one moment of a run, complete and by itself.

use apportion_scheduler::{Controls, GuestId, Nanos};
use std::ops::AddAssign;

/// One moment of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    /// The experiment, and which repetition.
    pub(crate) title: String,
    /// Whether time is virtual, so that nothing is measured.
    pub(crate) simulated: bool,
    /// What the run runs on and under.
    pub(crate) machine: String,
    /// Since the guests were started.
    pub(crate) passed: Nanos,
    /// Warm-up and measured time.
    pub(crate) length: Nanos,
    /// The second that passed last; `None` before the first is over.
    pub(crate) second: Option<Second>,
    pub(crate) lps: Vec<LpLine>,
    pub(crate) guests: Vec<Line>,
    pub(crate) vps: Vec<Line>,
}

/// A stretch of about a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Second {
    /// Its length in ns.
    pub(crate) span: f64,
    /// Received by all guests, and idle, ns.
    pub(crate) delivered: f64,
    /// Whether it is known what was to be expected in it.
    pub(crate) foreseen: bool,
    /// Whether the engine counts what guests ask for.
    pub(crate) counted: bool,
}

/// What became of an LP's time, in %; `None` where nobody tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct LpLine {
    pub(crate) lp: u32,
    pub(crate) online: bool,
    /// As [`LP_PARTS`] names them.
    pub(crate) parts: [Option<f64>; LP_PARTS.len()],
}

/// Guest, hypervisor, root and so on.
pub(crate) const LP_PARTS: [&str; 6] = ["GUEST%", "HYPER%", "ROOT%", "OTHERS%", "STEAL%", "IDLE%"];

/// A guest, or one of its VPs.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) guest: GuestId,
    /// Of a VP its number in its guest.
    pub(crate) vp: Option<u32>,
    pub(crate) name: String,
    pub(crate) state: State,
    /// How many there are.
    pub(crate) vps: u32,
    pub(crate) controls: Controls,
    /// Over the last second.
    pub(crate) sums: Sums,
}

/// What is known of a VP, or of the liveliest of a guest's. The order is that of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It wants to run, and does or waits.
    Running,
    /// It wants to run; its cap holds it.
    Held,
    Asleep,
    /// The guest was stopped, as it was planned.
    Stopped,
    Crashed,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Held => "held",
            State::Asleep => "asleep",
            State::Stopped => "stopped",
            State::Crashed => "crashed",
        }
    }
}

/// Over a second, of a VP or of all VPs of a guest. Times are in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) ran: f64,
    /// From being Ready to being dispatched.
    pub(crate) waited: f64,
    pub(crate) dispatches: f64,
    pub(crate) migrations: f64,
    /// What it should have received.
    pub(crate) expected: f64,
    /// Per second, as the others below.
    pub(crate) intercepts: f64,
    pub(crate) hypercalls: f64,
    pub(crate) long_spins: f64,
    /// That were posted.
    pub(crate) interrupts: f64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Sums) {
        self.ran += more.ran;
        self.waited += more.waited;
        self.dispatches += more.dispatches;
        self.migrations += more.migrations;
        self.expected += more.expected;
        self.intercepts += more.intercepts;
        self.hypercalls += more.hypercalls;
        self.long_spins += more.long_spins;
        self.interrupts += more.interrupts;
    }
}

impl Line {
    /// % of one LP per VP.
    pub(crate) fn received(&self, second: &Second) -> f64 {
        percent(self.sums.ran, second.span * f64::from(self.vps))
    }

    /// % of what was delivered.
    pub(crate) fn share(&self, second: &Second) -> f64 {
        percent(self.sums.ran, second.delivered)
    }

    /// The share that the formula promises.
    pub(crate) fn expected(&self, second: &Second) -> Option<f64> {
        let share = || percent(self.sums.expected, second.delivered);
        second.foreseen.then(share)
    }

    /// µs per dispatch.
    pub(crate) fn wait(&self) -> f64 {
        quotient(self.sums.waited, self.sums.dispatches) / 1e3
    }

    /// Of something that was counted over `second`.
    pub(crate) fn per_second(count: f64, second: &Second) -> f64 {
        quotient(count, second.span) * 1e9
    }
}

pub(crate) fn percent(part: f64, of: f64) -> f64 {
    100.0 * quotient(part, of)
}

fn quotient(part: f64, of: f64) -> f64 {
    if of > 0.0 { part / of } else { 0.0 }
}

/// Something that is worth a line of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// Since the guests were started.
    pub(crate) at: Nanos,
    /// As in events.csv.
    pub(crate) kind: &'static str,
    /// The guest, VP or LP.
    pub(crate) who: String,
    /// More, or empty.
    pub(crate) what: String,
}
