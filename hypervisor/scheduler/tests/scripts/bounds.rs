//! How far lags go on random machines, measured. What is asserted is what
//! holds, with a margin; what is claimed elsewhere is tighter.

use super::driver::{OVERSHOOT, SLICE};
use super::machines::{Habits, machines};
use super::{cases, check};
use apportion_scheduler::Nanos;
use std::cell::Cell;

/// The furthest that a VP may be behind and ahead, in ns.
pub(crate) fn limits(lps: u32, habits: Habits) -> (i64, i64) {
    let (slice, overshoot) = (SLICE.0 as i64, OVERSHOOT.0 as i64);
    let each = slice + overshoot;
    match (lps, habits.blocking) {
        // Without overshoots −q < lag < q (Stoica & Abdel-Wahab 1995). The
        // overshoots of several dispatches can meet.
        (1, false) if !habits.limited => (slice + 4 * overshoot, -slice - 2 * overshoot),
        // Who has a cap spends what it saved: up to a bucket.
        (1, false) => (2 * each, -3 * each),
        // A VP due all of an LP, or nearly all, that has lost a turn catches up
        // slowly or not at all, and loses another meanwhile to one that is
        // further behind, or due sooner. It keeps what it is owed. Where there are
        // hardly more VPs than LPs some run ahead for want of others.
        (_, false) => (4 * each, -4 * each),
        // Who slept behind comes back behind; while others sleep the rest runs ahead.
        (1, true) => (3 * each, -5 * each),
        (_, true) => (10 * each, -10 * each),
    }
}

/// The furthest behind and ahead, in slices, on machines of so many LPs.
fn extremes(lps: u32, habits: Habits, cases: u32) -> (f64, f64) {
    let (behind, ahead) = (Cell::new(0), Cell::new(0));
    let (most, least) = limits(lps, habits);
    check(cases, machines(lps, habits), |machine| {
        let mut driver = machine.start();
        driver.run_for(Nanos::from_millis(100))?;
        let found = (driver.checks.most_behind, driver.checks.most_ahead);
        behind.set(behind.get().max(found.0));
        ahead.set(ahead.get().min(found.1));
        match found.0 <= most && found.1 >= least {
            true => Ok(()),
            false => Err(format!("lag from {} to {} ns", found.1, found.0)),
        }
    });
    let slices = |lag: i64| lag as f64 / SLICE.0 as f64;
    (slices(behind.get()), slices(ahead.get()))
}

#[test]
fn lag_stays_within_its_bounds() {
    // 16 kinds of machine: the same number of them as of scripts in other tests.
    let each = cases(640).div_ceil(16);
    println!("LPs  guests                       behind   ahead  (slices; j = {OVERSHOOT})");
    for lps in [1, 2, 4, 64] {
        for (name, blocking, limited) in [
            ("burning", false, false),
            ("burning, reserves and caps", false, true),
            ("blocking", true, false),
            ("blocking, reserves and caps", true, true),
        ] {
            let habits = Habits { blocking, limited };
            // As many VPs as on 40 small ones.
            let cases = if lps == 64 { each.div_ceil(40) } else { each };
            let (behind, ahead) = extremes(lps, habits, cases);
            println!("{lps:3}  {name:28} {behind:6.2}  {ahead:6.2}");
        }
    }
}
