//! Where LPs with nothing to run sleep, and how they are woken.
//!
//! An LP decides to sleep under the scheduler's lock and is marked asleep
//! before it lets go of it; whoever makes a VP Ready holds the same lock and
//! sees the mark. So no wake-up falls between. This file uses nothing but
//! `super::sync`, so that tests/wake_model.rs can compile the very same text
//! against loom's.

use super::sync::{Condvar, MutexGuard};
use std::sync::PoisonError;
use std::time::Duration;

/// Kept under the scheduler's lock: by LP, asleep or not.
#[derive(Debug)]
pub(super) struct Asleep(Vec<bool>);

impl Asleep {
    /// All awake.
    pub(super) fn new(lps: usize) -> Asleep {
        Asleep(vec![false; lps])
    }
}

/// By LP, where it sleeps.
#[derive(Debug)]
pub(super) struct Beds(Vec<Condvar>);

impl Beds {
    /// One per LP.
    pub(super) fn new(lps: usize) -> Beds {
        Beds((0..lps).map(|_| Condvar::new()).collect())
    }

    /// Sleeps with the lock released, until woken or for `nap`.
    pub(super) fn sleep<'a, Core>(
        &self,
        mut core: MutexGuard<'a, Core>,
        lp: usize,
        nap: Duration,
        asleep: fn(&mut Core) -> &mut Asleep,
    ) -> MutexGuard<'a, Core> {
        asleep(&mut core).0[lp] = true;
        let (mut core, _) = self.0[lp]
            .wait_timeout(core, nap)
            .unwrap_or_else(PoisonError::into_inner);
        asleep(&mut core).0[lp] = false;
        core
    }

    /// Wakes an LP that is asleep; whether it was.
    pub(super) fn wake(&self, asleep: &Asleep, lp: usize) -> bool {
        if asleep.0[lp] {
            self.0[lp].notify_one();
        }
        asleep.0[lp]
    }

    /// Wakes all, asleep or about to look.
    pub(super) fn wake_all(&self) {
        self.0.iter().for_each(Condvar::notify_one);
    }
}
