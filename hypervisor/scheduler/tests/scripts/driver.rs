//! Drives a scheduler through a script as correct dispatchers would: calls are
//! answered at once, idle and running LPs tick at their timers, and what a
//! dispatch did not give to its VP is reported as lost.

use super::checks::Checks;
use super::fluid::{self, Fluid};
use super::script::{Op, Script, copies};
use apportion_scheduler::{
    After, Config, Controls, Decision, GuestId, LpId, LpSet, Nanos, NewGuest, Presence, Random,
    Scheduler, Topology, VpId, VpState, What,
};

pub(crate) const SLICE: Nanos = Nanos::from_millis(1);
/// The longest overshoot of a dispatch that is not late on purpose.
pub(crate) const OVERSHOOT: Nanos = Nanos::from_micros(50);
/// More VPs than this make a script slow and show nothing new.
const MOST_VPS: usize = 160;

pub(crate) type Outcome = Result<(), String>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispatch {
    pub(crate) vp: VpId,
    pub(crate) since: Nanos,
    /// When it leaves by itself.
    until: Nanos,
    lost: Nanos,
}

/// How a VP behaves.
#[derive(Clone, Copy, Debug)]
struct Habit {
    /// Runs for so long, then sleeps; zero is for ever.
    burst: Nanos,
    pause: Nanos,
    /// Of the burst.
    left: Nanos,
}

/// A scheduler, its LPs and what its VPs do.
pub(crate) struct Driver {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Nanos,
    pub(crate) lps: Vec<Option<Dispatch>>,
    habits: Vec<Habit>,
    pub(crate) received: Vec<u64>,
    pub(crate) dispatches: u64,
    random: Random,
    pub(crate) fluid: Option<Fluid>,
    pub(crate) checks: Checks,
    /// By VP: when it last woke, and its lag then.
    woke: Vec<Option<(Nanos, i64)>>,
    /// Bursts that began with a wake: the VP, the lag it woke with, and how long the burst took.
    pub(crate) bursts: Vec<(VpId, i64, Nanos)>,
    /// What each pick chose, and when.
    pub(crate) trace: Vec<(Nanos, LpId, Option<VpId>)>,
}

impl Driver {
    pub(crate) fn new(config: Config, begin: Nanos, seed: u64) -> Driver {
        let lps = config.topology.lps() as usize;
        let scheduler = Scheduler::new(config);
        let mut driver = Driver {
            now: begin,
            lps: vec![None; lps],
            habits: Vec::new(),
            received: Vec::new(),
            dispatches: 0,
            random: Random::new(seed),
            fluid: None,
            checks: Checks::new(&scheduler),
            woke: Vec::new(),
            bursts: Vec::new(),
            trace: Vec::new(),
            scheduler,
        };
        // Nothing is there to run: every LP goes idle.
        for lp in 0..lps as u32 {
            driver.pick(LpId(lp));
        }
        driver
    }

    pub(crate) fn of(script: &Script) -> Driver {
        let mut config = Config::new(script.lps, SLICE, script.policy);
        config.topology = Topology::even(script.lps, script.nodes);
        config.reserve_model = script.model;
        config.weight_scope = script.scope;
        config.seed = script.seed;
        Driver::new(config, Nanos(script.begin), script.seed)
    }

    /// The whole script, and half a second after it.
    pub(crate) fn run(&mut self, script: &Script) -> Outcome {
        for (index, op) in script.ops.iter().enumerate() {
            self.perform(op)
                .map_err(|problem| format!("step {index}, {op:?}: {problem}"))?;
        }
        self.run_for(Nanos::from_millis(20))
    }

    pub(crate) fn perform(&mut self, op: &Op) -> Outcome {
        match *op {
            Op::Guest {
                vps,
                terms,
                affinity,
                burst,
                pause,
            } => {
                for _ in 0..copies(self.lps.len() as u32) {
                    self.add_guest(vps, terms.controls(), self.set(affinity), (burst, pause))?;
                }
            }
            Op::Define(terms) => self.define(terms.controls()),
            Op::Admit(guest) => self.on_guest(guest, Driver::admit),
            Op::StopGuest(guest) => self.on_guest(guest, Driver::stop_guest),
            Op::StopVp(vp) => self.on_vp(vp, Driver::stop),
            Op::StartVp(vp) => self.on_vp(vp, |driver, vp| driver.start(&[vp])),
            Op::AddVp(guest) => self.on_guest(guest, Driver::add_vp),
            Op::Sleep(vp, time) => self.on_vp(vp, |driver, vp| {
                let until = time.map(|time| driver.now + Nanos::from_micros(time.into()));
                driver.sleep(vp, until);
            }),
            Op::Wake(vp) => self.on_vp(vp, Driver::wake),
            Op::Controls(guest, terms) => self.on_guest(guest, |driver, guest| {
                driver.set_controls(guest, terms.controls());
            }),
            Op::SameControls(guest) => self.on_guest(guest, |driver, guest| {
                let controls = driver.scheduler.machine().guest(guest).controls;
                driver.set_controls(guest, controls);
            }),
            Op::Affinity(guest, set) => self.on_guest(guest, |driver, guest| {
                let set = driver.set(set);
                if driver
                    .scheduler
                    .set_affinity(driver.now, guest, set)
                    .is_ok()
                {
                    driver.changed();
                }
            }),
            Op::LpOff(lp, force) => {
                let lp = self.lp(lp);
                if fluid::online(&self.scheduler, lp)
                    && self.scheduler.lp_off(self.now, lp, force).is_ok()
                {
                    self.changed();
                }
            }
            Op::LpOn(lp) => {
                let lp = self.lp(lp);
                let was = fluid::online(&self.scheduler, lp);
                let on = self.scheduler.lp_on(self.now, lp);
                on.map_err(|error| error.to_string())?;
                if !was {
                    self.changed();
                }
            }
            Op::Late(lp, late) => {
                let lp = self.lp(lp);
                if let Some(dispatch) = &mut self.lps[lp.index()] {
                    dispatch.until += Nanos::from_micros(late.into());
                }
            }
            Op::Spin(lp) => {
                let lp = self.lp(lp);
                self.leave(lp, After::Spin);
            }
            Op::Lose(lp, lost) => self.lose(lp, Nanos::from_micros(lost.into())),
            Op::Jump(time) => self.jump(Nanos::from_micros(time.into())),
            Op::Run(time) => return self.run_for(Nanos::from_micros(time.into())),
        }
        self.run_for(Nanos::ZERO)
    }

    fn set(&self, bits: Option<u64>) -> Option<LpSet> {
        let lps = 0..self.lps.len() as u32;
        Some(
            lps.map(LpId)
                .filter(|lp| bits.is_some_and(|bits| bits >> (lp.0 % 64) & 1 == 1))
                .collect(),
        )
        .filter(|_| bits.is_some())
    }

    fn lp(&self, number: u8) -> LpId {
        LpId(u32::from(number) % self.lps.len() as u32)
    }

    fn on_guest(&mut self, number: u8, act: impl FnOnce(&mut Driver, GuestId)) {
        let guests = self.scheduler.machine().guests().count();
        if let Some(guest) = usize::from(number).checked_rem(guests) {
            act(self, GuestId(guest as u32));
        }
    }

    fn on_vp(&mut self, number: u8, act: impl FnOnce(&mut Driver, VpId)) {
        if let Some(vp) = usize::from(number).checked_rem(self.habits.len()) {
            act(self, VpId(vp as u32));
        }
    }

    /// Adds and starts a guest; one that is refused is not there.
    pub(crate) fn add_guest(
        &mut self,
        vps: u32,
        controls: Controls,
        affinity: Option<LpSet>,
        (burst, pause): (u32, u32),
    ) -> Result<Option<GuestId>, String> {
        let number = self.scheduler.machine().guests().count();
        if self.habits.len() + vps as usize > MOST_VPS {
            return Ok(None);
        }
        let name = format!("g{number}");
        let new = NewGuest {
            name,
            vps,
            controls,
            affinity,
        };
        let Ok(guest) = self.scheduler.add_guest(self.now, &new) else {
            return Ok(None);
        };
        let burst = Nanos::from_micros(burst.into());
        let pause = Nanos::from_micros(pause.into());
        self.habits.extend((0..vps).map(|_| Habit {
            burst,
            pause,
            left: burst,
        }));
        self.changed();
        let vps = self.scheduler.machine().guest(guest).vps.clone();
        self.start(&vps);
        self.settle()?;
        Ok(Some(guest))
    }

    /// A guest that may come later; its VP never sleeps.
    fn define(&mut self, controls: Controls) {
        if self.habits.len() >= MOST_VPS {
            return;
        }
        let new = NewGuest {
            name: format!("g{}", self.scheduler.machine().guests().count()),
            vps: 1,
            controls,
            affinity: None,
        };
        self.scheduler.define_guest(self.now, &new);
        self.habits.push(Habit {
            burst: Nanos::ZERO,
            pause: Nanos::ZERO,
            left: Nanos::ZERO,
        });
        self.changed();
    }

    fn admit(&mut self, guest: GuestId) {
        let awaited = self.scheduler.machine().guest(guest).presence == Presence::Awaited;
        if awaited && self.scheduler.admit_guest(self.now, guest).is_ok() {
            self.changed();
            let vps = self.scheduler.machine().guest(guest).vps.clone();
            self.start(&vps);
        }
    }

    fn add_vp(&mut self, guest: GuestId) {
        let Some(&first) = self.scheduler.machine().guest(guest).vps.first() else {
            return;
        };
        if self.habits.len() < MOST_VPS
            && let Ok(vp) = self.scheduler.add_vp(self.now, guest)
        {
            self.habits.push(self.habits[first.index()]);
            self.changed();
            self.start(&[vp]);
        }
    }

    fn start(&mut self, vps: &[VpId]) {
        let machine = self.scheduler.machine();
        let joins = |vp: &&VpId| {
            machine.vp(**vp).state == VpState::Suspended && machine.guest_of(**vp).is_here()
        };
        let joining: Vec<VpId> = vps.iter().filter(joins).copied().collect();
        self.scheduler.start(self.now, vps);
        if let Some(fluid) = &mut self.fluid {
            fluid.start(self.now, &joining, &self.scheduler);
        }
    }

    fn stops_now(&self, vp: VpId) -> bool {
        !matches!(
            self.scheduler.machine().vp(vp).state,
            VpState::Suspended | VpState::Running { .. }
        )
    }

    fn stop(&mut self, vp: VpId) {
        let stops = self.stops_now(vp);
        self.scheduler.stop(self.now, vp);
        if let (true, Some(fluid)) = (stops, &mut self.fluid) {
            fluid.stop(self.now, vp, &self.scheduler);
        }
    }

    pub(crate) fn stop_guest(&mut self, guest: GuestId) {
        let vps = self.scheduler.machine().guest(guest).vps.clone();
        let stopping: Vec<VpId> = vps.into_iter().filter(|&vp| self.stops_now(vp)).collect();
        self.scheduler.stop_guest(self.now, guest);
        if let Some(fluid) = &mut self.fluid {
            for vp in stopping {
                fluid.stop(self.now, vp, &self.scheduler);
            }
        }
        self.changed();
    }

    pub(crate) fn set_controls(&mut self, guest: GuestId, controls: Controls) {
        if self
            .scheduler
            .set_controls(self.now, guest, controls)
            .is_ok()
        {
            self.changed();
        }
    }

    /// A call that may change the rates has been made.
    fn changed(&mut self) {
        self.received.resize(self.habits.len(), 0);
        self.woke.resize(self.habits.len(), None);
        self.checks.changed(self.now, &self.scheduler);
        if let Some(fluid) = &mut self.fluid {
            fluid.changed(self.now, &self.scheduler);
        }
    }

    pub(crate) fn sleep(&mut self, vp: VpId, until: Option<Nanos>) {
        if let VpState::Running { lp, .. } = self.scheduler.machine().vp(vp).state {
            self.leave(lp, After::Sleep { until });
        }
    }

    pub(crate) fn wake(&mut self, vp: VpId) {
        self.scheduler.wake(self.now, vp);
        self.see_happened();
    }

    /// Tells the model who has joined.
    fn see_happened(&mut self) {
        let happened: Vec<_> = self.scheduler.take_happened().collect();
        for event in happened {
            if let (What::Released, Some(fluid)) = (event.what, &mut self.fluid) {
                fluid.catch_up(self.now, &self.scheduler);
            }
            if event.what == What::Slept {
                self.checks.slept(event.vp);
            }
            if let What::Woke { due } = event.what {
                assert!(due <= event.at, "{event:?}");
                let lag = self.scheduler.lag(self.now, event.vp);
                self.woke[event.vp.index()] = lag.map(|lag| (self.now, lag));
                if let Some(fluid) = &mut self.fluid {
                    fluid.join(self.now, &[event.vp], &self.scheduler);
                }
            }
        }
    }

    fn lose(&mut self, number: u8, span: Nanos) {
        let lp = self.lp(number);
        match &mut self.lps[lp.index()] {
            // The dispatch takes as much longer; reported when it ends.
            Some(dispatch) => {
                dispatch.lost += span;
                dispatch.until += span;
            }
            None => self.lost(lp, span),
        }
    }

    fn lost(&mut self, lp: LpId, span: Nanos) {
        self.scheduler.lost(self.now, lp, span);
        self.checks.disturbed();
        if let Some(fluid) = &mut self.fluid {
            fluid.lost(self.now, span, &self.scheduler);
        }
    }

    fn jump(&mut self, span: Nanos) {
        self.now += span;
        for dispatch in self.lps.iter_mut().flatten() {
            dispatch.lost += span;
            dispatch.until += span;
        }
    }

    /// The VP on `lp`, if any, leaves; then `lp` decides anew.
    fn leave(&mut self, lp: LpId, after: After) {
        let Some(dispatch) = self.lps[lp.index()].take() else {
            return;
        };
        let vp = dispatch.vp;
        let wall = self.now.since(dispatch.since);
        let lost = dispatch.lost.min(wall);
        let ran = wall - lost;
        let state = self.scheduler.machine().vp(vp).state;
        let leaving = matches!(state, VpState::Running { leaving: true, .. });
        let siblings = fluid::waiting_siblings(&self.scheduler, vp);
        let habit = &mut self.habits[vp.index()];
        habit.left = habit.left - ran;
        self.received[vp.index()] += ran.0;
        if habit.left == Nanos::ZERO
            && let Some((woke, lag)) = self.woke[vp.index()].take()
        {
            self.bursts.push((vp, lag, self.now.since(woke)));
        }
        self.checks.ran(self.now, vp, ran, &self.scheduler);
        self.scheduler.charge(self.now, lp, ran, after);
        if let Some(fluid) = &mut self.fluid {
            fluid.charge(self.now, vp, ran, &self.scheduler);
            // Not where it was woken meanwhile.
            let state = self.scheduler.machine().vp(vp).state;
            let sleeps = matches!(state, VpState::Sleeping { .. });
            match after {
                _ if leaving => fluid.stop(self.now, vp, &self.scheduler),
                After::Sleep { .. } if sleeps => fluid.sleep(self.now, vp, &self.scheduler),
                After::Sleep { .. } => {}
                After::Spin => fluid.spun(vp, &siblings),
                After::Run => {}
            }
            if matches!(self.scheduler.machine().vp(vp).state, VpState::Ready { .. }) {
                fluid.catch_up(self.now, &self.scheduler);
            }
        }
        if lost > Nanos::ZERO {
            self.scheduler.lost(self.now, lp, lost);
            if let Some(fluid) = &mut self.fluid {
                fluid.lost(self.now, lost, &self.scheduler);
            }
        }
        self.pick(lp);
    }

    fn pick(&mut self, lp: LpId) {
        let decision = self.scheduler.pick(self.now, lp);
        self.see_happened();
        let chosen = match decision {
            Decision::Run { vp, until, .. } => {
                self.dispatches += 1;
                let overshoot = Nanos(self.random.below(OVERSHOOT.0));
                let habit = &mut self.habits[vp.index()];
                let mut until = until + overshoot;
                if habit.burst > Nanos::ZERO {
                    if habit.left == Nanos::ZERO {
                        habit.left = habit.burst;
                    }
                    until = until.min(self.now + habit.left);
                }
                let lost = Nanos::ZERO;
                self.lps[lp.index()] = Some(Dispatch {
                    vp,
                    since: self.now,
                    until,
                    lost,
                });
                Some(vp)
            }
            Decision::Idle | Decision::Await => None,
        };
        self.trace.push((self.now, lp, chosen));
        if let Some(fluid) = &mut self.fluid
            && fluid::online(&self.scheduler, lp)
        {
            fluid.picked(self.now, chosen, &self.scheduler);
        }
    }

    /// Answers all calls.
    pub(crate) fn settle(&mut self) -> Outcome {
        self.see_happened();
        let mut answered = 0;
        loop {
            let calls: Vec<LpId> = self.scheduler.take_calls().collect();
            if calls.is_empty() {
                break;
            }
            answered += calls.len();
            if answered > 10_000 {
                return Err("LPs call each other for ever".to_owned());
            }
            for lp in calls {
                match self.lps[lp.index()] {
                    Some(_) => self.leave(lp, After::Run),
                    None => self.pick(lp),
                }
            }
        }
        self.checks.settled(self.now, &self.scheduler, &self.lps)?;
        match &mut self.fluid {
            Some(fluid) => fluid.compare(self.now, &self.scheduler),
            None => Ok(()),
        }
    }

    /// When an LP next does something by itself.
    fn next_event(&self) -> Option<(Nanos, LpId)> {
        let each = (0..self.lps.len() as u32).map(LpId).filter_map(|lp| {
            let end = self.lps[lp.index()].map(|dispatch| dispatch.until);
            // What is off line and runs nothing has no dispatcher.
            let ticks = end.is_some() || fluid::online(&self.scheduler, lp);
            let timer = self.scheduler.next_timer(lp).filter(|_| ticks);
            Some((end.into_iter().chain(timer).min()?, lp))
        });
        each.min()
    }

    pub(crate) fn run_for(&mut self, span: Nanos) -> Outcome {
        self.settle()?;
        let end = self.now + span;
        let mut at_once = 0;
        while let Some((at, lp)) = self.next_event()
            && at <= end
        {
            at_once = if at > self.now { 0 } else { at_once + 1 };
            if at_once > 10_000 {
                return Err("time stands still".to_owned());
            }
            self.now = self.now.max(at);
            self.step(lp);
            self.settle()?;
        }
        self.now = end;
        self.checks.timers(end, &self.scheduler)?;
        self.settle()
    }

    fn step(&mut self, lp: LpId) {
        let Some(dispatch) = self.lps[lp.index()].filter(|dispatch| dispatch.until <= self.now)
        else {
            self.scheduler.tick(self.now, lp);
            return self.see_happened();
        };
        let habit = self.habits[dispatch.vp.index()];
        let ran = self.now.since(dispatch.since) - dispatch.lost;
        let after = match habit.burst > Nanos::ZERO && habit.left <= ran {
            true => After::Sleep {
                until: Some(self.now + habit.pause),
            },
            false => After::Run,
        };
        self.leave(lp, after);
    }

    /// What a VP has received, its dispatch in progress included.
    pub(crate) fn received(&self, vp: VpId) -> u64 {
        let running = self.lps.iter().flatten().find(|dispatch| dispatch.vp == vp);
        let now = running.map_or(0, |dispatch| self.now.since(dispatch.since).0);
        self.received[vp.index()] + now
    }
}
