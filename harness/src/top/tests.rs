//! A run as the views are told of it: figures, lines, events.

use super::Top;
use super::live::Live;
use super::outlet::Outlet;
use super::picture::{Picture, State};
use super::plain;
use crate::plan::{Planned, burners, planned_as};
use apportion_hypervisor::counters::{LpSnapshot, Snapshot, VpSnapshot};
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::{Action, Payload};
use apportion_scheduler::{Controls, GuestId, Happened, LpId, Nanos, VpId, Weight, What};
use std::io::{self, Read as _};
use std::thread;

pub(super) fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

/// A run of these guests of one VP each on one LP, for 250 ms after 100 ms of warm-up.
pub(super) fn planned(guests: &[(&str, i64)]) -> Planned {
    planned_as(burners(guests))
}

/// Its guests were started at 1 s.
pub(super) fn started(planned: &Planned, simulated: bool) -> Live {
    let mut live = Live::new(planned, 1, simulated);
    for guest in planned.roster.guests() {
        live.enter(&LogEntry::GuestStarted {
            guest,
            at: ms(1_000),
        });
    }
    live
}

/// A dispatch that began and ended then, after 2 ms of waiting; 0.1 ms was lost.
fn dispatch(lp: u32, vp: u32, start: u64, end: u64) -> LogEntry {
    LogEntry::Dispatch(Dispatch {
        lp: LpId(lp),
        vp: VpId(vp),
        ready: ms(start - 2),
        start: ms(start),
        end: ms(end),
        ran: ms(end - start) - Nanos::from_micros(100),
        work: 0,
        reason: Reason::Slice,
    })
}

/// A second in which the first guest got three quarters.
pub(super) fn a_second(live: &mut Live) {
    for at in (1_004..2_000).step_by(4) {
        live.enter(&dispatch(0, 0, at, at + 3));
        live.enter(&dispatch(0, 1, at + 3, at + 4));
    }
    assert!(live.tick(ms(1_010)));
}

#[test]
fn lines_tell_what_was_received_in_the_last_second() {
    let mut live = started(&planned(&[("heavy", 300), ("light", 100)]), true);
    assert!(!live.tick(ms(950)));
    assert_eq!(plain::second(&live.picture()), "");
    a_second(&mut live);
    assert_eq!(
        plain::second(&live.picture()),
        "t=1s heavy weight 300 reserve 0 cap 100 received 71.5 % of an LP per VP, share 75.2 %, \
         wait 2000 us/dispatch, 247 dispatches/s\n\
         t=1s light weight 100 reserve 0 cap 100 received 22.2 % of an LP per VP, share 23.3 %, \
         wait 2000 us/dispatch, 247 dispatches/s\n"
    );
    let Picture { second, guests, .. } = live.picture();
    let second = second.unwrap();
    let expected = guests[0].expected(&second).unwrap();
    assert!((expected - 75.0).abs() < 0.1, "{expected}");
    assert!(!live.tick(ms(1_990)));
}

#[test]
fn lines_of_events_have_their_kind_and_whom_they_speak_of() {
    let mut live = started(&planned(&[("heavy", 300), ("light", 100)]), false);
    let told = |live: &mut Live| live.news().iter().map(plain::event).collect::<String>();
    assert_eq!(
        told(&mut live),
        "t=0.000s event guest-defined heavy: vps=1 weight=300 reserve=0 cap=100 payload=burn memory=4194304\n\
         t=0.000s event guest-start heavy\n\
         t=0.000s event guest-defined light: vps=1 weight=100 reserve=0 cap=100 payload=burn memory=4194304\n\
         t=0.000s event guest-start light\n"
    );
    let controls = Controls::with_weight(Weight::new(500).unwrap());
    live.enter(&LogEntry::ControlsChanged {
        guest: GuestId(1),
        controls,
        at: ms(2_500),
    });
    live.refused(
        &Action::LpOff {
            lp: LpId(0),
            force: false,
        },
        "it is the last",
        ms(2_600),
    );
    live.enter(&LogEntry::GuestCrashed {
        guest: GuestId(0),
        vp: 0,
        at: ms(3_000),
    });
    assert_eq!(
        told(&mut live),
        "t=1.500s event controls light: weight=500 reserve=0 cap=100\n\
         t=1.600s event refused LP 0: it is the last\n\
         t=2.000s event guest-crash heavy:0: the others go on\n"
    );
    let guests = live.picture().guests;
    assert_eq!(guests[0].state, State::Crashed);
    assert_eq!(guests[1].controls, controls);
    assert_eq!(
        plain::head(&live.picture()),
        "run example 1/1: 1 LP, slice 1ms, policy fair, 350ms\n"
    );
}

#[test]
fn lines_that_nobody_reads_are_left_out_and_counted() {
    let (mut reader, writer) = io::pipe().unwrap();
    let mut top = Top::new("kvm", None);
    top.outlet = Some(Outlet::open(writer).unwrap());
    let two = format!("a\n{}\n", "b".repeat(100_000));
    for _ in 0..100 {
        top.say(&two);
    }
    let read = thread::spawn(move || {
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        read
    });
    let told = top.finish();
    let read = read.join().unwrap();
    assert!(read.len().is_multiple_of(two.len()) && !read.is_empty());
    let left_out = 200 - read.lines().count();
    assert!(left_out > 0);
    let expected = format!("{left_out} lines were left out, since nobody read those before them\n");
    assert_eq!(told, expected);
    assert_eq!(top.finish(), "");
}

#[test]
fn a_guest_is_as_lively_as_its_liveliest_vp_and_one_to_be_added_is_not_there() {
    let mut spec = burners(&[("pair", 100)]);
    spec.guests[0].vps = 2;
    spec.guests[0].payload = Payload::Burn;
    spec.changes = vec![apportion_hypervisor::Change {
        at: ms(10),
        action: Action::AddVp { guest: GuestId(0) },
    }];
    let mut live = started(&planned_as(spec), false);
    let happened = |live: &mut Live, vp, what| {
        let at = ms(1_001);
        live.enter(&LogEntry::Vp(Happened {
            vp: VpId(vp),
            at,
            what,
        }));
        let picture = live.picture();
        (picture.guests[0].state, picture.vps.len())
    };
    assert_eq!(happened(&mut live, 0, What::Slept), (State::Running, 2));
    assert_eq!(happened(&mut live, 1, What::Held), (State::Held, 2));
    assert_eq!(happened(&mut live, 1, What::Slept), (State::Asleep, 2));
    live.enter(&LogEntry::VpAdded {
        vp: VpId(2),
        at: ms(1_002),
    });
    let picture = live.picture();
    assert_eq!((picture.guests[0].vps, picture.vps.len()), (3, 3));
    assert_eq!(picture.vps[2].name, "pair:2");
}

#[test]
fn a_guest_that_comes_later_is_shown_then_and_one_that_was_stopped_says_so() {
    let mut spec = burners(&[("first", 100), ("late", 100)]);
    let (first, late) = (GuestId(0), GuestId(1));
    spec.changes = vec![apportion_hypervisor::Change {
        at: ms(10),
        action: Action::StartGuest { guest: late },
    }];
    let mut live = Live::new(&planned_as(spec), 1, false);
    let start = |guest, at| LogEntry::GuestStarted { guest, at: ms(at) };
    live.enter(&start(first, 500));
    assert_eq!(live.picture().guests.len(), 1);
    live.news();
    live.enter(&start(late, 900));
    live.enter(&LogEntry::GuestStopped {
        guest: first,
        at: ms(1_500),
    });
    // Whatever it still says.
    live.enter(&LogEntry::Vp(Happened {
        vp: VpId(0),
        at: ms(1_501),
        what: What::Slept,
    }));
    let states: Vec<State> = live.picture().guests.iter().map(|it| it.state).collect();
    assert_eq!(states, [State::Stopped, State::Running]);
    // Counted from when the first started.
    let told: String = live.news().iter().map(plain::event).collect();
    assert!(told.contains("t=0.400s event guest-start late\n"), "{told}");
    assert!(told.contains("t=1.000s event guest-stop first\n"), "{told}");
}

#[test]
fn counters_tell_rates_over_the_time_between_them() {
    let mut live = started(&planned(&[("only", 100)]), false);
    let snapshot = |at, count: u64| Snapshot {
        at: ms(at),
        lps: vec![LpSnapshot {
            guest: ms(count * 4),
            idle: ms(count),
            ..LpSnapshot::default()
        }],
        vps: vec![VpSnapshot {
            intercepts: [count, count, 0, 0, 0, 0],
            posted: count,
            ..VpSnapshot::default()
        }],
        ..Snapshot::default()
    };
    live.counters(&snapshot(1_000, 0));
    live.counters(&snapshot(1_500, 100));
    // Too soon to tell a rate: it is left out.
    live.counters(&snapshot(1_501, 100));
    live.tick(ms(1_000));
    let picture = live.picture();
    let sums = picture.vps[0].sums;
    assert_eq!(
        (sums.intercepts, sums.hypercalls, sums.interrupts),
        (400.0, 200.0, 200.0)
    );
    let [guest, .., idle] = picture.lps[0].parts;
    assert_eq!((guest, idle), (Some(80.0), Some(20.0)));
}
