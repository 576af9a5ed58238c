//! What a dispatcher may ask the kernel for while guests run.

use crate::kvm_only::Test;
use crate::rig::{Keep, burners, lps};
use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::kvm::KvmEngine;
use apportion_hypervisor::{Engine, EngineError, Flow, Observer, RunOutcome, RunSpec};
use apportion_scheduler::{Entry, Nanos, PolicyKind};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Signal, getpid, kill_process};
use std::error::Error;
use std::ffi::{c_int, c_void};
use std::fs;
use vmm_sys_util::signal::{block_signal, register_signal_handler, unblock_signal};

pub(crate) const TESTS: [Test; 2] = [
    ("dispatchers_are_restricted_and_the_root_is_not", restricted),
    ("a_refused_call_ends_the_run_and_keeps_its_log", refused),
];

/// Keeps a run, and does something beside it about every 50 ms.
struct Beside<F> {
    keep: Keep,
    act: F,
}

impl<F: FnMut()> Observer for Beside<F> {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.keep.entry(entry)
    }

    fn decisions(&mut self, entries: Vec<Entry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.keep.decisions(entries)
    }

    fn tick(&mut self, now: Nanos, until: Nanos) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        (self.act)();
        self.keep.tick(now, until)
    }
}

fn run_beside(spec: &RunSpec, act: impl FnMut()) -> (Keep, Result<RunOutcome, EngineError>) {
    let keep = Keep::default();
    let mut beside = Beside { keep, act };
    let outcome = KvmEngine::new().unwrap().run(spec, &mut beside);
    (beside.keep, outcome)
}

/// What the kernel says of a thread: its seccomp mode (2: a filter) and whether it can gain privileges.
fn isolation(thread: &str) -> [String; 2] {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).unwrap();
    ["Seccomp:", "NoNewPrivs:"].map(|key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap().trim().to_owned()
    })
}

fn restricted() {
    let root = isolation("thread-self");
    let mut seen = Vec::new();
    let mut spec = burners(lps(), PolicyKind::Fair, &[(2, 100)]);
    spec.duration = Nanos::from_millis(300);
    let (_, outcome) = run_beside(&spec, || {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        for task in tasks.map(|task| task.unwrap().path()) {
            let name = fs::read_to_string(task.join("comm")).unwrap();
            let number = task.file_name().unwrap().to_str().unwrap();
            if name.starts_with("lp") {
                seen.push(isolation(&format!("self/task/{number}")));
            }
        }
        assert_eq!(isolation("thread-self"), root);
    });
    outcome.unwrap();
    assert!(seen.len() >= 2 * lps() as usize, "{seen:?}");
    assert!(seen.iter().all(|it| it == &["2", "1"]), "{seen:?}");
}

/// What a guest that broke out might do first.
extern "C" fn break_out(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    // This handler blocks all signals, and who blocks this one is killed.
    let _ = unblock_signal(libc::SIGSYS);
    let _ = rustix::fs::openat(CWD, c"/dev/null", OFlags::RDONLY, Mode::empty());
}

fn refused() {
    register_signal_handler(libc::SIGTRAP, break_out).unwrap();
    let mut spec = burners(lps(), PolicyKind::Fair, &[(2, 100)]);
    spec.duration = Nanos::from_millis(30_000);
    let mut rounds = 0;
    let (keep, outcome) = run_beside(&spec, || {
        rounds += 1;
        match rounds {
            // The root does not take the signal: a dispatcher has to. It takes its own faults', and few others.
            10 => block_signal(libc::SIGTRAP).unwrap(),
            11 => kill_process(getpid(), Signal::TRAP).unwrap(),
            _ => {}
        }
    });
    unblock_signal(libc::SIGTRAP).unwrap();
    let error = outcome.unwrap_err();
    let EngineError::Forbidden { lp, call } = error else {
        panic!("{error}");
    };
    assert!(lp < lps());
    assert_eq!(call, libc::SYS_openat as u32);
    // Of 600 rounds it should be the next; a host that stalls may make it a later one.
    assert!((11..300).contains(&rounds), "{rounds} rounds");
    // Everything up to then is there.
    let until = keep.dispatches.iter().map(|d| d.end).max().unwrap();
    let from = keep.dispatches.iter().map(|d| d.start).min().unwrap();
    assert!(
        until.since(from) > Nanos::from_millis(400),
        "{from}, {until}"
    );
}
