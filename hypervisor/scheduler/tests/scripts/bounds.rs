//! The bounds that are claimed, and how near random machines come to them.

use super::driver::{OVERSHOOT, SLICE};
use super::machines::{Habits, machines};
use super::{cases, check};
use apportion_scheduler::Nanos;
use std::cell::Cell;

/// The furthest behind and ahead, in slices, on machines of so many LPs.
fn extremes(lps: u32, habits: Habits, cases: u32) -> (f64, f64) {
    let (behind, ahead) = (Cell::new(0), Cell::new(0));
    check(cases, machines(lps, habits), |machine| {
        let mut driver = machine.start();
        driver.run_for(Nanos::from_millis(100))?;
        behind.set(behind.get().max(driver.checks.most_behind));
        ahead.set(ahead.get().min(driver.checks.most_ahead));
        Ok(())
    });
    let slices = |lag: i64| lag as f64 / SLICE.0 as f64;
    (slices(behind.get()), slices(ahead.get()))
}

#[test]
fn lag_stays_within_its_bounds() {
    println!("LPs  guests                       behind   ahead  (slices; j = {OVERSHOOT})");
    for lps in [1, 2, 4, 64] {
        for blocking in [false, true] {
            for limited in [false, true] {
                let habits = Habits { blocking, limited };
                let cases = if lps == 64 {
                    cases(50).div_ceil(20)
                } else {
                    cases(50)
                };
                let (behind, ahead) = extremes(lps, habits, cases);
                let name = format!(
                    "{}{}",
                    if blocking { "blocking" } else { "burning" },
                    if limited { ", reserves and caps" } else { "" }
                );
                println!("{lps:3}  {name:28} {behind:6.2}  {ahead:6.2}");
            }
        }
    }
}
