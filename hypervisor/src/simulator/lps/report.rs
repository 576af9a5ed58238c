//! What the LPs tell the observer besides dispatches.

use super::{Lps, Observed};
use crate::dispatch_log::LogEntry;
use crate::engine::Crash;
use crate::simulator::program::UNIT;
use apportion_scheduler::{LpId, Nanos, VpId};

impl Lps<'_> {
    pub(super) fn crash(&mut self, now: Nanos, vp: VpId) -> Observed<()> {
        let machine = self.scheduler.machine();
        let guest = machine.vp(vp).guest;
        if !machine.guest(guest).is_here() {
            return Ok(());
        }
        let siblings = &machine.guest(guest).vps;
        let index = siblings.iter().position(|&sibling| sibling == vp);
        let index = index.unwrap_or(0) as u32;
        let crash = Crash {
            guest,
            vp: index,
            at: now,
            report: format!(
                "simulated fault: the payload's work was done (in units of {UNIT} of CPU time); \
                 the simulator has no registers to show"
            ),
        };
        self.observer.crashed(&crash)?;
        self.crashes.push(crash);
        self.observer.entry(&LogEntry::GuestCrashed {
            guest,
            vp: index,
            at: now,
        })?;
        self.trace.calls += 1;
        self.scheduler.stop_guest(now, guest);
        self.log_happened()
    }

    pub(super) fn see_lag(&mut self, lp: LpId, now: Nanos, vp: VpId) {
        let worst = &mut self.lps[lp.index()].lag;
        if let Some(lag) = self.scheduler.lag(now, vp)
            && worst.is_none_or(|(_, worst)| lag.unsigned_abs() > worst.unsigned_abs())
        {
            *worst = Some((vp, lag));
        }
    }

    pub(super) fn log_idle(&mut self, lp: LpId, start: Nanos, end: Nanos) -> Observed<()> {
        self.observer.entry(&LogEntry::Idle { lp, start, end })
    }

    pub(super) fn log_sample(&mut self, lp: LpId, at: Nanos) -> Observed<()> {
        let entry = &mut self.lps[lp.index()];
        let (lost, lag) = (std::mem::take(&mut entry.lost), entry.lag.take());
        entry.sampled = at;
        self.observer.entry(&LogEntry::Sample { lp, at, lost, lag })
    }

    pub(in crate::simulator) fn log_happened(&mut self) -> Observed<()> {
        for happened in self.scheduler.take_happened() {
            self.observer.entry(&LogEntry::Vp(happened))?;
        }
        Ok(())
    }
}
