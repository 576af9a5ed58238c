//! The fair policy on machines whose answer is known, and what calls do to who runs.

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod common;

use apportion_scheduler::{
    After, Cap, Config, Controls, Decision, GuestId, LpId, LpSet, Nanos, NewGuest, PolicyKind,
    Reserve, Scheduler, Topology, VpId, VpState, Weight, What,
};
use common::{Driver, Guest, Then, burn, burning, repeat, weight};

const SLICE: Nanos = Nanos::from_millis(1);
const LATE: Nanos = Nanos::from_micros(50);
const SECOND: Nanos = Nanos::from_millis(1_000);

fn fair(lps: u32, nodes: u32) -> Config {
    let mut config = Config::new(lps, SLICE, PolicyKind::Fair);
    config.topology = Topology::even(lps, nodes);
    config
}

fn capped(percent: f64) -> Controls {
    let cap = Cap::from_percent(percent).unwrap();
    Controls::new(Weight::default(), Reserve::default(), cap).unwrap()
}

fn vps(driver: &Driver) -> impl Iterator<Item = VpId> + use<> {
    (0..driver.scheduler.machine().vps().count() as u32).map(VpId)
}

fn slices(count: u64) -> f64 {
    (count * (SLICE + LATE).0) as f64
}

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

/// Guests of so many VPs each, started and waiting; nobody runs yet.
fn started(config: Config, guests: &[u32]) -> Scheduler {
    let mut scheduler = Scheduler::new(config);
    for (number, vps) in guests.iter().enumerate() {
        let new = NewGuest {
            name: format!("g{number}"),
            vps: *vps,
            controls: Controls::default(),
            affinity: None,
        };
        scheduler.add_guest(Nanos::ZERO, &new).unwrap();
    }
    let vps: Vec<VpId> = scheduler.machine().vps().map(|(vp, _)| vp).collect();
    scheduler.start(Nanos::ZERO, &vps);
    scheduler.take_calls();
    scheduler
}

fn picked(scheduler: &mut Scheduler, now: Nanos, lp: u32) -> Option<VpId> {
    match scheduler.pick(now, LpId(lp)) {
        Decision::Run { vp, .. } => Some(vp),
        Decision::Idle => None,
    }
}

fn calls(scheduler: &mut Scheduler) -> Vec<LpId> {
    scheduler.take_calls().collect()
}

fn state(scheduler: &Scheduler, vp: VpId) -> VpState {
    scheduler.machine().vp(vp).state
}

const EARLIER: Nanos = Nanos::from_micros(300);
const LATER: Nanos = Nanos::from_micros(400);

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

#[test]
fn whom_a_cap_holds_runs_at_once_when_the_cap_is_lifted() {
    let mut scheduler = started(fair(1, 1), &[1]);
    let guest = GuestId(0);
    scheduler
        .set_controls(Nanos::ZERO, guest, capped(1.0))
        .unwrap();
    let vp = picked(&mut scheduler, Nanos::ZERO, 0).unwrap();
    // All of the bucket and more is gone: 1 % of the time fills a slice in 100 ms.
    let now = Nanos(3 * SLICE.0);
    scheduler.charge(now, LpId(0), now, After::Run);
    assert!(matches!(state(&scheduler, vp), VpState::Held { .. }));
    assert_eq!(picked(&mut scheduler, now, 0), None);
    scheduler.take_calls();
    let soon = now + SLICE;
    scheduler
        .set_controls(soon, guest, Controls::default())
        .unwrap();
    assert_eq!(calls(&mut scheduler), [LpId(0)]);
    assert_eq!(picked(&mut scheduler, soon, 0), Some(vp));
    assert_eq!(scheduler.next_timer(LpId(0)), None);
    let happened: Vec<What> = scheduler.take_happened().map(|event| event.what).collect();
    assert_eq!(happened, [What::Held, What::Released]);
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

/// All LPs but these lose nothing: what the VP with the first number is behind by when its
/// dispatch on LP 0 of `wall`, less what LP 0 `lost` of it, has ended at `now`.
fn left(scheduler: &mut Scheduler, now: Nanos, wall: Nanos, lost: Nanos) -> i64 {
    scheduler.lost(now, LpId(0), lost);
    scheduler.charge(now, LpId(0), wall.since(lost), After::Run);
    scheduler.lag(now, VpId(0)).unwrap()
}

/// Three VPs on two LPs, the first of which is to be due a whole one when it is picked at `now`.
/// Whether it moves when LP 0 has lost so many ns of the two slices that follow.
fn moves(mut scheduler: Scheduler, now: Nanos, lost: u64) -> bool {
    scheduler
        .set_controls(now, GuestId(0), weight(200))
        .unwrap();
    assert_eq!(picked(&mut scheduler, now, 0), Some(VpId(0)));
    left(
        &mut scheduler,
        now + SLICE + SLICE,
        SLICE + SLICE,
        Nanos(lost),
    );
    scheduler.machine().vp(VpId(0)).home == LpId(1)
}

#[test]
fn the_less_it_is_behind_the_more_a_vp_due_an_lp_bears_before_it_moves() {
    // What LP 0 loses beyond the average of the two is half of what it loses at all, and
    // the VP falls behind by as much. It bears half of what is left of a slice.
    let even = || {
        let mut scheduler = started(fair(2, 1), &[1, 1, 1]);
        assert_eq!(picked(&mut scheduler, Nanos::ZERO, 0), Some(VpId(0)));
        assert_eq!(picked(&mut scheduler, Nanos::ZERO, 1), Some(VpId(1)));
        scheduler
    };
    // Nothing before: x / 2 = (1 - x / 2) / 2 at x = 2/3.
    for (lost, expected) in [(666_000, false), (667_000, true)] {
        let scheduler = started(fair(2, 1), &[1, 1, 1]);
        assert_eq!(moves(scheduler, Nanos::ZERO, lost), expected, "{lost}");
    }
    // A slice behind, as one of three that LP 0 gave nothing for 3 slices: an eighth is the least.
    for (lost, expected) in [(249_998, false), (250_000, true)] {
        let mut scheduler = even();
        let mut now = Nanos::ZERO;
        for _ in 0..3 {
            now += SLICE;
            left(&mut scheduler, now, SLICE, SLICE);
            if now < SLICE + SLICE + SLICE {
                assert_eq!(picked(&mut scheduler, now, 0), Some(VpId(0)));
            }
        }
        assert!(scheduler.lag(now, VpId(0)).unwrap().abs_diff(1_000_000) <= 1);
        assert_eq!(moves(scheduler, now, lost), expected, "{lost}");
    }
    // Two thirds ahead after 2 slices as one of three: half a slice is the most.
    for (lost, expected) in [(999_000, false), (1_000_000, true)] {
        let (mut scheduler, long) = (even(), SLICE + SLICE);
        scheduler.charge(long, LpId(1), long, After::Run);
        assert_eq!(picked(&mut scheduler, long, 1), Some(VpId(2)));
        assert!(left(&mut scheduler, long, long, Nanos::ZERO).abs_diff(-666_667) <= 1);
        assert_eq!(moves(scheduler, long, lost), expected, "{lost}");
    }
}

#[test]
fn an_lp_that_was_left_does_not_take_back_who_left_before_its_new_home_has_decided() {
    let mut scheduler = started(fair(2, 1), &[1, 1, 1]);
    scheduler
        .set_controls(Nanos::ZERO, GuestId(0), weight(200))
        .unwrap();
    assert_eq!(picked(&mut scheduler, Nanos::ZERO, 0), Some(VpId(0)));
    assert_eq!(picked(&mut scheduler, Nanos::ZERO, 1), Some(VpId(1)));
    calls(&mut scheduler);
    left(&mut scheduler, SLICE, SLICE, SLICE);
    assert_eq!(scheduler.machine().vp(VpId(0)).home, LpId(1));
    assert_eq!(calls(&mut scheduler), [LpId(1)]);
    // LP 1 is slow to hear of it.
    for decision in 1..=3 {
        let now = SLICE + Nanos(decision * EARLIER.0);
        assert_eq!(picked(&mut scheduler, now, 0), Some(VpId(2)));
        scheduler.charge(now + EARLIER, LpId(0), EARLIER, After::Run);
    }
    let late = SLICE + SLICE + EARLIER;
    scheduler.charge(late, LpId(1), late, After::Run);
    assert_eq!(picked(&mut scheduler, late, 1), Some(VpId(0)));
}

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
