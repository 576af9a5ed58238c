//! The real engine: guests on KVM, one pinned dispatcher thread per LP.

mod dispatcher;
mod handshake;
mod idle;
mod kick;
mod vcpu;

/// What [`handshake`] and [`idle`] are built on; their model checks put loom's in this place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};
    pub(super) use std::sync::{Condvar, MutexGuard};
}

use crate::clock::Clock;
use crate::dispatch_log::{self, LogEntry, LogReader};
use crate::engine::{Engine, EngineError, Flow, Observer, RunOutcome};
use crate::guest::{GuestMemory, Payload};
use crate::host;
use crate::run_spec::{Change, RunSpec};
use apportion_scheduler::{GuestId, LpId, Nanos};
use dispatcher::{Dispatcher, Shared};
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm, VmFd};
use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use vcpu::Vcpu;

/// How often the rings are drained.
const DRAIN_EVERY: Nanos = Nanos::from_millis(50);

/// Descriptors that a process has besides one per guest and per VP: files, pipes, /dev/kvm.
const OTHER_FILES: u64 = 32;

/// Guests on KVM.
#[derive(Debug)]
pub struct KvmEngine {
    kvm: Kvm,
    cpuid: CpuId,
    clock: Clock,
}

impl KvmEngine {
    /// Opens /dev/kvm; the engine's clock starts now.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] with the remedy.
    pub fn new() -> Result<KvmEngine, EngineError> {
        let kvm = Kvm::new().map_err(|error| unavailable(error.errno()))?;
        let unusable = |reason: String| EngineError::Unavailable {
            reason,
            remedy: "a kernel of version 4.13 or later is needed".to_owned(),
        };
        for cap in [Cap::ImmediateExit, Cap::UserMemory] {
            if !kvm.check_extension(cap) {
                return Err(unusable(format!("the kernel's KVM lacks {cap:?}")));
            }
        }
        let cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(|error| unusable(format!("KVM does not tell its CPUID: {error}")))?;
        kick::install_handler()
            .map_err(|error| unusable(format!("no signal handler can be installed: {error}")))?;
        Ok(KvmEngine {
            kvm,
            cpuid,
            clock: Clock::start(),
        })
    }

    /// VMs, VPs and the scheduler for `spec`, nothing running yet.
    fn build(&self, spec: &RunSpec) -> Result<(Vec<VmFd>, Shared), EngineError> {
        let scheduler = spec.admit()?;
        let owners = spec.owners();
        let mut vms = Vec::new();
        // VPs that are added later exist from the start, and nobody runs them until then.
        let mut vcpus: Vec<Option<Vcpu>> = owners.iter().map(|_| None).collect();
        for (index, guest) in spec.guests.iter().enumerate() {
            let failed = |(step, source)| EngineError::Guest {
                guest: guest.name.clone(),
                step,
                source,
            };
            let numbers = spec.vps_of(GuestId(index as u32));
            let count = numbers.len() as u32;
            let memory = GuestMemory::new(guest.payload, count)
                .map_err(|error| failed(("prepare its memory", error.into())))?;
            let (vm, vps) = vcpu::build(&self.kvm, &self.cpuid, memory, count).map_err(failed)?;
            vms.push(vm);
            for (vp, vcpu) in numbers.into_iter().zip(vps) {
                vcpus[vp.index()] = Some(vcpu);
            }
        }
        let owners = owners
            .into_iter()
            .map(|(guest, _)| (guest, spec.guests[guest.index()].payload))
            .collect();
        let vcpus = vcpus.into_iter().flatten().collect();
        let shared = Shared::new(self.clock, scheduler, spec.seed, vcpus, owners);
        Ok((vms, shared))
    }
}

impl Engine for KvmEngine {
    fn name(&self) -> &'static str {
        "kvm"
    }

    fn check(&self, spec: &RunSpec) -> Result<(), EngineError> {
        let available = host::cpus().len() as u32;
        if spec.lps > available {
            return Err(EngineError::TooFewLps {
                wanted: spec.lps,
                available,
            });
        }
        let spins = |payload| matches!(payload, Payload::Spin { .. });
        if let Some(guest) = spec.guests.iter().find(|guest| spins(guest.payload)) {
            return Err(EngineError::Unsupported {
                what: format!(
                    "guest {} has payload spin, which only the simulator can run so far",
                    guest.name
                ),
                instead: "simulator",
            });
        }
        if spec.nodes > 1 {
            return Err(EngineError::Unsupported {
                what: format!(
                    "{} NUMA nodes were asked for, and only the simulator has more than one",
                    spec.nodes
                ),
                instead: "simulator",
            });
        }
        spec.check_admission()?;
        let needed = (spec.guests.len() + spec.owners().len()) as u64 + OTHER_FILES;
        match host::raise_file_limit() {
            Some(limit) if limit < needed => Err(EngineError::TooFewFiles { needed, limit }),
            _ => Ok(()),
        }
    }

    fn run(
        &mut self,
        spec: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, EngineError> {
        self.check(spec)?;
        let lp_cpus: Vec<u32> = host::cpus().into_iter().take(spec.lps as usize).collect();
        let (_vms, shared) = self.build(spec)?;
        let (writers, mut logs): (Vec<_>, Vec<_>) =
            lp_cpus.iter().map(|_| dispatch_log::ring()).unzip();

        thread::scope(|scope| {
            // Whatever happens in here, an error or a panic: no dispatcher outlives it.
            let stop = StopOnDrop(&shared);
            let (answer, answers) = mpsc::channel();
            let mut dispatchers = Vec::new();
            for (lp, (&cpu, log)) in lp_cpus.iter().zip(writers).enumerate() {
                let dispatcher = Dispatcher {
                    shared: &shared,
                    lp: LpId(lp as u32),
                    cpu,
                    log,
                };
                let answer = answer.clone();
                let spawned = thread::Builder::new()
                    .name(format!("lp{lp}"))
                    .spawn_scoped(scope, move || dispatcher.run(answer));
                dispatchers.push(spawned.map_err(|e| lp_error(lp, "start its dispatcher", e))?);
            }
            drop(answer);
            for (lp, set_up) in answers {
                set_up.map_err(|(step, source)| lp_error(lp.index(), step, source))?;
            }

            let start = shared.start_guests();
            let mut observed = observe(spec, &shared, start, &lp_cpus, &mut logs, observer)?;
            drop(stop);
            let stopped = shared.clock.now();
            let mut involuntary_switches = 0;
            for (lp, dispatcher) in dispatchers.into_iter().enumerate() {
                involuntary_switches += dispatcher.join().map_err(|_| {
                    lp_error(lp, "go on", io::Error::other("its dispatcher panicked"))
                })?;
            }
            drain(&mut logs, Nanos(u64::MAX), &mut observed.own, observer)?;
            if spec.decisions {
                let entries = shared.take_decisions();
                observer.decisions(entries).map_err(EngineError::Observer)?;
            }
            if let Some((lp, source)) = shared.take_failure() {
                return Err(EngineError::Run { lp: lp.0, source });
            }
            Ok(RunOutcome {
                start,
                measured_from: observed.measured_from,
                measured_until: observed.measured_until,
                stopped,
                interrupted: observed.interrupted,
                lp_cpus: lp_cpus.clone(),
                crashes: shared.take_crashes(),
                steal: observed.steal,
                involuntary_switches,
            })
        })
    }
}

/// Ends the run when it goes out of scope.
struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn lp_error(lp: usize, step: &'static str, source: io::Error) -> EngineError {
    EngineError::Lp {
        lp: lp as u32,
        step,
        source,
    }
}

/// What the root saw while the guests ran.
struct Observed {
    measured_from: Nanos,
    measured_until: Nanos,
    interrupted: bool,
    steal: Option<Nanos>,
    /// What the root itself has to report and has not yet.
    own: Vec<LogEntry>,
}

/// The root's part of a run: drains the rings until the time is over or the observer has enough.
fn observe(
    spec: &RunSpec,
    shared: &Shared,
    start: Nanos,
    lp_cpus: &[u32],
    logs: &mut [LogReader],
    observer: &mut dyn Observer,
) -> Result<Observed, EngineError> {
    for guest in 0..spec.guests.len() as u32 {
        let entry = LogEntry::GuestStarted {
            guest: GuestId(guest),
            at: start,
        };
        observer.entry(&entry).map_err(EngineError::Observer)?;
    }
    let measured_from = start + spec.warm_up;
    let until = measured_from + spec.duration;
    let mut steal_before = None;
    let mut changes = spec.changes.iter().peekable();
    let mut own = Vec::new();
    let mut now = shared.clock.now();
    let mut interrupted = false;
    while now < until && !interrupted && !shared.stopping() {
        let due = |change: &&Change| measured_from + change.at;
        let milestone = match changes.peek() {
            _ if now < measured_from => measured_from,
            Some(change) => due(change).min(until),
            None => until,
        };
        let nap = milestone.since(now).min(DRAIN_EVERY);
        thread::sleep(Duration::from_nanos(nap.0));
        now = shared.clock.now();
        if steal_before.is_none() && now >= measured_from {
            steal_before = Some(host::steal(lp_cpus));
        }
        while let Some(change) = changes.next_if(|change| due(change) <= now) {
            let changed = shared.change(change.action);
            let (entry, happened) = changed.map_err(|source| EngineError::ChangeRefused {
                at: change.at,
                source,
            })?;
            own.extend(entry);
            own.extend(happened);
        }
        drain(logs, now, &mut own, observer)?;
        if spec.decisions {
            let entries = shared.take_decisions();
            observer.decisions(entries).map_err(EngineError::Observer)?;
        }
        interrupted = observer.tick(now, until).map_err(EngineError::Observer)? == Flow::Stop;
        now = shared.clock.now();
    }
    let steal_after = host::steal(lp_cpus);
    Ok(Observed {
        measured_from,
        // An interruption during the warm-up leaves a measurement of length zero.
        measured_until: now.min(until).max(measured_from),
        interrupted: interrupted && now < until,
        own,
        steal: steal_before
            .flatten()
            .zip(steal_after)
            .map(|(before, after)| after.since(before)),
    })
}

/// Hands over what had happened by `cut`, on all LPs in order of time.
///
/// A dispatch is in its ring before another LP can pick the same VP. So a VP's
/// dispatches come in order even where one of them reaches its ring after
/// `cut`: the later ones lie beyond `cut` then, and wait with it.
fn drain(
    logs: &mut [LogReader],
    cut: Nanos,
    own: &mut Vec<LogEntry>,
    observer: &mut dyn Observer,
) -> Result<(), EngineError> {
    let mut entries: Vec<LogEntry> = own.extract_if(.., |entry| entry.at() <= cut).collect();
    for log in logs.iter_mut() {
        log.drain_until(cut, &mut entries);
    }
    entries.sort_by_key(LogEntry::at);
    for entry in &entries {
        observer.entry(entry).map_err(EngineError::Observer)?;
    }
    match logs.iter().map(LogReader::dropped).sum() {
        0 => Ok(()),
        dropped => Err(EngineError::Dropped(dropped)),
    }
}

fn unavailable(errno: i32) -> EngineError {
    let reason = format!("/dev/kvm: {}", io::Error::from_raw_os_error(errno));
    let remedy = match errno {
        libc::ENOENT => {
            "enable virtualisation in the firmware (in a VM: nested virtualisation) and load the kvm module"
        }
        libc::EACCES | libc::EPERM => {
            "join the group that owns it (usually `sudo usermod -aG kvm $USER`, then log in again)"
        }
        _ => "see `dmesg | grep -i kvm`",
    };
    EngineError::Unavailable {
        reason,
        remedy: remedy.to_owned(),
    }
}
