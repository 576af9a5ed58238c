//! The root's part of a run in virtual time: start, changes on the way, ticks, and the end.

use super::lps::{Lps, Observed};
use super::program::Programs;
use super::trace::Trace;
use crate::dispatch_log::LogEntry;
use crate::engine::{EngineError, Flow, Observer, RunOutcome, VpReport};
use crate::run_spec::{Action, Change, RunSpec};
use apportion_abi::Features;
use apportion_abi::shared::Value;
use apportion_scheduler::{AdmissionError, GuestId, Nanos, VpId};
use std::collections::HashSet;

/// How often the observer is asked whether to go on.
const TICK_EVERY: Nanos = Nanos::from_millis(50);

/// Runs `spec` from `start` on.
pub(super) fn run(
    spec: &RunSpec,
    start: Nanos,
    observer: &mut dyn Observer,
) -> Result<(RunOutcome, Trace), EngineError> {
    let mut scheduler = spec.admit()?;
    let mut programs = Programs::new(spec.guests.len());
    for guest in scheduler.machine().vps().map(|(_, vp)| vp.guest) {
        programs.add(guest, &spec.guests[guest.index()], spec.seed, start);
    }
    let awaited = spec.latecomers();
    let mut present: Vec<VpId> = Vec::new();
    let guests = (0..spec.guests.len() as u32).map(GuestId);
    for guest in guests.filter(|guest| !awaited.contains(guest)) {
        present.extend(&scheduler.machine().guest(guest).vps);
        let entry = LogEntry::GuestStarted { guest, at: start };
        observer.entry(&entry).map_err(EngineError::Observer)?;
    }
    scheduler.start(start, &present);
    let mut lps = Lps::new(scheduler, programs, observer, spec.simulator, start);
    lps.trace.calls += 1;
    lps.answer_calls(start, None);
    lps.log_happened().map_err(EngineError::Observer)?;

    let mut root = Root {
        spec,
        start,
        measured_from: start + spec.warm_up,
        before: Vec::new(),
        awaited,
        altered: false,
    };
    let (stopped, interrupted) = root.drive(&mut lps, start)?;
    lps.stop(stopped).map_err(EngineError::Observer)?;
    root.hand_over_decisions(&mut lps)?;
    let outcome = RunOutcome {
        start,
        measured_from: root.measured_from,
        // An interruption during the warm-up leaves a measurement of length zero.
        measured_until: stopped.max(root.measured_from),
        stopped,
        interrupted,
        lp_cpus: (0..spec.lps).collect(),
        crashes: std::mem::take(&mut lps.crashes),
        steal: Some(Nanos::ZERO),
        involuntary_switches: 0,
        memory: Vec::new(),
        reports: root.reports(&lps),
        measured: None,
        counters: None,
        clock_error: None,
    };
    Ok((outcome, lps.trace))
}

struct Root<'a> {
    spec: &'a RunSpec,
    start: Nanos,
    measured_from: Nanos,
    /// By VP, what it reported as measuring began.
    before: Vec<Vec<(Value, u64)>>,
    /// Guests that have not started.
    awaited: HashSet<GuestId>,
    /// Whether something was changed on request.
    altered: bool,
}

impl Root<'_> {
    /// Until the time is over or the observer has enough: when, and whether it was the observer.
    fn drive(&mut self, lps: &mut Lps<'_>, start: Nanos) -> Result<(Nanos, bool), EngineError> {
        let measured_from = self.measured_from;
        let due = |change: &&Change| measured_from + change.at;
        let until = measured_from + self.spec.duration;
        let mut changes = self.spec.changes.iter().peekable();
        let mut now = start;
        while now < until {
            let milestone = match changes.peek() {
                _ if now < self.measured_from => self.measured_from,
                Some(change) => due(change).min(until),
                None => until,
            };
            now = milestone.min(now + TICK_EVERY);
            lps.run_until(now).map_err(EngineError::Observer)?;
            if now == self.measured_from {
                self.before = self.values(lps);
            }
            while let Some(change) = changes.next_if(|change| due(change) <= now && now < until) {
                self.change(lps, change, now)?;
            }
            if now < until {
                for action in lps.observer.requests() {
                    self.request(lps, action, now)?;
                }
            }
            self.hand_over_decisions(lps)?;
            let flow = lps
                .observer
                .tick(now, until)
                .map_err(EngineError::Observer)?;
            if flow == Flow::Stop && now < until {
                return Ok((now, true));
            }
        }
        Ok((now, false))
    }

    fn values(&self, lps: &Lps<'_>) -> Vec<Vec<(Value, u64)>> {
        let vps = (0..lps.programs.count()).map(VpId);
        vps.map(|vp| lps.programs.report(vp, self.start)).collect()
    }

    fn reports(&self, lps: &Lps<'_>) -> Vec<VpReport> {
        let machine = lps.scheduler.machine();
        let was_there = |vp: &usize| !self.awaited.contains(&machine.vp(VpId(*vp as u32)).guest);
        let values = self.values(lps).into_iter().enumerate();
        values
            .filter(|(vp, _)| was_there(vp))
            .map(|(vp, after)| VpReport {
                vp: VpId(vp as u32),
                features: Features::default(),
                before: self.before.get(vp).cloned().unwrap_or_default(),
                after,
                records_lost: 0,
                pieces_late: 0,
            })
            .collect()
    }

    /// Makes a planned change.
    fn change(
        &mut self,
        lps: &mut Lps<'_>,
        change: &Change,
        now: Nanos,
    ) -> Result<(), EngineError> {
        match self.make(lps, change.action, now)? {
            // What was changed on request may have left no room for it.
            Err(why) if self.altered && change.action.may_be_left_out() => {
                refuse(lps, &change.action, &why, now)
            }
            made => made.map_err(|source| EngineError::ChangeRefused {
                at: change.at,
                source,
            }),
        }
    }

    /// Makes a change that the observer asks for, if it can be made.
    fn request(
        &mut self,
        lps: &mut Lps<'_>,
        action: Action,
        now: Nanos,
    ) -> Result<(), EngineError> {
        self.spec.check_request(&action)?;
        match self.make(lps, action, now)? {
            Ok(()) => {
                self.altered = true;
                Ok(())
            }
            Err(why) => refuse(lps, &action, &why, now),
        }
    }

    /// The scheduler's answer, or what kept a change that was made from being told.
    fn make(
        &mut self,
        lps: &mut Lps<'_>,
        action: Action,
        now: Nanos,
    ) -> Result<Result<(), AdmissionError>, EngineError> {
        let done = match action.apply(&mut lps.scheduler, now) {
            Ok(done) => done,
            Err(why) => return Ok(Err(why)),
        };
        // Stopping one that has crashed is nothing to do.
        let called = !matches!((&action, &done), (Action::StopGuest { .. }, None));
        lps.trace.calls += u64::from(called);
        match action {
            Action::AddVp { guest } => {
                let added = &self.spec.guests[guest.index()];
                lps.programs.add(guest, added, self.spec.seed, now);
                lps.trace.calls += 1;
            }
            Action::StartGuest { guest } => {
                self.awaited.remove(&guest);
                let started = &self.spec.guests[guest.index()];
                for vp in lps.scheduler.machine().guest(guest).vps.clone() {
                    lps.programs.begin(vp, started, self.spec.seed, now);
                }
                lps.trace.calls += 1;
            }
            _ => {}
        }
        log_change(lps, action, done, now).map_err(EngineError::Observer)?;
        lps.arm_all();
        lps.answer_calls(now, None);
        Ok(Ok(()))
    }

    fn hand_over_decisions(&self, lps: &mut Lps<'_>) -> Result<(), EngineError> {
        if !self.spec.decisions {
            return Ok(());
        }
        let entries = lps.scheduler.take_journal();
        lps.observer
            .decisions(entries)
            .map_err(EngineError::Observer)
    }
}

fn log_change(
    lps: &mut Lps<'_>,
    action: Action,
    done: Option<LogEntry>,
    now: Nanos,
) -> Observed<()> {
    if let Action::LpOff { lp, .. } = action {
        lps.park(lp, now)?;
    }
    if let Some(entry) = done {
        lps.observer.entry(&entry)?;
    }
    lps.log_happened()
}

fn refuse(
    lps: &mut Lps<'_>,
    action: &Action,
    why: &AdmissionError,
    now: Nanos,
) -> Result<(), EngineError> {
    let told = lps.observer.refused(action, why, now);
    told.map_err(EngineError::Observer)
}
