//! The fair policy on machines whose answer is known.

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod common;

use apportion_scheduler::{Cap, LpId, Nanos, NewGuest, Scheduler, VpId, VpState};
use common::{
    Driver, Guest, LATE, SECOND, Then, burn, burning, capped, fair, repeat, slices, vps, weight,
};

#[test]
fn one_that_is_due_a_whole_lp_has_it_on_another_node_than_the_rest() {
    let time = Nanos(10 * SECOND.0);
    for weights in [[6, 1, 1, 1], [1, 6, 1, 1], [1, 1, 6, 1], [1, 1, 1, 6]] {
        let mut driver = Driver::new(fair(2, 2), LATE, burning(&weights));
        driver.run_until(time);
        for vp in vps(&driver) {
            // 6 of 9 parts of two LPs are more than one: it has one, and the rest the other.
            let due = match weights[vp.index()] {
                6 => time.0 as f64,
                _ => time.0 as f64 / 3.0,
            };
            // Another node takes over who is more than 4 slices behind, when it next decides:
            // a slice later, and one more for what it decides then. Once it has its LP for
            // itself nothing is lost any more: the bound does not grow with the time.
            // What three are behind the fourth is ahead.
            let lag = due - driver.received(vp) as f64;
            assert!(
                (-3.0 * slices(6)..=slices(6)).contains(&lag),
                "{weights:?}, {vp:?}: {lag} ns"
            );
        }
        // Nobody moves any more.
        let home = |vp| driver.scheduler.machine().vp(vp).home;
        let heavy = weights.iter().position(|weight| *weight == 6).unwrap();
        let heavy = VpId(heavy as u32);
        let rest = vps(&driver).filter(|vp| *vp != heavy);
        assert!(rest.into_iter().all(|vp| home(vp) != home(heavy)));
    }
}

#[test]
fn nobody_drifts_beside_a_cap_and_a_vp_that_comes_and_goes() {
    for cap in [5.0, 30.0, 68.0, 95.0] {
        for (run, pause) in [(300, 700), (2_000, 3_000), (7_000, 1_000), (900, 30_000)] {
            let pause = Then::SleepFor(Nanos::from_micros(pause));
            let guests = vec![
                Guest::new(capped(cap), [burn()]),
                Guest::new(weight(100), [repeat(Nanos::from_micros(run), pause)]),
            ];
            let mut driver = Driver::new(fair(1, 1), LATE, guests);
            for moment in 1..=10_000 {
                driver.run_until(Nanos::from_millis(moment));
                // Of a sleeper's debt nobody notices that it is paid before the next call.
                let asleep = |vp: &VpId| {
                    let state = driver.scheduler.machine().vp(*vp).state;
                    matches!(state, VpState::Sleeping { .. })
                };
                for vp in vps(&driver).filter(|vp| !asleep(vp)) {
                    let lag = driver.scheduler.lag(driver.now, vp).unwrap() as f64;
                    // Behind by a slice in progress, and by one that the other was owed when it
                    // woke. Ahead by the bucket's two slices and one in progress.
                    assert!(
                        (-slices(3)..=slices(2)).contains(&lag),
                        "cap {cap} %, {run} us and {pause:?}, {vp:?} at {moment} ms: {lag} ns"
                    );
                }
            }
        }
    }
}

#[test]
fn who_has_no_cap_has_an_lp_to_itself_while_there_are_enough() {
    // 4·0.68 + 3·1 = 5.72 of 6 LPs: the four take turns on three, which have room for 3.
    let time = Nanos(10 * SECOND.0);
    for capped_first in [false, true] {
        let free = || burning(&[100; 3]);
        let mut guests = if capped_first { vec![] } else { free() };
        guests.extend((0..4).map(|_| Guest::new(capped(68.0), [burn()])));
        guests.extend(if capped_first { free() } else { vec![] });
        let mut driver = Driver::new(fair(6, 1), LATE, guests);
        driver.run_until(time);
        for vp in vps(&driver) {
            let cap = driver.scheduler.machine().guest_of(vp).controls.cap;
            let more = driver.received(vp) as f64 - cap.percent() / 100.0 * time.0 as f64;
            // A turn missed at first is lost. What a cap allows beyond its rate is a bucket, and
            // what it can lack a slice in progress and one that fills the bucket.
            let (least, most) = match cap == Cap::default() {
                true => (-slices(1), 0.0),
                false => (-slices(2), slices(2) + LATE.0 as f64),
            };
            assert!((least..=most).contains(&more), "{vp:?}: {more} ns too much");
        }
    }
}

#[test]
fn what_rounding_keeps_back_is_paid_out() {
    // Rates are rounded down: with these weights that is 20 ms in a day.
    let day = Nanos(86_400 * SECOND.0);
    let guests = [(9_999, 40), (7_777, 30), (1, 30)];
    let lags = |looks: u64| -> Vec<i64> {
        let mut scheduler = Scheduler::new(fair(1, 1));
        for (weight, vps) in guests {
            let new = NewGuest {
                name: format!("of {weight}"),
                vps,
                controls: common::weight(weight),
                affinity: None,
            };
            scheduler.add_guest(Nanos::ZERO, &new).unwrap();
        }
        let vps: Vec<VpId> = (0..100).map(VpId).collect();
        scheduler.start(Nanos::ZERO, &vps);
        for look in 1..=looks {
            scheduler.lost(Nanos(day.0 / looks * look), LpId(0), Nanos::ZERO);
        }
        let lag = |vp| scheduler.lag(day, vp).unwrap();
        vps.into_iter().map(lag).collect()
    };
    let once = lags(1);
    for looks in [1, 10, 10_000] {
        let lags = lags(looks);
        // All of the LP's time is promised to somebody, but for what is paid out next: less than
        // a microsecond. Each lag is shown in whole ns, rounded down.
        let missing = day.0.cast_signed() - lags.iter().sum::<i64>();
        assert!((0..1_100).contains(&missing), "{looks}: {missing} ns");
        // It makes no difference how often somebody looks.
        let same = |(lag, once): (&i64, &i64)| lag.abs_diff(*once) <= 1;
        assert!(lags.iter().zip(&once).all(same), "{looks}: {lags:?}");
    }
}
