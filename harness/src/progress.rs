//! What a person sees while it runs: a bar on a terminal, one line per run elsewhere. Always on stderr.

use crate::table::tell;
use apportion_scheduler::Nanos;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        }
    }

    /// A run that takes `length` begins.
    pub(crate) fn begin(&mut self, name: &str, length: Nanos) {
        self.current = length;
        if self.bar.is_hidden() {
            tell(&format!("{name}: {} {length}", self.verb));
        } else {
            self.bar.set_message(name.to_owned());
        }
    }

    /// So much of the current run has passed.
    pub(crate) fn at(&self, passed: Nanos) {
        let done = self.done + passed.min(self.current);
        self.bar.set_position(done.0 / 1_000_000);
    }

    /// The current run has ended.
    pub(crate) fn end(&mut self) {
        self.done += self.current;
        self.at(Nanos::ZERO);
    }

    /// A line for the person, above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| tell(line));
    }

    /// Takes the bar away while `print` writes to the terminal.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
