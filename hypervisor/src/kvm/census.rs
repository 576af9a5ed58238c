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
    /// By LP, as the guests started.
    before: Vec<Before>,
    /// CPU time of this process beside its dispatchers as the guests started.
    root_before: Nanos,
    /// CPU time of the root since then, as it was last looked at.
    root: Nanos,
    /// By LP, what of it was seen there.
    root_on: Vec<Nanos>,
    /// What of it was seen elsewhere.
    root_elsewhere: Nanos,
    /// What was told last: nothing of it is taken back.
    told: Vec<LpSnapshot>,
}

/// An LP as the guests started.
#[derive(Debug)]
struct Before {
    /// CPU time of its dispatcher, which setting up took.
    dispatcher: Nanos,
    /// Zero where the kernel does not tell.
    cpu: CpuTimes,
}

impl Census {
    /// The guests start now.
    pub(super) fn begin(lp_cpus: &[u32], shared: &Shared) -> Census {
        let cpus = host::cpu_times(lp_cpus).unwrap_or_default();
        let before = (0..lp_cpus.len()).map(|lp| Before {
            dispatcher: shared.dispatcher_cpu(lp),
            cpu: cpus.get(lp).copied().unwrap_or_default(),
        });
        Census {
            cpus: lp_cpus.to_vec(),
            before: before.collect(),
            root_before: root_cpu(lp_cpus.len(), shared),
            root: Nanos::ZERO,
            root_on: vec![Nanos::ZERO; lp_cpus.len()],
            root_elsewhere: Nanos::ZERO,
            told: vec![LpSnapshot::default(); lp_cpus.len()],
        }
    }

    /// To be called on each round of the root: what it used since the last counts where it is now.
    pub(super) fn look(&mut self, shared: &Shared) {
        let now = root_cpu(self.cpus.len(), shared).since(self.root_before);
        let used = now.since(self.root);
        self.root = self.root.max(now);
        let cpu = host::current_cpu();
        match self.cpus.iter().position(|it| *it == cpu) {
            Some(lp) => self.root_on[lp] += used,
            None => self.root_elsewhere += used,
        }
    }

    /// Everything, as it stands now.
    pub(super) fn take(&mut self, at: Nanos, shared: &Shared, handled: &[u64]) -> Snapshot {
        self.look(shared);
        let cpus = host::cpu_times(&self.cpus).unwrap_or_default();
        for lp in 0..self.told.len() {
            let cpu = cpus.get(lp).copied().unwrap_or_default();
            let now = self.lp(lp, cpu, shared);
            self.told[lp].advance_to(now);
        }
        let vps = shared.vp_infos().iter().zip(handled);
        Snapshot {
            at,
            lps: self.told.clone(),
            root_elsewhere: self.root_elsewhere,
            vps: vps
                .map(|(vp, handled)| vp.counters.snapshot(*handled))
                .collect(),
        }
    }

    fn lp(&self, lp: usize, cpu: CpuTimes, shared: &Shared) -> LpSnapshot {
        let counters = &shared.lp_counters()[lp];
        let before = &self.before[lp];
        let (guest, counted) = (Nanos(counters.guest.get()), counters.thread.get());
        let dispatcher = shared.dispatcher_cpu(lp);
        // What is not counted yet: nearly all of it is a VP's that is there right now.
        let guest = guest + dispatcher.since(Nanos(counted).max(before.dispatcher));
        let dispatcher = dispatcher.since(before.dispatcher);
        let root = self.root_on[lp];
        let busy = cpu.busy.since(before.cpu.busy);
        LpSnapshot {
            guest,
            hypervisor: dispatcher.since(guest),
            root,
            others: busy.since(dispatcher + root),
            steal: cpu.steal.since(before.cpu.steal),
            idle: cpu.idle.since(before.cpu.idle),
            switches: counters.switches.get(),
        }
    }
}

/// CPU time of this process beside its dispatchers.
fn root_cpu(lps: usize, shared: &Shared) -> Nanos {
    // The process's clock has of a thread that runs what the kernel saw of it last, which reading the thread's own brings
    // up to date. In this order: what a dispatcher receives meanwhile is not the root's.
    for lp in 0..lps {
        let _ = shared.dispatcher_cpu(lp);
    }
    let process = process_cpu();
    (0..lps).fold(process, |left, lp| left.since(shared.dispatcher_cpu(lp)))
}
