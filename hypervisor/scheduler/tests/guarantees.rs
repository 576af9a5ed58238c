//! What a guest is promised holds whoever is beside it: bound guests, sleepers of any period, caps.

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod common;

use apportion_scheduler::{
    After, Cap, Controls, Decision, GuestId, LpId, LpSet, Nanos, NewGuest, Random, Reserve,
    Scheduler, VpId, VpState, Weight,
};
use common::{
    Driver, Guest, LATE, Program, SECOND, SLICE, Step, Then, burn, capped, fair, picked, slices,
    started, vps,
};

fn controls(weight: u32, reserve: f64, cap: f64) -> Controls {
    Controls::new(
        Weight::new(i64::from(weight)).unwrap(),
        Reserve::from_percent(reserve).unwrap(),
        Cap::from_percent(cap).unwrap(),
    )
    .unwrap()
}

fn bound_to(lps: &[u32], controls: Controls, vps: usize) -> Guest {
    Guest {
        affinity: Some(lps.iter().copied().map(LpId).collect::<LpSet>()),
        ..Guest::new(controls, (0..vps).map(|_| burn()))
    }
}

/// Wants `run` of every `period`; what is late by whole periods is left out.
fn periodic(period: Nanos, run: Nanos) -> Program {
    let mut next = period;
    Box::new(move |now| {
        while next <= now {
            next += period;
        }
        let until = next;
        next += period;
        Step {
            run,
            then: Then::SleepUntil(until),
        }
    })
}

/// The furthest that any VP which wants to run is behind and ahead, looked at every slice.
fn extremes(driver: &mut Driver, until: Nanos) -> (i64, i64) {
    let (mut behind, mut ahead) = (0, 0);
    while driver.now < until {
        driver.run_until(driver.now + SLICE);
        for vp in vps(driver) {
            let state = driver.scheduler.machine().vp(vp).state;
            if !matches!(state, VpState::Sleeping { .. } | VpState::Suspended) {
                let lag = driver.scheduler.lag(driver.now, vp).unwrap();
                (behind, ahead) = (behind.max(lag), ahead.min(lag));
            }
        }
    }
    (behind, ahead)
}

#[test]
fn a_free_vp_that_is_due_an_lp_has_it_beside_bound_ones() {
    // The free one is due all of an LP, and hops whenever a bound one has its turn. Two slices
    // apart, one of those is moved for; a slice in progress comes on top. Neither grows with time.
    let (behind, ahead) = (slices(3), -slices(3));
    for seconds in [1, 30] {
        let guests = vec![
            Guest::new(controls(1000, 90.0, 100.0), [burn()]),
            bound_to(&[0], capped(50.0), 1),
            bound_to(&[1], Controls::default(), 1),
        ];
        let mut driver = Driver::new(fair(2, 1), LATE, guests);
        let found = extremes(&mut driver, Nanos(seconds * SECOND.0));
        assert!(
            found.0 as f64 <= behind && found.1 as f64 >= ahead,
            "{seconds} s: {found:?} ns"
        );
        // What is lost while it comes over, some 50 us of every two slices at the most, is everybody's.
        assert!(
            driver.percent(VpId(0)) > 97.5,
            "{}",
            driver.percent(VpId(0))
        );
    }
}

#[test]
fn a_chain_of_moves_serves_one_that_is_bound() {
    // Each LP has a VP that is bound to it and due half of it, but the last; the rest is due to
    // two that may use two LPs each, and one that may use all of them.
    let guests = vec![
        bound_to(&[0], Controls::default(), 1),
        bound_to(&[0, 1], Controls::default(), 1),
        bound_to(&[1, 2], Controls::default(), 1),
        Guest::new(controls(1000, 0.0, 100.0), [burn()]),
    ];
    let mut driver = Driver::new(fair(3, 1), LATE, guests);
    let (behind, ahead) = extremes(&mut driver, Nanos(10 * SECOND.0));
    assert!(
        behind as f64 <= slices(3) && ahead as f64 >= -slices(3),
        "{behind} {ahead}"
    );
}

#[test]
fn a_vp_that_may_run_elsewhere_keeps_nobody_off_the_lps_he_is_bound_to() {
    let guests = vec![
        Guest::new(Controls::default(), (0..5).map(|_| burn())),
        bound_to(&[2, 3], controls(10, 45.0, 100.0), 2),
        Guest::new(controls(400, 0.0, 100.0), [burn()]),
    ];
    let mut driver = Driver::new(fair(4, 1), LATE, guests);
    driver.run_until(SECOND);
    driver.scheduler.stop_guest(driver.now, GuestId(0));
    driver.obey();
    let before: Vec<u64> = vps(&driver).map(|vp| driver.received(vp)).collect();
    driver.run_until(Nanos(2 * SECOND.0));
    for vp in [5, 6, 7].map(VpId) {
        // Three VPs on four LPs: each has one, but for the time that a call takes.
        let received = driver.received(vp) - before[vp.index()];
        assert!(
            received as f64 >= SECOND.0 as f64 - slices(1),
            "{vp:?}: {received}"
        );
    }
}

#[test]
fn a_sleeper_gets_what_it_wants_up_to_its_due_whatever_its_period() {
    for (weight, reserve) in [(100, 0), (400, 0), (100, 50), (100, 60), (100, 69), (1, 69)] {
        for period in [100, 200, 1_000, 3_000, 20_000, 100_000] {
            let period = Nanos::from_micros(period);
            let run = Nanos(period.0 * 7 / 10);
            let guests = vec![
                Guest::new(
                    controls(weight, f64::from(reserve), 100.0),
                    [periodic(period, run)],
                ),
                Guest::new(Controls::default(), [burn()]),
            ];
            let mut driver = Driver::new(fair(1, 1), LATE, guests);
            let time = Nanos(10 * SECOND.0);
            driver.run_until(time);
            // Additive: the reserve, and by weight a part of the rest.
            let reserve = f64::from(reserve) / 100.0;
            let weight = f64::from(weight);
            let rate = reserve + (1.0 - reserve) * weight / (weight + 100.0);
            // At the end it may be two slices behind, and its burst not have begun.
            let most = slices(2) + run.0 as f64;
            let wanted = 0.7;
            let due = rate.min(wanted) * time.0 as f64;
            // One that wants hardly more than its due catches up in bursts, and sleeps in between
            // while it is still owed. Its reserve it gets even so.
            let close = rate < wanted && reserve > 0.0;
            let least = if close { reserve * time.0 as f64 } else { due };
            let received = driver.received(VpId(0)) as f64;
            assert!(
                (least - most..=due + most).contains(&received),
                "weight {weight}, reserve {reserve}, period {period}: {received} of {due} ns"
            );
        }
    }
}

#[test]
fn a_capped_vp_gets_its_cap_where_there_is_room() {
    let (big, small) = (vec![95.0], vec![10.0; 6]);
    let machines = [
        (2, 1, [big, small.clone()].concat()),
        (
            8,
            3,
            [vec![95.0; 5], vec![90.0], vec![30.0; 4], small].concat(),
        ),
        (4, 1, [vec![99.0; 3], vec![20.0; 4]].concat()),
    ];
    for (lps, nodes, caps) in machines {
        let guests = caps.iter().map(|cap| Guest::new(capped(*cap), [burn()]));
        let mut driver = Driver::new(fair(lps, nodes), LATE, guests.collect());
        for seconds in [1, 10] {
            driver.run_until(Nanos(seconds * SECOND.0));
            for (vp, cap) in vps(&driver).zip(&caps) {
                let room = cap / 100.0 * driver.now.0 as f64;
                let received = driver.received(vp) as f64;
                // A bucket of two slices, a slice to wait for, and a late kick.
                assert!(
                    (room - slices(3)..=room + slices(2) + LATE.0 as f64).contains(&received),
                    "{lps} LPs, cap {cap} %, {seconds} s: {received} of {room} ns"
                );
            }
        }
    }
}

/// Five VPs that have an LP each for a second, of which random ones stall, and three newcomers then: the least that
/// one of these receives of an LP in its first quarter of a second.
fn least_of_newcomers(seed: u64) -> f64 {
    let mut scheduler = Scheduler::new(fair(5, 1));
    let mut random = Random::new(seed);
    let add = |scheduler: &mut Scheduler, now, vps| {
        let new = NewGuest {
            name: String::new(),
            vps,
            controls: Controls::default(),
            affinity: None,
        };
        let guest = scheduler.add_guest(now, &new).unwrap();
        let vps = scheduler.machine().guest(guest).vps.clone();
        scheduler.start(now, &vps);
    };
    add(&mut scheduler, Nanos::ZERO, 5);
    // By LP: who runs, since when, until when, and how much of that is lost.
    let mut lps = [(None, Nanos::ZERO, Nanos::ZERO, Nanos::ZERO); 5];
    let mut received = [0; 8];
    let newcomers = SECOND;
    let end = SECOND + Nanos::from_millis(250);
    let mut came = false;
    loop {
        let (lp, &(running, since, until, lost)) =
            (0..).zip(&lps).min_by_key(|(_, lp)| lp.2).unwrap();
        let now = until;
        if now >= end {
            break;
        }
        if now >= newcomers && !came {
            came = true;
            received = [0; 8];
            add(&mut scheduler, newcomers, 3);
        }
        scheduler.take_calls();
        if let Some(VpId(vp)) = running {
            let ran = now.since(since).since(lost);
            received[vp as usize] += ran.0;
            scheduler.charge(now, LpId(lp), ran, After::Run);
            scheduler.lost(now, LpId(lp), lost);
        }
        let decision = scheduler.pick(now, LpId(lp));
        lps[lp as usize] = match decision {
            Decision::Run { vp, until, .. } => {
                // One dispatch in thirty is stalled for up to 60 ms before the newcomers come.
                let stall = match random.below(30) {
                    0 if now < Nanos::from_millis(940) => Nanos(random.below(60_000_000)),
                    _ => Nanos::ZERO,
                };
                (Some(vp), now, until + stall, stall)
            }
            _ => (None, now, now + SLICE, Nanos::ZERO),
        };
    }
    let least = received[5..].iter().min().unwrap();
    *least as f64 / 250e6
}

#[test]
fn a_start_settles_who_is_owed() {
    let mut scheduler = started(fair(2, 1), &[1, 1]);
    for lp in 0..2 {
        picked(&mut scheduler, Nanos::ZERO, lp);
    }
    // LP 0 is away for 40 slices: half of that is beyond what its VP bears.
    let now = Nanos(41 * SLICE.0);
    scheduler.charge(now, LpId(0), SLICE, After::Run);
    scheduler.lost(now, LpId(0), now - SLICE);
    picked(&mut scheduler, now, 0);
    scheduler.charge(now, LpId(0), Nanos::ZERO, After::Run);
    let owed = scheduler.lag(now, VpId(0)).unwrap();
    assert_eq!(owed, 20 * SLICE.0 as i64);
    let new = NewGuest {
        name: "new".to_owned(),
        vps: 1,
        controls: Controls::default(),
        affinity: None,
    };
    let guest = scheduler.add_guest(now, &new).unwrap();
    let vps = scheduler.machine().guest(guest).vps.clone();
    scheduler.start(now, &vps);
    let lags = [0, 1, 2].map(|vp| scheduler.lag(now, VpId(vp)).unwrap());
    assert!(lags[0] <= SLICE.0 as i64 && lags[2] == 0, "{lags:?}");
}

#[test]
fn newcomers_pay_nothing_of_what_others_lost_before_they_came() {
    // Eight VPs on five LPs. At either end of the time one may be two slices off, and a slice is in progress.
    let due = 5.0 / 8.0;
    for seed in 0..50 {
        let least = least_of_newcomers(seed);
        assert!(
            least >= due - 5.0 * slices(1) / 250e6,
            "seed {seed}: {least}"
        );
    }
}
