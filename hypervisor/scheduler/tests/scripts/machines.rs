//! Machines whose guests stay as they are, to measure bounds on.

use super::driver::{Driver, SLICE};
use super::script::{Terms, terms};
use apportion_scheduler::{Config, Nanos, PolicyKind, ReserveModel};
use proptest::prelude::*;

/// VPs, terms, and how long each runs and then sleeps, in µs.
pub(crate) type Tenant = (u32, Terms, (u32, u32));

#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) lps: u32,
    pub(crate) model: ReserveModel,
    pub(crate) seed: u64,
    pub(crate) tenants: Vec<Tenant>,
}

/// What the guests of a machine are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Some sleep.
    pub(crate) blocking: bool,
    /// Some have reserves and caps.
    pub(crate) limited: bool,
}

pub(crate) fn machines(lps: u32, habits: Habits) -> impl Strategy<Value = Machine> {
    let burst = match habits.blocking {
        true => prop_oneof![1 => Just(0), 2 => 50u32..4_000].boxed(),
        false => Just(0).boxed(),
    };
    let terms = terms().prop_map(move |terms| match habits.limited {
        true => terms,
        false => Terms {
            reserve: 0.0,
            cap: 100.0,
            ..terms
        },
    });
    let tenant = (1u32..=4, terms, (burst, 50u32..6_000));
    // From too few to fill the LPs to four VPs for each.
    let most = if lps < 8 { 4 + 2 * lps } else { lps };
    let tenants = prop::collection::vec(tenant, 1..=most as usize);
    let model = prop::sample::select(ReserveModel::ALL.to_vec());
    (model, any::<u64>(), tenants).prop_map(move |(model, seed, tenants)| Machine {
        lps,
        model,
        seed,
        tenants,
    })
}

impl Machine {
    /// With its guests started, in this order.
    pub(crate) fn start(&self) -> Driver {
        let mut driver = self.empty();
        for (vps, terms, habit) in &self.tenants {
            driver
                .add_guest(*vps, terms.controls(), None, *habit)
                .unwrap();
        }
        driver
    }

    pub(crate) fn empty(&self) -> Driver {
        let mut config = Config::new(self.lps, SLICE, PolicyKind::Fair);
        config.reserve_model = self.model;
        Driver::new(config, Nanos::ZERO, self.seed)
    }
}
