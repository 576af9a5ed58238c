//! The real engine: guests on KVM, one pinned dispatcher thread per LP.

mod census;
mod dispatcher;
pub(crate) mod endings;
mod entry;
mod exit_byte;
pub(crate) mod guest_log;
mod guests;
mod handshake;
mod idle;
pub(crate) mod intercepts;
mod interrupts;
mod kick;
mod resident;
mod root;
mod seccomp;
mod shared;
pub(crate) mod time;
mod tsc;
mod vcpu;

/// What [`handshake`] and [`idle`] are built on; their model checks put loom's in this place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};
    pub(super) use std::sync::{Condvar, MutexGuard};
}

pub use entry::EntryTime;

use crate::clock::Clock;
use crate::dispatch_log;
use crate::engine::{Engine, EngineError, Observer, RunOutcome};
use crate::guest::Model;
use crate::host;
use crate::run_spec::RunSpec;
use apportion_abi::Processor;
use apportion_scheduler::{LpId, Nanos};
use dispatcher::Dispatcher;
use guests::{Builder, Guests};
use kvm_bindings::KVM_MAX_CPUID_ENTRIES;
use kvm_ioctls::{Cap, Kvm};
use root::{End, Root};
use shared::Shared;
use std::any::Any;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use time::HostTime;

/// Descriptors that a process has besides one per guest and per VP: files, pipes, /dev/kvm.
const OTHER_FILES: u64 = 32;

/// Guests on KVM.
#[derive(Debug)]
pub struct KvmEngine {
    kvm: Kvm,
    /// By processor.
    models: [Model; Processor::ALL.len()],
    clock: Clock,
    time: Arc<HostTime>,
    /// Of the time-stamp counter; 0 where KVM does not tell.
    ticks_per_ms: u64,
    /// What it takes to enter a VP and to leave it, once that was measured.
    entry: Option<EntryTime>,
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
            .and_then(|()| seccomp::prepare())
            .map_err(|error| unusable(format!("no signal handler can be installed: {error}")))?;
        let clock = Clock::start();
        let ticks_per_ms = ticks_per_ms(&kvm);
        Ok(KvmEngine {
            kvm,
            models: Processor::ALL.map(|processor| Model::of(processor, &cpuid)),
            clock,
            time: Arc::new(HostTime::new(clock, ticks_per_ms)),
            ticks_per_ms,
            entry: None,
        })
    }

    /// What it takes to enter a guest and to leave it, measured before the first run; `None` until then.
    #[must_use]
    pub fn entry_time(&self) -> Option<EntryTime> {
        self.entry
    }

    /// Creates a guest, lets it run until it first asks for something, and ends it: how long that took.
    ///
    /// # Errors
    /// Where KVM refuses any of it.
    pub fn time_to_first_instruction(&self) -> Result<Nanos, EngineError> {
        let begun = self.clock.now();
        self.builder().boot_and_time(begun).map_err(trial_failed)
    }

    fn builder(&self) -> Builder<'_> {
        Builder {
            kvm: &self.kvm,
            models: &self.models,
            time: &self.time,
            ticks_per_ms: self.ticks_per_ms,
        }
    }

    /// Guests and what the dispatchers share for `spec`, nothing running yet.
    fn build(&mut self, spec: &RunSpec) -> Result<(Guests, Shared), EngineError> {
        let scheduler = spec.admit()?;
        let entry = match self.entry {
            Some(entry) => entry,
            None => self.builder().time_entry().map_err(trial_failed)?,
        };
        self.entry = Some(entry);
        let (guests, vcpus, infos) = self.builder().build(spec)?;
        let shared = Shared::new(self.clock, entry, scheduler, spec.seed, vcpus, infos);
        Ok((guests, shared))
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
        guests::check_memory(spec)?;
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
        let (mut guests, shared) = self.build(spec)?;
        conduct(spec, observer, &mut guests, &shared)
    }
}

/// Runs guests that were built, from the start of their dispatchers to their end.
fn conduct(
    spec: &RunSpec,
    observer: &mut dyn Observer,
    guests: &mut Guests,
    shared: &Shared,
) -> Result<RunOutcome, EngineError> {
    let lp_cpus: Vec<u32> = host::cpus().into_iter().take(spec.lps as usize).collect();
    let (writers, mut logs): (Vec<_>, Vec<_>) =
        lp_cpus.iter().map(|_| dispatch_log::ring()).unzip();
    thread::scope(|scope| {
        // Whatever happens in here, an error or a panic: no dispatcher outlives it.
        let stop = StopOnDrop(shared);
        let (answer, answers) = mpsc::channel();
        let mut dispatchers = Vec::new();
        for (lp, (&cpu, log)) in lp_cpus.iter().zip(writers).enumerate() {
            let dispatcher = Dispatcher {
                shared,
                lp: LpId(lp as u32),
                cpu,
                log,
                last: None,
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

        let mut root = Root::new(spec, shared, guests, &lp_cpus, &mut logs, observer);
        let observed = root.observe();
        let involuntary_switches = shared.involuntary_switches();
        drop(stop);
        let stopped = shared.clock.now();
        let mut panicked = None;
        for (lp, dispatcher) in (0..).zip(dispatchers) {
            if let Err(panic) = dispatcher.join() {
                let message = panic_message(&*panic);
                let refused = shared.refused().map(|(_, call)| call);
                panicked.get_or_insert(EngineError::Panicked {
                    lp,
                    message,
                    refused,
                });
            }
        }
        let finished = observed.and_then(|observed| Ok((observed, root.finish()?)));
        // First: with RUST_BACKTRACE a panic looks for the names of its frames in files, which is refused.
        if let Some(panicked) = panicked {
            return Err(panicked);
        }
        if let Some((lp, call)) = shared.refused() {
            return Err(EngineError::Forbidden { lp: lp.0, call });
        }
        let (observed, end) = finished?;
        let End {
            memory,
            reports,
            counters,
            clock_error,
        } = end;
        if let Some((lp, source)) = shared.take_failure() {
            return Err(EngineError::Run { lp: lp.0, source });
        }
        Ok(RunOutcome {
            start: observed.start,
            measured_from: observed.measured_from,
            measured_until: observed.measured_until,
            stopped,
            interrupted: observed.interrupted,
            lp_cpus: lp_cpus.clone(),
            crashes: shared.take_crashes(),
            steal: observed.steal,
            involuntary_switches,
            memory,
            reports,
            measured: observed.counters,
            counters: Some(counters),
            clock_error,
        })
    })
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it said nothing").to_owned()
}

/// Ends the run when it goes out of scope.
struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// How fast KVM says that guests' time-stamp counters tick; 0 where it does not.
fn ticks_per_ms(kvm: &Kvm) -> u64 {
    let khz = kvm
        .create_vm()
        .and_then(|vm| vm.create_vcpu(0))
        .and_then(|vcpu| vcpu.get_tsc_khz());
    khz.map_or(0, u64::from)
}

fn trial_failed((step, source): vcpu::StepError) -> EngineError {
    EngineError::Guest {
        guest: "trial".to_owned(),
        step,
        source,
    }
}

fn lp_error(lp: usize, step: &'static str, source: io::Error) -> EngineError {
    EngineError::Lp {
        lp: lp as u32,
        step,
        source,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch_log::LogEntry;
    use crate::engine::Flow;
    use crate::run_spec::{GuestSpec, SimulatorSpec};
    use apportion_abi::Payload;
    use apportion_scheduler::{Controls, PolicyKind, ReserveModel, WeightScope};
    use std::error::Error;

    /// Takes from dispatchers what they need to know of the second VP once it has run for a while.
    struct Saboteur<'a> {
        shared: &'a Shared,
        at: Nanos,
        last: Nanos,
    }

    impl Observer for Saboteur<'_> {
        fn entry(&mut self, entry: &LogEntry) -> Result<(), Box<dyn Error + Send + Sync>> {
            self.last = self.last.max(entry.at());
            Ok(())
        }

        fn decisions(
            &mut self,
            _: Vec<apportion_scheduler::Entry>,
        ) -> Result<(), Box<dyn Error + Send + Sync>> {
            Ok(())
        }

        fn tick(&mut self, now: Nanos, _: Nanos) -> Result<Flow, Box<dyn Error + Send + Sync>> {
            if self.at == Nanos::ZERO && now.0 > 0 {
                shared::lock(&self.shared.scheduler).demands.truncate(1);
                self.at = now;
            }
            Ok(Flow::Continue)
        }
    }

    #[test]
    fn a_dispatcher_that_panics_ends_the_run_at_once() {
        let Ok(mut engine) = KvmEngine::new() else {
            println!("SKIPPED: needs KVM");
            return;
        };
        if host::cpus().len() < 2 {
            println!("SKIPPED: needs two CPUs");
            return;
        }
        let guest = |lp| GuestSpec {
            affinity: Some([LpId(lp)].into_iter().collect()),
            ..GuestSpec::new("burner", 1, Controls::default(), Payload::Burn)
        };
        let spec = RunSpec {
            lps: 2,
            nodes: 1,
            slice: Nanos::from_millis(1),
            policy: PolicyKind::Fair,
            reserve_model: ReserveModel::default(),
            weight_scope: WeightScope::default(),
            seed: 1,
            changes: Vec::new(),
            decisions: false,
            simulator: SimulatorSpec {
                overhead: Nanos::ZERO,
                kick_latency: Nanos::ZERO,
            },
            guests: vec![guest(0), guest(1)],
            warm_up: Nanos::ZERO,
            duration: Nanos::from_millis(3_600_000),
        };
        let (mut guests, shared) = engine.build(&spec).unwrap();
        let mut observer = Saboteur {
            shared: &shared,
            at: Nanos::ZERO,
            last: Nanos::ZERO,
        };
        let ended = conduct(&spec, &mut observer, &mut guests, &shared);
        let error = ended.unwrap_err().to_string();
        // The dispatcher of the second VP, and that of the first one was called away.
        assert!(
            error.starts_with("LP 1: its dispatcher panicked: "),
            "{error}"
        );
        assert!(error.contains("index out of bounds"), "{error}");
        // What it did up to then is recorded.
        assert!(observer.last >= observer.at);
    }
}
