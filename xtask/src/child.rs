//! Starts a program, waits for it and hands it every Ctrl-C exactly once.

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The exit code of a program that a signal ended, as a shell tells it.
pub(crate) const BY_SIGNAL: u8 = 128;

/// Signals that this process has received and not yet passed on.
#[derive(Clone, Debug)]
pub(crate) struct Signals(Arc<AtomicBool>);

impl Signals {
    /// From now on Ctrl-C and SIGTERM reach the program that runs, not this process.
    pub(crate) fn catch() -> Result<Signals> {
        let caught = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, caught.clone()).context("cannot catch Ctrl-C")?;
        }
        Ok(Signals(caught))
    }

    /// Runs `command` in a process group of its own, so that a terminal's
    /// Ctrl-C does not reach it twice; returns its exit code.
    pub(crate) fn run(&self, command: &mut Command) -> Result<u8> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let group = Pid::from_child(&child);
        loop {
            if let Some(status) = child
                .try_wait()
                .with_context(|| format!("cannot wait for {name}"))?
            {
                let by_signal = || status.signal().map_or(1, |signal| BY_SIGNAL + signal as u8);
                return Ok(status.code().map_or_else(by_signal, |code| code as u8));
            }
            if self.0.swap(false, Ordering::Relaxed) {
                // It may just have ended by itself: the next round sees that.
                let _ = kill_process_group(group, Signal::INT);
            }
            sleep(Duration::from_millis(20));
        }
    }
}
