//! What holds at every moment, whatever happens.

use super::driver::{Dispatch, Outcome, SLICE};
use apportion_scheduler::{CAP_DEPTH_SLICES, LpId, Nanos, Scheduler, VpId, VpState};

/// The worst window of a capped VP so far: service less the cap's part of the wall time.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// In ns, at least zero: the window that is worst begins where it was last zero.
    excess: f64,
    at: Nanos,
    /// In LPs; 1 is no cap.
    cap: f64,
    /// When `cap` changed, and what flowed in from `at` till then.
    changed: Nanos,
    before: f64,
}

/// A moment from which Σ lag must not change.
#[derive(Clone, Copy, Debug)]
struct Balance {
    since: Nanos,
    sum: i64,
}

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Checks {
    windows: Vec<Window>,
    /// By how much a dispatch exceeded a slice, at most.
    pub(crate) overshoot: Nanos,
    balance: Option<Balance>,
    /// By VP: it has wanted to run ever since the last settled moment.
    awake: Vec<bool>,
    fair: bool,
    pub(crate) most_behind: i64,
    pub(crate) most_ahead: i64,
    /// So many moments had Σ lag checked.
    pub(crate) balanced: u64,
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(problem()) }
}

impl Checks {
    pub(crate) fn new(scheduler: &Scheduler) -> Checks {
        Checks {
            windows: Vec::new(),
            overshoot: Nanos::ZERO,
            balance: None,
            awake: Vec::new(),
            fair: scheduler.machine().config().policy == Default::default(),
            most_behind: 0,
            most_ahead: 0,
            balanced: 0,
        }
    }

    /// Caps may be other ones from now on.
    pub(crate) fn changed(&mut self, now: Nanos, scheduler: &Scheduler) {
        let machine = scheduler.machine();
        for (vp, entry) in machine.vps() {
            let cap = machine.guest(entry.guest).controls.cap.percent() / 100.0;
            let fresh = Window {
                excess: 0.0,
                at: now,
                cap,
                changed: now,
                before: 0.0,
            };
            match self.windows.get_mut(vp.index()) {
                None => self.windows.push(fresh),
                // Without a cap for a while: a bucket begins anew.
                Some(window) if window.cap == 1.0 => *window = fresh,
                Some(window) => {
                    if let VpState::Running { since, .. } = entry.state {
                        window.pass(since);
                    }
                    window.before += window.cap * now.since(window.at.max(window.changed)).0 as f64;
                    (window.cap, window.changed) = (cap, now);
                }
            }
        }
    }

    /// A VP went to sleep, and may be awake again by now.
    pub(crate) fn slept(&mut self, vp: VpId) {
        if let Some(awake) = self.awake.get_mut(vp.index()) {
            *awake = false;
        }
    }

    /// Σ lag changes by what was told.
    pub(crate) fn disturbed(&mut self) {
        self.balance = None;
    }

    /// A dispatch of a VP is about to be charged.
    pub(crate) fn ran(&mut self, now: Nanos, vp: VpId, ran: Nanos, scheduler: &Scheduler) {
        self.overshoot = self.overshoot.max(ran - SLICE);
        if scheduler.machine().guest_of(vp).controls.cap != Default::default() {
            // It may be forgiven what it saved up under its cap.
            self.disturbed();
        }
        let window = &mut self.windows[vp.index()];
        let VpState::Running { since, .. } = scheduler.machine().vp(vp).state else {
            return;
        };
        window.pass(since);
        if window.changed <= since {
            // Whatever its LP lost may have been the dispatch's beginning.
            window.pass(now - ran);
        }
        let inflow = window.inflow(now);
        window.excess = (window.excess + ran.0 as f64 - inflow).max(0.0);
    }

    /// No sleep or hold has been forgotten.
    pub(crate) fn timers(&self, now: Nanos, scheduler: &Scheduler) -> Outcome {
        for (vp, entry) in scheduler.machine().vps() {
            if let VpState::Sleeping { until: Some(until) } | VpState::Held { until } = entry.state
            {
                ensure(until > now, || {
                    format!("{vp:?} is still {:?} at {now:?}", entry.state)
                })?;
            }
        }
        Ok(())
    }

    /// All calls are answered.
    pub(crate) fn settled(
        &mut self,
        now: Nanos,
        scheduler: &Scheduler,
        lps: &[Option<Dispatch>],
    ) -> Outcome {
        states(scheduler, lps)?;
        self.caps(scheduler)?;
        if self.fair {
            self.lags(now, scheduler, lps)?;
        }
        Ok(())
    }

    /// Over any window service ≤ c·W + 2 slices + the largest overshoot.
    fn caps(&self, scheduler: &Scheduler) -> Outcome {
        let depth = CAP_DEPTH_SLICES * SLICE.0;
        let limit = (depth + self.overshoot.0) as f64;
        for (vp, _) in scheduler.machine().vps() {
            let window = &self.windows[vp.index()];
            // Each look at a bucket may round one ns away.
            ensure(window.cap == 1.0 || window.excess <= limit + 1.0, || {
                format!("{vp:?} exceeds its cap: {window:?}, allowed {limit} ns")
            })?;
        }
        Ok(())
    }

    /// Σ lag over all VPs, asleep or not, changes only while an LP idles or
    /// what can be used is less than the LPs.
    fn lags(&mut self, now: Nanos, scheduler: &Scheduler, lps: &[Option<Dispatch>]) -> Outcome {
        let machine = scheduler.machine();
        let mut sum = 0;
        for (vp, entry) in machine.vps() {
            let lag = scheduler.lag(now, vp).unwrap_or(0);
            sum += lag;
            // A sleeper's debt is paid once its lag is zero, noticed or not.
            if !matches!(entry.state, VpState::Suspended | VpState::Sleeping { .. }) {
                self.most_behind = self.most_behind.max(lag);
                self.most_ahead = self.most_ahead.min(lag);
            }
        }
        let awake: Vec<bool> = machine
            .vps()
            .map(|(_, entry)| !matches!(entry.state, VpState::Sleeping { .. } | VpState::Suspended))
            .collect();
        // Where nobody competes no account is kept, if only for an instant in
        // between: somebody must have done so all the time.
        let unlimited = |vp: &VpId| {
            let guest = machine.guest_of(*vp);
            guest.controls.cap == Default::default() && guest.affinity.is_none()
        };
        let both = self.awake.iter().zip(&awake);
        let stayed = (0..)
            .map(VpId)
            .zip(both)
            .filter(|(_, (was, is))| **was && **is);
        let stayed = stayed.filter(|(vp, _)| unlimited(vp)).count() > machine.online().count();
        let stayed = stayed || self.awake == awake;
        self.awake = awake;
        // Every LP on line runs a VP that may use all of it and another waits
        // for it: nobody has all that he can use for want of competition, and
        // the rates add up to the LPs.
        let busy = (0..lps.len() as u32).map(LpId).all(|lp| {
            let uncapped = |dispatch: &Dispatch| {
                machine.guest_of(dispatch.vp).controls.cap == Default::default()
            };
            match &lps[lp.index()] {
                Some(dispatch) => uncapped(dispatch) && machine.ready_for(lp).next().is_some(),
                None => machine.lp(lp).offline,
            }
        });
        let Some(balance) = self.balance.filter(|_| busy && stayed) else {
            self.balance = busy.then_some(Balance { since: now, sum });
            return Ok(());
        };
        // A microsecond is kept back before it is paid out, by each of the
        // parts into which affinities divide the machine; each lag is rounded;
        // and what is kept back is forgotten when the parts change.
        let parts = lps.len() as u64 + 1;
        let elapsed = now.since(balance.since).0;
        let vps = machine.vps().count() as u64;
        let limit = parts * 1_000 + 2 * vps + parts * elapsed / 5_000_000;
        self.balanced += 1;
        ensure(sum.abs_diff(balance.sum) <= limit, || {
            format!("Σ lag was {} and is {sum} ns, ± {limit}", balance.sum)
        })
    }
}

impl Window {
    /// What has flowed in since it was last looked at.
    fn inflow(&mut self, now: Nanos) -> f64 {
        let span = now.since(self.at.max(self.changed));
        self.at = now;
        self.cap * span.0 as f64 + std::mem::take(&mut self.before)
    }

    /// Time goes by in which it receives nothing.
    fn pass(&mut self, now: Nanos) {
        if now > self.at {
            self.excess = (self.excess - self.inflow(now)).max(0.0);
        }
    }
}

fn states(scheduler: &Scheduler, lps: &[Option<Dispatch>]) -> Outcome {
    let machine = scheduler.machine();
    let idle: Vec<LpId> = (0..lps.len() as u32)
        .map(LpId)
        .filter(|&lp| lps[lp.index()].is_none() && !machine.lp(lp).offline)
        .collect();
    let mut running = 0;
    for (vp, entry) in machine.vps() {
        match entry.state {
            VpState::Running { lp, leaving, .. } => {
                running += 1;
                let here = lps[lp.index()].map(|dispatch| dispatch.vp);
                ensure(
                    here == Some(vp) && machine.lp(lp).running == Some(vp),
                    || format!("{vp:?} is said to run on {lp:?}, where {here:?} does"),
                )?;
                ensure(machine.may_run(vp, lp) && !leaving, || {
                    format!("{vp:?} still runs on {lp:?}, where it may not")
                })?;
            }
            VpState::Ready { .. } => {
                let free = idle.iter().find(|&&lp| machine.may_run(vp, lp));
                ensure(free.is_none(), || {
                    format!("{vp:?} is Ready while {free:?} idles")
                })?;
            }
            VpState::Held { .. } => {
                let cap = machine.guest_of(vp).controls.cap.percent();
                ensure(cap < 100.0, || format!("{vp:?} is held and has no cap"))?;
            }
            VpState::Sleeping { .. } | VpState::Suspended => {}
        }
    }
    let dispatched = lps.iter().flatten().count();
    ensure(running == dispatched, || {
        format!("{running} VPs run by their states, {dispatched} LPs run one")
    })
}
