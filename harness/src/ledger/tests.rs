use super::*;
use crate::plan::burners;
use apportion_hypervisor::{Ns, Payload, Piece, RecordedDemand};
use apportion_scheduler::VpId;
use std::sync::Arc;

const MS: u64 = 1_000_000;

fn ms(value: u64) -> Nanos {
    Nanos(value * MS)
}

fn spec() -> RunSpec {
    burners(&[("a", 300), ("b", 100)])
}

fn started(spec: &RunSpec) -> Ledger {
    let mut ledger = Ledger::new(spec, &Roster::new(spec));
    for guest in ledger.roster.guests() {
        ledger.enter(&LogEntry::GuestStarted {
            guest,
            at: ms(1000),
        });
    }
    ledger
}

fn dispatch(vp: u32, start: Nanos, end: Nanos, ran: Nanos) -> LogEntry {
    LogEntry::Dispatch(Dispatch {
        lp: LpId(0),
        vp: VpId(vp),
        ready: start,
        start,
        end,
        ran,
        work: 100,
        reason: Reason::Slice,
    })
}

/// An LP is busy with VP 0 for all of the time, so that nothing is lost.
fn keep_busy(ledger: &mut Ledger, lp: u32, from: Nanos, to: Nanos) {
    let LogEntry::Dispatch(whole) = dispatch(0, from, to, to - from) else {
        unreachable!("it is a dispatch");
    };
    ledger.enter(&LogEntry::Dispatch(Dispatch {
        lp: LpId(lp),
        ..whole
    }));
}

fn received(window: &Window) -> Vec<f64> {
    window.vps.iter().map(|vp| vp.received).collect()
}

#[test]
fn a_dispatch_across_borders_counts_by_overlap() {
    let mut ledger = started(&spec());
    // 40 ms from 20 ms before the measured time begins (at 1100 ms): half of it counts.
    ledger.enter(&dispatch(0, ms(1080), ms(1120), ms(30)));
    // Across the border of the first two bins: 10 ms and 30 ms of 40.
    ledger.enter(&dispatch(1, ms(1190), ms(1230), ms(20)));
    // Beyond the end (1350 ms): a quarter counts.
    ledger.enter(&dispatch(0, ms(1340), ms(1380), ms(40)));
    ledger.enter(&LogEntry::Idle {
        lp: LpId(0),
        start: ms(1150),
        end: ms(1180),
    });
    let closed = ledger.close(ms(1350));
    let bins: Vec<_> = closed.windows(BIN).collect();
    assert_eq!(bins.len(), 2, "the last 50 ms make no window");
    assert_eq!(received(&bins[0]), [15e6, 5e6]);
    assert_eq!((bins[0].vps[0].work, bins[0].vps[1].work), (50.0, 25.0));
    assert_eq!(bins[0].idle, 30e6);
    assert_eq!(received(&bins[1]), [0.0, 15e6]);
    let whole = closed.whole().unwrap();
    assert_eq!((whole.start, whole.end), (ms(1100), ms(1350)));
    assert_eq!(received(&whole), [25e6, 20e6]);
    assert_eq!(whole.delivered(), 75e6);
    assert_eq!(whole.wall, 250e6);
}

#[test]
fn what_is_promised_follows_who_wants_to_run() {
    let mut ledger = started(&spec());
    ledger.enter(&LogEntry::GuestCrashed {
        guest: GuestId(0),
        vp: 0,
        at: ms(1200),
    });
    keep_busy(&mut ledger, 0, ms(1000), ms(1350));
    let whole = ledger.close(ms(1350)).whole().unwrap();
    // 100 ms of 3 : 1, then 150 ms alone.
    assert!((whole.vps[0].expected - 75e6).abs() < 1.0);
    assert!((whole.vps[1].expected - 175e6).abs() < 1.0);
    assert_eq!(whole.vps[0].present, 100e6);
}

#[test]
fn an_interrupted_run_ends_with_its_last_whole_bin() {
    let closed = started(&spec()).close(ms(1290));
    assert_eq!(closed.measured, ms(1100)..ms(1200));
    assert_eq!(closed.windows(BIN).count(), 1);
    assert!(started(&spec()).close(ms(1050)).whole().is_none());
}

#[test]
fn overshoot_is_what_a_slice_took_beyond_its_length() {
    let mut ledger = started(&spec());
    ledger.enter(&dispatch(0, ms(1100), Nanos(1101 * MS + 30_000), ms(1)));
    ledger.enter(&dispatch(0, ms(1110), Nanos(1111 * MS + 10_000), ms(1)));
    let precision = ledger.close(ms(1350)).precision;
    assert_eq!(precision.overshoots, [10_000.0, 30_000.0]);
    assert_eq!(precision.overshoot(0.99), Nanos(29_800));
}

#[test]
fn a_sleep_counts_from_where_it_began_to_when_it_was_due() {
    let mut spec = spec();
    spec.guests[1].payload = Payload::OnOff {
        on: Ns(ms(1).0),
        off: Ns(ms(1).0),
    };
    let mut ledger = started(&spec);
    let happened = |at, what| {
        LogEntry::Vp(Happened {
            vp: VpId(1),
            at,
            what,
        })
    };
    // In another order than it happened.
    ledger.enter(&happened(ms(1171), What::Woke { due: ms(1170) }));
    ledger.enter(&happened(ms(1130), What::Slept));
    ledger.enter(&happened(ms(1200), What::Held));
    keep_busy(&mut ledger, 0, ms(1000), ms(1350));
    let whole = ledger.close(ms(1350)).whole().unwrap();
    assert!((whole.vps[1].expected - 0.25 * 210e6).abs() < 1.0);
    assert!((whole.vps[0].expected - 0.75 * 210e6 - 40e6).abs() < 1.0);
}

/// What guest a is promised in 250 ms, and what losses leave of its reserve, ms; with a reserve of 90 % it burns beside
/// b, and of each 100 ms `lost` are lost.
fn promised_with_reserve(lost: u64) -> (f64, f64) {
    use apportion_scheduler::{Cap, Reserve, Weight};
    let mut spec = burners(&[("a", 100), ("b", 100)]);
    let reserve = Reserve::from_percent(90.0).unwrap();
    spec.guests[0].controls = Controls::new(Weight::default(), reserve, Cap::default()).unwrap();
    let mut ledger = started(&spec);
    for from in (1000..1350).step_by(100) {
        let given = ms(100 - lost);
        ledger.enter(&dispatch(1, ms(from), ms(from + 100), given));
    }
    let vp = ledger.close(ms(1350)).whole().unwrap().vps[0];
    assert!((vp.reserve - 0.9 * 250e6).abs() < 1.0);
    (vp.expected / 1e6, vp.reserve_left / 1e6)
}

/// What a reserve of 30 % is due in 250 ms, ms, with this payload; the VP sleeps from 1130 to 1180 ms.
fn due_of_sleeper(payload: Payload) -> f64 {
    use apportion_scheduler::{Cap, Reserve, Weight};
    let mut spec = spec();
    let reserve = Reserve::from_percent(30.0).unwrap();
    spec.guests[0].controls = Controls::new(Weight::default(), reserve, Cap::default()).unwrap();
    spec.guests[0].payload = payload;
    let mut ledger = started(&spec);
    keep_busy(&mut ledger, 0, ms(1000), ms(1350));
    for (at, what) in [(1130, What::Slept), (1180, What::Woke { due: ms(1180) })] {
        let vp = VpId(0);
        ledger.enter(&LogEntry::Vp(Happened {
            vp,
            at: ms(at),
            what,
        }));
    }
    let closed = ledger.close(ms(1350));
    let vp = closed.whole().unwrap().vps[0];
    assert_eq!(vp.reserve, vp.reserve_left);
    vp.reserve / 1e6
}

#[test]
fn a_reserve_is_due_while_it_is_wanted_or_as_far_as_the_demand_is_declared() {
    let (on, off) = (Ns(ms(5).0), Ns(ms(5).0));
    assert!((due_of_sleeper(Payload::OnOff { on, off }) - 0.3 * 200.0).abs() < 1e-6);
    let periodic = |run| Payload::Periodic {
        period: Ns(ms(10).0),
        run: Ns(ms(run).0),
    };
    assert!((due_of_sleeper(periodic(2)) - 0.2 * 250.0).abs() < 1e-6);
    assert!((due_of_sleeper(periodic(4)) - 0.3 * 250.0).abs() < 1e-6);
}

#[test]
fn work_that_arrives_is_due_at_the_rate_of_the_reserve() {
    use apportion_scheduler::{Cap, Reserve, Weight};
    let mut spec = spec();
    let reserve = Reserve::from_percent(30.0).unwrap();
    spec.guests[0].controls = Controls::new(Weight::default(), reserve, Cap::default()).unwrap();
    spec.guests[0].payload = Payload::Replay;
    let piece = |at, run| Piece {
        at: ms(at),
        run: ms(run),
    };
    // After measuring begins, at 100 ms, 10 ms are left of the first and 90 ms come at 250 ms.
    let vps = vec![vec![piece(20, 30), piece(250, 90)]];
    spec.guests[0].demand = Some(Arc::new(RecordedDemand { vps }));
    let mut ledger = started(&spec);
    ledger.enter(&dispatch(0, ms(1000), ms(1100), ms(20)));
    ledger.enter(&dispatch(1, ms(1100), ms(1350), ms(250)));
    let closed = ledger.close(ms(1350));
    let due = closed.work_due(VpId(0), ms(1100)..ms(1350));
    assert!(
        (due.whole / 1e6 - (10.0 + 0.3 * 100.0)).abs() < 1e-6,
        "{due:?}"
    );
    assert_eq!(closed.work_due(VpId(1), ms(1100)..ms(1350)), Due::default());
}

#[test]
fn a_loss_falls_on_a_reserve_only_where_nothing_else_is_left() {
    let close = |told: (f64, f64), expected: f64, left: f64| {
        assert!((told.0 - expected).abs() < 1e-6, "{told:?}");
        assert!((told.1 - left).abs() < 1e-6, "{told:?}");
    };
    // 90 % and half of what is left beyond it.
    close(promised_with_reserve(0), 0.95 * 250.0, 225.0);
    close(promised_with_reserve(5), 0.925 * 250.0, 225.0);
    close(promised_with_reserve(10), 225.0, 225.0);
    close(promised_with_reserve(15), 0.85 * 250.0, 0.85 * 250.0);
}

#[test]
fn what_is_lost_while_an_lp_is_busy_is_a_part_of_that_time() {
    let mut spec = burners(&[("a", 100), ("capped", 100)]);
    spec.lps = 2;
    let cap = apportion_scheduler::Cap::from_percent(50.0).unwrap();
    spec.guests[1].controls = Controls::new(Default::default(), Default::default(), cap).unwrap();
    let mut ledger = started(&spec);
    for from in (1000..1350).step_by(50) {
        keep_busy(&mut ledger, 0, ms(from), ms(from + 48));
        // Its cap's 25 ms take 26 ms.
        ledger.enter(&LogEntry::Idle {
            lp: LpId(1),
            start: ms(from + 26),
            end: ms(from + 50),
        });
        ledger.enter(&dispatch(1, ms(from), ms(from + 26), ms(25)));
    }
    let whole = ledger.close(ms(1350)).whole().unwrap();
    // 3 of 76 ms.
    let part = 1.0 - 3.0 / 76.0;
    assert!((whole.vps[0].expected - part * 250e6).abs() < 1.0);
    assert!((whole.vps[1].expected - 0.5 * 250e6).abs() < 1.0);
}

#[test]
fn what_is_lost_of_a_bound_vps_own_lp_is_missing_to_it() {
    let mut spec = burners(&[("left", 100), ("right", 100)]);
    spec.lps = 2;
    for (lp, guest) in spec.guests.iter_mut().enumerate() {
        guest.affinity = Some([LpId(lp as u32)].into_iter().collect());
    }
    let mut ledger = started(&spec);
    for from in (1000..1350).step_by(50) {
        keep_busy(&mut ledger, 0, ms(from), ms(from + 40));
        keep_busy(&mut ledger, 1, ms(from), ms(from + 50));
    }
    let whole = ledger.close(ms(1350)).whole().unwrap();
    // Besides, a hundredth is taken to be like the mean, 0.9.
    let parts = [(0.8 + 0.009) / 1.01, (1.0 + 0.009) / 1.01];
    for (vp, part) in whole.vps.iter().zip(parts) {
        assert!((vp.expected - part * 250e6).abs() < 1.0, "{}", vp.expected);
    }
}

/// By guest, ms, where work of `run` ms arrives for the first 110 ms after it started, and `lost` ms of the first 100
/// ms that are measured are lost.
fn expected_of_replay(run: u64, lost: u64) -> Vec<f64> {
    let mut spec = spec();
    spec.guests[0].payload = Payload::Replay;
    let pieces = vec![Piece {
        at: ms(110),
        run: ms(run),
    }];
    spec.guests[0].demand = Some(Arc::new(RecordedDemand { vps: vec![pieces] }));
    let mut ledger = started(&spec);
    // The other takes all that there is: what is received must not count.
    ledger.enter(&dispatch(1, ms(1000), ms(1200 - lost), ms(200 - lost)));
    ledger.enter(&dispatch(1, ms(1200), ms(1350), ms(150)));
    let whole = ledger.close(ms(1350)).whole().unwrap();
    let expected = whole.vps.iter().map(|vp| vp.expected);
    expected.map(|it| (it / 1e3).round() / 1e3).collect()
}

#[test]
fn work_that_arrives_is_expected_to_be_done_whatever_is_lost_meanwhile() {
    assert_eq!(expected_of_replay(30, 0), [30.0, 220.0]);
    assert_eq!(expected_of_replay(30, 20), [30.0, 200.0]);
    // All that is left of the first 100 ms is not enough for it.
    assert_eq!(expected_of_replay(30, 80), [30.0, 140.0]);
    // 240 ms in all at 3 : 1, after 10 ms without.
    assert_eq!(expected_of_replay(300, 0), [180.0, 70.0]);
}

#[test]
fn declared_demand_limits_the_promise_whatever_was_received() {
    let mut spec = spec();
    spec.guests[0].payload = Payload::Periodic {
        period: Ns(ms(20).0),
        run: Ns(ms(1).0),
    };
    let mut ledger = started(&spec);
    keep_busy(&mut ledger, 0, ms(1000), ms(1250));
    let whole = ledger.close(ms(1350)).whole().unwrap();
    // All of the last 50 ms is lost, and half of the 100 ms before: it has all it declared, but where nothing is left.
    assert!((whole.vps[0].expected - 0.05 * 200e6).abs() < 1.0);
    assert!((whole.vps[1].expected - (0.95 + 0.45) * 100e6).abs() < 1.0);
}

#[test]
fn an_lp_off_line_is_no_capacity_and_its_idleness_is_not_delivered() {
    let mut spec = spec();
    spec.lps = 2;
    let mut ledger = started(&spec);
    for (at, online) in [(ms(1150), false), (ms(1250), true)] {
        ledger.enter(&LogEntry::LpChanged {
            lp: LpId(1),
            online,
            at,
        });
    }
    ledger.enter(&LogEntry::Idle {
        lp: LpId(1),
        start: ms(1100),
        end: ms(1300),
    });
    keep_busy(&mut ledger, 0, ms(1000), ms(1350));
    keep_busy(&mut ledger, 1, ms(1300), ms(1350));
    let whole = ledger.close(ms(1350)).whole().unwrap();
    assert_eq!(whole.wall, 400e6);
    assert_eq!(whole.idle, 100e6);
    // One LP each for 150 ms, then 3 : 1 of one for 100 ms.
    assert!((whole.vps[0].expected - 225e6).abs() < 1.0);
}

#[test]
fn a_cap_is_summed_up_as_it_changes_and_limits_what_is_promised() {
    use apportion_scheduler::{Cap, Reserve, Weight};
    let mut ledger = started(&burners(&[("alone", 100)]));
    let cap = Cap::from_percent(40.0).unwrap();
    let controls = Controls::new(Weight::default(), Reserve::default(), cap).unwrap();
    ledger.enter(&LogEntry::ControlsChanged {
        guest: GuestId(0),
        controls,
        at: ms(1250),
    });
    keep_busy(&mut ledger, 0, ms(1000), ms(1350));
    let closed = ledger.close(ms(1350));
    let vp = closed.whole().unwrap().vps[0];
    assert!((vp.cap - 190e6).abs() < 1.0);
    assert!((vp.expected - 190e6).abs() < 1.0);
    let initial = Controls::default();
    assert_eq!(closed.controls(GuestId(0), initial, ms(1250)), initial);
    assert_eq!(closed.controls(GuestId(0), initial, ms(1350)), controls);
}

#[test]
fn what_was_lost_before_a_guest_was_changed_by_hand_is_not_missing_afterwards() {
    use apportion_hypervisor::{Action, Change};
    use apportion_scheduler::Weight;
    let controls = Controls::with_weight(Weight::new(100).unwrap());
    let expected = |planned: Option<u64>| {
        let mut spec = spec();
        spec.changes.extend(planned.map(|at| Change {
            at: ms(at),
            action: Action::SetControls {
                guest: GuestId(0),
                controls,
            },
        }));
        let mut ledger = started(&spec);
        // All of the first 50 ms is lost, then 3 : 1 becomes 1 : 1.
        ledger.enter(&LogEntry::ControlsChanged {
            guest: GuestId(0),
            controls,
            at: ms(1150),
        });
        ledger.enter(&dispatch(0, ms(1150), ms(1200), ms(50)));
        let closed = ledger.close(ms(1350));
        let first = closed.windows(BIN).next().unwrap();
        assert_eq!(closed.phases().len(), usize::from(planned.is_some()) * 2);
        first
            .vps
            .iter()
            .map(|vp| vp.expected.round() / 1e6)
            .collect()
    };
    let (by_hand, as_planned): (Vec<f64>, Vec<f64>) = (expected(None), expected(Some(50)));
    assert_eq!(by_hand, [25.0, 25.0]);
    assert_eq!(as_planned, by_hand);
}

#[test]
fn reserves_shrink_where_a_forced_lp_leaves_too_little() {
    use apportion_scheduler::{Cap, Reserve, Weight};
    let mut spec = spec();
    spec.lps = 2;
    for guest in &mut spec.guests {
        let reserve = Reserve::from_percent(80.0).unwrap();
        guest.controls = Controls::new(Weight::default(), reserve, Cap::default()).unwrap();
    }
    let mut ledger = started(&spec);
    ledger.enter(&LogEntry::LpChanged {
        lp: LpId(0),
        online: false,
        at: ms(1150),
    });
    let closed = ledger.close(ms(1350));
    // 1.6 LPs are reserved, one is there.
    assert!((closed.reserves_kept.unwrap() - 0.625).abs() < 1e-9);
    let vp = closed.whole().unwrap().vps[0];
    assert!((vp.reserve - 0.8 * 50e6 - 0.5 * 200e6).abs() < 1.0);
}

#[test]
fn phases_lie_between_changes_and_steps_after_them() {
    use apportion_hypervisor::{Action, Change};
    let mut spec = spec();
    let change = |at| Change {
        at: ms(at),
        action: Action::LpOn { lp: LpId(0) },
    };
    spec.changes = vec![change(33), change(33), change(90)];
    let mut ledger = started(&spec);
    ledger.enter(&dispatch(0, ms(1130), ms(1140), ms(10)));
    let closed = ledger.close(ms(1350));
    let spans: Vec<_> = closed.phases().iter().map(|p| (p.start, p.end)).collect();
    assert_eq!(
        spans,
        [
            (ms(1100), ms(1133)),
            (ms(1133), ms(1190)),
            (ms(1190), ms(1350))
        ]
    );
    assert_eq!(received(&closed.phases()[0]), [3e6, 0.0]);
    let steps: Vec<_> = closed.after_changes().collect();
    // 57 ms to the next change, 160 ms to the end.
    assert_eq!((steps[0].1.len(), steps[1].1.len()), (5, 16));
    assert_eq!(received(&steps[0].1[4]), [7e6, 0.0]);
}

#[test]
fn a_wake_lasts_until_its_burst_or_a_slice_was_received() {
    let mut spec = spec();
    spec.guests[0].payload = Payload::Periodic {
        period: Ns(ms(20).0),
        run: Ns(ms(5).0),
    };
    let mut ledger = started(&spec);
    let woke = |ledger: &mut Ledger, at: u64| {
        ledger.enter(&LogEntry::Vp(Happened {
            vp: VpId(0),
            at: ms(at + 1),
            what: What::Woke { due: ms(at) },
        }));
    };
    let ran = |from: u64, to: u64, reason| {
        LogEntry::Dispatch(Dispatch {
            lp: LpId(0),
            vp: VpId(0),
            ready: ms(from),
            start: ms(from),
            end: ms(to),
            ran: Nanos(ms(to - from).0 - 10),
            work: 0,
            reason,
        })
    };
    // Before measuring begins.
    woke(&mut ledger, 1090);
    ledger.enter(&ran(1095, 1096, Reason::Slice));
    woke(&mut ledger, 1110);
    ledger.enter(&ran(1113, 1114, Reason::Slice));
    ledger.enter(&ran(1120, 1124, Reason::Idle));
    // Beside this one a dispatch of the other VP overran by 5 ms.
    woke(&mut ledger, 1130);
    ledger.enter(&dispatch(1, ms(1129), ms(1135), ms(6)));
    ledger.enter(&ran(1135, 1136, Reason::Idle));
    woke(&mut ledger, 1330);
    let wakes = ledger.close(ms(1350)).wakes;
    let told: Vec<_> = wakes
        .iter()
        .map(|wake| (wake.latency(), wake.disturbed, wake.waiting))
        .collect();
    assert_eq!(
        told,
        [
            (ms(4), false, false),
            (ms(6), true, false),
            (ms(20), false, true)
        ]
    );
}
