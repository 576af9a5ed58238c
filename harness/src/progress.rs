//! What a person sees while it runs: a bar on a terminal, one line per run elsewhere. Always on stderr.

use crate::plan::Planned;
use crate::table::{self, tell};
use crate::watch::Watch;
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_scheduler::Nanos;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io;

/// Redraws per second: enough for a person, little for the guests to lose.
const REDRAWS: u8 = 4;

/// The progress of all runs of one invocation.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// What the engine does.
    verb: &'static str,
    done: Nanos,
    current: Nanos,
    /// The names of the current run's guests.
    guests: Vec<String>,
}

impl Progress {
    /// For runs that take `total` together on this engine.
    pub(crate) fn new(total: Nanos, engine: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(
            Some(total.0 / 1_000_000),
            ProgressDrawTarget::stderr_with_hz(REDRAWS),
        );
        let style = "{msg} [{bar:40}] {elapsed} elapsed, {eta} remaining";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress {
            bar,
            verb: match engine {
                "simulator" => "simulating",
                _ => "running for",
            },
            done: Nanos::ZERO,
            current: Nanos::ZERO,
            guests: Vec::new(),
        }
    }
}

impl Watch for Progress {
    fn begin(&mut self, planned: &Planned, repetition: u32) {
        let (name, length) = (planned.title(repetition), planned.length());
        self.current = length;
        let guests = planned.spec.guests.iter();
        self.guests = guests.map(|guest| guest.name.clone()).collect();
        if self.bar.is_hidden() {
            tell(&format!("{name}: {} {length}", self.verb));
        } else {
            self.bar.set_message(name);
        }
    }

    fn entry(&mut self, entry: &LogEntry) {
        if let LogEntry::GuestCrashed { guest, .. } = entry {
            let name = &self.guests[guest.index()];
            let line = format!("guest {name} crashed; the others go on");
            self.bar.suspend(|| tell(&line));
        }
    }

    fn tick(&mut self, passed: Nanos) {
        let done = self.done + passed.min(self.current);
        self.bar.set_position(done.0 / 1_000_000);
    }

    fn end(&mut self) {
        self.done += self.current;
        self.tick(Nanos::ZERO);
    }

    /// Without the bar in the way.
    fn print(&mut self, table: &str) -> io::Result<()> {
        self.bar.suspend(|| table::print(table))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
