//! A driver in virtual time whose guests run programs: they burn, spin and
//! sleep as they like. It holds what each VP received against a fluid ideal of
//! its own, which shares no arithmetic with the scheduler.

mod fluid;

use apportion_scheduler::{
    After, Cap, Config, Controls, Decision, LpId, LpSet, Nanos, NewGuest, PolicyKind, Random,
    Reserve, Scheduler, Topology, VpId, VpState, Weight,
};
pub(crate) use fluid::{Claim, Fluid};

pub(crate) const SLICE: Nanos = Nanos::from_millis(1);
/// The longest overshoot of a dispatch.
pub(crate) const LATE: Nanos = Nanos::from_micros(50);
pub(crate) const SECOND: Nanos = Nanos::from_millis(1_000);

/// So many slices, each as late as can be, in ns.
pub(crate) fn slices(count: u64) -> f64 {
    (count * (SLICE + LATE).0) as f64
}

/// What a VP does next: it uses so much CPU, and then does this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) run: Nanos,
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Leaves its LP and wants to run on.
    Run,
    /// Says that it spins.
    Spin,
    SleepFor(Nanos),
    SleepUntil(Nanos),
}

/// Called whenever the last step is done, with the time.
pub(crate) type Program = Box<dyn FnMut(Nanos) -> Step>;

/// Never sleeps.
pub(crate) fn burn() -> Program {
    let run = Nanos(u64::MAX / 4);
    let then = Then::Run;
    Box::new(move |_| Step { run, then })
}

/// Runs so long, does `then`, again and again.
pub(crate) fn repeat(run: Nanos, then: Then) -> Program {
    Box::new(move |_| Step { run, then })
}

/// A guest whose VPs all run the same kind of program.
pub(crate) struct Guest {
    pub(crate) controls: Controls,
    pub(crate) affinity: Option<LpSet>,
    pub(crate) programs: Vec<Program>,
}

impl Guest {
    pub(crate) fn new(controls: Controls, programs: impl IntoIterator<Item = Program>) -> Guest {
        Guest {
            controls,
            affinity: None,
            programs: programs.into_iter().collect(),
        }
    }
}

pub(crate) fn weight(weight: u32) -> Controls {
    Controls::with_weight(Weight::new(i64::from(weight)).unwrap())
}

/// Guests of one burning VP each.
pub(crate) fn burning(weights: &[u32]) -> Vec<Guest> {
    let guests = weights.iter().map(|&w| Guest::new(weight(w), [burn()]));
    guests.collect()
}

/// The fair policy with these slices.
pub(crate) fn fair(lps: u32, nodes: u32) -> Config {
    let mut config = Config::new(lps, SLICE, PolicyKind::Fair);
    config.topology = Topology::even(lps, nodes);
    config
}

pub(crate) fn capped(percent: f64) -> Controls {
    let cap = Cap::from_percent(percent).unwrap();
    Controls::new(Weight::default(), Reserve::default(), cap).unwrap()
}

/// Guests of so many VPs each, started and waiting; nobody runs yet.
pub(crate) fn started(config: Config, guests: &[u32]) -> Scheduler {
    let mut scheduler = Scheduler::new(config);
    for (number, vps) in guests.iter().enumerate() {
        let new = NewGuest {
            name: format!("g{number}"),
            vps: *vps,
            controls: Controls::default(),
            affinity: None,
        };
        scheduler.add_guest(Nanos::ZERO, &new).unwrap();
    }
    let vps: Vec<VpId> = scheduler.machine().vps().map(|(vp, _)| vp).collect();
    scheduler.start(Nanos::ZERO, &vps);
    scheduler.take_calls();
    scheduler
}

pub(crate) fn picked(scheduler: &mut Scheduler, now: Nanos, lp: u32) -> Option<VpId> {
    match scheduler.pick(now, LpId(lp)) {
        Decision::Run { vp, .. } => Some(vp),
        Decision::Idle | Decision::Await => None,
    }
}

pub(crate) fn calls(scheduler: &mut Scheduler) -> Vec<LpId> {
    scheduler.take_calls().collect()
}

pub(crate) fn vps(driver: &Driver) -> impl Iterator<Item = VpId> + use<> {
    (0..driver.scheduler.machine().vps().count() as u32).map(VpId)
}

struct Vp {
    program: Program,
    step: Step,
    /// In ns of CPU time, dispatches in progress left out.
    received: u64,
}

#[derive(Clone, Copy)]
struct Dispatch {
    vp: VpId,
    began: Nanos,
    ends: Nanos,
}

/// A dispatch that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dispatched {
    pub(crate) lp: LpId,
    pub(crate) vp: VpId,
    pub(crate) began: Nanos,
    pub(crate) ended: Nanos,
}

pub(crate) struct Driver {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Nanos,
    /// What each VP would have received by the formula while it wants to run.
    pub(crate) formula: Fluid,
    /// The same, a sleeper that is ahead of the ideal counting until it no longer is.
    pub(crate) ideal: Fluid,
    pub(crate) trace: Vec<Dispatched>,
    vps: Vec<Vp>,
    lps: Vec<Option<Dispatch>>,
    /// By LP, since when it has waited for a VP to come over.
    awaiting: Vec<Option<Nanos>>,
    overshoot: Nanos,
    random: Random,
}

impl Driver {
    /// All VPs start at once. Dispatches end up to `overshoot` late.
    pub(crate) fn new(config: Config, overshoot: Nanos, guests: Vec<Guest>) -> Driver {
        let lps = config.topology.lps();
        let mut driver = Driver {
            formula: Fluid::new(lps, false),
            ideal: Fluid::new(lps, true),
            scheduler: Scheduler::new(config),
            now: Nanos::ZERO,
            trace: Vec::new(),
            vps: Vec::new(),
            lps: vec![None; lps as usize],
            awaiting: vec![None; lps as usize],
            overshoot,
            random: Random::new(7),
        };
        driver.add(guests);
        driver
    }

    /// Adds guests and starts their VPs now.
    pub(crate) fn add(&mut self, guests: Vec<Guest>) {
        let mut started = Vec::new();
        for guest in guests {
            let new = NewGuest {
                name: format!("g{}", self.scheduler.machine().guests().count()),
                vps: guest.programs.len() as u32,
                controls: guest.controls,
                affinity: guest.affinity,
            };
            let id = self.scheduler.add_guest(self.now, &new).unwrap();
            started.extend_from_slice(&self.scheduler.machine().guest(id).vps);
            for mut program in guest.programs {
                let claim = Claim::of(&guest.controls);
                self.formula.add(claim);
                self.ideal.add(claim);
                let step = program(self.now);
                self.vps.push(Vp {
                    program,
                    step,
                    received: 0,
                });
            }
        }
        self.scheduler.start(self.now, &started);
        self.obey();
        for lp in 0..self.lps.len() {
            self.decide_if_free(LpId(lp as u32));
        }
        self.see();
    }

    /// In ns of CPU time, dispatches in progress included.
    pub(crate) fn received(&self, vp: VpId) -> u64 {
        let running = self.lps.iter().flatten().find(|on| on.vp == vp);
        let running = running.map_or(0, |on| self.now.since(on.began).0);
        self.vps[vp.index()].received + running
    }

    /// In percent of one LP since the beginning.
    pub(crate) fn percent(&self, vp: VpId) -> f64 {
        100.0 * self.received(vp) as f64 / self.now.0 as f64
    }

    pub(crate) fn run_until(&mut self, end: Nanos) {
        while let Some(at) = self.next_event()
            && at <= end
        {
            self.pass_to(at);
            for lp in (0..self.lps.len() as u32).map(LpId) {
                self.step(lp);
            }
            self.see();
        }
        self.pass_to(end);
    }

    fn next_event(&self) -> Option<Nanos> {
        (0..self.lps.len())
            .flat_map(|lp| {
                let ends = self.lps[lp].map(|on| on.ends);
                [ends, self.scheduler.next_timer(LpId(lp as u32))]
            })
            .flatten()
            .min()
    }

    fn pass_to(&mut self, at: Nanos) {
        let span = at.since(self.now);
        self.now = at;
        let received: Vec<u64> = (0..self.vps.len() as u32)
            .map(|vp| self.received(VpId(vp)))
            .collect();
        self.formula.pass(span, &received);
        self.ideal.pass(span, &received);
    }

    /// Who wants to run from now on.
    fn see(&mut self) {
        for (vp, entry) in self.scheduler.machine().vps() {
            let wants = matches!(
                entry.state,
                VpState::Ready { .. } | VpState::Running { .. } | VpState::Held { .. }
            );
            self.formula.wants(vp, wants);
            self.ideal.wants(vp, wants);
        }
    }

    fn step(&mut self, lp: LpId) {
        let ended = self.lps[lp.index()].is_some_and(|on| on.ends <= self.now);
        if ended {
            self.end_dispatch(lp);
            self.decide_if_free(lp);
        }
        if self
            .scheduler
            .next_timer(lp)
            .is_some_and(|at| at <= self.now)
        {
            self.scheduler.tick(self.now, lp);
            self.obey();
        }
    }

    fn end_dispatch(&mut self, lp: LpId) {
        let Some(Dispatch { vp, began, .. }) = self.lps[lp.index()].take() else {
            return;
        };
        let ran = self.now.since(began);
        let now = self.now;
        self.trace.push(Dispatched {
            lp,
            vp,
            began,
            ended: now,
        });
        let entry = &mut self.vps[vp.index()];
        entry.received += ran.0;
        entry.step.run = entry.step.run.since(ran);
        let mut after = After::Run;
        if entry.step.run == Nanos::ZERO {
            after = match entry.step.then {
                Then::Run => After::Run,
                Then::Spin => After::Spin,
                Then::SleepFor(span) => After::Sleep {
                    until: Some(now + span),
                },
                Then::SleepUntil(at) => After::Sleep { until: Some(at) },
            };
            entry.step = (entry.program)(now);
        }
        self.scheduler.charge(now, lp, ran, after);
        self.obey();
    }

    fn decide_if_free(&mut self, lp: LpId) {
        if self.lps[lp.index()].is_some() {
            return;
        }
        if let Some(since) = self.awaiting[lp.index()].take() {
            let lost = self.now.since(since);
            self.scheduler.lost(self.now, lp, lost);
        }
        let decision = self.scheduler.pick(self.now, lp);
        if decision == Decision::Await {
            self.awaiting[lp.index()] = Some(self.now);
        }
        if let Decision::Run { vp, until, .. } = decision {
            let late = Nanos(self.random.below(self.overshoot.0 + 1));
            let wanted = self.now + self.vps[vp.index()].step.run;
            self.lps[lp.index()] = Some(Dispatch {
                vp,
                began: self.now,
                ends: wanted.min(until + late),
            });
        }
        self.obey();
    }

    /// Called LPs decide anew: idle ones at once, busy ones up to the overshoot late.
    pub(crate) fn obey(&mut self) {
        loop {
            let called: Vec<LpId> = self.scheduler.take_calls().collect();
            if called.is_empty() {
                return;
            }
            for lp in called {
                let late = Nanos(self.random.below(self.overshoot.0 + 1));
                match &mut self.lps[lp.index()] {
                    Some(on) => on.ends = on.ends.min(self.now + late),
                    None => self.decide_if_free(lp),
                }
            }
        }
    }
}
