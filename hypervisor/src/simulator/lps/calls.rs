//! Who has to act when: calls from one LP to another, alarms, and the end of a run.

use super::{Lps, Observed, Running, State};
use crate::dispatch_log::Reason;
use crate::simulator::program::Act;
use crate::simulator::queue::NEVER;
use apportion_scheduler::{LpId, Nanos};

impl Lps<'_> {
    /// Calls the LPs that the scheduler wants to decide anew; whether `own`,
    /// which is in the hypervisor already, is among them.
    pub(in crate::simulator) fn answer_calls(&mut self, now: Nanos, own: Option<LpId>) -> bool {
        let mut own_called = false;
        for lp in self.scheduler.take_calls() {
            if Some(lp) == own {
                own_called = true;
                continue;
            }
            let called = &mut self.lps[lp.index()];
            let at = now + called.latency(self.assumed.kick_latency);
            let alarm = match &mut called.state {
                State::Idle { wake, .. } | State::Awaiting { wake, .. } => {
                    *wake = (*wake).min(at);
                    *wake
                }
                State::Running(running) => {
                    let at = at.max(running.begin);
                    if at < running.end {
                        running.end = at;
                        running.kick = Reason::Preempted;
                    }
                    running.end
                }
                State::Parked => at,
                State::Deciding => continue,
            };
            if self.alarms.of(lp) > alarm {
                self.alarms.set(lp, alarm);
            }
        }
        own_called
    }

    /// Sets `lp`'s alarm for whatever comes next there.
    pub(super) fn arm(&mut self, lp: LpId) {
        let next = match self.lps[lp.index()].state {
            State::Idle { wake, .. } | State::Awaiting { wake, .. } => wake,
            State::Running(running) => running.end.min(running.due),
            State::Parked | State::Deciding => return self.alarms.set(lp, NEVER),
        };
        let timer = self.scheduler.next_timer(lp).unwrap_or(NEVER);
        self.alarms.set(lp, next.min(timer));
    }

    /// After something that may have given LPs other timers.
    pub(in crate::simulator) fn arm_all(&mut self) {
        for lp in (0..self.lps.len() as u32).map(LpId) {
            if !matches!(self.lps[lp.index()].state, State::Parked) {
                self.arm(lp);
            }
        }
    }

    /// `lp`, taken off line at `now`, idles no more; where it runs a VP it is called away.
    pub(in crate::simulator) fn park(&mut self, lp: LpId, now: Nanos) -> Observed<()> {
        if let State::Idle { since, .. } = self.lps[lp.index()].state {
            self.log_idle(lp, since, now)?;
            self.lps[lp.index()].state = State::Parked;
            self.alarms.set(lp, now);
        }
        if let State::Awaiting { since, .. } = self.lps[lp.index()].state {
            self.lose(lp, since, now);
            self.lps[lp.index()].state = State::Parked;
            self.alarms.set(lp, now);
        }
        Ok(())
    }

    /// The run is over: everything leaves its LP.
    pub(in crate::simulator) fn stop(&mut self, now: Nanos) -> Observed<()> {
        for lp in (0..self.lps.len() as u32).map(LpId) {
            match std::mem::replace(&mut self.lps[lp.index()].state, State::Parked) {
                State::Running(running) => {
                    self.tell(now, &running);
                    let kick = Reason::End;
                    self.charge(lp, now, &Running { kick, ..running }, Act::On)?;
                }
                State::Idle { since, .. } => self.log_idle(lp, since, now)?,
                State::Awaiting { since, .. } => self.lose(lp, since, now),
                State::Parked | State::Deciding => {}
            }
            self.log_sample(lp, now)?;
        }
        Ok(())
    }
}
