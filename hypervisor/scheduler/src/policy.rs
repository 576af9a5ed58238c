//! What distinguishes one policy from another, and the policies there are.

use crate::fair::Fair;
use crate::machine::{Config, Machine};
use crate::units::{LpId, Nanos, VpId};
use crate::yardsticks::{Credit2, Lottery, RoundRobin, Stride};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How a VP stops wanting to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It sleeps, and comes back with what it is owed.
    Sleeps,
    /// It is stopped: what it is owed goes to the others.
    Stops,
}

/// The decisions that a policy takes.
///
/// The [`crate::Scheduler`] keeps the states and calls these in order of time,
/// each with the machine as it is after what the call tells. A VP's life:
/// `join`, then `ready`, `run` and `charge` again and again, with `unready`
/// in the place of `run` where it stops waiting in another way, then `leave`.
pub trait Policy: fmt::Debug + Send {
    /// `vps` want to run from `now` on.
    fn join(&mut self, now: Nanos, vps: &[VpId], machine: &Machine);

    /// `vps`, which were not there before, want to run from `now` on.
    fn start(&mut self, now: Nanos, vps: &[VpId], machine: &Machine) {
        self.join(now, vps, machine);
    }

    /// `vp`, which does not run and is not Ready, wants to run no more.
    fn leave(&mut self, now: Nanos, vp: VpId, how: Leave, machine: &Machine);

    /// `vp` waits for an LP.
    fn ready(&mut self, now: Nanos, vp: VpId, machine: &Machine);

    /// `vp` waits no more, and was not picked.
    fn unready(&mut self, now: Nanos, vp: VpId, machine: &Machine);

    /// Controls, affinity, or which LPs are on line has changed.
    fn changed(&mut self, now: Nanos, machine: &Machine);

    /// The one of the Ready VPs that may run on `lp` which should run there
    /// next; `None` only where there is none but such as [`Policy::moves`] sent
    /// to another LP that has been called for them.
    fn choose(&mut self, now: Nanos, lp: LpId, machine: &Machine) -> Option<VpId>;

    /// `vp`, which was Ready, runs on `lp` from `now` on, chosen or not.
    fn run(&mut self, _now: Nanos, _vp: VpId, _lp: LpId, _machine: &Machine) {}

    /// `vp` has left its LP, after `ran` of CPU time.
    fn charge(&mut self, now: Nanos, vp: VpId, ran: Nanos, machine: &Machine);

    /// Where `vp`, which was just charged and wants to run on, had better be at
    /// home from now on. That LP is called, and decides anew.
    fn moves(&mut self, _vp: VpId, _machine: &Machine) -> Option<LpId> {
        None
    }

    /// `span` of `lp`'s time up to `now` reached neither a guest nor idle.
    fn lost(&mut self, now: Nanos, lp: LpId, span: Nanos);

    /// The part of its time that `lp` is expected to lose, by what it lost lately;
    /// 0 under a policy that does not look at losses.
    fn expected_loss(&self, _lp: LpId) -> f64 {
        0.0
    }

    /// `vp`, just charged, has been spinning on a lock for long; its siblings may hold it.
    fn spun(&mut self, now: Nanos, vp: VpId, machine: &Machine);

    /// CPU time in ns that `vp` is owed (positive) or ahead by (negative), its
    /// dispatch in progress included; `None` under a policy that keeps no such account.
    fn lag(&self, _now: Nanos, _vp: VpId, _machine: &Machine) -> Option<i64> {
        None
    }

    /// By how much, in ns of CPU time, a VP that wants to run outranks others;
    /// `None` under a policy that does not preempt.
    fn urgency(&self, _now: Nanos, _vp: VpId, _machine: &Machine) -> Option<i64> {
        None
    }

    /// Whether `vp`, which looks for an LP, takes that of `running`: where
    /// nothing else is said, if it outranks that by more than a slice.
    fn preempts(&self, now: Nanos, vp: VpId, running: VpId, machine: &Machine) -> bool {
        let (own, other) = (
            self.urgency(now, vp, machine),
            self.urgency(now, running, machine),
        );
        let margin = i64::try_from(machine.config().slice.0).unwrap_or(i64::MAX);
        own.zip(other)
            .is_some_and(|(own, other)| own.saturating_sub(other) > margin)
    }

    /// How long until `vp`, which is Ready and preempts nobody, may do so; `None` where it waits for
    /// dispatches to end.
    fn preempts_in(&self, _now: Nanos, _vp: VpId, _machine: &Machine) -> Option<Nanos> {
        None
    }

    /// Whether `lp` had better wait for a VP to come over from another LP, so
    /// that `waiting`, which may not run on `lp`, can run there, than run
    /// `direct`, its own choice.
    fn prefers_move(
        &self,
        _now: Nanos,
        _lp: LpId,
        _waiting: VpId,
        _direct: VpId,
        _machine: &Machine,
    ) -> bool {
        false
    }
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PolicyKind {
    /// Shares by weight, reserve and cap: rates from one solve, EEVDF on these rates.
    #[default]
    Fair,
    /// One slice each in turn, per VP; ignores weights.
    RoundRobin,
    /// Waldspurger's stride scheduling, one queue for all LPs.
    Stride,
    /// Waldspurger's lottery: each pick drawn by weight.
    Lottery,
    /// Credits burnt in proportion to 1/weight, reset when they run out, as in Xen's credit2.
    Credit2,
}

impl PolicyKind {
    /// Every policy.
    pub const ALL: [PolicyKind; 5] = [
        PolicyKind::Fair,
        PolicyKind::RoundRobin,
        PolicyKind::Stride,
        PolicyKind::Lottery,
        PolicyKind::Credit2,
    ];

    /// Its name in experiments, options and files.
    pub const fn name(self) -> &'static str {
        match self {
            PolicyKind::Fair => "fair",
            PolicyKind::RoundRobin => "round-robin",
            PolicyKind::Stride => "stride",
            PolicyKind::Lottery => "lottery",
            PolicyKind::Credit2 => "credit2",
        }
    }

    pub(crate) fn build(self, config: &Config) -> Box<dyn Policy> {
        match self {
            PolicyKind::Fair => Box::new(Fair::new(config)),
            PolicyKind::RoundRobin => Box::new(RoundRobin::default()),
            PolicyKind::Stride => Box::new(Stride::default()),
            PolicyKind::Lottery => Box::new(Lottery::new(config)),
            PolicyKind::Credit2 => Box::new(Credit2::new(config)),
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No policy has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown policy `{0}`: use fair, round-robin, stride, lottery or credit2")]
pub struct UnknownPolicy(pub String);

impl FromStr for PolicyKind {
    type Err = UnknownPolicy;
    fn from_str(name: &str) -> Result<PolicyKind, UnknownPolicy> {
        PolicyKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}
