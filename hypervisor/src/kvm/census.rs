//! Puts all counters of a run together: those of dispatchers and VPs, and what the kernel says of the LPs' CPUs.

use super::shared::Shared;
use crate::clock::process_cpu;
use crate::counters::{LpSnapshot, Snapshot};
use crate::host::{self, CpuTimes};
use apportion_scheduler::Nanos;

/// The root's own account of where the time goes.
#[derive(Debug)]
pub(super) struct Census {
    cpus: Vec<u32>,
    /// By LP, as the guests started; empty where the kernel does not tell.
    before: Vec<CpuTimes>,
    /// CPU time of the root so far, and when it was last looked at.
    root: Nanos,
    /// By LP, what of it was seen there.
    root_on: Vec<Nanos>,
    /// CPU time of this process as the guests started, the dispatchers' included.
    process_before: Nanos,
}

impl Census {
    /// The guests start now.
    pub(super) fn begin(lp_cpus: &[u32], shared: &Shared) -> Census {
        let mut census = Census {
            cpus: lp_cpus.to_vec(),
            before: host::cpu_times(lp_cpus).unwrap_or_default(),
            root: Nanos::ZERO,
            root_on: vec![Nanos::ZERO; lp_cpus.len()],
            process_before: Nanos::ZERO,
        };
        census.process_before = census.root_now(shared);
        census
    }

    /// CPU time of this process beside its dispatchers.
    fn root_now(&self, shared: &Shared) -> Nanos {
        let dispatchers = shared.lp_counters().iter().map(|lp| lp.thread.get()).sum();
        process_cpu().since(Nanos(dispatchers)) - self.process_before
    }

    /// To be called on each round of the root: what it used since the last counts where it is now.
    pub(super) fn look(&mut self, shared: &Shared) {
        let now = self.root_now(shared);
        let used = now.since(self.root);
        self.root = self.root.max(now);
        let cpu = host::current_cpu();
        if let Some(lp) = self.cpus.iter().position(|it| *it == cpu) {
            self.root_on[lp] += used;
        }
    }

    /// Everything, as it stands now.
    pub(super) fn take(&mut self, at: Nanos, shared: &Shared, handled: &[u64]) -> Snapshot {
        self.look(shared);
        let now = host::cpu_times(&self.cpus).unwrap_or_default();
        let lps = shared
            .lp_counters()
            .iter()
            .enumerate()
            .map(|(lp, counters)| {
                let (before, now) = (
                    self.before.get(lp).copied().unwrap_or_default(),
                    now.get(lp).copied().unwrap_or_default(),
                );
                let guest = Nanos(counters.guest.get());
                let thread = Nanos(counters.thread.get());
                let busy = now.busy - before.busy;
                LpSnapshot {
                    guest,
                    hypervisor: thread - guest,
                    root: self.root_on[lp],
                    others: busy - thread - self.root_on[lp],
                    steal: now.steal - before.steal,
                    idle: now.idle - before.idle,
                    switches: counters.switches.get(),
                }
            });
        let vps = shared.vp_infos().iter().zip(handled);
        Snapshot {
            at,
            lps: lps.collect(),
            vps: vps
                .map(|(vp, handled)| vp.counters.snapshot(*handled))
                .collect(),
        }
    }
}
