//! What a dispatcher may still ask the kernel for once it is set up: a seccomp filter per thread. Guests are
//! untrusted; one that broke out of KVM into a dispatcher should find nothing to call.
//!
//! A call that [`allowed`] does not list is refused with EPERM and noted, by a handler of SIGSYS (SECCOMP_RET_TRAP);
//! what was noted ends the run with [`crate::EngineError::Forbidden`]. EPERM from the kernel itself would be seen by
//! nobody. Killing the process would lose what is in the recording's buffers, and the manifest that says how the
//! run ended; killing the thread would leave the scheduler locked for ever. (Only a 32-bit call kills the process:
//! no code of ours makes one.)
//!
//! The filter is no wall between threads: dispatchers and the root share their memory, and the root is not filtered.
//! A panic with RUST_BACKTRACE shows its message and place but no frames, whose names lie in files.
#![expect(
    unsafe_code,
    reason = "a signal handler that answers a system call; a signal mask; an option of the allocator"
)]

use super::interrupts::KVM_INTERRUPT;
use crate::clock::monotonic;
use apportion_scheduler::LpId;
use kvm_bindings::{KVMIO, kvm_regs, kvm_sregs};
use libc::{c_int, c_long, c_ulong, c_void, siginfo_t, ucontext_t};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};
use std::cell::Cell;
use std::io;
use std::process::{self, abort};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};
use vmm_sys_util::{ioctl_io_nr, ioctl_ior_nr};

ioctl_io_nr!(KVM_RUN, KVMIO, 0x80);
ioctl_ior_nr!(KVM_GET_REGS, KVMIO, 0x81, kvm_regs);
ioctl_ior_nr!(KVM_GET_SREGS, KVMIO, 0x83, kvm_sregs);

/// `si_code` of a SIGSYS that a filter caused; libc lacks it.
const SYS_SECCOMP: c_int = 1;

/// What must hold for an argument, by its number. Only the lower 32 bits are looked at: no more matter to the kernel
/// where a condition stands below.
#[derive(Clone, Copy)]
enum Arg {
    /// It is this.
    Is(u8, c_int),
    /// It has all of these bits.
    With(u8, c_int),
    /// It has none of these bits.
    Without(u8, c_int),
}
use Arg::{Is, With, Without};

impl Arg {
    fn condition(self) -> Result<SeccompCondition, BackendError> {
        let bits = |value: c_int| u64::from(value as u32);
        let (number, operator, value) = match self {
            Is(number, value) => (number, SeccompCmpOp::Eq, bits(value)),
            With(number, mask) => (number, SeccompCmpOp::MaskedEq(bits(mask)), bits(mask)),
            Without(number, mask) => (number, SeccompCmpOp::MaskedEq(bits(mask)), 0),
        };
        SeccompCondition::new(number, SeccompCmpArgLen::Dword, operator, value)
    }
}

/// A call, and what must hold for its arguments: all of one list. Without lists it always passes, which costs the
/// least: the kernel remembers that and does not ask the filter.
type Allowed<'a> = (c_long, &'a [&'a [Arg]]);

/// Every call that a dispatcher may make, and what for.
fn allowed<T>(then: impl FnOnce(&[Allowed<'_>]) -> T) -> T {
    let request = |number: c_ulong| Is(1, number as c_int);
    let private = |operation: c_int| Is(1, operation | libc::FUTEX_PRIVATE_FLAG);
    let here = Is(0, process::id() as c_int);
    then(&[
        // K4; giving a VP an interrupt; a crash report's registers. Nothing else of KVM: no memory lent to a guest,
        // no register or CPUID set, no VP and no VM made.
        (
            libc::SYS_ioctl,
            &[
                &[request(KVM_RUN())],
                &[request(KVM_INTERRUPT())],
                &[request(KVM_GET_REGS())],
                &[request(KVM_GET_SREGS())],
            ],
        ),
        // K2.
        (libc::SYS_timer_settime, &[]),
        // The dispatcher's end: its timer goes with it.
        (libc::SYS_timer_delete, &[]),
        // CPU time of the thread; other clocks where the vDSO cannot read them.
        (libc::SYS_clock_gettime, &[]),
        // Back from the kick's handler, and from the one below.
        (libc::SYS_rt_sigreturn, &[]),
        // Calling another dispatcher away; and abort(), where there is nothing else left. Within this process.
        (
            libc::SYS_tgkill,
            &[&[here, Is(2, SIGRTMIN())], &[here, Is(2, libc::SIGABRT)]],
        ),
        // Mutexes, sleeping LPs, the channel to the root, the allocator's locks. None of the operations that requeue
        // or inherit priorities, which have had holes.
        (
            libc::SYS_futex,
            &[
                &[private(libc::FUTEX_WAIT)],
                &[private(libc::FUTEX_WAIT_BITSET)],
                &[private(libc::FUTEX_WAKE)],
            ],
        ),
        // A sleep that goes on after the process was stopped and continued.
        (libc::SYS_restart_syscall, &[]),
        // The channel to the root, where two use it at once.
        (libc::SYS_sched_yield, &[]),
        // The allocator, for crash reports, guests' lines, decisions, tables of the scheduler that grow: memory that
        // is no file and never executable.
        (
            libc::SYS_mmap,
            &[&[Without(2, libc::PROT_EXEC), With(3, libc::MAP_ANONYMOUS)]],
        ),
        (libc::SYS_mprotect, &[&[Without(2, libc::PROT_EXEC)]]),
        (libc::SYS_mremap, &[]),
        (libc::SYS_munmap, &[]),
        // What the root allocated and a dispatcher frees may lie at the end of the heap, which shrinks then.
        (libc::SYS_brk, &[]),
        // The allocator, and the thread's end: pages that are no longer needed.
        (libc::SYS_madvise, &[&[Is(2, libc::MADV_DONTNEED)]]),
        // A panic's message, to stderr: without it nobody would know where it was.
        (libc::SYS_write, &[&[Is(0, libc::STDERR_FILENO)]]),
        // abort() and a panic's message say who they are.
        (libc::SYS_getpid, &[]),
        (libc::SYS_gettid, &[]),
        // The thread's end: no more signals (who blocks SIGSYS is killed by the next call that is refused), no stack
        // for handlers any more, and out.
        (libc::SYS_rt_sigprocmask, &[]),
        (libc::SYS_sigaltstack, &[]),
        (libc::SYS_exit, &[]),
    ])
}

/// [`allowed`] as the kernel reads it.
fn program() -> Result<BpfProgram, BackendError> {
    let rule = |all: &&[Arg]| {
        let conditions = all.iter().map(|arg| arg.condition());
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    };
    let rules = allowed(|calls| {
        let line = |&(call, any): &Allowed<'_>| {
            let rules = any.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
            Ok((call, rules))
        };
        calls.iter().map(line).collect::<Result<_, BackendError>>()
    })?;
    SeccompFilter::new(
        rules,
        SeccompAction::Trap,
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?
    .try_into()
}

/// The first call of a run that was refused.
#[derive(Debug)]
pub(super) struct Refusal(AtomicU64);

impl Refusal {
    const NONE: u64 = u64::MAX;

    /// Eight bytes that are never freed: a dispatcher may be refused a call until its
    /// very last instruction, when the rest of its run may be gone.
    pub(super) fn none_yet() -> &'static Refusal {
        Box::leak(Box::new(Refusal(AtomicU64::new(Refusal::NONE))))
    }

    /// Safe in a signal handler. Of a made-up number only the lower half is kept.
    fn note(&self, lp: LpId, call: i64) {
        let entry = u64::from(lp.0) << 32 | u64::from(call as u32);
        // The first stays.
        let _ = self
            .0
            .compare_exchange(Refusal::NONE, entry, SeqCst, SeqCst);
    }

    /// On which LP, and the number of the call.
    pub(super) fn get(&self) -> Option<(LpId, u32)> {
        let entry = self.0.load(SeqCst);
        (entry != Refusal::NONE).then_some((LpId((entry >> 32) as u32), entry as u32))
    }
}

thread_local! {
    /// Set once this thread is restricted. Const-initialised and without a
    /// destructor, so that a signal handler may read it at any time.
    static CURRENT: Cell<Option<(&'static Refusal, LpId)>> = const { Cell::new(None) };
}

extern "C" fn on_refused(_: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands both to a handler with SA_SIGINFO; they are its own until it returns.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<ucontext_t>()) };
    // The number of the call before, its result after.
    let rax = &mut context.uc_mcontext.gregs[libc::REG_RAX as usize];
    match CURRENT.get() {
        // Only a fault leads there: the standard library's handler gives SIGSEGV back to the kernel, to end the
        // process. Refused, it would return to the same fault for ever.
        Some(_) if *rax == libc::SYS_rt_sigaction => abort(),
        // Libc does not expect to be back: refused, the thread would hang, or call it for ever. It is no way to end with
        // an exit code of its own choice either.
        Some(_) if *rax == libc::SYS_exit_group => abort(),
        Some((refusal, lp)) if info.si_code == SYS_SECCOMP => {
            refusal.note(lp, *rax);
            *rax = -i64::from(libc::EPERM);
        }
        // No filter of ours, or none at all: what SIGSYS does by itself.
        _ => abort(),
    }
}

/// Prepares the process for [`restrict`], once is enough.
pub(super) fn prepare() -> io::Result<()> {
    keep_heaps();
    register_signal_handler(libc::SIGSYS, on_refused)
        .map_err(|e| io::Error::from_raw_os_error(e.errno()))
}

/// Lets no heap of a thread shrink: the first time that one does, glibc reads
/// in a file how memory is overcommitted, which may be on a dispatcher.
#[cfg(target_env = "gnu")]
fn keep_heaps() {
    // SAFETY: sets a number of the allocator. What may go wrong is that it stays as it is.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, c_int::MAX) };
}

#[cfg(not(target_env = "gnu"))]
fn keep_heaps() {}

/// Signals that a dispatcher's thread takes: the kick, what the handler above answers, and its own faults.
fn own_signals() -> [c_int; 8] {
    use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    [
        SIGRTMIN(),
        SIGSYS,
        SIGABRT,
        SIGSEGV,
        SIGBUS,
        SIGILL,
        SIGFPE,
        SIGTRAP,
    ]
}

/// Leaves signals that are sent to the process, Ctrl-C say, to other threads: their handlers make calls that are
/// refused here, to write to a pipe or to exit.
fn block_others() -> io::Result<()> {
    // SAFETY: the set is plain data, valid when zero, and on this thread's stack; the numbers are valid.
    let error = unsafe {
        let mut others: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut others);
        for signal in own_signals() {
            libc::sigdelset(&mut others, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &others, std::ptr::null_mut())
    };
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// From here on, and for ever, the calling thread may make no call but those [`allowed`]; `refusal` tells if it tried.
/// Also, it gains no privileges any more (no_new_privs), and takes no signals that are the process's.
pub(super) fn restrict(refusal: &'static Refusal, lp: LpId) -> io::Result<()> {
    block_others()?;
    // The first reading of a clock looks for the vDSO, in a file on some kernels: it has to be before this.
    monotonic();
    let program = program().map_err(io::Error::other)?;
    CURRENT.set(Some((refusal, lp)));
    apply_filter(&program).map_err(|error| {
        io::Error::other(format!(
            "{error}; guests are not run without that: use a kernel with CONFIG_SECCOMP_FILTER, \
             or a container that lets its processes install filters"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kvm::entry::EntryTime;
    use crate::kvm::kick::{self, Caller, Kicker};
    use rustix::process::{Resource, Rlimit, setrlimit};
    use std::arch::asm;
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};
    use std::ptr::null;
    use std::sync::{Condvar, Mutex, mpsc};
    use std::thread;
    use std::time::Duration;

    /// Set for a process that is to come to a bad end.
    const END: &str = "APPORTION_TEST_END";

    /// What `act` gives on a dispatcher's thread once that is restricted, and which call was refused.
    fn restricted<T: Send>(
        act: impl FnOnce(&Kicker, &Caller) -> T + Send,
    ) -> (thread::Result<T>, Option<u32>) {
        kick::install_handler().unwrap();
        prepare().unwrap();
        let refusal = Refusal::none_yet();
        let result = thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let (kicker, caller) = Kicker::new(EntryTime::default()).unwrap();
                restrict(refusal, LpId(7)).unwrap();
                act(&kicker, &caller)
            });
            thread.join()
        });
        let refused = refusal.get();
        assert!(refused.is_none_or(|(lp, _)| lp == LpId(7)));
        (result, refused.map(|(_, call)| call))
    }

    #[test]
    fn whatever_is_not_listed_is_refused_and_the_first_is_noted() {
        const KVM_CREATE_VM: c_long = 0xae01;
        let own = c_long::from(process::id());
        let signal = c_long::from(SIGRTMIN());
        let code = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
        let anonymous = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // Each would fail otherwise than with EPERM, or do no harm, if it passed.
        let calls: [(c_long, [c_long; 4]); 18] = [
            (libc::SYS_openat, [-1, 0, 0, 0]),
            (libc::SYS_open, [0; 4]),
            (libc::SYS_socket, [-1, 0, 0, 0]),
            (libc::SYS_connect, [-1, 0, 0, 0]),
            (libc::SYS_execve, [0; 4]),
            (libc::SYS_execveat, [-1, 0, 0, 0]),
            (libc::SYS_clone, [-1, 0, 0, 0]),
            (libc::SYS_ptrace, [-1, 0, 0, 0]),
            (libc::SYS_process_vm_writev, [-1, 0, 0, 0]),
            (libc::SYS_io_uring_setup, [0; 4]),
            (libc::SYS_read, [-1, 0, 0, 0]),
            (libc::SYS_write, [1, 0, 0, 0]),
            (libc::SYS_ioctl, [-1, KVM_CREATE_VM, 0, 0]),
            (libc::SYS_tgkill, [own, own, 0, 0]),
            (libc::SYS_tgkill, [i32::MAX.into(), 1, signal, 0]),
            (libc::SYS_mmap, [0, 4096, code, anonymous]),
            (libc::SYS_mprotect, [0, 0, code, 0]),
            (
                libc::SYS_futex,
                [0, libc::FUTEX_CMP_REQUEUE_PI.into(), 0, 0],
            ),
        ];
        let (errors, refused) = restricted(|_, _| {
            calls.map(|(call, [a, b, c, d])| {
                // SAFETY: none of them touches memory, refused or not.
                match unsafe { libc::syscall(call, a, b, c, d, 0, 0) } {
                    -1 => io::Error::last_os_error().raw_os_error(),
                    _ => None,
                }
            })
        });
        for ((call, arguments), error) in calls.iter().zip(errors.unwrap()) {
            assert_eq!(error, Some(libc::EPERM), "{call} {arguments:?}");
        }
        assert_eq!(refused, Some(libc::SYS_openat as u32));
    }

    #[test]
    fn what_a_dispatcher_needs_passes() {
        let (sender, receiver) = mpsc::channel();
        let (result, refused) = restricted(|kicker, caller| {
            kicker.arm(monotonic() + 1_000_000);
            caller.call();
            let grows: Vec<u64> = (0..300_000).filter(|it| it % 3 > 0).collect();
            let reports: Vec<String> = grows.iter().map(|it| format!("{it:#x}")).collect();
            // Too small to be mapped each: the heap grows by them, and shrinks again.
            drop((0..50).map(|_| vec![1_u8; 100_000]).collect::<Vec<_>>());
            sender.send(reports).unwrap();
            let held = Mutex::new(());
            let nap = Duration::from_millis(5);
            let slept = Condvar::new().wait_timeout(held.lock().unwrap(), nap);
            assert!(slept.is_ok());
            thread::yield_now();
            crate::clock::thread_cpu()
        });
        assert!(result.is_ok());
        assert_eq!(receiver.recv().unwrap().len(), 200_000);
        assert_eq!(refused, None);
    }

    /// What a handler of somebody else's may do.
    extern "C" fn writes(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
        // SAFETY: nothing is written.
        unsafe { libc::write(-1, null(), 0) };
    }

    #[test]
    fn a_signal_of_the_process_is_not_taken_by_a_dispatcher() {
        register_signal_handler(libc::SIGUSR2, writes).unwrap();
        let (tell_thread, thread_told) = mpsc::channel();
        let (tell_sent, sent_told) = mpsc::channel();
        let sender = thread::spawn(move || {
            let thread: c_int = thread_told.recv().unwrap();
            // SAFETY: tgkill touches no memory. The thread waits for the answer below.
            let sent =
                unsafe { libc::syscall(libc::SYS_tgkill, process::id(), thread, libc::SIGUSR2) };
            tell_sent.send(sent).unwrap();
        });
        let (sent, refused) = restricted(move |_, caller| {
            tell_thread.send(caller.thread()).unwrap();
            sent_told.recv().unwrap()
        });
        sender.join().unwrap();
        assert_eq!(sent.unwrap(), 0);
        assert_eq!(
            refused, None,
            "its handler ran here, and was refused a call"
        );
    }

    #[test]
    fn where_no_filter_can_be_installed_the_error_says_what_to_do() {
        // A restricted thread cannot be restricted once more.
        let (error, refused) = restricted(|_, _| restrict(Refusal::none_yet(), LpId(7)));
        let error = error.unwrap().unwrap_err().to_string();
        assert!(error.contains("CONFIG_SECCOMP_FILTER"), "{error}");
        // The second one takes the notes.
        assert_eq!(refused, None);
    }

    /// Another process that ends like this.
    fn process(end: &str) -> (Output, String) {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", "kvm::seccomp::tests::ends", "--nocapture"])
            .env(END, end)
            .env_remove("RUST_BACKTRACE")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    /// Does nothing unless [`process`] starts it.
    #[test]
    fn ends() {
        let Ok(end) = env::var(END) else { return };
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        setrlimit(Resource::Core, none).unwrap();
        let (result, refused) = restricted(|_, _| match &*end {
            "panic" => panic!("the reason"),
            "abort" => abort(),
            "exit" => process::exit(3),
            // SAFETY: it ends the process.
            "fault" => unsafe { asm!("mov al, byte ptr [8]", out("al") _) },
            "blocked" => {
                // SAFETY: the set is plain data, valid when zero; execve of nothing touches no memory.
                unsafe {
                    let mut all: libc::sigset_t = std::mem::zeroed();
                    libc::sigfillset(&mut all);
                    libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut());
                    libc::syscall(libc::SYS_execve, null::<u8>(), 0, 0);
                }
            }
            end => unreachable!("{end}"),
        });
        assert!(result.is_err());
        assert_eq!(refused, None);
    }

    #[test]
    fn a_panic_is_reported_with_its_place() {
        let (output, said) = process("panic");
        assert!(output.status.success(), "{said}");
        assert!(
            said.contains("seccomp.rs:") && said.contains("the reason"),
            "{said}"
        );
    }

    #[test]
    fn a_fault_or_an_abort_ends_the_process_and_nobody_gets_round_the_handler() {
        let ends = [
            ("abort", libc::SIGABRT),
            ("exit", libc::SIGABRT),
            ("fault", libc::SIGABRT),
            ("blocked", libc::SIGSYS),
        ];
        for (end, signal) in ends {
            let (output, said) = process(end);
            assert_eq!(output.status.signal(), Some(signal), "{end}: {said}");
        }
    }
}
