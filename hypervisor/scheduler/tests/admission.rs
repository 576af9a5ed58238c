//! What is refused, in which words, and that a refusal changes nothing.

#[allow(
    dead_code,
    reason = "shared by several tests, none of which uses all of it"
)]
mod common;

use apportion_scheduler::{
    AdmissionError, Cap, Config, Controls, GuestId, LpId, LpSet, Nanos, NewGuest, PolicyKind,
    Reserve, Scheduler, VpId, Weight,
};
use common::{Driver, Guest, burn};
use std::fmt::Debug;

const SLICE: Nanos = Nanos::from_millis(1);
const SECOND: Nanos = Nanos::from_millis(1_000);

/// VPs, the reserve of each in percent, and where they may run.
type Tenant<'a> = (u32, f64, Option<&'a [u32]>);

fn reserving(percent: f64) -> Controls {
    let reserve = Reserve::from_percent(percent).unwrap();
    Controls::new(Weight::default(), reserve, Cap::default()).unwrap()
}

fn set(lps: &[u32]) -> LpSet {
    lps.iter().copied().map(LpId).collect()
}

/// Guests g0, g1 and so on, all of whose VPs burn.
fn driver(lps: u32, tenants: &[Tenant<'_>]) -> Driver {
    let guests = tenants.iter().map(|&(vps, reserve, affinity)| {
        let mut guest = Guest::new(reserving(reserve), (0..vps).map(|_| burn()));
        guest.affinity = affinity.map(set);
        guest
    });
    let config = Config::new(lps, SLICE, PolicyKind::Fair);
    Driver::new(config, Nanos::from_micros(50), guests.collect())
}

fn scheduler(lps: u32, tenants: &[Tenant<'_>]) -> Scheduler {
    driver(lps, tenants).scheduler
}

fn add(
    scheduler: &mut Scheduler,
    now: Nanos,
    (vps, reserve, affinity): Tenant<'_>,
) -> Result<GuestId, AdmissionError> {
    let new = NewGuest {
        name: "new".to_owned(),
        vps,
        controls: reserving(reserve),
        affinity: affinity.map(set),
    };
    scheduler.add_guest(now, &new)
}

/// Makes a call in the middle of a dispatch. It is refused in these words, and
/// neither the scheduler nor any decision after it differs from what there
/// would be without it.
fn refused<T: Debug>(
    lps: u32,
    tenants: &[Tenant<'_>],
    call: impl Fn(&mut Scheduler, Nanos) -> Result<T, AdmissionError>,
    words: &str,
) {
    refused_after(lps, tenants, |_, _| {}, call, words);
}

/// The same, something else having been done before.
fn refused_after<T: Debug>(
    lps: u32,
    tenants: &[Tenant<'_>],
    before: impl Fn(&mut Scheduler, Nanos),
    call: impl Fn(&mut Scheduler, Nanos) -> Result<T, AdmissionError>,
    words: &str,
) {
    let run = |calls: bool| {
        let mut driver = driver(lps, tenants);
        driver.run_until(Nanos::from_micros(5_300));
        before(&mut driver.scheduler, driver.now);
        driver.obey();
        if calls {
            let (now, scheduler) = (driver.now, &mut driver.scheduler);
            // Only that it is so late is new to it.
            scheduler.lost(now, LpId(0), Nanos::ZERO);
            let as_it_was = format!("{scheduler:?}");
            assert_eq!(call(scheduler, now).unwrap_err().to_string(), words);
            assert_eq!(format!("{scheduler:?}"), as_it_was);
        }
        driver.run_until(Nanos::from_millis(50));
        driver.trace
    };
    assert_eq!(run(true), run(false));
}

#[test]
fn a_guest_whose_reserves_do_not_fit_is_refused() {
    refused(
        2,
        &[(2, 50.0, None)],
        |scheduler, now| add(scheduler, now, (2, 49.001, None)),
        "guest new needs 98.002 % of an LP in reserves, and of the 198 % that 2 LP(s) can promise (99 % of each) \
         98 % is left (held by g0: 100 %): lower a reserve, use fewer VPs, or give it more LPs",
    );
    // Nobody holds any of it.
    refused(
        1,
        &[(1, 0.0, None)],
        |scheduler, now| add(scheduler, now, (1, 100.0, None)),
        "guest new needs 100 % of an LP in reserves, and of the 99 % that 1 LP(s) can promise (99 % of each) 99 % is \
         left: lower a reserve, use fewer VPs, or give it more LPs",
    );
}

#[test]
fn a_vp_whose_reserve_does_not_fit_is_refused() {
    // 2·60 % for both VPs of g0, beside 80 %.
    refused(
        2,
        &[(1, 60.0, None), (1, 80.0, None)],
        |scheduler, now| scheduler.add_vp(now, GuestId(0)),
        "guest g0 needs 120 % of an LP in reserves, and of the 198 % that 2 LP(s) can promise (99 % of each) 118 % is \
         left (held by g1: 80 %): lower a reserve, use fewer VPs, or give it more LPs",
    );
}

#[test]
fn a_reserve_that_is_raised_too_far_is_refused() {
    refused(
        1,
        &[(1, 60.0, None), (1, 30.0, None), (1, 0.0, None)],
        |scheduler, now| scheduler.set_controls(now, GuestId(0), reserving(69.001)),
        "guest g0 needs 69.001 % of an LP in reserves, and of the 99 % that 1 LP(s) can promise (99 % of each) 69 % \
         is left (held by g1: 30 %): lower a reserve, use fewer VPs, or give it more LPs",
    );
}

#[test]
fn an_affinity_that_leaves_too_little_for_reserves_is_refused() {
    // 120 % on the first LP; g2 has the second one to itself.
    refused(
        2,
        &[
            (1, 60.0, Some(&[0])),
            (1, 60.0, None),
            (1, 10.0, Some(&[1])),
        ],
        |scheduler, now| scheduler.set_affinity(now, GuestId(1), Some(set(&[0]))),
        "guest g1: the reserves of g0, g1 do not fit on the LPs that these guests may use: lower a reserve or widen \
         an affinity",
    );
    refused(
        2,
        &[(1, 60.0, Some(&[0]))],
        |scheduler, now| add(scheduler, now, (1, 39.001, Some(&[0]))),
        "guest new: the reserves of g0, new do not fit on the LPs that these guests may use: lower a reserve or widen \
         an affinity",
    );
}

#[test]
fn exactly_99_percent_of_each_lp_can_be_promised() {
    let part = 0.001;
    let full = || scheduler(2, &[(1, 99.0, None), (1, 60.0, None)]);
    assert!(add(&mut full(), SLICE, (1, 39.0, None)).is_ok());
    assert!(add(&mut full(), SLICE, (1, 39.0 + part, None)).is_err());
    let raise = |percent| full().set_controls(SLICE, GuestId(1), reserving(percent));
    assert!(raise(99.0).is_ok());
    assert!(raise(99.0 + part).is_err());
    // The same on one LP of several, by affinity.
    let pinned = || scheduler(3, &[(1, 60.0, Some(&[1]))]);
    assert!(add(&mut pinned(), SLICE, (1, 39.0, Some(&[1]))).is_ok());
    assert!(add(&mut pinned(), SLICE, (1, 39.0 + part, Some(&[1]))).is_err());
    // And by what is left on line: 49.5 % of each of two.
    let off = |percent| {
        scheduler(2, &[(1, 49.5, None), (1, percent, None)]).lp_off(SLICE, LpId(0), false)
    };
    assert!(off(49.5).is_ok());
    assert!(off(49.5 + part).is_err());
}

#[test]
fn an_lp_that_reserves_need_stays() {
    refused(
        2,
        &[(1, 60.0, None), (1, 0.0, None), (1, 60.0, None)],
        |scheduler, now| scheduler.lp_off(now, LpId(1), false),
        "LP 1 cannot be taken off line: reserves of 120 % of an LP are promised (held by g0: 60 %, g2: 60 %), and 1 \
         LP(s) can promise 99 %: lower a reserve, stop a guest, or force it (`force = true` in an experiment), which \
         scales all reserves down",
    );
    // All of them would fit on two LPs, but g0 and g1 may use only one of these.
    refused(
        3,
        &[(1, 60.0, Some(&[0, 1])), (1, 60.0, Some(&[0, 1]))],
        |scheduler, now| scheduler.lp_off(now, LpId(1), false),
        "LP 1 off line: the reserves of g0, g1 do not fit on the LPs that these guests may use: lower a reserve or \
         widen an affinity",
    );
    refused(
        2,
        &[(2, 10.0, None)],
        |scheduler, now| scheduler.lp_off(now, LpId(1), false),
        "LP 1 cannot be taken off line: guest g0 has a reserve on 2 VPs, and 1 LP(s) would be left to it: \
         set its reserve to 0, or force it (`force = true` in an experiment)",
    );
}

#[test]
fn an_lp_that_reserves_need_goes_if_forced_and_they_shrink() {
    let mut driver = driver(2, &[(1, 90.0, None), (1, 45.0, None), (1, 0.0, None)]);
    driver.run_until(SECOND);
    let off = driver.scheduler.lp_off(driver.now, LpId(1), true);
    assert_eq!(off, Ok(()));
    driver.obey();
    // Both are off by what they were ahead or behind on two LPs, until that has settled.
    driver.run_until(SECOND + SECOND);
    let before: Vec<u64> = (0..3).map(|vp| driver.received(VpId(vp))).collect();
    driver.run_until(Nanos(7 * SECOND.0));
    // 90 + 45 % of one LP: two thirds and one third of it, and nothing by weight. A slice and
    // an overshoot either way at both ends, and what is in progress.
    let bound = 3 * (SLICE.0 + 50_000);
    let time = 5 * SECOND.0;
    for (vp, due) in [2 * time / 3, time / 3, 0].into_iter().enumerate() {
        let got = driver.received(VpId(vp as u32)) - before[vp];
        assert!(got.abs_diff(due) <= bound, "VP {vp}: {got} ns for {due} ns");
    }
    // Two VPs with a reserve on the one LP that is left.
    assert_eq!(
        scheduler(2, &[(2, 10.0, None)]).lp_off(SLICE, LpId(0), true),
        Ok(())
    );
}

#[test]
fn the_last_lp_stays_even_if_forced() {
    for force in [false, true] {
        refused(
            1,
            &[(1, 0.0, None)],
            |scheduler, now| scheduler.lp_off(now, LpId(0), force),
            "LP 0 cannot be taken off line: it is the last one on line: bring another one on line first",
        );
        refused_after(
            3,
            &[(1, 0.0, None), (2, 0.0, None)],
            |scheduler, now| {
                scheduler.lp_off(now, LpId(0), force).unwrap();
                scheduler.lp_off(now, LpId(2), force).unwrap();
            },
            |scheduler, now| scheduler.lp_off(now, LpId(1), force),
            "LP 1 cannot be taken off line: it is the last one on line: bring another one on line first",
        );
        refused(
            2,
            &[(1, 0.0, None), (1, 0.0, Some(&[1]))],
            |scheduler, now| scheduler.lp_off(now, LpId(1), force),
            "LP 1 cannot be taken off line: guest g1 may use no other: widen its affinity",
        );
    }
}

#[test]
fn a_stopped_guest_needs_no_lp() {
    let mut scheduler = scheduler(2, &[(1, 50.0, Some(&[1]))]);
    assert!(scheduler.lp_off(SLICE, LpId(1), false).is_err());
    scheduler.stop_guest(SLICE, GuestId(0));
    assert_eq!(scheduler.lp_off(SLICE, LpId(1), false), Ok(()));
}

#[test]
fn a_reserve_on_more_vps_than_lps_is_refused() {
    refused(
        2,
        &[(1, 0.0, None)],
        |scheduler, now| add(scheduler, now, (3, 0.001, None)),
        "guest new has 3 VPs and may use 2 LP(s): its reserve of 0.001 % per VP cannot be guaranteed, since no more \
         VPs than LPs run at once: use reserve 0, or at most 2 VP(s)",
    );
    refused(
        2,
        &[(2, 1.0, None)],
        |scheduler, now| scheduler.add_vp(now, GuestId(0)),
        "guest g0 has 3 VPs and may use 2 LP(s): its reserve of 1 % per VP cannot be guaranteed, since no more VPs \
         than LPs run at once: use reserve 0, or at most 2 VP(s)",
    );
    refused(
        2,
        &[(3, 0.0, None)],
        |scheduler, now| scheduler.set_controls(now, GuestId(0), reserving(2.5)),
        "guest g0 has 3 VPs and may use 2 LP(s): its reserve of 2.5 % per VP cannot be guaranteed, since no more VPs \
         than LPs run at once: use reserve 0, or at most 2 VP(s)",
    );
    refused(
        3,
        &[(2, 5.0, None)],
        |scheduler, now| scheduler.set_affinity(now, GuestId(0), Some(set(&[2]))),
        "guest g0 has 2 VPs and may use 1 LP(s): its reserve of 5 % per VP cannot be guaranteed, since no more VPs \
         than LPs run at once: use reserve 0, or at most 1 VP(s)",
    );
    // Without a reserve there may be any number.
    assert!(add(&mut scheduler(2, &[]), SLICE, (50, 0.0, None)).is_ok());
}

#[test]
fn an_affinity_needs_an_lp_on_line() {
    refused(
        2,
        &[(1, 0.0, None)],
        |scheduler, now| scheduler.set_affinity(now, GuestId(0), Some(set(&[]))),
        "guest g0: none of the LPs {} of its affinity is on line",
    );
    refused_after(
        4,
        &[(1, 0.0, None)],
        |scheduler, now| {
            scheduler.lp_off(now, LpId(1), false).unwrap();
            scheduler.lp_off(now, LpId(3), false).unwrap();
        },
        |scheduler, now| add(scheduler, now, (1, 0.0, Some(&[1, 3]))),
        "guest new: none of the LPs {1, 3} of its affinity is on line",
    );
}

#[test]
fn an_lp_that_does_not_exist_is_refused_wherever_it_is_named() {
    let tenants: &[Tenant<'_>] = &[(1, 0.0, None)];
    let words = "there is no LP 4: LPs are numbered 0 to 3";
    refused(4, tenants, |s, now| s.lp_off(now, LpId(4), true), words);
    refused(4, tenants, |s, now| s.lp_on(now, LpId(4)), words);
    refused(
        4,
        tenants,
        |s, now| add(s, now, (1, 0.0, Some(&[0, 4]))),
        words,
    );
    refused(
        4,
        tenants,
        |s, now| s.set_affinity(now, GuestId(0), Some(set(&[4]))),
        words,
    );
}

#[test]
fn nothing_of_a_stopped_guest_can_be_changed() {
    let tenants: &[Tenant<'_>] = &[(1, 10.0, None), (2, 0.0, None)];
    let stop = |scheduler: &mut Scheduler, now| scheduler.stop_guest(now, GuestId(0));
    let words = "guest g0 was stopped: nothing of it can be changed";
    refused_after(2, tenants, stop, |s, now| s.add_vp(now, GuestId(0)), words);
    refused_after(
        2,
        tenants,
        stop,
        |s, now| s.set_controls(now, GuestId(0), Controls::default()),
        words,
    );
    refused_after(
        2,
        tenants,
        stop,
        |s, now| s.set_affinity(now, GuestId(0), None),
        words,
    );
}

#[test]
fn what_a_guest_gave_back_can_be_promised_again() {
    let mut scheduler = scheduler(2, &[(2, 50.0, None), (2, 49.0, None)]);
    assert!(add(&mut scheduler, SLICE, (1, 0.001, None)).is_err());
    scheduler.stop_guest(SLICE, GuestId(0));
    assert!(add(&mut scheduler, SLICE, (2, 50.001, None)).is_err());
    assert!(add(&mut scheduler, SLICE, (2, 50.0, None)).is_ok());
    // By a lower reserve: 2·50 % and 2·25 % leave 48 %.
    let lower = scheduler.set_controls(SLICE, GuestId(1), reserving(25.0));
    assert_eq!(lower, Ok(()));
    assert!(add(&mut scheduler, SLICE, (2, 24.001, None)).is_err());
    assert!(add(&mut scheduler, SLICE, (2, 24.0, None)).is_ok());
}

#[test]
fn a_reserve_is_held_by_guests_that_were_never_started() {
    let mut scheduler = Scheduler::new(Config::new(1, SLICE, PolicyKind::Fair));
    add(&mut scheduler, Nanos::ZERO, (1, 99.0, None)).unwrap();
    assert!(add(&mut scheduler, Nanos::ZERO, (1, 0.001, None)).is_err());
}

#[test]
fn eight_holders_are_named_and_the_rest_is_summed_up() {
    let mut tenants = vec![(1, 10.0, None); 8];
    tenants.extend([(1, 0.1, None), (1, 0.2, None)]);
    refused(
        1,
        &tenants,
        |scheduler, now| add(scheduler, now, (1, 50.0, None)),
        "guest new needs 50 % of an LP in reserves, and of the 99 % that 1 LP(s) can promise (99 % of each) 18.7 % is \
         left (held by g0: 10 %, g1: 10 %, g2: 10 %, g3: 10 %, g4: 10 %, g5: 10 %, g6: 10 %, g7: 10 %, 2 more: 0.3 \
         %): lower a reserve, use fewer VPs, or give it more LPs",
    );
    // Eight, and nothing is left to be summed up.
    refused(
        1,
        &tenants[..8],
        |scheduler, now| add(scheduler, now, (1, 50.0, None)),
        "guest new needs 50 % of an LP in reserves, and of the 99 % that 1 LP(s) can promise (99 % of each) 19 % is \
         left (held by g0: 10 %, g1: 10 %, g2: 10 %, g3: 10 %, g4: 10 %, g5: 10 %, g6: 10 %, g7: 10 %): lower a \
         reserve, use fewer VPs, or give it more LPs",
    );
}

#[test]
fn after_an_lp_was_forced_off_less_can_be_asked_for() {
    // 99 % of one LP for reserves of 180 %: whoever lowers his makes it better.
    let mut scheduler = scheduler(2, &[(1, 90.0, None), (1, 90.0, None)]);
    scheduler.lp_off(SLICE, LpId(1), true).unwrap();
    let lower = scheduler.set_controls(SLICE, GuestId(0), reserving(45.0));
    assert_eq!(lower, Ok(()));
}

#[test]
fn a_guest_without_a_reserve_is_admitted_whatever_is_promised() {
    for affinity in [None, Some(&[0_u32, 1][..])] {
        let mut scheduler = scheduler(2, &[(1, 90.0, affinity), (1, 90.0, None)]);
        scheduler.lp_off(SLICE, LpId(1), true).unwrap();
        assert!(add(&mut scheduler, SLICE, (1, 0.0, None)).is_ok());
    }
}

fn define(scheduler: &mut Scheduler, now: Nanos, reserve: f64) -> GuestId {
    let new = NewGuest {
        name: "late".to_owned(),
        vps: 1,
        controls: reserving(reserve),
        affinity: None,
    };
    scheduler.define_guest(now, &new)
}

#[test]
fn a_guest_that_is_to_come_holds_no_reserve_until_it_is_let_in() {
    let mut scheduler = driver(1, &[(1, 60.0, None)]).scheduler;
    let late = define(&mut scheduler, Nanos::ZERO, 60.0);
    // There is room for another one meanwhile.
    let other = add(&mut scheduler, Nanos::ZERO, (1, 39.0, None)).unwrap();
    scheduler.stop_guest(Nanos::ZERO, GuestId(0));
    assert_eq!(scheduler.admit_guest(Nanos::ZERO, late), Ok(()));
    // Once is enough; it holds its reserve now.
    assert_eq!(scheduler.admit_guest(Nanos::ZERO, late), Ok(()));
    let more = scheduler.set_controls(Nanos::ZERO, other, reserving(39.001));
    assert!(
        more.unwrap_err()
            .to_string()
            .contains("(held by late: 60 %)")
    );
}

#[test]
fn nothing_changes_where_a_guest_that_is_to_come_does_not_fit_or_is_to_be_changed() {
    let mut scheduler = scheduler(1, &[(1, 60.0, None)]);
    let late = define(&mut scheduler, Nanos::ZERO, 40.0);
    let as_it_was = format!("{scheduler:?}");
    let let_in = scheduler.admit_guest(Nanos::ZERO, late);
    assert_eq!(
        let_in.unwrap_err().to_string(),
        "guest late needs 40 % of an LP in reserves, and of the 99 % that 1 LP(s) can promise (99 % of each) 39 % is \
         left (held by g0: 60 %): lower a reserve, use fewer VPs, or give it more LPs"
    );
    let changed = scheduler.set_controls(Nanos::ZERO, late, reserving(1.0));
    assert_eq!(
        changed.unwrap_err().to_string(),
        "guest late has not started: nothing of it can be changed before"
    );
    assert_eq!(format!("{scheduler:?}"), as_it_was);
}
