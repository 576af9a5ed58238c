//! Random scripts in virtual time: what must hold at every moment, and the lag of every VP.
//!
//! `APPORTION_SCRIPTS` sets how many scripts each test runs.

#[path = "scripts/mod.rs"]
mod scripts;
mod seed;

use apportion_scheduler::{ReserveModel, WeightScope};
use proptest::prelude::*;
use scripts::driver::Driver;
use scripts::fluid::Fluid;
use scripts::script::{Kind, scripts as of_kind, terms};
use scripts::{cases, check, places};
use std::cell::Cell;

#[test]
fn whatever_happens_the_invariants_hold() {
    let kind = Kind {
        affinity: true,
        anything: true,
    };
    let balanced = Cell::new(0);
    check(cases(300), of_kind(kind), |script| {
        let mut driver = Driver::of(script);
        let outcome = driver.run(script);
        balanced.set(balanced.get() + driver.checks.balanced);
        outcome
    });
    println!("Σ lag was compared {} times", balanced.get());
    assert!(balanced.get() > 0);
}

#[test]
fn lag_is_that_of_the_fluid_model() {
    let (scripts, open) = (Cell::new(0), Cell::new(0));
    check(cases(200), of_kind(Kind::default()), |script| {
        let mut driver = Driver::of(script);
        driver.fluid = Some(Fluid::new(&driver.scheduler, driver.now));
        let outcome = driver.run(script);
        scripts.set(scripts.get() + 1);
        open.set(open.get() + u32::from(driver.fluid.is_some_and(|fluid| fluid.gave_in())));
        outcome
    });
    println!(
        "{} of {} scripts met a tie that only rounding decides",
        open.get(),
        scripts.get()
    );
    // Few enough for the rest to mean something.
    assert!(open.get() <= 1 + scripts.get() / 10);
}

#[test]
fn rates_under_affinity_are_those_found_by_brute_force() {
    let guests = prop::collection::vec((1u32..=3, terms(), any::<u8>()), 1..5);
    let how = (
        1u32..=5,
        prop::sample::select(ReserveModel::ALL.to_vec()),
        prop::sample::select(WeightScope::ALL.to_vec()),
    );
    check(
        cases(200),
        (guests, how),
        |(guests, (lps, model, scope))| {
            let few = guests.iter().scan(0, |vps, guest| {
                *vps += guest.0;
                Some(*vps <= 9)
            });
            let few = few.take_while(|few| *few).count();
            let (found, claims) = places::found(*lps, &guests[..few], *model, *scope);
            let expected = places::expected(&claims, *model);
            for (found, expected) in found.iter().zip(&expected) {
                // Two steps of λ at the highest weight, and a ns.
                if (found - expected).abs() > 1e-7 {
                    return Err(format!("{found} is not {expected}, of {claims:?}"));
                }
            }
            Ok(())
        },
    );
}
