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

/// How other threads reach a dispatcher.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    handshake: Arc<Handshake>,
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
        // SAFETY: tgkill touches no memory; a thread that has ended gives ESRCH,
        // and then there is nobody left to call.
        unsafe {
            libc::syscall(libc::SYS_tgkill, self.process, self.thread, SIGRTMIN());
        }
    }
}

/// A dispatcher's own end: its timer and its handshake. Stays on the thread that made it.
#[derive(Debug)]
pub(crate) struct Kicker {
    handshake: Arc<Handshake>,
    timer: libc::timer_t,
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
        let caller = Caller {
            handshake: handshake.clone(),
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
        let value = libc::itimerspec {
            // No interval: one shot.
            // SAFETY: timespec is plain data, valid when zero.
            it_interval: unsafe { zeroed() },
            it_value: libc::timespec {
                tv_sec: (deadline / 1_000_000_000) as libc::time_t,
                tv_nsec: (deadline % 1_000_000_000) as libc::c_long,
            },
        };
        // SAFETY: the timer is ours, `value` is valid for the call.
        let done = unsafe { timer_settime(self.timer, TIMER_ABSTIME, &value, null_mut()) };
        // EINVAL for a bad timer or bad nanoseconds, neither of which can be here.
        assert_eq!(done, 0, "timer_settime: {}", io::Error::last_os_error());
    }
}

impl Drop for Kicker {
    fn drop(&mut self) {
        CURRENT.set(null());
        // SAFETY: created in `new`, deleted nowhere else.
        unsafe { libc::timer_delete(self.timer) };
    }
}
