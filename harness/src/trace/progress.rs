//! How far a trace has been read or written: a bar on a terminal, nothing elsewhere; and whether somebody wants it to end.

use super::output::Output;
use crate::signals;
use apportion_workloads::traces::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Redraws per second.
const REDRAWS: u8 = 4;

/// Sees a trace pass.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl Bar {
    /// For a trace that is read, in bytes.
    pub(super) fn reading() -> io::Result<Bar> {
        Ok(Bar::new("reading", true, signals::catch()?))
    }

    /// For an output that is written, counted in bytes that are read or in readings. Who wants it to end at once still
    /// leaves nothing half-written behind.
    pub(super) fn writing(verb: &'static str, in_bytes: bool, output: &Output) -> io::Result<Bar> {
        let interrupted = signals::catch_then(output.removal())?;
        Ok(Bar::new(verb, in_bytes, interrupted))
    }

    fn new(verb: &'static str, in_bytes: bool, interrupted: Arc<AtomicBool>) -> Bar {
        let bar =
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let count = match in_bytes {
            true => "{bytes} of {total_bytes}",
            false => "{human_pos} of {human_len}",
        };
        let style = format!("{{msg}} [{{bar:40}}] {count}, {{elapsed}} elapsed, {{eta}} remaining");
        if let Ok(style) = ProgressStyle::with_template(&style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(verb);
        Bar { bar, interrupted }
    }

    /// Takes note, and says whether to go on.
    pub(super) fn see(&self, progress: Progress) -> ControlFlow<()> {
        self.bar.set_length(progress.of);
        self.bar.set_position(progress.bytes);
        match self.interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
