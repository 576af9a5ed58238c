//! Finds LPs that are idle while a VP waits that could run, were others moved.

use apportion_scheduler::{LpId, Scheduler, VpId, VpState};

/// Sums idle time.
#[derive(Debug, Default)]
pub(crate) struct IdleWatch {
    /// Since when an LP has been idle that need not be.
    since: Option<f64>,
    /// For how long called LPs were on their way, in ns.
    pub(crate) waking: f64,
}

impl IdleWatch {
    /// What of this span, in which nothing changed, was idle for no reason.
    /// `allowed` is the time within which calls are answered; a stalled LP
    /// answers none.
    pub(crate) fn between(
        &mut self,
        span: (f64, f64),
        allowed: f64,
        stalled: bool,
        scheduler: &Scheduler,
    ) -> f64 {
        let (from, to) = span;
        if stalled || !could_run_more(scheduler) {
            self.since = None;
            return 0.0;
        }
        let since = *self.since.get_or_insert(from);
        (to - from.max(since + allowed)).max(0.0)
    }
}

/// Whether some waiting VP reaches an idle LP over a chain of VPs that run and could run elsewhere.
fn could_run_more(scheduler: &Scheduler) -> bool {
    let machine = scheduler.machine();
    let idle: Vec<LpId> = machine
        .online()
        .filter(|&lp| machine.lp(lp).running.is_none())
        .collect();
    if idle.is_empty() {
        return false;
    }
    let waiting = machine.vps().filter(|(_, vp)| {
        let is_here = machine.guest(vp.guest).is_here();
        is_here && matches!(vp.state, VpState::Ready { .. })
    });
    let mut reached: Vec<VpId> = waiting.map(|(id, _)| id).collect();
    let mut seen = vec![false; machine.config().topology.lps() as usize];
    while let Some(vp) = reached.pop() {
        for lp in machine.online() {
            if seen[lp.index()] || !machine.may_run(vp, lp) {
                continue;
            }
            seen[lp.index()] = true;
            match machine.lp(lp).running {
                None => return true,
                Some(next) => reached.push(next),
            }
        }
    }
    false
}
