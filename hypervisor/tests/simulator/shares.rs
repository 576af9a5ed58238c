//! The shares that the scheduler gives in virtual time.

use crate::rig::{
    LATE, OVERHEAD, Ran, SLICE, assert_known, burn, controls, guest, inside, lag_limit, ms, ns,
    overlap, reserves, run, spec, weights,
};
use apportion_abi::shared::Value;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::{Action, Change, Payload, RunSpec};
use apportion_scheduler::{CAP_DEPTH_SLICES, GuestId, LpId, Nanos, ReserveModel, VpId, What};
use std::collections::BTreeSet;

#[test]
fn known_answers_of_weights() {
    let (third, seventh) = (2.0 / 3.0, 3.0 / 7.0);
    type Case<'a> = (u32, &'a [(u32, i64)], &'a [f64]);
    let cases: &[Case] = &[
        (1, &[(1, 100), (1, 200), (1, 700)], &[0.1, 0.2, 0.7]),
        (1, &[(1, 100), (1, 150), (1, 250)], &[0.2, 0.3, 0.5]),
        (2, &[(2, 200), (2, 50)], &[0.8, 0.8, 0.2, 0.2]),
        (2, &[(3, 100)], &[third; 3]),
        (2, &[(1, 10), (2, 1)], &[1.0, 0.5, 0.5]),
        (4, &[(7, 1)], &[4.0 / 7.0; 7]),
    ];
    for (lps, guests, expected) in cases {
        assert_known(&spec(*lps, weights(guests)), expected);
    }
    let mut cut = [seventh; 8];
    cut[0] = 1.0;
    assert_known(&spec(4, weights(&[(1, 10_000), (7, 1)])), &cut);
}

#[test]
fn lps_in_lock_step_see_who_is_late() {
    // Without kick latency all LPs decide at the same instants, and what one
    // loses changes the account of time under the next one's decision.
    let guests = [3_738, 5_557, 6_750, 6_750, 6_750, 289, 289].map(|weight| (1, weight));
    let mut spec = spec(3, weights(&guests));
    spec.simulator.kick_latency = Nanos::ZERO;
    let all: f64 = guests.iter().map(|guest| guest.1 as f64).sum();
    let expected = guests.map(|guest| 3.0 * guest.1 as f64 / all);
    assert_known(&spec, &expected);
}

#[test]
fn known_answers_of_reserve_and_cap() {
    use ReserveModel::{Additive, Floor};
    let rest = 0.5 / 3.0;
    type Case<'a> = (u32, &'a [(u32, f64)], &'a [f64], &'a [f64]);
    // LPs, guests, the answer of the additive model and of the floor model.
    let cases: &[Case] = &[
        (
            1,
            &[(1, 50.0), (1, 0.0), (1, 0.0), (1, 0.0)],
            &[0.625, 0.125, 0.125, 0.125],
            &[0.5, rest, rest, rest],
        ),
        (
            2,
            &[(2, 25.0), (2, 25.0), (2, 0.0), (2, 0.0)],
            &[0.375, 0.375, 0.375, 0.375, 0.125, 0.125, 0.125, 0.125],
            &[0.25; 8],
        ),
        (
            4,
            &[(2, 50.0), (2, 50.0), (2, 0.0), (2, 0.0)],
            &[0.75, 0.75, 0.75, 0.75, 0.25, 0.25, 0.25, 0.25],
            &[0.5; 8],
        ),
    ];
    for (lps, guests, additive, floor) in cases {
        for (reserve_model, expected) in [(Additive, additive), (Floor, floor)] {
            let spec = RunSpec {
                reserve_model,
                ..spec(*lps, reserves(guests))
            };
            assert_known(&spec, expected);
        }
    }
    let capped = guest(1, controls(1_000, 0.0, 25.0), Payload::Burn);
    assert_known(&spec(1, vec![capped, burn(2, 100)]), &[0.25, 0.375, 0.375]);
}

#[test]
fn a_cap_holds_on_an_idle_host_over_every_window() {
    let caps = [10.0, 25.0, 50.0, 90.0];
    let guests = caps.map(|cap| guest(1, controls(100, 0.0, cap), Payload::Burn));
    let ran = run(&spec(4, guests.to_vec()));
    let window = ms(100);
    let (q, j) = (SLICE.0 as f64, (LATE + OVERHEAD).0 as f64);
    let depth = CAP_DEPTH_SLICES as f64 * q;
    for (vp, cap) in caps.iter().enumerate() {
        let vp = vp as u32;
        let fair = cap / 100.0 * window.0 as f64;
        let own: Vec<&Dispatch> = ran.of(vp).collect();
        // The extremes are at windows that begin or end with a dispatch.
        let borders: Vec<Nanos> = own.iter().flat_map(|d| [d.start, d.end]).collect();
        let begins = borders.iter().copied();
        let ends = borders
            .iter()
            .filter(|&&at| at >= window)
            .map(|&at| at - window);
        for from in begins.chain(ends).filter(|&at| at + window <= ms(10_000)) {
            let to = from + window;
            let first = own.partition_point(|d| d.end <= from);
            let seen = own[first..].iter().take_while(|d| d.start < to);
            let received: f64 = seen.map(|d| inside(d, from, to)).sum();
            assert!(
                received <= fair + depth + j,
                "{cap} %: {received} ns from {from}"
            );
            let least = fair - (depth + q + j);
            assert!(received >= least, "{cap} %: {received} ns from {from}");
        }
        // A dispatch begins with a whole slice, and nothing cuts it short but the end.
        let slices = ran.received(vp, Nanos::ZERO, ms(10_000)) / q;
        let dispatches = own.len() as f64;
        assert!(
            dispatches <= slices + 1.0,
            "{cap} %: {dispatches} for {slices}"
        );
        let off = (slices - cap / 100.0 * 10_000.0).abs() * q;
        assert!(off <= depth + q + j, "{cap} %: {slices} slices");
    }
}

/// Idle time of each LP while some VP was Ready, the largest stretch.
fn longest_idle_while_ready(ran: &Ran) -> Nanos {
    let waits: Vec<(Nanos, Nanos)> = ran
        .dispatches()
        .filter(|d| d.start > d.ready)
        .map(|d| (d.ready, d.start))
        .collect();
    let overlaps = ran.idle().flat_map(|(_, start, end)| {
        let waits = waits.iter();
        waits.map(move |&(ready, picked)| overlap(start, end, ready, picked))
    });
    overlaps.max().unwrap_or_default()
}

#[test]
fn an_idle_reserve_goes_to_others_and_no_lp_idles_while_a_vp_waits() {
    let sleepy = Payload::OnOff {
        on: ns(ms(2)),
        off: ns(ms(10)),
    };
    let reserved = guest(2, controls(100, 40.0, 100.0), sleepy);
    let light = guest(3, controls(100, 0.0, 100.0), sleepy);
    let ran = run(&spec(2, vec![reserved.clone(), light]));
    assert!(ran.idle().count() > 100);
    let idle = longest_idle_while_ready(&ran);
    assert!(idle <= LATE, "{idle}");
    // Beside two burners there is no idle time at all.
    let ran = run(&spec(2, vec![reserved, burn(2, 100)]));
    assert_eq!(ran.idle().count(), 0);
    let slept = ran.received(0, Nanos::ZERO, ms(10_000)) / 1e10;
    assert!(slept < 0.3, "{slept} of a reserve of 0.4");
}

#[test]
fn a_weight_changes_live() {
    let mut spec = spec(1, weights(&[(1, 100), (1, 100)]));
    spec.changes = vec![Change {
        at: ms(5_000),
        action: Action::SetControls {
            guest: GuestId(0),
            controls: controls(300, 0.0, 100.0),
        },
    }];
    let ran = run(&spec);
    // The lag at both ends of a phase.
    let limit = 2.0 * lag_limit(1);
    let before = ran.error(&[0.5, 0.5], &[], Nanos::ZERO, ms(5_000));
    let after = ran.error(&[0.75, 0.25], &[], ms(5_000), ms(10_000));
    assert!(before <= limit && after <= limit, "{before} {after}");
    assert!(ran.keep.entries.iter().any(|entry| matches!(
        entry,
        LogEntry::ControlsChanged { guest: GuestId(0), at, .. } if *at == ms(5_000)
    )));
}

#[test]
fn a_guest_starts_later_and_another_stops() {
    // The first has a reserve that the second needs once it comes.
    let mut guests = reserves(&[(1, 60.0), (1, 60.0)]);
    guests.extend(weights(&[(2, 100)]));
    let mut spec = spec(1, guests);
    spec.warm_up = ms(1_000);
    spec.changes = [
        (3_000, Action::StopGuest { guest: GuestId(0) }),
        (6_000, Action::StartGuest { guest: GuestId(1) }),
    ]
    .map(|(at, action)| Change { at: ms(at), action })
    .to_vec();
    let ran = run(&spec);
    let told = ran.keep.entries.iter().filter_map(|entry| match *entry {
        LogEntry::GuestStarted { guest, at } => Some((guest.0, true, at)),
        LogEntry::GuestStopped { guest, at } => Some((guest.0, false, at)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    assert_eq!(
        told,
        [
            (0, true, ms(0)),
            (2, true, ms(0)),
            (0, false, ms(4_000)),
            (1, true, ms(7_000)),
        ]
    );
    let limit = 2.0 * lag_limit(1);
    // 60 % and a third of the rest; half each; again 60 % and a third.
    let third = 0.4 / 3.0;
    for (parts, reserves, from, to) in [
        ([0.6 + third, 0.0, third, third], [0.6, 0.0], 0, 4_000),
        ([0.0, 0.0, 0.5, 0.5], [0.0, 0.0], 4_000, 7_000),
        ([0.0, 0.6 + third, third, third], [0.0, 0.6], 7_000, 11_000),
    ] {
        let error = ran.error(&parts, &reserves, ms(from), ms(to));
        assert!(error <= limit, "{parts:?}: {error}");
    }
    let first = ran.of(1).next().unwrap().start;
    let at_once = ms(7_000)..=ms(7_000) + SLICE + LATE + OVERHEAD;
    assert!(at_once.contains(&first), "{first}");
    let last = ran.of(0).last().unwrap();
    assert!(last.end <= ms(4_000) + LATE, "{last:?}");
    assert_eq!(last.reason, Reason::End);
    // Both at once do not fit.
    spec.changes.rotate_right(1);
    spec.changes[0].at = ms(2_000);
    let refused = spec.check_admission().unwrap_err().to_string();
    assert!(
        refused.contains("the change at 2s was refused: guest"),
        "{refused}"
    );
}

#[test]
fn a_vp_is_added_and_an_lp_goes_off_line_and_comes_back() {
    let mut spec = spec(2, weights(&[(2, 100), (2, 100)]));
    spec.warm_up = ms(1_000);
    let off = Action::LpOff {
        lp: LpId(1),
        force: false,
    };
    let on = Action::LpOn { lp: LpId(1) };
    let add = Action::AddVp { guest: GuestId(1) };
    spec.changes = [(2_000, off), (4_000, on), (6_000, add)]
        .map(|(at, action)| Change { at: ms(at), action })
        .to_vec();
    let ran = run(&spec);
    let added = LogEntry::VpAdded {
        vp: VpId(4),
        at: ms(7_000),
    };
    let added = format!("{added:?}");
    assert!(ran.keep.entries.iter().any(|e| format!("{e:?}") == added));
    // While it is off line an LP runs nothing, and its time is not idle time.
    let away = ran.dispatches().filter(|d| d.lp == LpId(1));
    let mut away = away.filter(|d| d.end > ms(3_000) + LATE && d.start < ms(5_000));
    assert!(away.next().is_none());
    assert_eq!(ran.idle().count(), 0);
    let limit = 2.0 * lag_limit(2);
    let phases: [(&[f64], u64, u64); 4] = [
        (&[0.5; 4], 0, 3_000),
        (&[0.25; 4], 3_000, 5_000),
        (&[0.5; 4], 5_000, 7_000),
        (&[0.4; 5], 7_000, 11_000),
    ];
    for (expected, from, to) in phases {
        let all: f64 = expected.iter().sum();
        let received: Vec<f64> = (0..expected.len() as u32)
            .map(|vp| ran.received(vp, ms(from), ms(to)))
            .collect();
        let total: f64 = received.iter().sum();
        for (received, part) in received.iter().zip(expected) {
            let error = received - total * part / all;
            assert!(error.abs() <= limit, "{from} to {to} ms: {error} ns off");
        }
    }
}

#[test]
fn a_reserve_bounds_the_wait_of_a_vp_that_wakes() {
    // Saturated: eight burners on two LPs. A burst is a slice, 2 % of an LP; the reserve is 20 %.
    let periodic = Payload::Periodic {
        period: ns(ms(50)),
        run: ns(SLICE),
    };
    let reserved = guest(1, controls(100, 20.0, 100.0), periodic);
    let ran = run(&spec(2, vec![reserved, burn(8, 100)]));
    let (mut woke, mut worst, mut bursts) = (None, Nanos::ZERO, 0);
    for entry in &ran.keep.entries {
        match entry {
            LogEntry::Vp(happened) if happened.vp == VpId(0) => {
                if let What::Woke { due } = happened.what {
                    woke = Some(due);
                }
            }
            LogEntry::Dispatch(d) if d.vp == VpId(0) && d.reason == Reason::Idle => {
                if let Some(due) = woke.take() {
                    worst = worst.max(d.end.since(due));
                    bursts += 1;
                }
            }
            _ => {}
        }
    }
    assert!(bursts >= 198, "{bursts} bursts in 10 s");
    // q/r + q + j
    let bound = Nanos(SLICE.0 * 100 / 20) + SLICE + LATE + OVERHEAD;
    assert!(worst <= bound, "{worst}");
}

#[test]
fn a_spin_hint_helps_its_guest_and_costs_others_nothing() {
    let with = |hint| {
        let payload = Payload::Spin {
            critical: ns(Nanos::from_micros(50)),
            think: ns(Nanos::from_micros(100)),
            // 50 us of spins.
            threshold: if hint { 2_000 } else { 0 },
        };
        let spinners = guest(4, controls(100, 0.0, 100.0), payload);
        run(&spec(2, vec![spinners, burn(4, 100)]))
    };
    let (hint, none) = (with(true), with(false));
    let acquired = |ran: &Ran| -> u64 {
        let reports = ran.outcome.reports.iter().flat_map(|report| &report.after);
        let acquisitions = reports.filter(|(value, _)| *value == Value::Acquisitions);
        acquisitions.map(|(_, count)| count).sum()
    };
    let (with_hint, without) = (acquired(&hint), acquired(&none));
    assert!(
        with_hint > without,
        "{with_hint} with hint, {without} without"
    );
    assert!(hint.dispatches().any(|d| d.reason == Reason::Hypercall));
    assert!(!none.dispatches().any(|d| d.reason == Reason::Hypercall));
    for (ran, name) in [(&hint, "with"), (&none, "without")] {
        let each = 1e10 * 0.25 * ran.delivered(Nanos::ZERO, ms(10_000));
        for vp in 4..8 {
            let error = ran.received(vp, Nanos::ZERO, ms(10_000)) - each;
            assert!(error.abs() <= lag_limit(2), "{name}: {error} ns off");
        }
    }
}

#[test]
fn a_guest_stays_on_its_node_where_it_fits() {
    let mut spec = spec(64, weights(&[(4, 100); 32]));
    (spec.nodes, spec.duration) = (4, ms(2_000));
    let node = |lp: LpId| lp.0 / 16;
    let crossings = |ran: &Ran, vps: u32| -> usize {
        let of = |vp| {
            let nodes: Vec<u32> = ran.of(vp).map(|d| node(d.lp)).collect();
            nodes.windows(2).filter(|pair| pair[0] != pair[1]).count()
        };
        (0..vps).map(of).sum()
    };
    let ran = run(&spec);
    assert_eq!(crossings(&ran, 128), 0);
    assert_eq!(ran.idle().count(), 0);
    // 24 VPs on nodes of 16 LPs, twice: they span nodes, and all get the same.
    spec.guests = weights(&[(24, 100), (24, 100), (24, 100), (24, 100)]);
    let ran = run(&spec);
    let nodes: BTreeSet<u32> = (0..24)
        .flat_map(|vp| ran.of(vp))
        .map(|d| node(d.lp))
        .collect();
    assert!(nodes.len() > 1, "{nodes:?}");
    // Between nodes a VP falls behind by two slices more before it is taken over.
    let each = 2.0 / 3.0 * spec.duration.0 as f64 * ran.delivered(Nanos::ZERO, spec.duration);
    for vp in 0..96 {
        let behind = each - ran.received(vp, Nanos::ZERO, spec.duration);
        let limit = lag_limit(64) + 2.0 * SLICE.0 as f64;
        assert!(behind <= limit, "VP {vp} is {behind} ns behind");
    }
}
