//! What sits between a run and its files: every log entry becomes a row and goes into the ledger.

mod events;

use crate::demand;
use crate::ledger::{Closed, Ledger};
use crate::plan::Planned;
use crate::snapshot::snapshot;
use crate::watch::Watch;
use apportion_hypervisor::counters::Snapshot;
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::{
    Action, Burst, Crash, Flow, Observer, Payload, Piece, RunOutcome, Said,
};
use apportion_recording::{BurstRow, DecisionRow, EventKind, EventRow, Writer};
use apportion_scheduler::{AdmissionError, Entry, GuestId, Nanos, VpId};
use events::row;
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

type Refused = Box<dyn Error + Send + Sync>;

/// What of a run is in files of its own, and needed once more at its end.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// How many decisions there are.
    pub(crate) decisions: u64,
    pub(crate) bursts: Vec<Burst>,
    /// What arrived and was not done when the run was stopped, VP by VP.
    pub(crate) undone: Vec<(VpId, Piece)>,
    /// When the latest counters were taken.
    pub(crate) counted_unix_ms: i64,
}

/// Records one repetition of one experiment.
pub(crate) struct Recorder<'a> {
    planned: &'a Planned,
    repetition: u32,
    /// VPs that were added on the way.
    added: Vec<VpId>,
    /// Guests that are there.
    here: BTreeSet<GuestId>,
    recorded: Recorded,
    /// When the first guests were started, once they are.
    start: Option<Nanos>,
    writer: &'a mut Writer,
    watch: &'a mut dyn Watch,
    interrupted: &'a AtomicBool,
    ledger: Ledger,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        planned: &'a Planned,
        repetition: u32,
        writer: &'a mut Writer,
        watch: &'a mut dyn Watch,
        interrupted: &'a AtomicBool,
    ) -> Recorder<'a> {
        Recorder {
            added: Vec::new(),
            here: BTreeSet::new(),
            recorded: Recorded::default(),
            start: None,
            ledger: Ledger::new(&planned.spec, &planned.roster),
            planned,
            repetition,
            writer,
            watch,
            interrupted,
        }
    }

    /// Ends the run's events and hands over what was summed up.
    pub(crate) fn finish(mut self, outcome: &RunOutcome) -> Result<(Closed, Recorded), Refused> {
        for guest in std::mem::take(&mut self.here) {
            self.every_vp(guest, outcome.stopped, EventKind::GuestStop)?;
        }
        let Recorder {
            planned,
            repetition,
            writer,
            ledger,
            mut recorded,
            ..
        } = self;
        let closed = ledger.close(outcome.measured_until);
        for (at, kind) in [
            (closed.measured.start, EventKind::MeasureStart),
            (closed.measured.end, EventKind::MeasureEnd),
        ] {
            writer.event(&row(planned, repetition, at, kind))?;
        }
        recorded.undone = demand::undone(planned, &closed, outcome.stopped, &recorded.bursts);
        for (vp, piece) in &recorded.undone {
            let (guest, vp) = planned.roster.owners[vp.index()];
            writer.burst(&BurstRow {
                experiment: planned.name().to_owned(),
                repetition,
                guest: planned.spec.guests[guest.index()].name.clone(),
                vp,
                due_ns: piece.at.0,
                start_ns: None,
                done_ns: None,
                run_ns: piece.run.0,
            })?;
        }
        writer.flush()?;
        Ok((closed, recorded))
    }
}

impl Observer for Recorder<'_> {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Refused> {
        self.ledger.enter(entry);
        self.write(entry)?;
        self.watch.entry(entry);
        Ok(())
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
            start_ns: Some(burst.start.0),
            done_ns: Some(burst.done.0),
            run_ns: burst.run.0,
        })?)
    }

    fn counters(&mut self, counted: &Snapshot) -> Result<(), Refused> {
        // They come as they are taken; the manifest may be written seconds later.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_ms = now.map_or(0, |since| since.as_millis() as i64);
        self.recorded.counted_unix_ms = unix_ms;
        let snapshot = snapshot(
            self.planned,
            self.start.unwrap_or_default(),
            counted,
            unix_ms,
        );
        self.writer
            .counters(self.planned.name(), self.repetition, &snapshot)?;
        self.watch.counters(counted);
        Ok(())
    }

    fn crashed(&mut self, crash: &Crash) -> Result<(), Refused> {
        self.event(EventRow {
            guest: Some(self.guest_name(crash.guest)),
            vp: Some(crash.vp),
            detail: Some(crash.report.clone()),
            ..self.row(crash.at, EventKind::GuestCrash)
        })
    }

    fn said(&mut self, said: &Said) -> Result<(), Refused> {
        self.event(EventRow {
            guest: Some(self.guest_name(said.guest)),
            vp: Some(said.vp),
            detail: Some(said.text.clone()),
            ..self.row(said.at, EventKind::GuestLog)
        })?;
        self.watch.said(said);
        Ok(())
    }

    fn requests(&mut self) -> Vec<Action> {
        self.watch.requests()
    }

    fn refused(&mut self, action: &Action, why: &AdmissionError, at: Nanos) -> Result<(), Refused> {
        let why = why.to_string();
        self.event(self.of_refusal(action, &why, at))?;
        self.watch.refused(action, &why, at);
        Ok(())
    }

    fn tick(&mut self, now: Nanos, until: Nanos) -> Result<Flow, Refused> {
        // Whatever happens to this process, the system has the rows.
        self.writer.flush()?;
        let measured = self.ledger.measured();
        let begun = measured.map_or(until, |range| range.start - self.planned.spec.warm_up);
        self.watch.tick(now.since(begun));
        Ok(if self.interrupted.load(Ordering::Relaxed) {
            Flow::Stop
        } else {
            Flow::Continue
        })
    }
}
