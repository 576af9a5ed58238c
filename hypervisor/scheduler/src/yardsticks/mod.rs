//! Policies to hold the fair one against. None of them knows reserves; caps are kept by the scheduler under all of them.

mod credit2;
mod lottery;
mod round_robin;
mod stride;
mod weights;

pub(crate) use credit2::Credit2;
pub(crate) use lottery::Lottery;
pub(crate) use round_robin::RoundRobin;
pub(crate) use stride::Stride;

#[cfg(test)]
mod tests {
    use crate::machine::{Config, Machine};
    use crate::policy::PolicyKind;
    use crate::units::{Nanos, VpId};

    #[test]
    fn only_credit2_has_an_urgency() {
        for kind in [
            PolicyKind::RoundRobin,
            PolicyKind::Stride,
            PolicyKind::Lottery,
        ] {
            let config = Config::new(1, Nanos::from_millis(1), kind);
            let policy = kind.build(&config);
            let urgency = policy.urgency(Nanos::ZERO, VpId(0), &Machine::new(config));
            assert_eq!(urgency, None, "{kind}");
        }
    }
}
