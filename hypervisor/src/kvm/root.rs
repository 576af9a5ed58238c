//! The root's part of a run: starts the guests, looks after them, makes the changes, and hands over what happened.

use super::census::Census;
use super::guests::{Found, Guests, ROUND_EVERY};
use super::shared::Shared;
use crate::counters::Snapshot;
use crate::dispatch_log::{LogEntry, LogReader};
use crate::engine::{EngineError, Flow, Observer, VpReport};
use crate::host;
use crate::run_spec::{Action, Change, RunSpec};
use apportion_scheduler::{AdmissionError, GuestId, Nanos};
use std::thread;
use std::time::Duration;

/// How often it hands over the counters.
const COUNT_EVERY: Nanos = Nanos::from_millis(1_000);

/// What the root saw while the guests ran.
pub(super) struct Observed {
    pub(super) start: Nanos,
    pub(super) measured_from: Nanos,
    pub(super) measured_until: Nanos,
    pub(super) interrupted: bool,
    pub(super) steal: Option<Nanos>,
    /// As measuring began and as it ended.
    pub(super) counters: Option<[Snapshot; 2]>,
}

/// What is left to tell once the dispatchers are gone.
pub(super) struct End {
    /// By guest, bytes that were touched.
    pub(super) memory: Vec<u64>,
    pub(super) reports: Vec<VpReport>,
    pub(super) counters: Snapshot,
    pub(super) clock_error: Option<Nanos>,
}

/// The root of one run.
pub(super) struct Root<'a> {
    spec: &'a RunSpec,
    shared: &'a Shared,
    guests: &'a mut Guests,
    lp_cpus: &'a [u32],
    logs: &'a mut [LogReader],
    observer: &'a mut dyn Observer,
    census: Census,
    /// What the root itself has to report and has not yet.
    own: Vec<LogEntry>,
    /// Whether something was changed on request.
    altered: bool,
    /// How many crashes the observer was told of.
    crashes: usize,
    /// How long the next round may be in coming.
    again: Nanos,
}

impl<'a> Root<'a> {
    pub(super) fn new(
        spec: &'a RunSpec,
        shared: &'a Shared,
        guests: &'a mut Guests,
        lp_cpus: &'a [u32],
        logs: &'a mut [LogReader],
        observer: &'a mut dyn Observer,
    ) -> Root<'a> {
        Root {
            census: Census::begin(lp_cpus, shared),
            spec,
            shared,
            guests,
            lp_cpus,
            logs,
            observer,
            own: Vec::new(),
            altered: false,
            crashes: 0,
            again: ROUND_EVERY,
        }
    }

    /// Until the time is over or the observer has enough.
    pub(super) fn observe(&mut self) -> Result<Observed, EngineError> {
        self.guests.prepare();
        let start = self.shared.start_guests();
        self.guests.start(start, self.spec.seed);
        self.look_after()?;
        let latecomers = self.spec.latecomers();
        let guests = (0..self.spec.guests.len() as u32).map(GuestId);
        for guest in guests.filter(|guest| !latecomers.contains(guest)) {
            let entry = LogEntry::GuestStarted { guest, at: start };
            self.observer.entry(&entry).map_err(EngineError::Observer)?;
        }
        let measured_from = start + self.spec.warm_up;
        let until = measured_from + self.spec.duration;
        let mut before = None;
        let mut changes = self.spec.changes.iter().peekable();
        let mut now = self.shared.clock.now();
        let mut counted = now;
        self.count(now)?;
        let mut interrupted = false;
        while now < until && !interrupted && !self.shared.stopping() {
            let due = |change: &&Change| measured_from + change.at;
            let milestone = match changes.peek() {
                _ if now < measured_from => measured_from,
                Some(change) => due(change).min(until),
                None => until,
            };
            let nap = milestone.since(now).min(self.again);
            thread::sleep(Duration::from_nanos(nap.0));
            now = self.shared.clock.now();
            if before.is_none() && now >= measured_from {
                self.guests.mark();
                before = Some((host::steal(self.lp_cpus), self.count(now)?));
                counted = now;
            }
            while let Some(change) = changes.next_if(|change| due(change) <= now) {
                self.change(change)?;
            }
            for action in self.observer.requests() {
                self.request(action)?;
            }
            self.drain(now)?;
            self.look_after()?;
            if now.since(counted) >= COUNT_EVERY {
                self.count(now)?;
                counted = now;
            }
            self.hand_over_decisions()?;
            let flow = self.observer.tick(now, until);
            interrupted = flow.map_err(EngineError::Observer)? == Flow::Stop;
            now = self.shared.clock.now();
        }
        let after = self.count(now)?;
        let (steal_before, before) = before.unzip();
        Ok(Observed {
            start,
            measured_from,
            // An interruption during the warm-up leaves a measurement of length zero.
            measured_until: now.min(until).max(measured_from),
            interrupted: interrupted && now < until,
            steal: steal_before
                .flatten()
                .zip(host::steal(self.lp_cpus))
                .map(|(before, after)| after.since(before)),
            counters: before.map(|before| [before, after]),
        })
    }

    /// Once the dispatchers are gone: what is left to be handed over.
    pub(super) fn finish(&mut self) -> Result<End, EngineError> {
        let memory = self.guests.resident();
        self.look_after()?;
        // Before interrupts are settled: what they make a VP do is no part of the run.
        let reports = self.guests.reports();
        let now = self.shared.clock.now();
        let handled = self.guests.interrupts_handled();
        let mut counters = self.census.take(now, self.shared, &handled);
        self.drain(Nanos(u64::MAX))?;
        self.hand_over_decisions()?;
        let settled = self.shared.settle();
        settled.map_err(|(step, source)| EngineError::Lp {
            lp: 0,
            step,
            source,
        })?;
        let handled = self.guests.interrupts_handled();
        let settled = self.shared.vp_infos().iter().zip(handled);
        for (vp, (info, handled)) in counters.vps.iter_mut().zip(settled) {
            vp.injected = info.counters.injected.get();
            vp.handled = handled;
        }
        Ok(End {
            memory,
            reports,
            counters,
            clock_error: self.guests.clock_error(),
        })
    }

    /// Makes a planned change.
    fn change(&mut self, change: &Change) -> Result<(), EngineError> {
        match self.make(change.action) {
            // What was changed on request may have left no room for it.
            Err(why) if self.altered && change.action.may_be_left_out() => {
                self.refuse(&change.action, &why)
            }
            made => made.map_err(|source| EngineError::ChangeRefused {
                at: change.at,
                source,
            }),
        }
    }

    /// Makes a change that the observer asks for, if it can be made.
    fn request(&mut self, action: Action) -> Result<(), EngineError> {
        self.spec.check_request(&action)?;
        match self.make(action) {
            Ok(()) => {
                self.altered = true;
                Ok(())
            }
            Err(why) => self.refuse(&action, &why),
        }
    }

    fn make(&mut self, action: Action) -> Result<(), AdmissionError> {
        let (entry, happened) = self.shared.change(action)?;
        let seed = self.spec.seed;
        match entry {
            Some(LogEntry::VpAdded { vp, at }) => self.guests.add(vp, at, seed),
            Some(LogEntry::GuestStarted { guest, at }) => {
                let vps = self.spec.first_vps_of(guest);
                vps.for_each(|vp| self.guests.add(vp, at, seed));
            }
            Some(LogEntry::GuestStopped { guest, .. }) => self.guests.stop(guest),
            _ => {}
        }
        self.own.extend(entry);
        self.own.extend(happened);
        Ok(())
    }

    fn refuse(&mut self, action: &Action, why: &AdmissionError) -> Result<(), EngineError> {
        let now = self.shared.clock.now();
        let told = self.observer.refused(action, why, now);
        told.map_err(EngineError::Observer)
    }

    fn look_after(&mut self) -> Result<(), EngineError> {
        self.census.look(self.shared);
        let Found {
            bursts,
            said,
            happened,
            again,
        } = self.guests.round(self.shared);
        self.again = again;
        self.own.extend(happened);
        let mut told: Result<(), _> = Ok(());
        for burst in &bursts {
            told = told.and_then(|()| self.observer.burst(burst));
        }
        for line in &said {
            told = told.and_then(|()| self.observer.said(line));
        }
        told.map_err(EngineError::Observer)
    }

    fn count(&mut self, now: Nanos) -> Result<Snapshot, EngineError> {
        let handled = self.guests.interrupts_handled();
        let snapshot = self.census.take(now, self.shared, &handled);
        let told = self.observer.counters(&snapshot);
        told.map_err(EngineError::Observer)?;
        Ok(snapshot)
    }

    fn hand_over_decisions(&mut self) -> Result<(), EngineError> {
        if !self.spec.decisions {
            return Ok(());
        }
        let entries = self.shared.take_decisions();
        self.observer
            .decisions(entries)
            .map_err(EngineError::Observer)
    }

    /// Hands over what had happened by `cut`, on all LPs in order of time.
    ///
    /// A dispatch is in its ring before another LP can pick the same VP. So a VP's
    /// dispatches come in order even where one of them reaches its ring after
    /// `cut`: the later ones lie beyond `cut` then, and wait with it.
    fn drain(&mut self, cut: Nanos) -> Result<(), EngineError> {
        // First: whatever ends the run, it is known who has crashed by then.
        for crash in self.shared.crashes_after(self.crashes) {
            self.crashes += 1;
            let told = self.observer.crashed(&crash);
            told.map_err(EngineError::Observer)?;
        }
        let due = |entry: &mut LogEntry| entry.at() <= cut;
        let mut entries: Vec<LogEntry> = self.own.extract_if(.., due).collect();
        for log in self.logs.iter_mut() {
            log.drain_until(cut, &mut entries);
        }
        entries.sort_by_key(LogEntry::at);
        for entry in &entries {
            self.observer.entry(entry).map_err(EngineError::Observer)?;
        }
        match self.logs.iter().map(LogReader::dropped).sum() {
            0 => Ok(()),
            dropped => Err(EngineError::Dropped(dropped)),
        }
    }
}
