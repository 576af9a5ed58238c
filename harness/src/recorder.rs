//! What sits between a run and its files: every log entry becomes a row and goes into the ledger.

use crate::ledger::{Closed, Ledger};
use crate::plan::Planned;
use crate::progress::Progress;
use crate::snapshot::snapshot;
use apportion_hypervisor::counters::Snapshot;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::{Burst, Flow, Observer, Payload, RunOutcome, Said};
use apportion_recording::{
    self as recording, BurstRow, DecisionRow, DispatchRow, EventKind, EventRow, Writer,
};
use apportion_scheduler::{Entry, GuestId, Happened, LpId, Nanos, VpId, What};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

type Refused = Box<dyn Error + Send + Sync>;

/// What of a run is in files of its own, and needed once more at its end.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// How many decisions there are.
    pub(crate) decisions: u64,
    pub(crate) bursts: Vec<Burst>,
}

/// Records one repetition of one experiment.
pub(crate) struct Recorder<'a> {
    planned: &'a Planned,
    repetition: u32,
    /// VPs that were added on the way.
    added: Vec<VpId>,
    recorded: Recorded,
    /// When the guests were started.
    start: Nanos,
    writer: &'a mut Writer,
    progress: &'a mut Progress,
    interrupted: &'a AtomicBool,
    ledger: Ledger,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        planned: &'a Planned,
        repetition: u32,
        writer: &'a mut Writer,
        progress: &'a mut Progress,
        interrupted: &'a AtomicBool,
    ) -> Recorder<'a> {
        Recorder {
            added: Vec::new(),
            recorded: Recorded::default(),
            start: Nanos::ZERO,
            ledger: Ledger::new(&planned.spec, &planned.roster),
            planned,
            repetition,
            writer,
            progress,
            interrupted,
        }
    }

    /// Ends the run's events and hands over what was summed up.
    pub(crate) fn finish(mut self, outcome: &RunOutcome) -> Result<(Closed, Recorded), Refused> {
        for crash in &outcome.crashes {
            self.event(EventRow {
                guest: Some(self.guest_name(crash.guest)),
                vp: Some(crash.vp),
                detail: Some(crash.report.clone()),
                ..self.row(crash.at, EventKind::GuestCrash)
            })?;
        }
        for guest in self.planned.roster.guests() {
            if !outcome.crashes.iter().any(|crash| crash.guest == guest) {
                self.every_vp(guest, outcome.stopped, EventKind::GuestStop)?;
            }
        }
        let Recorder {
            planned,
            repetition,
            writer,
            ledger,
            recorded,
            ..
        } = self;
        let closed = ledger.close(outcome.measured_until);
        for (at, kind) in [
            (closed.measured.start, EventKind::MeasureStart),
            (closed.measured.end, EventKind::MeasureEnd),
        ] {
            writer.event(&row(planned, repetition, at, kind))?;
        }
        writer.flush()?;
        Ok((closed, recorded))
    }

    fn guest_name(&self, guest: GuestId) -> String {
        self.planned.spec.guests[guest.index()].name.clone()
    }

    fn row(&self, at: Nanos, kind: EventKind) -> EventRow {
        row(self.planned, self.repetition, at, kind)
    }

    fn event(&mut self, row: EventRow) -> Result<(), Refused> {
        Ok(self.writer.event(&row)?)
    }

    fn on_lp(&self, at: Nanos, kind: EventKind, lp: LpId, value: i64) -> EventRow {
        EventRow {
            lp: Some(lp.0),
            value: Some(value),
            ..self.row(at, kind)
        }
    }

    fn of_vp(&self, row: EventRow, vp: VpId) -> EventRow {
        let (guest, index) = self.planned.roster.owners[vp.index()];
        EventRow {
            guest: Some(self.guest_name(guest)),
            vp: Some(index),
            ..row
        }
    }

    fn every_vp(&mut self, guest: GuestId, at: Nanos, kind: EventKind) -> Result<(), Refused> {
        let roster = &self.planned.roster;
        for &vp in roster.vps_of(guest) {
            if vp.index() < roster.initial || self.added.contains(&vp) {
                self.event(self.of_vp(self.row(at, kind), vp))?;
            }
        }
        Ok(())
    }

    fn vp_event(&mut self, at: Nanos, kind: EventKind, vp: VpId) -> Result<(), Refused> {
        self.event(self.of_vp(self.row(at, kind), vp))
    }

    fn happened(&mut self, Happened { vp, at, what }: Happened) -> Result<(), Refused> {
        let kind = match what {
            What::Slept => EventKind::Sleep,
            What::Woke { due } => {
                let late = at.since(due).0 as i64;
                let row = self.of_vp(self.row(at, EventKind::Wake), vp);
                return self.event(EventRow {
                    value: Some(late),
                    ..row
                });
            }
            What::Held => EventKind::Hold,
            What::Released => EventKind::Release,
        };
        self.vp_event(at, kind, vp)
    }

    fn dispatch(&mut self, dispatch: &Dispatch) -> Result<(), Refused> {
        let (guest, vp) = self.planned.roster.owners[dispatch.vp.index()];
        let row = DispatchRow {
            experiment: self.planned.name().to_owned(),
            repetition: self.repetition,
            lp: dispatch.lp.0,
            guest: self.guest_name(guest),
            vp,
            ready_ns: dispatch.ready.0,
            start_ns: dispatch.start.0,
            end_ns: dispatch.end.0,
            ran_ns: dispatch.ran.0,
            work: dispatch.work,
            reason: match dispatch.reason {
                Reason::Slice => recording::Reason::Slice,
                Reason::Preempted => recording::Reason::Preempted,
                Reason::Idle => recording::Reason::Idle,
                Reason::Capped => recording::Reason::Capped,
                Reason::Hypercall => recording::Reason::Hypercall,
                Reason::Fault => recording::Reason::Fault,
                Reason::End => recording::Reason::End,
            },
        };
        Ok(self.writer.dispatch(&row)?)
    }
}

impl Observer for Recorder<'_> {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Refused> {
        self.ledger.enter(entry);
        match *entry {
            LogEntry::Dispatch(dispatch) => self.dispatch(&dispatch),
            LogEntry::Idle { lp, start, end } => {
                let span = end.since(start).0 as i64;
                self.event(self.on_lp(end, EventKind::Idle, lp, span))
            }
            LogEntry::Sample { lp, at, lost, lag } => {
                self.event(self.on_lp(at, EventKind::Lost, lp, lost.0 as i64))?;
                match lag {
                    Some((vp, lag)) => {
                        let row = self.on_lp(at, EventKind::Lag, lp, lag);
                        self.event(self.of_vp(row, vp))
                    }
                    None => Ok(()),
                }
            }
            LogEntry::GuestStarted { guest, at } => {
                self.start = at;
                self.every_vp(guest, at, EventKind::GuestStart)
            }
            LogEntry::GuestCrashed { guest, at, .. } => {
                self.progress.say(&format!(
                    "guest {} crashed; the others go on",
                    self.guest_name(guest)
                ));
                self.every_vp(guest, at, EventKind::VpRemoved)
            }
            LogEntry::Vp(happened) => self.happened(happened),
            LogEntry::VpAdded { vp, at } => {
                self.added.push(vp);
                self.vp_event(at, EventKind::VpAdded, vp)
            }
            LogEntry::ControlsChanged {
                guest,
                controls,
                at,
            } => self.event(EventRow {
                guest: Some(self.guest_name(guest)),
                detail: Some(format!(
                    "weight={} reserve={} cap={}",
                    controls.weight.get(),
                    controls.reserve.percent(),
                    controls.cap.percent()
                )),
                ..self.row(at, EventKind::Controls)
            }),
            LogEntry::InterruptsPosted { guest, count, at } => self.event(EventRow {
                guest: Some(self.guest_name(guest)),
                value: Some(i64::from(count)),
                ..self.row(at, EventKind::Interrupts)
            }),
            LogEntry::LpChanged { lp, online, at } => {
                let kind = if online {
                    EventKind::LpOn
                } else {
                    EventKind::LpOff
                };
                self.event(EventRow {
                    lp: Some(lp.0),
                    ..self.row(at, kind)
                })
            }
        }
    }

    fn decisions(&mut self, entries: Vec<Entry>) -> Result<(), Refused> {
        for entry in entries {
            self.recorded.decisions += 1;
            self.writer.decision(&DecisionRow {
                experiment: self.planned.name().to_owned(),
                repetition: self.repetition,
                sequence: entry.sequence,
                now_ns: entry.now.0,
                call: entry.call.name().to_owned(),
                arguments: entry.call.to_string(),
                result: entry.answer.to_string(),
            })?;
        }
        Ok(())
    }

    fn burst(&mut self, burst: &Burst) -> Result<(), Refused> {
        let (guest, vp) = self.planned.roster.owners[burst.vp.index()];
        if matches!(
            self.planned.spec.guests[guest.index()].payload,
            Payload::Clock { .. }
        ) {
            // Readings, and no work that was due.
            return Ok(());
        }
        self.recorded.bursts.push(*burst);
        Ok(self.writer.burst(&BurstRow {
            experiment: self.planned.name().to_owned(),
            repetition: self.repetition,
            guest: self.guest_name(guest),
            vp,
            due_ns: burst.due.0,
            start_ns: burst.start.0,
            done_ns: burst.done.0,
        })?)
    }

    fn counters(&mut self, counted: &Snapshot) -> Result<(), Refused> {
        let snapshot = snapshot(self.planned, self.start, counted);
        Ok(self
            .writer
            .counters(self.planned.name(), self.repetition, &snapshot)?)
    }

    fn said(&mut self, said: &Said) -> Result<(), Refused> {
        self.event(EventRow {
            guest: Some(self.guest_name(said.guest)),
            vp: Some(said.vp),
            detail: Some(said.text.clone()),
            ..self.row(said.at, EventKind::GuestLog)
        })
    }

    fn tick(&mut self, now: Nanos, until: Nanos) -> Result<Flow, Refused> {
        // Whatever happens to this process, the system has the rows.
        self.writer.flush()?;
        let measured = self.ledger.measured();
        let begun = measured.map_or(until, |range| range.start - self.planned.spec.warm_up);
        self.progress.at(now.since(begun));
        Ok(if self.interrupted.load(Ordering::Relaxed) {
            Flow::Stop
        } else {
            Flow::Continue
        })
    }
}

fn row(planned: &Planned, repetition: u32, at: Nanos, kind: EventKind) -> EventRow {
    EventRow {
        experiment: planned.name().to_owned(),
        repetition,
        t_ns: at.0,
        kind,
        lp: None,
        guest: None,
        vp: None,
        value: None,
        detail: None,
    }
}
