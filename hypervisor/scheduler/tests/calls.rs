//! What calls do to who runs under the fair policy, call by call.

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod common;

use apportion_scheduler::{
    After, Controls, GuestId, LpId, LpSet, Nanos, NewGuest, Scheduler, VpId, VpState, What,
};
use common::{
    Driver, LATE, SECOND, SLICE, burning, calls, capped, fair, picked, slices, started, vps, weight,
};

const EARLIER: Nanos = Nanos::from_micros(300);
const LATER: Nanos = Nanos::from_micros(400);

fn state(scheduler: &Scheduler, vp: VpId) -> VpState {
    scheduler.machine().vp(vp).state
}

#[test]
fn a_vp_that_is_stopped_while_it_runs_is_called_away_and_comes_no_more() {
    let mut scheduler = started(fair(1, 1), &[1, 1]);
    let vp = picked(&mut scheduler, Nanos::ZERO, 0).unwrap();
    scheduler.stop(EARLIER, vp);
    assert_eq!(calls(&mut scheduler), [LpId(0)]);
    scheduler.charge(LATER, LpId(0), LATER, After::Run);
    assert_eq!(state(&scheduler, vp), VpState::Suspended);
    assert_ne!(picked(&mut scheduler, LATER, 0), Some(vp));
    scheduler.charge(SECOND, LpId(0), SLICE, After::Sleep { until: None });
    scheduler.wake(SECOND, vp);
    assert_eq!(picked(&mut scheduler, SECOND, 0), None);
    // Until it is started again.
    scheduler.start(SECOND, &[vp]);
    assert_eq!(calls(&mut scheduler), [LpId(0)]);
    assert_eq!(picked(&mut scheduler, SECOND, 0), Some(vp));
}

#[test]
fn a_vp_that_is_started_again_before_it_has_left_stays() {
    let mut scheduler = started(fair(1, 1), &[1]);
    let vp = picked(&mut scheduler, Nanos::ZERO, 0).unwrap();
    scheduler.stop(EARLIER, vp);
    scheduler.start(EARLIER, &[vp]);
    scheduler.charge(LATER, LpId(0), LATER, After::Run);
    assert_eq!(picked(&mut scheduler, LATER, 0), Some(vp));
}

#[test]
fn a_vp_that_runs_where_it_may_no_longer_is_called_away_to_where_it_may() {
    let mut scheduler = started(fair(2, 1), &[1]);
    let vp = picked(&mut scheduler, Nanos::ZERO, 0).unwrap();
    assert_eq!(picked(&mut scheduler, Nanos::ZERO, 1), None);
    let elsewhere: LpSet = [LpId(1)].into_iter().collect();
    let allowed = scheduler.set_affinity(EARLIER, GuestId(0), Some(elsewhere));
    assert_eq!(allowed, Ok(()));
    assert_eq!(calls(&mut scheduler), [LpId(0)]);
    scheduler.charge(LATER, LpId(0), LATER, After::Run);
    assert_eq!(picked(&mut scheduler, LATER, 0), None);
    // The idle LP is woken for it.
    assert_eq!(calls(&mut scheduler), [LpId(1)]);
    assert_eq!(picked(&mut scheduler, LATER, 1), Some(vp));
}

#[test]
fn an_lp_that_is_on_line_again_is_used_again() {
    let mut driver = Driver::new(fair(2, 1), LATE, burning(&[100; 3]));
    driver.run_until(SECOND);
    driver.scheduler.lp_off(driver.now, LpId(1), false).unwrap();
    driver.obey();
    driver.run_until(SECOND + SECOND);
    driver.scheduler.lp_on(driver.now, LpId(1)).unwrap();
    driver.obey();
    driver.run_until(SECOND + SECOND + SECOND);
    let used = |lp, second: u64| -> u64 {
        let of = |at: Nanos| at.0.clamp(second * SECOND.0, (second + 1) * SECOND.0);
        let there = driver.trace.iter().filter(|done| done.lp == LpId(lp));
        there.map(|done| of(done.ended) - of(done.began)).sum()
    };
    // A dispatch in progress at the end is not in the trace; who was called away may be late.
    let partly = (SLICE + LATE).0;
    assert!(used(1, 1) <= LATE.0, "{}", used(1, 1));
    for (lp, second) in [(0, 0), (1, 0), (0, 1), (0, 2), (1, 2)] {
        assert!(used(lp, second) + partly >= SECOND.0, "{lp}, {second}");
    }
    // Two thirds, a third and two thirds of an LP for each: 5/3 s, behind by no more than
    // 2(q + j) at the beginning and the end of each part.
    for vp in vps(&driver) {
        let lag = 5.0 / 3.0 * SECOND.0 as f64 - driver.received(vp) as f64;
        assert!(lag.abs() <= 6.0 * slices(1), "{vp:?}: {lag} ns");
    }
}

#[test]
fn a_spin_moves_lag_between_siblings_and_to_nobody_else() {
    // Two guests of two VPs on one LP: whoever runs leaves, spinning or not.
    let run = |after| {
        let mut scheduler = started(fair(1, 1), &[2, 2]);
        let vp = picked(&mut scheduler, Nanos::ZERO, 0).unwrap();
        scheduler.charge(EARLIER, LpId(0), EARLIER, after);
        let lags = scheduler.machine().vps();
        let lags = lags.map(|(vp, _)| scheduler.lag(EARLIER, vp).unwrap());
        (vp, lags.collect::<Vec<i64>>())
    };
    let ((vp, plain), (_, spun)) = (run(After::Run), run(After::Spin));
    assert_eq!(vp, VpId(0));
    // A quarter of 300 us for each, and 300 us received: 225 ahead. Up to a slice ahead may be
    // lent: 775 us.
    assert_eq!(plain, [-225_000, 75_000, 75_000, 75_000]);
    assert_eq!(spun, [-1_000_000, 850_000, 75_000, 75_000]);
}

/// One VP with a cap of 1 % has run for three slices, and is held: its LP is idle.
fn held(now: Nanos) -> Scheduler {
    let mut scheduler = started(fair(1, 1), &[1]);
    scheduler
        .set_controls(Nanos::ZERO, GuestId(0), capped(1.0))
        .unwrap();
    assert_eq!(picked(&mut scheduler, Nanos::ZERO, 0), Some(VpId(0)));
    scheduler.charge(now, LpId(0), now, After::Run);
    assert!(matches!(state(&scheduler, VpId(0)), VpState::Held { .. }));
    assert_eq!(picked(&mut scheduler, now, 0), None);
    scheduler.take_calls();
    scheduler
}

fn happened(scheduler: &mut Scheduler) -> Vec<What> {
    scheduler.take_happened().map(|event| event.what).collect()
}

#[test]
fn whom_a_cap_holds_runs_when_there_is_enough_for_a_slice() {
    let now = Nanos(3 * SLICE.0);
    let mut scheduler = held(now);
    let release = scheduler.next_timer(LpId(0)).unwrap();
    // The bucket began with two slices: 1 % of the time fills two more in 200 ms.
    assert!(release.since(Nanos::from_millis(200)) <= Nanos::from_millis(3));
    scheduler.tick(release, LpId(0));
    assert_eq!(calls(&mut scheduler), [LpId(0)]);
    assert_eq!(picked(&mut scheduler, release, 0), Some(VpId(0)));
    assert_eq!(happened(&mut scheduler), [What::Held, What::Released]);
}

#[test]
fn whom_a_cap_holds_runs_at_once_when_the_cap_is_lifted() {
    let now = Nanos(3 * SLICE.0);
    let mut scheduler = held(now);
    let soon = now + SLICE;
    scheduler
        .set_controls(soon, GuestId(0), Controls::default())
        .unwrap();
    assert_eq!(calls(&mut scheduler), [LpId(0)]);
    assert_eq!(picked(&mut scheduler, soon, 0), Some(VpId(0)));
    assert_eq!(scheduler.next_timer(LpId(0)), None);
    assert_eq!(happened(&mut scheduler), [What::Held, What::Released]);
}

#[test]
fn what_changes_nothing_is_no_event() {
    let mut scheduler = started(fair(2, 1), &[2, 1]);
    picked(&mut scheduler, Nanos::ZERO, 0).unwrap();
    let vps: Vec<VpId> = scheduler.machine().vps().map(|(vp, _)| vp).collect();
    scheduler.charge(EARLIER, LpId(0), EARLIER, After::Run);
    picked(&mut scheduler, EARLIER, 0);
    scheduler.take_calls();
    let as_it_was = format!("{scheduler:?}");
    let running = scheduler.machine().lp(LpId(0)).running;
    for &vp in vps.iter().filter(|vp| Some(**vp) != running) {
        // They wait: nobody sleeps.
        scheduler.wake(EARLIER, vp);
    }
    scheduler.tick(EARLIER, LpId(0));
    scheduler.lp_on(EARLIER, LpId(1)).unwrap();
    assert_eq!(format!("{scheduler:?}"), as_it_was);
}

#[test]
fn a_time_before_the_last_one_counts_as_equal_to_it() {
    let decision = |earlier| {
        let mut scheduler = started(fair(2, 1), &[1, 1]);
        let first = scheduler.pick(LATER, LpId(0));
        (first, scheduler.pick(earlier, LpId(1)))
    };
    assert_eq!(decision(EARLIER), decision(LATER));
}

#[test]
fn a_wake_that_comes_before_the_sleep_is_not_lost() {
    // The VP has decided to sleep; before it is charged somebody wakes it.
    let mut scheduler = started(fair(1, 1), &[1]);
    let sleep = After::Sleep { until: None };
    let slept = |scheduler: &mut Scheduler, now| {
        scheduler.charge(now, LpId(0), SLICE, sleep);
        matches!(
            scheduler.machine().vp(VpId(0)).state,
            VpState::Sleeping { .. }
        )
    };
    scheduler.pick(Nanos::ZERO, LpId(0));
    scheduler.wake(EARLIER, VpId(0));
    assert!(!slept(&mut scheduler, SLICE));
    // That was for this dispatch: after the next it sleeps.
    scheduler.pick(SLICE, LpId(0));
    assert!(slept(&mut scheduler, SLICE + SLICE));
}

#[test]
fn controls_that_nobody_has_any_more_cost_nothing() {
    // What a solve looks at: a class of VPs for each of two guests' controls,
    // and one more while they change.
    let classes = |scheduler: &Scheduler| format!("{scheduler:?}").matches("Class {").count();
    let mut scheduler = started(fair(2, 1), &[1, 1]);
    for change in 1..=1_000 {
        let now = Nanos::from_micros(change);
        let guest = GuestId(change as u32 % 2);
        scheduler
            .set_controls(now, guest, weight(change as u32))
            .unwrap();
        assert!(classes(&scheduler) <= 3, "{} classes", classes(&scheduler));
    }
    scheduler.stop_guest(Nanos::from_millis(2), GuestId(0));
    for number in 0..100 {
        let new = NewGuest {
            name: format!("next {number}"),
            vps: 1,
            controls: weight(2_000 + number),
            affinity: None,
        };
        let guest = scheduler.add_guest(Nanos::from_millis(3), &new).unwrap();
        scheduler.stop_guest(Nanos::from_millis(3), guest);
    }
    assert!(classes(&scheduler) <= 5, "{} classes", classes(&scheduler));
}

/// Three VPs on two LPs, the first of which is due a whole one; it runs on LP 0 and the second on LP 1.
fn one_due_an_lp() -> Scheduler {
    let mut scheduler = started(fair(2, 1), &[1, 1, 1]);
    scheduler
        .set_controls(Nanos::ZERO, GuestId(0), weight(200))
        .unwrap();
    for lp in 0..2 {
        assert_eq!(picked(&mut scheduler, Nanos::ZERO, lp), Some(VpId(lp)));
    }
    calls(&mut scheduler);
    scheduler
}

/// LP 0 loses so much, and all but a slice of it at the expense of one dispatch, which ends then.
fn lose(scheduler: &mut Scheduler, lost: Nanos) -> Nanos {
    let now = lost + SLICE;
    scheduler.lost(now, LpId(0), lost);
    scheduler.charge(now, LpId(0), SLICE, After::Run);
    now
}

#[test]
fn a_vp_due_an_lp_moves_when_it_has_lost_16_slices_more_than_others() {
    // Half of what LP 0 loses is beyond the average of the two.
    for (lost, home) in [(32_000_000, 0), (32_000_002, 1)] {
        let mut scheduler = one_due_an_lp();
        lose(&mut scheduler, Nanos(lost));
        assert_eq!(scheduler.machine().vp(VpId(0)).home, LpId(home), "{lost}");
    }
    // One that may run nowhere else stays.
    let mut scheduler = one_due_an_lp();
    let bound = Some([LpId(0)].into_iter().collect());
    scheduler
        .set_affinity(Nanos::ZERO, GuestId(0), bound)
        .unwrap();
    lose(&mut scheduler, Nanos(40_000_000));
    assert_eq!(scheduler.machine().vp(VpId(0)).home, LpId(0));
    // One that is not due a whole LP does not: another LP fetches it if it falls behind.
    let mut scheduler = one_due_an_lp();
    scheduler
        .set_controls(Nanos::ZERO, GuestId(0), weight(100))
        .unwrap();
    let now = lose(&mut scheduler, Nanos(40_000_000));
    assert_eq!(scheduler.machine().vp(VpId(0)).home, LpId(0));
    // Nor does that count later.
    scheduler
        .set_controls(now, GuestId(0), weight(200))
        .unwrap();
    // Who is due all of an LP comes first there.
    assert_eq!(picked(&mut scheduler, now, 0), Some(VpId(0)));
    scheduler.charge(now + SLICE, LpId(0), SLICE, After::Run);
    assert_eq!(scheduler.machine().vp(VpId(0)).home, LpId(0));
}

#[test]
fn an_lp_that_was_left_lets_its_vp_go_once() {
    let lost = Nanos(40_000_000);
    let left = || {
        let mut scheduler = one_due_an_lp();
        let now = lose(&mut scheduler, lost);
        assert_eq!(calls(&mut scheduler), [LpId(1)]);
        assert_eq!(picked(&mut scheduler, now, 0), Some(VpId(2)));
        (scheduler, now)
    };
    let (mut scheduler, now) = left();
    scheduler.charge(now + EARLIER, LpId(1), now + EARLIER, After::Run);
    assert_eq!(picked(&mut scheduler, now + EARLIER, 1), Some(VpId(0)));
    // LP 1 is stalled: there is nothing to wait for.
    let (mut scheduler, now) = left();
    scheduler.charge(now + EARLIER, LpId(0), EARLIER, After::Run);
    assert_eq!(picked(&mut scheduler, now + EARLIER, 0), Some(VpId(0)));
}

/// Three VPs on two LPs. The third waits so long while the others run, of which LP 1 `lost` a
/// part, and then sleeps; the others run on, VP 0 on LP 0. Its home is LP 0.
fn asleep_after(waited: Nanos, lost: Nanos) -> Scheduler {
    let mut scheduler = started(fair(2, 1), &[1, 1, 1]);
    assert_eq!(picked(&mut scheduler, Nanos::ZERO, 0), Some(VpId(0)));
    assert_eq!(picked(&mut scheduler, Nanos::ZERO, 1), Some(VpId(1)));
    scheduler.lost(waited, LpId(1), lost);
    scheduler.charge(waited, LpId(0), waited, After::Run);
    assert_eq!(picked(&mut scheduler, waited, 0), Some(VpId(2)));
    let sleep = After::Sleep { until: None };
    scheduler.charge(waited, LpId(0), Nanos::ZERO, sleep);
    assert_eq!(picked(&mut scheduler, waited, 0), Some(VpId(0)));
    scheduler.charge(waited, LpId(1), waited.since(lost), After::Run);
    assert_eq!(picked(&mut scheduler, waited, 1), Some(VpId(1)));
    calls(&mut scheduler);
    scheduler
}

#[test]
fn a_vp_that_wakes_preempts_who_has_more_than_a_slice_less() {
    // Who waits gains two thirds, the others are ahead by a third.
    for (waited, expected) in [(SLICE, &[][..]), (SLICE + Nanos(10), &[LpId(0)])] {
        let mut scheduler = asleep_after(waited, Nanos::ZERO);
        scheduler.wake(SLICE + SLICE, VpId(2));
        assert_eq!(calls(&mut scheduler), expected, "{waited:?}");
    }
}

#[test]
fn of_several_it_preempts_who_has_least_where_it_may_run() {
    let (waited, now) = (SLICE + EARLIER, SLICE + SLICE);
    let wakes = |scheduler: &mut Scheduler| {
        scheduler.wake(now, VpId(2));
        calls(scheduler)
    };
    // Of equals at its home; VP 1 has more where LP 1 has lost time, though still a slice less.
    let lost = Nanos::from_micros(100);
    assert_eq!(wakes(&mut asleep_after(waited, Nanos::ZERO)), [LpId(0)]);
    assert_eq!(wakes(&mut asleep_after(waited, lost)), [LpId(0)]);
    // LP 0 is called already, for another reason.
    let mut scheduler = asleep_after(waited, lost);
    scheduler.stop(now, VpId(0));
    assert_eq!(wakes(&mut scheduler), [LpId(0), LpId(1)]);
    // It may run on LP 1 only.
    let mut scheduler = asleep_after(waited, lost);
    let lp1 = [LpId(1)].into_iter().collect();
    scheduler.set_affinity(now, GuestId(2), Some(lp1)).unwrap();
    assert_eq!(wakes(&mut scheduler), [LpId(1)]);
    // What is outranked at its new home is preempted there, all else equal.
    let mut scheduler = asleep_after(waited, Nanos::ZERO);
    let lp1 = [LpId(1)].into_iter().collect();
    scheduler.set_affinity(now, GuestId(2), Some(lp1)).unwrap();
    scheduler.set_affinity(now, GuestId(2), None).unwrap();
    assert_eq!(wakes(&mut scheduler), [LpId(1)]);
}

#[test]
fn an_idle_lp_is_called_to_learn_of_an_earlier_timer_only() {
    let [sooner, later] = [10, 20].map(Nanos::from_millis);
    for (own, moved) in [(sooner, later), (later, sooner)] {
        let mut scheduler = started(fair(2, 1), &[1, 1]);
        for lp in [0, 1] {
            assert_eq!(picked(&mut scheduler, Nanos::ZERO, lp), Some(VpId(lp)));
        }
        for (lp, until) in [(0, moved), (1, own)] {
            let sleep = After::Sleep { until: Some(until) };
            scheduler.charge(SLICE, LpId(lp), SLICE, sleep);
            assert_eq!(picked(&mut scheduler, SLICE, lp), None);
        }
        calls(&mut scheduler);
        // The sleeper of LP 0 is at home on LP 1 from now on, which sleeps until its own wakes.
        scheduler.lp_off(SLICE, LpId(0), false).unwrap();
        assert_eq!(scheduler.next_timer(LpId(1)), Some(sooner));
        let called = calls(&mut scheduler).contains(&LpId(1));
        assert_eq!(called, moved == sooner);
    }
}

#[test]
fn who_waits_behind_one_that_has_left_an_lp_may_run_there() {
    // All are due a whole LP. The first leaves LP 0 for LP 1, where the second is at home.
    let mut scheduler = started(fair(3, 1), &[1, 1, 1]);
    for lp in 0..3 {
        assert_eq!(picked(&mut scheduler, Nanos::ZERO, lp), Some(VpId(lp)));
    }
    // Two thirds of it are beyond the average.
    let now = lose(&mut scheduler, Nanos(27_000_000));
    assert_eq!(scheduler.machine().vp(VpId(0)).home, LpId(1));
    scheduler.charge(now, LpId(1), now, After::Run);
    assert_eq!(picked(&mut scheduler, now, 0), Some(VpId(1)));
    assert_eq!(picked(&mut scheduler, now, 1), Some(VpId(0)));
}

#[test]
fn what_one_with_all_it_can_use_is_owed_ends_with_the_terms() {
    // LP 0 has lost 40 slices: half of that was at the expense of the VP that is due a whole LP.
    let lags = |weight: Option<Controls>| {
        let mut scheduler = one_due_an_lp();
        let now = lose(&mut scheduler, Nanos(40_000_000));
        if let Some(controls) = weight {
            scheduler.set_controls(now, GuestId(0), controls).unwrap();
        }
        let lag = |vp| (scheduler.lag(now, VpId(vp)).unwrap() + 500).div_euclid(1_000);
        [0, 1, 2].map(lag)
    };
    // 21 slices are left for each LP. The second has run on LP 1 all the time.
    assert_eq!(lags(None), [20_000, 10_500 - 41_000, 10_500]);
    assert_eq!(lags(Some(weight(200))), lags(None));
    // Two slices are left of the 20, and each third of the other 18 is somebody's.
    assert_eq!(lags(Some(weight(100))), [8_000, 16_500 - 41_000, 16_500]);
}

#[test]
fn who_is_neither_behind_nor_ahead_is_pulled_before_who_is_ahead() {
    let mut scheduler = started(fair(2, 1), &[1, 1]);
    for lp in 0..2 {
        assert_eq!(picked(&mut scheduler, Nanos::ZERO, lp), Some(VpId(lp)));
    }
    let new = NewGuest {
        name: "new".to_owned(),
        vps: 1,
        controls: Controls::default(),
        affinity: None,
    };
    scheduler.add_guest(SLICE, &new).unwrap();
    // Of what LP 0 has lost the other is ahead by half.
    scheduler.lost(SLICE, LpId(0), EARLIER);
    scheduler.start(SLICE, &[VpId(2)]);
    assert_eq!(scheduler.machine().vp(VpId(2)).home, LpId(0));
    scheduler.charge(SLICE, LpId(1), SLICE, After::Run);
    let lag = |vp| scheduler.lag(SLICE, VpId(vp)).unwrap();
    assert!(lag(1) < 0 && lag(1) > -1_000_000, "{}", lag(1));
    assert_eq!(lag(2), 0);
    assert_eq!(picked(&mut scheduler, SLICE, 1), Some(VpId(2)));
}

/// One LP in each of two nodes; guests in turn at home here and there, and the first two run.
fn two_nodes(guests: &[u32]) -> Scheduler {
    let mut scheduler = started(fair(2, 2), guests);
    for lp in 0..2 {
        assert_eq!(picked(&mut scheduler, Nanos::ZERO, lp), Some(VpId(lp)));
    }
    scheduler
}

#[test]
fn another_node_takes_over_who_is_behind_by_more_than_the_margin() {
    // Who waits gains two thirds of the time on who runs here, a third from the ideal and a
    // third from running: a margin of 4 slices in 4 ms.
    for (now, expected) in [(3_900, 1), (4_100, 2)] {
        let now = Nanos::from_micros(now);
        let mut scheduler = two_nodes(&[1, 1, 1]);
        scheduler.charge(now, LpId(1), now, After::Run);
        let found = picked(&mut scheduler, now, 1);
        assert_eq!(found, Some(VpId(expected)), "after {now:?}");
    }
    // Where somebody at home is behind, too, the other must be so by itself and the more behind
    // of the two: due 4/7 of an LP, it is so by 4 slices in 7 ms. Who is at home has half its
    // weight, or the same.
    for (half, now, expected) in [(true, 6_900, 3), (true, 7_100, 2), (false, 8_100, 3)] {
        let now = Nanos::from_micros(now);
        let mut scheduler = two_nodes(&[1, 1, 1, 1]);
        if half {
            let halved = scheduler.set_controls(Nanos::ZERO, GuestId(3), weight(50));
            assert_eq!(halved, Ok(()));
        }
        scheduler.charge(now, LpId(1), now, After::Run);
        let found = picked(&mut scheduler, now, 1);
        assert_eq!(found, Some(VpId(expected)), "after {now:?}");
    }
}

#[test]
fn a_guest_that_comes_later_and_goes_again_neither_gains_nor_owes() {
    let mut scheduler = started(fair(1, 1), &[1]);
    let new = NewGuest {
        name: "late".to_owned(),
        vps: 2,
        controls: weight(50),
        affinity: None,
    };
    let late = scheduler.define_guest(Nanos::ZERO, &new);
    assert_eq!(late, GuestId(1));
    let own = [VpId(1), VpId(2)];
    assert_eq!(scheduler.machine().guest(late).vps, own);
    // Started too early, they stay away.
    scheduler.start(Nanos::ZERO, &own);

    let mut received = [0; 3];
    let mut slices = |scheduler: &mut Scheduler, from: u64| {
        let before = received;
        for slice in from..from + 100 {
            let now = |slice| Nanos(slice * SLICE.0);
            let vp = picked(scheduler, now(slice), 0).unwrap();
            received[vp.index()] += 1;
            scheduler.charge(now(slice + 1), LpId(0), SLICE, After::Run);
            let lags = [0, 1, 2].map(|vp| scheduler.lag(now(slice + 1), VpId(vp)).unwrap());
            assert!(lags.iter().sum::<i64>().abs() <= 2, "{lags:?}");
            let slice = SLICE.0 as i64;
            assert!(lags.iter().all(|lag| lag.abs() <= slice), "{lags:?}");
        }
        [0, 1, 2].map(|vp| received[vp] - before[vp])
    };
    assert_eq!(slices(&mut scheduler, 0), [100, 0, 0]);
    let now = Nanos(100 * SLICE.0);
    assert_eq!(scheduler.admit_guest(now, late), Ok(()));
    scheduler.start(now, &own);
    assert_eq!(slices(&mut scheduler, 100), [50, 25, 25]);
    scheduler.stop_guest(Nanos(200 * SLICE.0), late);
    assert_eq!(slices(&mut scheduler, 200), [100, 0, 0]);
}
