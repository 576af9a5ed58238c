//! `apportion top`: a run with a live view of it, tables and keys on a terminal, lines elsewhere.

#[cfg(feature = "top")]
mod columns;
#[cfg(feature = "top")]
mod keys;
#[cfg(feature = "top")]
mod knobs;
#[cfg_attr(
    not(feature = "top"),
    allow(dead_code, reason = "lines show less than a terminal does")
)]
mod live;
#[cfg_attr(
    not(feature = "top"),
    allow(dead_code, reason = "lines show less than a terminal does")
)]
mod outlet;
#[cfg_attr(
    not(feature = "top"),
    allow(dead_code, reason = "lines show less than a terminal does")
)]
mod picture;
mod plain;
#[cfg(feature = "top")]
mod screen;
#[cfg(test)]
mod tests;
#[cfg(feature = "top")]
mod ui;
#[cfg(feature = "top")]
mod view;

use crate::plan::Planned;
use crate::table;
use crate::watch::Watch;
use apportion_hypervisor::counters::Snapshot;
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::{Action, Said};
use apportion_scheduler::Nanos;
use live::Live;
use outlet::Outlet;
#[cfg(feature = "top")]
use screen::Screen;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[cfg(feature = "top")]
pub(crate) use screen::restore;

/// Gives the terminal back: it was never taken.
#[cfg(not(feature = "top"))]
pub(crate) fn restore() {}

/// Watches all runs of one invocation.
pub(crate) struct Top {
    simulated: bool,
    /// The current run.
    live: Option<Live>,
    front: Front,
    /// Of lines, while guests run.
    outlet: Option<Outlet>,
    /// Lines that there was no room for.
    left_out: usize,
    /// Why a line could not be printed.
    unprinted: Option<io::Error>,
}

/// Where it is shown.
enum Front {
    Plain,
    #[cfg(feature = "top")]
    Screen(Box<Screen>),
}

/// Whether there is a terminal to show it on, so that keys are read.
pub(crate) fn on_a_terminal() -> bool {
    #[cfg(feature = "top")]
    return screen::can_draw();
    #[cfg(not(feature = "top"))]
    false
}

impl Top {
    /// For runs on this engine; on a terminal with the flag that a person who quits sets.
    pub(crate) fn new(engine: &str, on_screen: Option<Arc<AtomicBool>>) -> Top {
        let front = match on_screen {
            #[cfg(feature = "top")]
            Some(interrupted) => Front::Screen(Box::new(Screen::new(interrupted))),
            _ => Front::Plain,
        };
        Top {
            simulated: engine == "simulator",
            live: None,
            front,
            outlet: None,
            left_out: 0,
            unprinted: None,
        }
    }

    /// Writes lines; the first error is kept until it can be told. Virtual time waits for who reads them.
    fn say(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let said = match self.simulated {
            true => table::print(text.trim_end()),
            false => self.hand_over(text),
        };
        self.unprinted = self.unprinted.take().or(said.err());
    }

    fn hand_over(&mut self, text: &str) -> io::Result<()> {
        let outlet = match &mut self.outlet {
            Some(outlet) => outlet,
            none => none.insert(Outlet::open(io::stdout())?),
        };
        if !outlet.put(text) {
            self.left_out += text.lines().count();
        }
        Ok(())
    }

    /// The guests are gone, and whoever reads the lines may take the time. What is to be said of those they did not get.
    fn finish(&mut self) -> String {
        let closed = self.outlet.take().map_or(Ok(()), Outlet::close);
        self.unprinted = self.unprinted.take().or(closed.err());
        match std::mem::take(&mut self.left_out) {
            0 => String::new(),
            lines => format!("{lines} lines were left out, since nobody read those before them\n"),
        }
    }

    /// Writes what happened, and of a second that is over the figures.
    fn say_all(&mut self, fresh: bool) {
        let Some(live) = &mut self.live else { return };
        let news = live.news();
        let mut text: String = news.iter().map(plain::event).collect();
        if fresh {
            text += &plain::second(&live.picture());
        }
        self.say(&text);
    }
}

impl Watch for Top {
    fn begin(&mut self, planned: &Planned, repetition: u32) {
        let live = Live::new(planned, repetition, self.simulated);
        let head = plain::head(&live.picture());
        self.live = Some(live);
        match &mut self.front {
            Front::Plain => self.say(&head),
            #[cfg(feature = "top")]
            Front::Screen(screen) => screen.begin(),
        }
    }

    fn entry(&mut self, entry: &LogEntry) {
        if let Some(live) = &mut self.live {
            live.enter(entry);
        }
    }

    fn counters(&mut self, snapshot: &Snapshot) {
        if let Some(live) = &mut self.live {
            live.counters(snapshot);
        }
    }

    fn said(&mut self, said: &Said) {
        if let Some(live) = &mut self.live {
            live.said(said);
        }
    }

    fn refused(&mut self, action: &Action, why: &str, at: Nanos) {
        if let Some(live) = &mut self.live {
            live.refused(action, why, at);
        }
    }

    fn requests(&mut self) -> Vec<Action> {
        self.live.as_mut().map(Live::requests).unwrap_or_default()
    }

    fn tick(&mut self, passed: Nanos) {
        let Some(live) = &mut self.live else { return };
        let fresh = live.tick(passed);
        match &mut self.front {
            Front::Plain => self.say_all(fresh),
            #[cfg(feature = "top")]
            Front::Screen(screen) => {
                if screen.tick(live, fresh).is_err() {
                    // Whatever it is, it is no terminal.
                    self.front = Front::Plain;
                    self.say_all(fresh);
                }
            }
        }
    }

    fn end(&mut self) {
        match &mut self.front {
            Front::Plain => self.say_all(false),
            #[cfg(feature = "top")]
            Front::Screen(screen) => screen.leave_unless_stalled(),
        }
    }

    fn print(&mut self, table: &str) -> io::Result<()> {
        #[cfg(feature = "top")]
        if let Front::Screen(screen) = &mut self.front {
            screen.leave();
        }
        let left_out = self.finish();
        let printed = table::print(&format!("{left_out}{table}"));
        self.unprinted.take().map_or(printed, Err)
    }
}

/// A run that failed has no table.
impl Drop for Top {
    fn drop(&mut self) {
        let left_out = self.finish();
        if !left_out.is_empty() {
            let _ = table::print(left_out.trim_end());
        }
    }
}
