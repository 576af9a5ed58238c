//! What distinguishes one policy from another, and the policies there are.

use crate::fair::Fair;
use crate::round_robin::RoundRobin;
use crate::units::{LpId, Nanos, VpId};
use crate::vps::VpTable;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The decisions that a policy takes. The [`crate::Scheduler`] keeps the states and calls these in order of time.
pub trait Policy: fmt::Debug + Send {
    /// The set of runnable VPs has changed; `vps` is how it is now.
    fn changed(&mut self, now: Nanos, vps: &VpTable);

    /// Chooses one of the Ready VPs for `lp`, `None` where there is none. What it chooses runs from `now`.
    fn pick(&mut self, now: Nanos, lp: LpId, vps: &VpTable) -> Option<VpId>;

    /// `vp` has left its LP, after `ran` of CPU time.
    fn charge(&mut self, now: Nanos, vp: VpId, ran: Nanos);

    /// `span` of `lp`'s time reached neither a guest nor idle.
    fn lost(&mut self, now: Nanos, lp: LpId, span: Nanos);

    /// CPU time in ns that `vp` is owed (positive) or ahead by (negative), its
    /// dispatch in progress included; `None` under a policy that keeps no such account.
    fn lag(&self, now: Nanos, vp: VpId) -> Option<i64>;
}

/// The policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PolicyKind {
    /// Shares by weight: rates from one solve, EEVDF on these rates.
    #[default]
    Fair,
    /// One slice each in turn, per VP; ignores weights.
    RoundRobin,
}

impl PolicyKind {
    /// Every policy.
    pub const ALL: [PolicyKind; 2] = [PolicyKind::Fair, PolicyKind::RoundRobin];

    /// Its name in experiments, options and files.
    pub const fn name(self) -> &'static str {
        match self {
            PolicyKind::Fair => "fair",
            PolicyKind::RoundRobin => "round-robin",
        }
    }

    pub(crate) fn build(self, lps: u32, slice: Nanos) -> Box<dyn Policy> {
        match self {
            PolicyKind::Fair => Box::new(Fair::new(lps, slice)),
            PolicyKind::RoundRobin => Box::new(RoundRobin::default()),
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
#[error("unknown policy `{0}`: use fair or round-robin")]
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
