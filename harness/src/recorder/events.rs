//! The rows of dispatches.csv and events.csv that a log entry becomes.

use super::{Recorder, Refused};
use crate::details;
use crate::plan::Planned;
use apportion_hypervisor::Action;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_recording::{self as recording, DispatchRow, EventKind, EventRow};
use apportion_scheduler::{GuestId, Happened, LpId, Nanos, VpId, What};

impl Recorder<'_> {
    pub(super) fn guest_name(&self, guest: GuestId) -> String {
        self.planned.spec.guests[guest.index()].name.clone()
    }

    pub(super) fn row(&self, at: Nanos, kind: EventKind) -> EventRow {
        row(self.planned, self.repetition, at, kind)
    }

    pub(super) fn event(&mut self, row: EventRow) -> Result<(), Refused> {
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

    pub(super) fn every_vp(
        &mut self,
        guest: GuestId,
        at: Nanos,
        kind: EventKind,
    ) -> Result<(), Refused> {
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
            reason: reason(dispatch.reason),
        };
        Ok(self.writer.dispatch(&row)?)
    }

    /// Of a change that was asked for and not made.
    pub(super) fn of_refusal(&self, action: &Action, why: &str, at: Nanos) -> EventRow {
        let row = EventRow {
            detail: Some(why.to_owned()),
            ..self.row(at, EventKind::Refused)
        };
        match *action {
            Action::SetControls { guest, .. }
            | Action::StartGuest { guest }
            | Action::StopGuest { guest }
            | Action::AddVp { guest }
            | Action::PostInterrupts { guest, .. } => EventRow {
                guest: Some(self.guest_name(guest)),
                ..row
            },
            Action::LpOff { lp, .. } | Action::LpOn { lp } => EventRow {
                lp: Some(lp.0),
                ..row
            },
        }
    }

    /// The rows of what happened.
    pub(super) fn write(&mut self, entry: &LogEntry) -> Result<(), Refused> {
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
                self.start.get_or_insert(at);
                self.here.insert(guest);
                self.event(EventRow {
                    guest: Some(self.guest_name(guest)),
                    detail: Some(details::defined(&self.planned.spec.guests[guest.index()])),
                    ..self.row(at, EventKind::GuestDefined)
                })?;
                self.every_vp(guest, at, EventKind::GuestStart)
            }
            LogEntry::GuestStopped { guest, at } => {
                self.here.remove(&guest);
                self.every_vp(guest, at, EventKind::GuestStop)
            }
            LogEntry::GuestCrashed { guest, at, .. } => {
                self.here.remove(&guest);
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
                detail: Some(details::controls(&controls)),
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
}

fn reason(reason: Reason) -> recording::Reason {
    match reason {
        Reason::Slice => recording::Reason::Slice,
        Reason::Preempted => recording::Reason::Preempted,
        Reason::Idle => recording::Reason::Idle,
        Reason::Capped => recording::Reason::Capped,
        Reason::Hypercall => recording::Reason::Hypercall,
        Reason::Fault => recording::Reason::Fault,
        Reason::End => recording::Reason::End,
    }
}

pub(super) fn row(planned: &Planned, repetition: u32, at: Nanos, kind: EventKind) -> EventRow {
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
