//! The machines that the benchmarks measure, and what they do to them.

use apportion_scheduler::{
    After, Cap, Config, Controls, Decision, GuestId, LpId, Nanos, NewGuest, PolicyKind, Reserve,
    Scheduler, Topology, VpId, Weight,
};
use std::collections::VecDeque;
use std::fmt;

const SLICE: Nanos = Nanos::from_millis(1);

/// A NUMA node of a large machine has so many LPs.
const NODE: u32 = 64;

/// One size of machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) vps: u32,
    pub(crate) lps: u32,
    /// Each VP is a guest of its own with controls of its own, instead of eight guests.
    pub(crate) own: bool,
}

impl Size {
    /// Those that are measured.
    pub(crate) fn all() -> impl Iterator<Item = Size> {
        let sizes = [4, 64, 1_024, 16_384];
        [false, true].into_iter().flat_map(move |own| {
            sizes.into_iter().flat_map(move |vps| {
                let lps = [1, (vps / 16).max(1)];
                let lps = lps.into_iter().take(if lps[1] > 1 { 2 } else { 1 });
                lps.map(move |lps| Size { vps, lps, own })
            })
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { vps, lps, own } = self;
        let controls = if *own { "own" } else { "8 kinds" };
        write!(f, "{vps} VPs, {lps} LPs, {controls}")
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One LP's slice ends and it picks again: `charge` and `pick`.
    Dispatch,
    /// The same, but who ran goes to sleep and another one wakes: `charge`, `pick`, `wake`; two solves.
    Sleep,
    /// A guest's weight changes: `set_controls`; one solve.
    Controls,
}

impl Operation {
    pub(crate) const ALL: [Operation; 3] =
        [Operation::Dispatch, Operation::Sleep, Operation::Controls];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Dispatch => "dispatch",
            Operation::Sleep => "sleep+wake",
            Operation::Controls => "set controls",
        }
    }
}

/// A scheduler in the middle of things, each LP a part of a slice after the last.
pub(crate) struct Machine {
    scheduler: Scheduler,
    now: Nanos,
    lps: u32,
    /// The LP whose slice ends next.
    next: u32,
    running: Vec<bool>,
    asleep: VecDeque<VpId>,
    /// Has one VP; its weight goes to and fro.
    changing: GuestId,
    changes: u32,
}

fn eight_kinds(vps: u32) -> Vec<(u32, Controls)> {
    let caps = [100.0, 100.0, 100.0, 50.0, 100.0, 100.0, 25.0, 100.0];
    let weights = [100, 200, 400, 300, 50, 800, 250, 1_000];
    let kinds = weights.into_iter().zip(caps).take(vps.min(8) as usize);
    kinds
        .map(|(weight, cap)| (vps / vps.min(8), controls(weight, 0.0, cap)))
        .collect()
}

fn own_kinds(vps: u32) -> Vec<(u32, Controls)> {
    // There are 10000 weights: beyond, the smallest reserves tell them apart.
    let own = |vp: u32| controls(1 + vp % 10_000, f64::from(vp / 10_000) / 1_000.0, 100.0);
    (0..vps).map(|vp| (1, own(vp))).collect()
}

fn controls(weight: u32, reserve: f64, cap: f64) -> Controls {
    let checked = Controls::new(
        Weight::new(i64::from(weight)).expect("in range"),
        Reserve::from_percent(reserve).expect("in range"),
        Cap::from_percent(cap).expect("in range"),
    );
    checked.expect("the cap is above the reserve")
}

impl Machine {
    pub(crate) fn new(size: Size) -> Machine {
        let Size { vps, lps, own } = size;
        let mut config = Config::new(lps, SLICE, PolicyKind::Fair);
        config.topology = Topology::even(lps, lps.div_ceil(NODE));
        let mut scheduler = Scheduler::new(config);
        let mut kinds = if own {
            own_kinds(vps)
        } else {
            eight_kinds(vps)
        };
        // One VP in each is the changing guest's.
        kinds[0].0 -= 1;
        kinds.push((1, controls(100, 0.0, 100.0)));
        let guests = kinds.into_iter().filter(|(vps, _)| *vps > 0);
        let mut changing = GuestId(0);
        for (vps, controls) in guests {
            let new = NewGuest {
                name: String::new(),
                vps,
                controls,
                affinity: None,
            };
            changing = scheduler.add_guest(Nanos::ZERO, &new).expect("it fits");
        }
        let all: Vec<VpId> = (0..vps).map(VpId).collect();
        scheduler.start(Nanos::ZERO, &all);
        let mut machine = Machine {
            scheduler,
            now: Nanos::ZERO,
            lps,
            next: 0,
            running: vec![false; lps as usize],
            asleep: VecDeque::new(),
            changing,
            changes: 0,
        };
        // Until everyone's lag is what it is in the long run.
        for _ in 0..4 * vps.max(lps) {
            machine.end_slice(After::Run);
        }
        machine
    }

    /// Half of the VPs go to sleep, one after the other.
    pub(crate) fn with_sleepers(mut self) -> Machine {
        let half = self.scheduler.machine().vps().count() / 2;
        while self.asleep.len() < half {
            self.end_slice(After::Sleep { until: None });
        }
        // Until they have paid what they owe.
        for _ in 0..4 * half {
            self.end_slice(After::Run);
        }
        self
    }

    pub(crate) fn ready_for(operation: Operation, size: Size) -> Machine {
        match operation {
            Operation::Dispatch | Operation::Controls => Machine::new(size),
            Operation::Sleep => Machine::new(size).with_sleepers(),
        }
    }

    pub(crate) fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Dispatch => self.end_slice(After::Run),
            Operation::Sleep => self.sleep_and_wake(),
            Operation::Controls => self.set_controls(),
        }
    }

    /// The next LP's slice is over.
    fn end_slice(&mut self, after: After) {
        let lp = LpId(self.next);
        self.next = (self.next + 1) % self.lps;
        self.now += Nanos(SLICE.0 / u64::from(self.lps));
        if self.running[lp.index()] {
            if let After::Sleep { .. } = after
                && let Some(vp) = self.scheduler.machine().lp(lp).running
            {
                self.asleep.push_back(vp);
            }
            self.scheduler.charge(self.now, lp, SLICE, after);
        }
        let decision = self.scheduler.pick(self.now, lp);
        self.running[lp.index()] = matches!(decision, Decision::Run { .. });
        self.forget();
    }

    fn sleep_and_wake(&mut self) {
        self.end_slice(After::Sleep { until: None });
        if let Some(vp) = self.asleep.pop_front() {
            self.scheduler.wake(self.now, vp);
        }
        self.forget();
    }

    fn set_controls(&mut self) {
        self.changes += 1;
        let weight = [100, 300][self.changes as usize % 2];
        let controls = Controls::with_weight(Weight::new(weight).expect("in range"));
        self.scheduler
            .set_controls(self.now, self.changing, controls)
            .expect("it fits");
        self.forget();
    }

    /// LPs keep to their slices here, whoever calls them.
    fn forget(&mut self) {
        self.scheduler.take_calls();
        self.scheduler.take_happened();
    }
}
