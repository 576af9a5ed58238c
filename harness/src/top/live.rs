//! What is known of a run as it goes on: fed by the recorder, read by the views. It knows no terminal and no clock.

mod figures;

use super::picture::{Event, LpLine, Second, State, Sums};
use crate::details;
use crate::ledger::Outlook;
use crate::plan::Planned;
use apportion_hypervisor::counters::Snapshot;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry};
use apportion_hypervisor::{Action, Said};
use apportion_scheduler::{Controls, GuestId, LpId, Nanos, What};

/// Snapshots that are closer tell no rates.
const APART: Nanos = Nanos::from_millis(200);

/// One run.
#[derive(Debug)]
pub(crate) struct Live {
    planned: Planned,
    title: String,
    simulated: bool,
    started: bool,
    start: Nanos,
    passed: Nanos,
    /// When the present second began.
    since: Nanos,
    guests: Vec<Guest>,
    vps: Vec<Vp>,
    lps: Vec<Lp>,
    /// The latest counters, and those before.
    counted: Option<Snapshot>,
    counted_before: Option<Snapshot>,
    outlook: Outlook,
    second: Option<Second>,
    news: Vec<Event>,
    requests: Vec<Action>,
}

#[derive(Debug)]
struct Guest {
    controls: Controls,
    /// What was asked for and has not yet been answered.
    asked: Option<Controls>,
    crashed: bool,
}

#[derive(Debug)]
struct Vp {
    guest: GuestId,
    index: u32,
    /// Whether it was there from the start or was added.
    present: bool,
    state: State,
    lp: Option<LpId>,
    /// Of the present second.
    sums: Sums,
    /// Of the last one.
    shown: Sums,
}

#[derive(Debug)]
struct Lp {
    online: bool,
    /// Of the present second, ns: received by guests, dispatches from their begin to their end, idle.
    ran: f64,
    busy: f64,
    idle: f64,
    shown: LpLine,
}

impl Live {
    /// A run of `planned` on an engine; nothing has happened.
    pub(crate) fn new(planned: &Planned, repetition: u32, simulated: bool) -> Live {
        let (spec, roster) = (&planned.spec, &planned.roster);
        let guest = |controls| Guest {
            controls,
            asked: None,
            crashed: false,
        };
        let vp = |&(guest, index): &(GuestId, u32)| Vp {
            guest,
            index,
            present: false,
            state: State::Running,
            lp: None,
            sums: Sums::default(),
            shown: Sums::default(),
        };
        let lp = |lp| Lp {
            online: true,
            ran: 0.0,
            busy: 0.0,
            idle: 0.0,
            shown: LpLine {
                lp,
                online: true,
                ..LpLine::default()
            },
        };
        Live {
            title: format!(
                "{} {repetition}/{}",
                planned.name(),
                planned.experiment.repetitions
            ),
            simulated,
            started: false,
            start: Nanos::ZERO,
            passed: Nanos::ZERO,
            since: Nanos::ZERO,
            guests: spec.guests.iter().map(|it| guest(it.controls)).collect(),
            vps: roster.owners.iter().map(vp).collect(),
            lps: (0..spec.lps).map(lp).collect(),
            counted: None,
            counted_before: None,
            outlook: Outlook::new(spec, roster),
            second: None,
            news: Vec::new(),
            requests: Vec::new(),
            planned: planned.clone(),
        }
    }

    pub(crate) fn name(&self, guest: GuestId) -> &str {
        &self.planned.spec.guests[guest.index()].name
    }

    fn tell(&mut self, at: Nanos, kind: &'static str, who: String, what: String) {
        let at = at.since(self.start);
        self.news.push(Event {
            at,
            kind,
            who,
            what,
        });
    }

    /// Enters what happened.
    pub(crate) fn enter(&mut self, entry: &LogEntry) {
        self.outlook.enter(entry);
        match *entry {
            LogEntry::Dispatch(dispatch) => self.dispatched(&dispatch),
            LogEntry::Idle { lp, start, end } => {
                self.lps[lp.index()].idle += end.since(start).0 as f64;
            }
            LogEntry::GuestStarted { guest, at } => {
                if !self.started {
                    (self.started, self.start, self.since) = (true, at, at);
                }
                for vp in self.planned.roster.initial_vps_of(guest) {
                    self.vps[vp.index()].present = true;
                }
                let what = details::defined(&self.planned.spec.guests[guest.index()]);
                let name = self.name(guest).to_owned();
                self.tell(at, "guest-defined", name.clone(), what);
                self.tell(at, "guest-start", name, String::new());
            }
            LogEntry::GuestStopped { guest, at } => {
                for &vp in self.planned.roster.vps_of(guest) {
                    self.vps[vp.index()].state = State::Stopped;
                }
                let who = self.name(guest).to_owned();
                self.tell(at, "guest-stop", who, String::new());
            }
            LogEntry::GuestCrashed { guest, vp, at } => {
                self.guests[guest.index()].crashed = true;
                for &vp in self.planned.roster.vps_of(guest) {
                    self.vps[vp.index()].state = State::Crashed;
                }
                let who = format!("{}:{vp}", self.name(guest));
                self.tell(at, "guest-crash", who, "the others go on".to_owned());
            }
            LogEntry::Vp(happened) => {
                let vp = &mut self.vps[happened.vp.index()];
                if !matches!(vp.state, State::Stopped | State::Crashed) {
                    vp.state = match happened.what {
                        What::Slept => State::Asleep,
                        What::Held => State::Held,
                        What::Woke { .. } | What::Released => State::Running,
                    };
                }
            }
            LogEntry::VpAdded { vp, at } => {
                let added = &mut self.vps[vp.index()];
                added.present = true;
                let (guest, index) = (added.guest, added.index);
                let who = format!("{}:{index}", self.name(guest));
                self.tell(at, "vp-added", who, String::new());
            }
            LogEntry::ControlsChanged {
                guest,
                controls,
                at,
            } => {
                self.answered(guest, controls);
                self.guests[guest.index()].controls = controls;
                let (who, what) = (self.name(guest).to_owned(), details::controls(&controls));
                self.tell(at, "controls", who, what);
            }
            LogEntry::InterruptsPosted { guest, count, at } => {
                let who = self.name(guest).to_owned();
                self.tell(at, "interrupts", who, format!("{count} to each VP"));
            }
            LogEntry::LpChanged { lp, online, at } => {
                self.lps[lp.index()].online = online;
                let kind = if online { "lp-on" } else { "lp-off" };
                self.tell(at, kind, format!("LP {}", lp.0), String::new());
            }
            LogEntry::Sample { .. } => {}
        }
    }

    fn dispatched(&mut self, dispatch: &Dispatch) {
        let vp = &mut self.vps[dispatch.vp.index()];
        let moved = vp
            .lp
            .replace(dispatch.lp)
            .is_some_and(|lp| lp != dispatch.lp);
        vp.sums.ran += dispatch.ran.0 as f64;
        vp.sums.waited += dispatch.start.since(dispatch.ready).0 as f64;
        vp.sums.dispatches += 1.0;
        vp.sums.migrations += f64::from(u8::from(moved));
        let lp = &mut self.lps[dispatch.lp.index()];
        lp.ran += dispatch.ran.0 as f64;
        lp.busy += dispatch.end.since(dispatch.start).0 as f64;
    }

    /// A line that a guest said.
    pub(crate) fn said(&mut self, said: &Said) {
        let who = format!("{}:{}", self.name(said.guest), said.vp);
        self.tell(said.at, "guest-log", who, said.text.clone());
    }

    /// A change was refused.
    pub(crate) fn refused(&mut self, action: &Action, why: &str, at: Nanos) {
        let who = match *action {
            Action::SetControls { guest, controls } => {
                self.answered(guest, controls);
                self.name(guest).to_owned()
            }
            Action::StartGuest { guest }
            | Action::StopGuest { guest }
            | Action::AddVp { guest }
            | Action::PostInterrupts { guest, .. } => self.name(guest).to_owned(),
            Action::LpOff { lp, .. } | Action::LpOn { lp } => format!("LP {}", lp.0),
        };
        self.tell(at, "refused", who, why.to_owned());
    }

    fn answered(&mut self, guest: GuestId, controls: Controls) {
        let asked = &mut self.guests[guest.index()].asked;
        if *asked == Some(controls) {
            *asked = None;
        }
    }

    /// All counters.
    pub(crate) fn counters(&mut self, snapshot: &Snapshot) {
        let apart = |before: &Snapshot| snapshot.at.since(before.at) >= APART;
        if self.counted.as_ref().is_none_or(apart) {
            self.counted_before = self.counted.replace(snapshot.clone());
        }
    }

    /// So much has passed. Whether a second is over, so that there are new figures.
    pub(crate) fn tick(&mut self, passed: Nanos) -> bool {
        let seconds = |time: Nanos| time.0 / 1_000_000_000;
        let over = seconds(passed) > seconds(self.passed);
        self.passed = passed;
        if over {
            self.close(self.start + passed);
        }
        over
    }

    /// Whether time is virtual.
    pub(crate) fn simulated(&self) -> bool {
        self.simulated
    }

    /// Since the guests were started.
    pub(crate) fn passed(&self) -> Nanos {
        self.passed
    }

    /// What happened since this was last asked, and is worth a line.
    pub(crate) fn news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    /// What is to be changed.
    pub(crate) fn requests(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.requests)
    }

    /// A guest's controls as they are, or as they will be once what was asked for is done.
    pub(crate) fn controls(&self, guest: GuestId) -> Controls {
        let guest = &self.guests[guest.index()];
        guest.asked.unwrap_or(guest.controls)
    }

    /// Asks for other controls.
    pub(crate) fn ask(&mut self, guest: GuestId, controls: Controls) {
        self.guests[guest.index()].asked = Some(controls);
        self.requests.push(Action::SetControls { guest, controls });
    }
}
