//! VPs bound to some of the LPs: what they are due, what they lose, and what that is to others.

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod common;

use apportion_scheduler::{
    Cap, Controls, GuestId, LpId, LpSet, Nanos, NewGuest, Reserve, Scheduler, VpId, Weight,
};
use common::{
    Driver, Guest, LATE, SECOND, Then, burn, burning, capped, fair, repeat, slices, started, vps,
    weight,
};

#[test]
fn those_bound_to_an_lp_share_what_it_has_lost_and_what_others_leave() {
    let mut scheduler = Scheduler::new(fair(2, 1));
    for (number, weight) in [1, 1, 1, 1, 1, 2, 1].into_iter().enumerate() {
        let lps = match number {
            0..3 => 0..1,
            3..6 => 1..2,
            // Never starts, and is no link between the others.
            _ => 0..2,
        };
        let new = NewGuest {
            name: format!("g{number}"),
            vps: 1,
            controls: common::weight(weight),
            affinity: Some(lps.map(LpId).collect()),
        };
        scheduler.add_guest(Nanos::ZERO, &new).unwrap();
    }
    let vps = [0, 1, 2, 3, 4, 5].map(VpId);
    scheduler.start(Nanos::ZERO, &vps);
    let now = Nanos::from_micros(1_200);
    // In whole microseconds, rounded.
    let lags = |scheduler: &Scheduler| {
        vps.map(|vp| (scheduler.lag(now, vp).unwrap() + 500).div_euclid(1_000))
    };
    assert_eq!(lags(&scheduler), [400, 400, 400, 300, 300, 600]);
    // Half of LP 1's time.
    scheduler.lost(now, LpId(1), Nanos::from_micros(600));
    assert_eq!(lags(&scheduler), [400, 400, 400, 150, 150, 300]);
    // The only one of its weight: what it was owed is for those left at LP 1.
    scheduler.stop(now, VpId(5));
    assert_eq!(lags(&scheduler), [400, 400, 400, 300, 300, 0]);
    // One of three alike. Those left at either LP are equals now, but do not compete.
    scheduler.stop(now, VpId(0));
    assert_eq!(lags(&scheduler), [0, 600, 600, 300, 300, 0]);
    scheduler.lost(now, LpId(1), Nanos::from_micros(600));
    assert_eq!(lags(&scheduler), [0, 600, 600, 0, 0, 0]);
}

#[test]
fn who_is_free_shares_with_those_bound_to_an_lp_what_they_leave() {
    // Three VPs on LP 0, and two that have LP 1 for themselves wherever they are at home.
    let mut scheduler = started(fair(2, 1), &[3, 2]);
    let bind = |scheduler: &mut Scheduler, now, lp: Option<LpId>| {
        let set = lp.map(|lp| [lp].into_iter().collect());
        scheduler.set_affinity(now, GuestId(0), set).unwrap();
    };
    let now = Nanos::from_micros(1_200);
    let lags = |scheduler: &Scheduler| {
        let lag = |vp| (scheduler.lag(now, VpId(vp)).unwrap() + 500).div_euclid(1_000);
        [0, 1, 2, 3, 4].map(lag)
    };
    bind(&mut scheduler, Nanos::ZERO, Some(LpId(0)));
    assert_eq!(lags(&scheduler), [400, 400, 400, 600, 600]);
    let home = |vp| scheduler.machine().vp(vp).home;
    let [there, other] = match home(VpId(3)) == LpId(0) {
        true => [3, 4],
        false => [4, 3],
    };
    assert_eq!(home(VpId(there)), LpId(0));
    // What one of the two leaves at LP 0 is for the other.
    scheduler.stop(now, VpId(there));
    let mut expected = [400, 400, 400, 0, 0];
    expected[other as usize] = 1_200;
    assert_eq!(lags(&scheduler), expected);
    // Once nobody is bound all bear what LP 1 loses: four at half an LP each.
    bind(&mut scheduler, now, None);
    scheduler.lost(now, LpId(1), Nanos::from_micros(400));
    assert_eq!(lags(&scheduler)[..3], [300, 300, 300]);
}

#[test]
fn those_bound_to_one_lp_run_as_if_there_were_no_other() {
    let micros = Nanos::from_micros;
    let run = |lps: u32, bound: bool, overshoot: Nanos| {
        let reserve = Reserve::from_percent(20.0).unwrap();
        let reserved = Controls::new(Weight::default(), reserve, Cap::default()).unwrap();
        let on_off = |run, pause| repeat(micros(run), Then::SleepFor(micros(pause)));
        let mut guests = vec![
            Guest::new(capped(25.0), [burn(), on_off(30_000, 10_000)]),
            Guest::new(reserved, [on_off(300, 2_700)]),
            Guest::new(weight(70), [on_off(25_000, 9_000), on_off(7_000, 40_000)]),
        ];
        for guest in &mut guests {
            guest.affinity = bound.then(|| [LpId(0)].into_iter().collect());
        }
        let mut driver = Driver::new(fair(lps, 1), overshoot, guests);
        driver.run_until(Nanos(10 * SECOND.0));
        driver.trace
    };
    // And if dispatches last so long that a cap cannot be caught up with.
    for overshoot in [Nanos::ZERO, Nanos::from_millis(20)] {
        let alone = run(1, false, overshoot);
        assert!(alone.len() > 500, "{} dispatches", alone.len());
        assert!(alone == run(2, true, overshoot), "{overshoot:?} late");
    }
}

#[test]
fn shares_follow_an_affinity_that_changes_while_guests_run() {
    let mut driver = Driver::new(fair(2, 1), LATE, burning(&[100; 3]));
    let lp0: LpSet = [LpId(0)].into_iter().collect();
    // All three share two LPs; then two of them share one; then all share two again.
    let phases = [
        (None, [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]),
        (Some(lp0), [0.5, 0.5, 1.0]),
        (None, [2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]),
    ];
    for (affinity, rates) in phases {
        for guest in [0, 1].map(GuestId) {
            let set = affinity.clone();
            driver
                .scheduler
                .set_affinity(driver.now, guest, set)
                .unwrap();
            driver.obey();
        }
        let before: Vec<u64> = vps(&driver).map(|vp| driver.received(vp)).collect();
        driver.run_until(driver.now + SECOND);
        for (vp, rate) in vps(&driver).zip(rates) {
            let received = driver.received(vp) - before[vp.index()];
            let lag = rate * SECOND.0 as f64 - received as f64;
            // A slice in progress at either end, and a slice kept.
            assert!(lag.abs() <= slices(3), "{vp:?}, {affinity:?}: {lag} ns");
        }
    }
}

#[test]
fn who_is_free_leaves_lps_to_those_that_have_no_others() {
    // 4 pinned VPs share LPs 0 and 1; the others have four LPs more, and more of an LP each.
    for nodes in [1, 2, 3] {
        let mut guests = burning(&[100; 7]);
        guests.extend((0..4).map(|_| {
            let mut guest = Guest::new(weight(300), [burn()]);
            guest.affinity = Some([0, 1].map(LpId).into_iter().collect());
            guest
        }));
        let mut driver = Driver::new(fair(6, nodes), LATE, guests);
        driver.run_until(Nanos(5 * SECOND.0));
        let pinned = |vp: VpId| vp.0 >= 7;
        let homes: Vec<LpId> = vps(&driver)
            .map(|vp| driver.scheduler.machine().vp(vp).home)
            .collect();
        for ran in driver.trace.iter().filter(|ran| ran.began > SECOND) {
            assert_eq!(pinned(ran.vp), ran.lp.0 < 2, "{nodes} nodes: {ran:?}");
            // Nor does anybody pinned move any more.
            assert!(
                !pinned(ran.vp) || ran.lp == homes[ran.vp.index()],
                "{ran:?}"
            );
        }
    }
}
