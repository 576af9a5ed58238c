//! The part of the kick protocol that runs on several threads: who may end a dispatch, and how no such wish gets lost.
//!
//! The numbered timing points are those of ARCHITECTURE.md, "The kick
//! protocol". This file uses nothing but the atomics of `super::sync`, so that
//! tests/kick_model.rs can compile the very same text against loom's and try
//! every interleaving.

use super::sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering::SeqCst};
use std::ptr::null_mut;

/// The clock of the signal handler may be read a trifle before the timer's
/// own: a signal this close to the deadline counts as the deadline's, in ns.
const CLOCK_SLACK: u64 = 1_000;

/// One per dispatcher: written by it, by its signal handler, and by whoever calls it away.
#[derive(Debug)]
pub(super) struct Handshake {
    /// `immediate_exit` of the kvm_run about to be entered or running, null outside.
    entering: AtomicPtr<AtomicU8>,
    /// When the dispatch is to end, on the signal handler's clock.
    deadline: AtomicU64,
    /// Somebody wants the dispatcher to decide anew.
    request: AtomicBool,
    /// Somebody has left something for the VP: it is to leave KVM_RUN for a moment.
    nudge: AtomicBool,
}

impl Handshake {
    /// Outside of any run.
    pub(super) fn new() -> Handshake {
        Handshake {
            entering: AtomicPtr::new(null_mut()),
            deadline: AtomicU64::new(u64::MAX),
            request: AtomicBool::new(false),
            nudge: AtomicBool::new(false),
        }
    }

    /// K1, by the dispatcher: from here on a signal reaches this run.
    /// `immediate_exit` must stay valid until [`Handshake::retract`].
    pub(super) fn publish(&self, immediate_exit: *mut AtomicU8, deadline: u64) {
        self.deadline.store(deadline, SeqCst);
        self.entering.store(immediate_exit, SeqCst);
    }

    /// By the dispatcher, where the deadline came before the VP was entered: a
    /// later one. `immediate_exit` is to be cleared after that and before K3:
    /// what it was set for is either over or found by K3.
    pub(super) fn postpone(&self, deadline: u64) {
        self.deadline.store(deadline, SeqCst);
    }

    /// K6, by the dispatcher: whether there is a reason to leave. A signal
    /// alone is none: it may be a late one of an earlier dispatch.
    pub(super) fn due(&self, now: u64) -> bool {
        self.request.load(SeqCst) || now.saturating_add(CLOCK_SLACK) >= self.deadline.load(SeqCst)
    }

    /// K3, by the dispatcher: somebody wants it to decide anew.
    pub(super) fn requested(&self) -> bool {
        self.request.load(SeqCst)
    }

    /// K7, by the dispatcher: from here on no signal touches the run.
    pub(super) fn retract(&self) {
        self.entering.store(null_mut(), SeqCst);
    }

    /// K8, by the dispatcher, once it is about to decide anew.
    pub(super) fn take_request(&self) -> bool {
        self.request.swap(false, SeqCst)
    }

    /// From any thread: calls the dispatcher away. A signal to its thread must follow.
    pub(super) fn request(&self) {
        self.request.store(true, SeqCst);
    }

    /// From any thread: has the VP take what was left for it. A signal to its thread must follow.
    pub(super) fn nudge(&self) {
        self.nudge.store(true, SeqCst);
    }

    /// K2, by the dispatcher, once the timer is armed. Where it was nudged,
    /// `immediate_exit` is to be cleared after that and before K3, and then
    /// what was left is to be taken.
    pub(super) fn take_nudge(&self) -> bool {
        // Nearly always there is none, and then it is not written to.
        self.nudge.load(SeqCst) && self.nudge.swap(false, SeqCst)
    }

    /// In the signal handler, on the dispatcher's thread: if there is a reason
    /// to leave KVM_RUN, be it for a moment, KVM_RUN is made to return at once even where it has not been
    /// entered yet.
    ///
    /// `mark` sets the byte behind the published pointer.
    pub(super) fn on_signal(&self, now: u64, mark: impl FnOnce(*mut AtomicU8)) {
        let entering = self.entering.load(SeqCst);
        if !entering.is_null() && (self.due(now) || self.nudge.load(SeqCst)) {
            mark(entering);
        }
    }
}
