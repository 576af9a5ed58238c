//! How soon VPs that wake once in a period have the CPU then, and whether the outer host disturbed that.

use apportion_hypervisor::dispatch_log::{Dispatch, Reason};
use apportion_hypervisor::{Payload, RunSpec};
use apportion_scheduler::{GuestId, Nanos, VpId};

/// A slice's planned end, and so much later nobody but the outer host holds it up.
const LATE: Nanos = Nanos::from_millis(1);

/// One awakening.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wake {
    pub(crate) guest: GuestId,
    /// When its sleep was to end.
    pub(crate) due: Nanos,
    /// When it had received its burst or a whole slice; at the end of measuring, if it had not.
    pub(crate) served: Nanos,
    /// Its reserve then, as a part of one LP.
    pub(crate) reserve: f64,
    /// Still waiting when measuring ended.
    pub(crate) waiting: bool,
    /// Whether the outer host visibly took time from an LP meanwhile.
    pub(crate) disturbed: bool,
}

impl Wake {
    pub(crate) fn latency(&self) -> Nanos {
        self.served.since(self.due)
    }
}

/// A wake that is not over.
#[derive(Clone, Copy, Debug)]
struct Pending {
    due: Nanos,
    received: Nanos,
    reserve: f64,
}

/// What a VP with this payload wants each time that it wakes, if it wakes once in a period.
pub(crate) fn periodic_burst(payload: Payload) -> Option<Nanos> {
    match payload {
        Payload::Periodic { run, .. } | Payload::Probe { run, .. } => Some(Nanos(run.0)),
        _ => None,
    }
}

/// Follows every VP that has a [`periodic_burst`].
#[derive(Debug)]
pub(super) struct Wakes {
    slice: Nanos,
    /// By VP: the burst it wants in a period, and whose it is. Empty where none does.
    bursts: Vec<Option<(Nanos, GuestId)>>,
    pending: Vec<Option<Pending>>,
    over: Vec<Wake>,
    /// When the outer host took time from some LP.
    disturbed: Vec<(Nanos, Nanos)>,
}

impl Wakes {
    pub(super) fn new(spec: &RunSpec, owners: &[(GuestId, u32)]) -> Wakes {
        let burst = |&(guest, _): &(GuestId, u32)| {
            let burst = periodic_burst(spec.guests[guest.index()].payload)?;
            Some((burst, guest))
        };
        let mut bursts: Vec<_> = owners.iter().map(burst).collect();
        if bursts.iter().all(Option::is_none) {
            bursts.clear();
        }
        Wakes {
            slice: spec.slice,
            bursts,
            pending: vec![None; owners.len()],
            over: Vec::new(),
            disturbed: Vec::new(),
        }
    }

    pub(super) fn woke(&mut self, vp: VpId, due: Nanos, reserve: f64) {
        if self.bursts.get(vp.index()).is_some_and(Option::is_some) {
            self.pending[vp.index()] = Some(Pending {
                due,
                received: Nanos::ZERO,
                reserve,
            });
        }
    }

    /// VPs are gone: they wait no more.
    pub(super) fn gone(&mut self, vps: &[VpId]) {
        for vp in vps {
            self.pending[vp.index()] = None;
        }
    }

    pub(super) fn dispatched(&mut self, dispatch: &Dispatch) {
        if self.bursts.is_empty() {
            return;
        }
        let length = dispatch.end.since(dispatch.start);
        let taken = length.since(dispatch.ran) > Nanos(self.slice.0 / 2);
        if taken || length > self.slice + LATE {
            self.disturbed.push((dispatch.start, dispatch.end));
        }
        let vp = dispatch.vp.index();
        let (Some((burst, guest)), Some(pending)) = (self.bursts[vp], &mut self.pending[vp]) else {
            return;
        };
        pending.received += dispatch.ran;
        // A slice is one of wall time: its CPU time may lie a little below it.
        let used_up = matches!(dispatch.reason, Reason::Slice | Reason::Capped);
        let done = dispatch.reason == Reason::Idle;
        if done || used_up || pending.received >= burst.min(self.slice) {
            let Pending { due, reserve, .. } = *pending;
            self.pending[vp] = None;
            self.over.push(Wake {
                guest,
                due,
                served: dispatch.end,
                reserve,
                waiting: false,
                disturbed: false,
            });
        }
    }

    /// The wakes from `from` to `until`, in order.
    pub(super) fn close(mut self, from: Nanos, until: Nanos) -> Vec<Wake> {
        let still = self.pending.iter().zip(&self.bursts);
        let waiting = still.filter_map(|(pending, burst)| {
            let (Pending { due, reserve, .. }, (_, guest)) = ((*pending)?, (*burst)?);
            Some(Wake {
                guest,
                due,
                served: until,
                reserve,
                waiting: true,
                disturbed: false,
            })
        });
        self.over.extend(waiting);
        for wake in &mut self.over {
            if wake.served > until {
                (wake.served, wake.waiting) = (until, true);
            }
        }
        self.over
            .retain(|wake| wake.due >= from && wake.due < until);
        self.over.sort_by_key(|wake| wake.due);

        // With the spans in order of their beginnings, and for each the latest
        // end up to it, one look tells whether a wake meets any.
        self.disturbed.sort_unstable();
        let mut latest = Nanos::ZERO;
        for (_, end) in &mut self.disturbed {
            latest = latest.max(*end);
            *end = latest;
        }
        for wake in &mut self.over {
            let begun = self
                .disturbed
                .partition_point(|(start, _)| *start < wake.served);
            let before = begun.checked_sub(1).map(|last| self.disturbed[last].1);
            wake.disturbed = before.is_some_and(|end| end > wake.due);
        }
        self.over
    }
}
