//! The kick protocol under loom: every interleaving of dispatcher, timer, callers and signal delivery.
//!
//! The very file that the engine uses is compiled here against loom's atomics.
//! What the kernel does is modelled: a signal runs the handler between two
//! steps of the dispatcher's thread, or interrupts its KVM_RUN; KVM_RUN looks
//! at `immediate_exit` when it is entered. The lock below is that thread: who
//! holds it, the dispatcher or the handler, runs on it. (A signal between the
//! two stores of publishing or of retracting finds the null pointer and does
//! nothing, so these count as one step.) A kick that gets lost leaves the
//! dispatcher in KVM_RUN for ever: loom reports the deadlock.

mod sync {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering};
}
#[path = "../src/kvm/handshake.rs"]
mod handshake;

use handshake::Handshake;
use loom::model::Builder;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;
use sync::{AtomicU8, Ordering::SeqCst};

/// When the first and the second dispatch are to end, in ns.
const FIRST: u64 = 10_000;
const SECOND: u64 = 20_000;
/// For a dispatch that only a call can end.
const NEVER: u64 = u64::MAX;

/// What the kernel knows of the dispatcher's thread.
#[derive(Default)]
struct Thread {
    now: u64,
    in_kvm_run: bool,
    interrupted: bool,
    /// The VP has been in its guest.
    entered: bool,
}

struct Machine {
    thread: Mutex<Thread>,
    interrupt: Condvar,
    entry: Condvar,
    handshake: Handshake,
    immediate_exit: AtomicU8,
    /// Interrupts that others have left for the VP.
    mailbox: AtomicU8,
    /// What the handler does to `immediate_exit`; a broken handler leaves it alone.
    handler_marks: bool,
}

impl Machine {
    fn new(handler_marks: bool) -> Arc<Machine> {
        Arc::new(Machine {
            thread: Mutex::new(Thread::default()),
            interrupt: Condvar::new(),
            entry: Condvar::new(),
            handshake: Handshake::new(),
            immediate_exit: AtomicU8::new(0),
            mailbox: AtomicU8::new(0),
            handler_marks,
        })
    }

    /// A signal reaches the dispatcher's thread, at `now` or later.
    fn signal(&self, now: u64) {
        let mut thread = self.thread.lock().unwrap();
        thread.now = thread.now.max(now);
        if thread.in_kvm_run {
            thread.interrupted = true;
            self.interrupt.notify_one();
        }
        self.handshake.on_signal(thread.now, |_| {
            if self.handler_marks {
                self.immediate_exit.store(1, SeqCst);
            }
        });
    }

    fn call(&self) {
        self.handshake.request();
        self.signal(0);
    }

    fn post(&self) {
        self.mailbox.store(1, SeqCst);
        self.handshake.nudge();
        self.signal(0);
    }

    /// K2: what was left for the VP, if it was nudged. A signal may come between the steps.
    fn take_mail(&self) -> u8 {
        let thread = self.thread.lock().unwrap();
        let nudged = self.handshake.take_nudge();
        drop(thread);
        if !nudged {
            return 0;
        }
        let thread = self.thread.lock().unwrap();
        self.immediate_exit.store(0, SeqCst);
        drop(thread);
        self.mailbox.swap(0, SeqCst)
    }

    /// KVM_RUN: back at once or with the next signal; whether the VP was entered.
    fn kvm_run(&self) -> bool {
        let mut thread = self.thread.lock().unwrap();
        if self.immediate_exit.load(SeqCst) != 0 {
            return false;
        }
        thread.in_kvm_run = true;
        thread.entered = true;
        self.entry.notify_one();
        while !thread.interrupted {
            thread = self.interrupt.wait(thread).unwrap();
        }
        thread.in_kvm_run = false;
        thread.interrupted = false;
        true
    }

    fn due(&self) -> bool {
        let thread = self.thread.lock().unwrap();
        self.handshake.due(thread.now)
    }

    fn requested(&self) -> bool {
        let _thread = self.thread.lock().unwrap();
        self.handshake.requested()
    }

    /// The deadline came before the VP was entered. A signal may come between the two steps.
    fn postpone(&self, deadline: u64) {
        let thread = self.thread.lock().unwrap();
        self.handshake.postpone(deadline);
        drop(thread);
        let _thread = self.thread.lock().unwrap();
        self.immediate_exit.store(0, SeqCst);
    }

    fn publish(&self, deadline: u64) {
        let _thread = self.thread.lock().unwrap();
        let immediate_exit = (&raw const self.immediate_exit).cast_mut();
        self.handshake.publish(immediate_exit, deadline);
    }

    fn retract(&self) {
        let _thread = self.thread.lock().unwrap();
        self.handshake.retract();
        self.immediate_exit.store(0, SeqCst);
    }
}

/// K2: the timer, from now on.
fn arm(machine: &Arc<Machine>, deadline: u64) {
    if deadline != NEVER {
        let machine = machine.clone();
        thread::spawn(move || machine.signal(deadline));
    }
}

/// K2 to K6; whether the VP was entered. Where the deadline comes before that, `postponed` is the next one; without one the
/// dispatcher has tried for long enough, and leaves.
fn stay(machine: &Arc<Machine>, deadline: u64, mut postponed: Option<u64>) -> bool {
    arm(machine, deadline);
    let mut entered = false;
    while !machine.requested() {
        entered |= machine.kvm_run();
        if machine.requested() {
            break;
        }
        if machine.due() {
            match postponed.take() {
                Some(later) if !entered => {
                    machine.postpone(later);
                    arm(machine, later);
                }
                _ => break,
            }
        }
    }
    entered
}

/// One dispatch, as the engine does it; whether the VP was entered, and whether a request ended up being taken.
fn dispatch(machine: &Arc<Machine>, deadline: u64, postponed: Option<u64>) -> (bool, bool) {
    machine.publish(deadline); // K1
    let entered = stay(machine, deadline, postponed);
    machine.retract(); // K7
    (entered, machine.handshake.take_request()) // K8
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    // Every schedule with up to three forced switches: enough for each pair of
    // timing points to be torn apart, and minutes less than all of them.
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_call_at_any_moment_ends_the_dispatch() {
    explore(|| {
        let machine = Machine::new(true);
        let caller = machine.clone();
        thread::spawn(move || caller.call());
        let (_, called) = dispatch(&machine, NEVER, None);
        assert!(called);
    });
}

#[test]
fn the_timer_ends_the_dispatch_however_soon_it_fires() {
    for postponed in [None, Some(SECOND)] {
        explore(move || {
            let machine = Machine::new(true);
            let (_, called) = dispatch(&machine, FIRST, postponed);
            assert!(!called);
            assert_eq!(machine.immediate_exit.load(SeqCst), 0);
        });
    }
}

#[test]
fn a_deadline_that_comes_before_the_entry_does_not_keep_the_vp_out() {
    explore(|| {
        let machine = Machine::new(true);
        let caller = machine.clone();
        // Ends the dispatch once its VP has been entered, and not before.
        thread::spawn(move || {
            let mut thread = caller.thread.lock().unwrap();
            while !thread.entered {
                thread = caller.entry.wait(thread).unwrap();
            }
            drop(thread);
            caller.call();
        });
        let (entered, _) = dispatch(&machine, FIRST, Some(NEVER));
        assert!(entered);
    });
}

#[test]
fn a_call_while_the_deadline_is_postponed_is_not_lost() {
    explore(|| {
        let machine = Machine::new(true);
        let caller = machine.clone();
        thread::spawn(move || caller.call());
        let (entered, called) = dispatch(&machine, FIRST, Some(NEVER));
        assert!(entered || called);
    });
}

#[test]
fn a_late_signal_of_one_dispatch_does_not_cut_the_next_one_short() {
    explore(|| {
        let machine = Machine::new(true);
        let caller = machine.clone();
        thread::spawn(move || caller.call());
        dispatch(&machine, FIRST, None);
        let (_, called) = dispatch(&machine, SECOND, None);
        let now = machine.thread.lock().unwrap().now;
        assert!(called || now >= SECOND, "left at {now}, for no reason");
    });
}

/// One dispatch in the middle of which the LP does what it owes to another VP; whether a request ended up being taken.
fn dispatch_with_a_timer(machine: &Arc<Machine>, timer: u64) -> bool {
    machine.publish(timer);
    stay(machine, timer, None);
    machine.retract();
    if machine.handshake.requested() {
        return machine.handshake.take_request();
    }
    let (_, called) = dispatch(machine, NEVER, None);
    called
}

#[test]
fn a_call_while_the_lp_leaves_its_vp_for_a_moment_is_not_lost() {
    explore(|| {
        let machine = Machine::new(true);
        let caller = machine.clone();
        thread::spawn(move || caller.call());
        assert!(dispatch_with_a_timer(&machine, FIRST));
    });
}

#[test]
fn an_interrupt_at_any_moment_reaches_its_vp_in_the_same_dispatch() {
    explore(|| {
        let machine = Machine::new(true);
        let poster = machine.clone();
        thread::spawn(move || poster.post());
        machine.publish(NEVER);
        while machine.take_mail() == 0 {
            assert!(!machine.requested());
            machine.kvm_run();
        }
    });
}

#[test]
fn a_call_while_an_interrupt_is_taken_is_not_lost() {
    explore(|| {
        let machine = Machine::new(true);
        let (poster, caller) = (machine.clone(), machine.clone());
        thread::spawn(move || poster.post());
        thread::spawn(move || caller.call());
        machine.publish(NEVER);
        loop {
            machine.take_mail();
            if machine.requested() {
                break;
            }
            machine.kvm_run();
        }
        machine.retract();
        assert!(machine.handshake.take_request());
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn looking_for_a_request_before_publishing_would_lose_kicks() {
    explore(|| {
        let machine = Machine::new(true);
        let caller = machine.clone();
        thread::spawn(move || caller.call());
        if !machine.requested() {
            machine.publish(NEVER);
            machine.kvm_run();
        }
    });
}

#[test]
#[should_panic(expected = "never entered")]
fn looking_at_the_deadline_before_entering_would_keep_vps_out() {
    explore(|| {
        let machine = Machine::new(true);
        machine.publish(FIRST);
        arm(&machine, FIRST);
        let entered = !machine.due() && machine.kvm_run();
        assert!(entered, "never entered");
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_handler_that_leaves_immediate_exit_alone_would_lose_kicks() {
    explore(|| {
        let machine = Machine::new(false);
        let caller = machine.clone();
        thread::spawn(move || caller.call());
        dispatch(&machine, NEVER, None);
    });
}
