//! What an LP does next, and what becomes of the VP that has left it: it runs on, is held by its cap, or sleeps.

use super::{After, Decision, Scheduler, What};
use crate::machine::VpState;
use crate::policy::Leave;
use crate::units::{LpId, Nanos, VpId};

impl Scheduler {
    pub(super) fn do_pick(&mut self, now: Nanos, lp: LpId) -> Decision {
        assert_eq!(self.machine.lp(lp).running, None, "{lp:?} runs a VP");
        self.not_idle(lp);
        // It is deciding already: nothing below needs to call it.
        self.machine.lps[lp.index()].called = true;
        let ready = self.fire(now, lp);
        self.machine.lps[lp.index()].called_for.extend(&ready);
        let decision = self.decide(now, lp);
        self.machine.lps[lp.index()].called = false;
        // Who might have run here and does not may run elsewhere.
        if let Some(vp) = self.machine.lps[lp.index()].left.take()
            && self.is_ready(vp)
            && !self.place_on_idle(vp)
        {
            self.look_again(now, vp);
        }
        let called_for = &mut self.machine.lps[lp.index()].called_for;
        called_for.retain(|vp| !ready.contains(vp));
        self.place_called_for(lp);
        for vp in ready {
            if self.is_ready(vp) {
                self.place(now, vp);
            }
        }
        self.call_for_moves(now);
        decision
    }

    fn decide(&mut self, now: Nanos, lp: LpId) -> Decision {
        if self.machine.lp(lp).offline {
            return Decision::Idle;
        }
        if let Some(vp) = self.expects(lp) {
            // One that has not left its LP yet calls when it has.
            return match self.is_ready(vp) {
                true => self.begin(now, lp, vp),
                false => Decision::Await,
            };
        }
        let direct = self.policy.choose(now, lp, &self.machine);
        if self.machine.restricted
            && let Some(chain) = self.chain_to(now, lp, direct)
        {
            self.make_way(&chain);
            return Decision::Await;
        }
        match direct {
            Some(vp) => self.begin(now, lp, vp),
            None => {
                self.machine.lps[lp.index()].idle = true;
                self.idle += 1;
                Decision::Idle
            }
        }
    }

    /// `vp`, which is Ready, runs on `lp` from now on.
    fn begin(&mut self, now: Nanos, lp: LpId, vp: VpId) -> Decision {
        if self.machine.vp(vp).expected == Some(lp) {
            self.no_longer_expects(lp);
        }
        self.comes_not(vp);
        self.cancel_timer(vp);
        self.policy.run(now, vp, lp, &self.machine);
        let slice = self.slice();
        let entry = &mut self.machine.vps[vp.index()];
        let VpState::Ready { since } = entry.state else {
            unreachable!("a policy picks among the Ready");
        };
        entry.woken = false;
        entry.state = VpState::Running {
            lp,
            since: now,
            leaving: false,
        };
        if let Some(bucket) = &mut entry.bucket {
            bucket.begin(now, slice);
        }
        self.set_home(vp, lp);
        self.machine.lps[lp.index()].running = Some(vp);
        Decision::Run {
            vp,
            until: now + slice,
            ready_since: since,
        }
    }

    pub(super) fn do_charge(&mut self, now: Nanos, lp: LpId, ran: Nanos, after: After) {
        let vp = self.machine.lps[lp.index()]
            .running
            .take()
            .expect("a VP runs where one is charged");
        let slice = self.slice();
        let entry = &mut self.machine.vps[vp.index()];
        let leaving = matches!(entry.state, VpState::Running { leaving: true, .. });
        entry.state = VpState::Suspended;
        if let Some(bucket) = &mut entry.bucket {
            bucket.take(now, ran, slice);
        }
        self.policy.charge(now, vp, ran, &self.machine);
        if leaving {
            self.comes_not(vp);
            return self.suspend(now, vp);
        }
        self.rehome(now, vp);
        let woken = self.machine.vp(vp).woken;
        match after {
            After::Sleep { .. } if woken => {}
            After::Sleep { until } => {
                self.comes_not(vp);
                self.machine.vps[vp.index()].state = VpState::Sleeping { until };
                self.policy.leave(now, vp, Leave::Sleeps, &self.machine);
                self.happens(now, vp, What::Slept);
                if let Some(until) = until {
                    self.set_timer(vp, until);
                }
                return;
            }
            After::Spin => self.policy.spun(now, vp, &self.machine),
            After::Run => {}
        }
        let next = self.next_home(lp, vp);
        if let Some(next) = next {
            self.set_home(vp, next);
            self.call(next);
        }
        if self.make_ready_or_hold(now, vp) {
            match next {
                // Its home decides, and if that does not take it, an idle LP may.
                Some(next) => self.machine.lps[next.index()].called_for.push(vp),
                // Its own LP decides next, and this VP may be its choice.
                None => self.machine.lps[lp.index()].left = Some(vp),
            }
        } else {
            self.comes_not(vp);
        }
    }

    /// Where a VP that has just left `lp` and wants to run on is expected, or had better be.
    fn next_home(&mut self, lp: LpId, vp: VpId) -> Option<LpId> {
        // Where it may not run any more it is not expected, and has another home already.
        let entry = self.machine.vp(vp);
        if entry.expected.is_some() || entry.home != lp {
            return entry.expected;
        }
        self.policy.moves(vp, &self.machine)
    }

    /// Ends the sleeps and holds that `lp` owns and that are due; the VPs that are Ready now, and those that may
    /// preempt now.
    pub(super) fn fire(&mut self, now: Nanos, lp: LpId) -> Vec<VpId> {
        let mut ready = Vec::new();
        while let Some((at, vp)) = self.timers.next(lp)
            && at <= now
        {
            let is_ready = match self.machine.vp(vp).state {
                VpState::Held { .. } => {
                    self.cancel_timer(vp);
                    self.make_ready_or_hold(now, vp)
                }
                // It may preempt now.
                VpState::Ready { .. } => {
                    self.cancel_timer(vp);
                    true
                }
                // Sleeping: nothing else has a timer.
                _ => self.rouse(now, vp),
            };
            if is_ready {
                ready.push(vp);
            }
        }
        ready
    }

    pub(super) fn do_wake(&mut self, now: Nanos, vp: VpId) {
        let entry = &mut self.machine.vps[vp.index()];
        // It may have decided to sleep already, and not have been charged yet.
        entry.woken = matches!(entry.state, VpState::Running { .. });
        if matches!(entry.state, VpState::Sleeping { .. }) && self.rouse(now, vp) {
            self.place(now, vp);
        }
    }

    /// Its sleep is over. Whether it is Ready: its cap may hold it.
    fn rouse(&mut self, now: Nanos, vp: VpId) -> bool {
        let due = self.machine.vp(vp).timer.map_or(now, |(_, at)| at.min(now));
        self.happens(now, vp, What::Woke { due });
        self.cancel_timer(vp);
        self.machine.vps[vp.index()].state = VpState::Ready { since: now };
        self.policy.join(now, &[vp], &self.machine);
        self.make_ready_or_hold(now, vp)
    }

    /// Ready, unless its cap has not enough for a slice.
    pub(super) fn make_ready_or_hold(&mut self, now: Nanos, vp: VpId) -> bool {
        let slice = self.slice();
        let entry = &mut self.machine.vps[vp.index()];
        let release = entry
            .bucket
            .as_mut()
            .map_or(now, |bucket| bucket.full_slice_at(now, slice));
        let was_held = matches!(entry.state, VpState::Held { .. });
        if release > now {
            entry.state = VpState::Held { until: release };
            self.set_timer(vp, release);
            if !was_held {
                self.happens(now, vp, What::Held);
            }
            return false;
        }
        entry.state = VpState::Ready { since: now };
        if was_held {
            self.happens(now, vp, What::Released);
        }
        self.policy.ready(now, vp, &self.machine);
        true
    }

    pub(super) fn set_timer(&mut self, vp: VpId, at: Nanos) {
        let home = self.machine.vp(vp).home;
        self.machine.vps[vp.index()].timer = Some((home, at));
        self.timers.set(home, at, vp);
        // An LP that runs nothing sleeps until the timer it knew of.
        if self.timers.next(home) == Some((at, vp)) && self.machine.lp(home).waits() {
            self.call(home);
        }
    }

    pub(super) fn cancel_timer(&mut self, vp: VpId) {
        if let Some((lp, at)) = self.machine.vps[vp.index()].timer.take() {
            self.timers.cancel(lp, at, vp);
        }
    }
}
