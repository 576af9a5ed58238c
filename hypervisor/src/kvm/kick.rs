//! The kick: a timer and a signal per dispatcher that end a dispatch on time. See ARCHITECTURE.md, "The kick protocol".
#![expect(unsafe_code, reason = "POSIX timers, a signal handler, tgkill")]

use super::entry::EntryTime;
use super::handshake::Handshake;
use crate::clock::monotonic;
use apportion_scheduler::Nanos;
use libc::{TIMER_ABSTIME, c_int, c_void, siginfo_t, timer_settime};
use std::cell::Cell;
use std::io;
use std::mem::zeroed;
use std::ptr::{null, null_mut};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

thread_local! {
    /// The handshake of the dispatcher on this thread. Const-initialised and
    /// without a destructor, so that a signal handler may read it at any time.
    static CURRENT: Cell<*const Handshake> = const { Cell::new(null()) };
}

extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let current = CURRENT.get();
    if current.is_null() {
        return;
    }
    // SAFETY: set by `Kicker::new` to a handshake that the kicker keeps alive,
    // and nulled on this same thread before it is dropped.
    let handshake = unsafe { &*current };
    handshake.on_signal(monotonic(), |immediate_exit| {
        // SAFETY: a published pointer is valid until it is retracted, which
        // happens on this thread; what it points to is memory shared with the
        // kernel, written atomically; a byte store is async-signal-safe.
        unsafe { (*immediate_exit).store(1, SeqCst) }
    });
}

/// Installs the handler, once per process is enough.
pub(crate) fn install_handler() -> io::Result<()> {
    register_signal_handler(SIGRTMIN(), on_signal)
        .map_err(|e| io::Error::from_raw_os_error(e.errno()))
}

/// A POSIX timer that signals one thread.
#[derive(Clone, Copy, Debug)]
struct Timer(libc::timer_t);

// SAFETY: for a timer of SIGEV_THREAD_ID the handle is a number that the kernel gave, in the guise of a pointer. Any
// thread of the process may set such a timer, and one that was deleted gives EINVAL.
unsafe impl Send for Timer {}
// SAFETY: as above.
unsafe impl Sync for Timer {}

impl Timer {
    /// One signal at `deadline`, in ns, or after so many where `flags` lacks TIMER_ABSTIME. Replaces the last one.
    fn set(self, flags: c_int, deadline: u64) -> c_int {
        let value = libc::itimerspec {
            // No interval: one shot.
            // SAFETY: timespec is plain data, valid when zero.
            it_interval: unsafe { zeroed() },
            it_value: libc::timespec {
                tv_sec: (deadline / 1_000_000_000) as libc::time_t,
                tv_nsec: (deadline % 1_000_000_000) as libc::c_long,
            },
        };
        // SAFETY: `value` is valid for the call; for the handle see above.
        unsafe { timer_settime(self.0, flags, &value, null_mut()) }
    }
}

/// How other threads reach a dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    handshake: Arc<Handshake>,
    timer: Timer,
    process: libc::pid_t,
    thread: libc::pid_t,
    /// Counts the thread's CPU time.
    cpu_clock: libc::clockid_t,
}

impl Caller {
    /// The dispatcher's thread, as the kernel numbers it.
    pub(crate) fn thread(&self) -> i32 {
        self.thread
    }

    /// CPU time that the thread has received so far, looked at from anywhere; `None` once it has ended.
    pub(crate) fn cpu(&self) -> Option<Nanos> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is valid for the call; the clock of a thread that has ended gives an error.
        match unsafe { libc::clock_gettime(self.cpu_clock, &mut time) } {
            0 => Some(Nanos(
                time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
            )),
            _ => None,
        }
    }

    /// Makes the dispatcher leave its VP and decide anew.
    pub(crate) fn call(&self) {
        self.handshake.request();
        self.signal();
    }

    /// Makes the dispatcher's VP leave KVM_RUN for a moment, to take what was left for it.
    pub(super) fn nudge(&self) {
        self.handshake.nudge();
        self.signal();
    }

    fn signal(&self) {
        // SAFETY: tgkill touches no memory; a thread that has ended gives ESRCH,
        // and then there is nobody left to call.
        let sent =
            unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, SIGRTMIN()) };
        if sent != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN) {
            // As many signals wait as the user may have (RLIMIT_SIGPENDING). The timer's has had its place since the
            // timer was created. The deadline that this replaces is armed again at K2, where it is still wanted.
            self.timer.set(0, 1);
        }
    }
}

/// A dispatcher's own end: its timer and its handshake. Stays on the thread that made it.
#[derive(Debug)]
pub(crate) struct Kicker {
    handshake: Arc<Handshake>,
    timer: Timer,
    entry: EntryTime,
}

impl Kicker {
    /// For the calling thread, on which a VP is entered in `entry`.
    pub(crate) fn new(entry: EntryTime) -> io::Result<(Kicker, Caller)> {
        let handshake = Arc::new(Handshake::new());
        // SAFETY: neither has preconditions.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        // SAFETY: sigevent is plain data, valid when zero.
        let mut event: libc::sigevent = unsafe { zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = SIGRTMIN();
        event.sigev_notify_thread_id = thread;
        let mut timer: libc::timer_t = null_mut();
        // SAFETY: both pointers are valid for the call.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut cpu_clock = 0;
        // SAFETY: a thread's own handle is valid as long as it runs; the pointer is valid for the call.
        match unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut cpu_clock) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        CURRENT.set(Arc::as_ptr(&handshake));
        let timer = Timer(timer);
        let caller = Caller {
            handshake: handshake.clone(),
            timer,
            process,
            thread,
            cpu_clock,
        };
        let kicker = Kicker {
            handshake,
            timer,
            entry,
        };
        Ok((kicker, caller))
    }

    /// What it takes to enter a VP and to leave it.
    pub(crate) fn entry(&self) -> EntryTime {
        self.entry
    }

    /// The state shared with callers and the handler.
    pub(crate) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// K2: one signal at `deadline` (CLOCK_MONOTONIC), at once where it has passed. Replaces the last one.
    pub(crate) fn arm(&self, deadline: u64) {
        let done = self.timer.set(TIMER_ABSTIME, deadline);
        // EINVAL for a bad timer or bad nanoseconds, neither of which can be here.
        assert_eq!(done, 0, "timer_settime: {}", io::Error::last_os_error());
    }
}

impl Drop for Kicker {
    fn drop(&mut self) {
        CURRENT.set(null());
        // SAFETY: created in `new`, deleted nowhere else.
        unsafe { libc::timer_delete(self.timer.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Resource, Rlimit, setrlimit};
    use std::env;
    use std::process::Command;
    use std::sync::atomic::AtomicU8;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    /// Set for a process that may have no signals waiting.
    const FULL: &str = "APPORTION_TEST_SIGNALS_FULL";

    /// Does nothing unless the test below starts it: the limit is the whole process's.
    #[test]
    fn calls_where_no_signal_can_wait() {
        if env::var(FULL).is_err() {
            return;
        }
        install_handler().unwrap();
        let (sender, receiver) = mpsc::channel();
        let called = thread::spawn(move || {
            let byte = AtomicU8::new(0);
            let (kicker, caller) = Kicker::new(EntryTime::default()).unwrap();
            kicker
                .handshake()
                .publish((&raw const byte).cast_mut(), u64::MAX);
            sender.send(caller).unwrap();
            let began = Instant::now();
            while byte.load(SeqCst) == 0 && began.elapsed() < Duration::from_secs(10) {
                std::hint::spin_loop();
            }
            kicker.handshake().retract();
            byte.load(SeqCst)
        });
        let caller = receiver.recv().unwrap();
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Sigpending, none).unwrap();
        // SAFETY: tgkill touches no memory.
        let sent =
            unsafe { libc::syscall(libc::SYS_tgkill, caller.process, caller.thread, SIGRTMIN()) };
        let refused = io::Error::last_os_error().raw_os_error();
        assert_eq!((sent, refused), (-1, Some(libc::EAGAIN)));
        caller.call();
        assert_eq!(called.join().unwrap(), 1, "the call was lost");
    }

    #[test]
    fn a_call_arrives_where_as_many_signals_wait_as_may() {
        let output = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "kvm::kick::tests::calls_where_no_signal_can_wait",
            ])
            .env(FULL, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
