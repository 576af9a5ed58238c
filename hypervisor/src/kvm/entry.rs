//! What it takes to enter a guest and to leave it, measured on this host before guests run.
//!
//! Hosts differ: some microseconds where the processor virtualises, 30 to 110 us under PVM. A dispatch that is planned
//! for less would be over before its VP is in its guest, and be picked again for what it still wants, for ever.

use super::kick::Kicker;
use super::vcpu::{Left, StepError, Vcpu};
use crate::clock::Clock;
use apportion_scheduler::Nanos;

/// A guest's first stay fills page tables and caches: it takes this long and counts for nothing.
const WARM_UP: Nanos = Nanos::from_millis(2);
/// The first plan that is tried.
const SHORTEST: Nanos = Nanos(1_000);
/// No plan above this is tried: a host that was disturbed makes no VP stay for longer.
const LONGEST: Nanos = Nanos::from_micros(250);
/// Stays per plan. Half of them may be disturbed.
const STAYS: usize = 9;

/// CPU time of a dispatcher's thread around a guest, in ns, as it was measured on this host: some microseconds where the
/// processor virtualises, 30 to 110 us together under PVM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryTime {
    /// From arming the timer until the guest works.
    pub enter: Nanos,
    /// From the deadline until the dispatcher is back.
    pub leave: Nanos,
}

impl EntryTime {
    /// No stay is planned for less, counted from before its timer is armed: twice what entering and leaving take, so
    /// that the VP works for about as long as that. On a busy host entering takes longer than it was measured, up to twice
    /// as long: of stays of one entry time half would count no work there.
    #[must_use]
    pub fn least_stay(self) -> Nanos {
        let both = self.enter + self.leave;
        both + both
    }
}

/// Measures with a VP that counts work all the time, and with a kicker whose own entry time is zero: plans longer and
/// longer stays until the VP works in most of them. That plan is what entering takes; what they took beyond it, in the
/// median, is what leaving takes.
pub(super) fn measure(
    vcpu: &mut Vcpu,
    kicker: &Kicker,
    clock: Clock,
) -> Result<EntryTime, StepError> {
    let mut stay = |plan: Nanos| {
        let before = vcpu.work();
        let stay = vcpu.run(kicker, clock.now() + plan);
        match stay.left {
            Left::Kicked => Ok((vcpu.work() != before, stay.times.ran())),
            left => Err(("run it", format!("it did not work: {left:?}").into())),
        }
    };
    stay(WARM_UP)?;
    let mut plan = SHORTEST;
    loop {
        let mut works = 0;
        let mut took = [Nanos::ZERO; STAYS];
        for took in &mut took {
            let (worked, ran) = stay(plan)?;
            works += usize::from(worked);
            *took = ran;
        }
        let longer = Nanos(plan.0 * 3 / 2);
        if works > STAYS / 2 || longer > LONGEST {
            took.sort_unstable();
            let leave = took[STAYS / 2].since(plan).min(LONGEST);
            return Ok(EntryTime { enter: plan, leave });
        }
        plan = longer;
    }
}
