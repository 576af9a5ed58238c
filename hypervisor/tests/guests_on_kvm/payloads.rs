//! Payloads, hypercalls, the clock and interrupts.

use crate::kvm_only::Test;
use crate::rig::{Keep, burners, guest, lps, ms, run};
use apportion_abi::shared::Value;
use apportion_hypervisor::dispatch_log::Reason;
use apportion_hypervisor::{
    Action, Burst, Change, Engine as _, Features, Ns, Payload, Piece, Processor, RecordedDemand,
    RunOutcome, RunSpec, SimulatorEngine,
};
use apportion_scheduler::{Cap, GuestId, Nanos, PolicyKind, VpId, What};
use std::sync::Arc;

pub(crate) const TESTS: [Test; 13] = [
    ("fixed_work_is_done_once_and_then_no_more", fixed_work),
    ("a_walk_over_memory_stays_in_its_working_set", memory),
    ("a_spinning_guest_gets_its_lock_and_says_so", spin),
    ("bursts_are_done_at_their_times", bursts),
    ("recorded_work_is_done_again_to_the_last_percent", replay),
    ("many_pieces_of_work_are_all_recorded", many_pieces),
    ("a_probe_wakes_in_each_period", probe),
    ("a_yielding_guest_gets_its_share", yields),
    ("all_vps_of_all_guests_read_one_clock", one_clock),
    ("interrupts_posted_are_interrupts_handled", interrupts),
    (
        "an_interrupt_is_taken_within_the_dispatch_that_it_meets",
        interrupts_within_a_dispatch,
    ),
    ("a_compatible_processor_has_less", processor),
    ("vps_that_are_added_join_their_guests", added_vps),
];

/// One LP with these payloads, each in a guest of one VP.
fn spec(payloads: &[Payload]) -> RunSpec {
    let mut spec = burners(1, PolicyKind::Fair, &[]);
    let named = |(index, payload): (usize, &Payload)| guest(&format!("g{index}"), 1, 100, *payload);
    spec.guests = payloads.iter().enumerate().map(named).collect();
    spec
}

/// What a VP reports at the end.
fn value(outcome: &RunOutcome, vp: u32, value: Value) -> u64 {
    let report = outcome.reports.iter().find(|report| report.vp == VpId(vp));
    let values = &report.expect("every VP reports").after;
    let found = values.iter().find(|(it, _)| *it == value);
    found.expect("it reports everything").1
}

fn of_vp(keep: &Keep, vp: u32) -> Vec<Burst> {
    let bursts = keep.bursts.iter().copied();
    bursts.filter(|burst| burst.vp == VpId(vp)).collect()
}

fn fixed_work() {
    let units = 1_000_000;
    let burst_and_pause = Payload::FixedWork {
        units,
        burst: units / 10,
        pause: ms(10),
    };
    let at_once = Payload::FixedWork {
        units,
        burst: 0,
        pause: Ns(0),
    };
    let (keep, outcome) = run(&spec(&[at_once, burst_and_pause]));
    for vp in 0..2 {
        let work = keep.sum(|d| d.work, [vp].into_iter());
        assert_eq!(work, units as f64, "VP {vp}");
        let (began, done) = (
            value(&outcome, vp, Value::BeganAt),
            value(&outcome, vp, Value::DoneAt),
        );
        // A unit takes no less than a nanosecond on any machine.
        assert!(done > began + units, "VP {vp}: {began} to {done}");
    }
    let slept = keep.happened.iter();
    let slept = slept.filter(|it| it.vp == VpId(1) && it.what == What::Slept);
    // Nine pauses, and for good.
    assert_eq!(slept.count(), 10);
    let (began, done) = (
        value(&outcome, 1, Value::BeganAt),
        value(&outcome, 1, Value::DoneAt),
    );
    assert!(done - began >= 9 * ms(10).0);
}

fn memory() {
    let payload = Payload::Memory {
        working_set: 1 << 20,
        stride: 64,
    };
    let mut spec = spec(&[]);
    let mut walker = guest("walker", 2, 100, payload);
    walker.memory = 6 << 20;
    spec.guests = vec![walker];
    let (keep, outcome) = run(&spec);
    assert!(outcome.crashes.is_empty(), "{:?}", outcome.crashes);
    for vp in 0..2 {
        let accesses = value(&outcome, vp, Value::Accesses);
        assert!(accesses > 1_000, "{accesses}");
        let work = keep.sum(|d| d.work, [vp].into_iter()) as u64;
        // The last unit may be counted in one place and not yet in the other.
        assert!(accesses.abs_diff(64 * work) <= 64, "{accesses}, {work}");
    }
}

fn spin() {
    let payload = |threshold| Payload::Spin {
        critical: Ns(20_000),
        think: Ns(20_000),
        threshold,
    };
    let ran = |threshold| {
        let mut spec = spec(&[]);
        // Two VPs on one LP: who waits for the lock waits for the other's slice.
        spec.guests = vec![guest("pair", 2, 100, payload(threshold))];
        run(&spec)
    };
    let (keep, outcome) = ran(1_000);
    let notified =
        value(&outcome, 0, Value::Notifications) + value(&outcome, 1, Value::Notifications);
    let acquired =
        value(&outcome, 0, Value::Acquisitions) + value(&outcome, 1, Value::Acquisitions);
    assert!(acquired > 50 && notified > 5, "{acquired}, {notified}");
    let [_, counters] = outcome.measured.as_ref().unwrap();
    let served: u64 = counters.vps.iter().map(|vp| vp.long_spin_waits).sum();
    assert!(
        served <= notified && notified <= served + 2,
        "{served}, {notified}"
    );
    let ended = keep
        .dispatches
        .iter()
        .filter(|d| d.reason == Reason::Hypercall);
    assert!(ended.count() > 5);
    for never in [0, 0xffff_ffff] {
        let (keep, outcome) = ran(never);
        assert_eq!(value(&outcome, 0, Value::Notifications), 0);
        assert!(value(&outcome, 0, Value::Spins) > 0);
        assert!(
            !keep
                .dispatches
                .iter()
                .any(|d| d.reason == Reason::Hypercall)
        );
    }
}

fn bursts() {
    let payload = Payload::Bursts {
        every: ms(5),
        run: ms(1),
        random: false,
    };
    let (keep, outcome) = run(&spec(&[payload, Payload::Burn]));
    let bursts = of_vp(&keep, 0);
    // No more than have arrived; a busy host leaves a backlog, but never lets all wait.
    let arrived = 1 + outcome.stopped.since(outcome.start).0 / 5_000_000;
    assert!(
        (20..=arrived).contains(&(bursts.len() as u64)),
        "{} of {arrived}",
        bursts.len()
    );
    for pair in bursts.windows(2) {
        assert_eq!(pair[1].due, pair[0].due + Nanos(5_000_000));
        assert!(pair[0].done <= pair[1].start);
    }
    for burst in &bursts {
        assert!(
            burst.due <= burst.start && burst.start < burst.done,
            "{burst:?}"
        );
    }
    // The first demand is there as the guest starts, and not with the root's first round, 50 ms later.
    let begun_at_once = || {
        let (keep, outcome) = run(&spec(&[payload]));
        of_vp(&keep, 0)[0].start < outcome.start + Nanos::from_millis(40)
    };
    // The host may stall meanwhile, but not each time.
    assert!((0..3).any(|_| begun_at_once()));
    // 1 ms of CPU time each, sleeping and waking included.
    let ran = keep.sum(|d| d.ran.0, [0].into_iter());
    let each = ran / bursts.len() as f64;
    assert!((0.95e6..1.1e6).contains(&each), "{each} ns");
}

fn replay() {
    // 150 ms of work in the first second, beside a burner: 600 ms more are left to do it, if the host has them.
    let piece = |index: u64| Piece {
        at: Nanos(10_000_123 * index),
        run: Nanos(500_000 * (1 + index % 5)),
    };
    let pieces: Vec<Piece> = (0..100).map(piece).collect();
    let mut spec = spec(&[Payload::Replay, Payload::Burn]);
    // Its second VP has nothing to do.
    let vps = vec![pieces.clone()];
    spec.guests[0].demand = Some(Arc::new(RecordedDemand { vps }));
    spec.guests[0].vps = 2;
    let mut simulated = Keep::default();
    let virtually = SimulatorEngine::new().run(&spec, &mut simulated).unwrap();
    assert_eq!(of_vp(&simulated, 0).len(), pieces.len());
    are_pieces(&of_vp(&simulated, 0), virtually.start, &pieces);

    let charged_as_demanded = || {
        let (keep, outcome) = run(&spec);
        let bursts = of_vp(&keep, 0);
        are_pieces(&bursts, outcome.start, &pieces);
        let of_second = keep.dispatches.iter().filter(|d| d.vp == VpId(1));
        assert!(of_second.count() < 10, "it is not woken for nothing");
        // What it was charged in all, sleeping, waking and finding out its speed too.
        let demanded: u64 = pieces.iter().map(|it| it.run.0).sum();
        let ran = keep.sum(|d| d.ran.0, [0].into_iter());
        println!("{} pieces, {ran} of {demanded} ns", bursts.len());
        bursts.len() == pieces.len() && (ran - demanded as f64).abs() < 0.02 * demanded as f64
    };
    // The host may stall meanwhile, but not each time.
    assert!((0..5).any(|_| charged_as_demanded()));
}

/// Many at once, and more than can be recorded from one round of the root to the next.
fn many_pieces() {
    let piece = |index: u64| Piece {
        at: Nanos(index / 500 * 100_000_000),
        run: Nanos(20_000),
    };
    let pieces: Vec<Piece> = (0..2_000).map(piece).collect();
    let mut spec = spec(&[Payload::Replay]);
    let vps = vec![pieces.clone()];
    spec.guests[0].demand = Some(Arc::new(RecordedDemand { vps }));
    let (keep, outcome) = run(&spec);
    let bursts = of_vp(&keep, 0);
    // All of them, or as many as a busy host left time for, and each with its record.
    are_pieces(&bursts, outcome.start, &pieces);
    assert!(bursts.len() > 127, "{}", bursts.len());
    let report = &outcome.reports[0];
    println!("{} pieces, {} late", bursts.len(), report.pieces_late);
    assert_eq!(report.records_lost, 0);
}

/// Both engines are given the same; guests tell the time in steps of 100 ns.
fn are_pieces(bursts: &[Burst], start: Nanos, pieces: &[Piece]) {
    assert!(bursts.len() <= pieces.len(), "{}", bursts.len());
    for (burst, piece) in bursts.iter().zip(pieces) {
        let at = start + piece.at;
        assert!(
            at <= burst.due && burst.due < at + Nanos(100),
            "{burst:?} {piece:?}"
        );
        assert!(
            burst.due <= burst.start && burst.start <= burst.done,
            "{burst:?}"
        );
        assert_eq!(burst.run, piece.run);
    }
}

fn probe() {
    let payload = Payload::Probe {
        period: ms(10),
        run: Ns(200_000),
    };
    let (keep, outcome) = run(&spec(&[payload]));
    let bursts = of_vp(&keep, 0);
    assert!(bursts.len() > 20, "{}", bursts.len());
    for burst in &bursts {
        assert!(
            burst.due >= outcome.start && burst.due <= burst.start,
            "{burst:?}"
        );
    }
    for pair in bursts.windows(2) {
        // Whole periods, some of which may be left out.
        assert_eq!(pair[1].due.since(pair[0].due).0 % 10_000_000, 0);
    }
    // On an LP of its own: the median is no period late, however busy the host is.
    let mut late: Vec<Nanos> = bursts.iter().map(|it| it.start.since(it.due)).collect();
    late.sort();
    assert!(late[late.len() / 2] < Nanos::from_millis(10), "{late:?}");
}

fn yields() {
    let payload = Payload::YieldLoop { run: Ns(300_000) };
    let spec = spec(&[payload, Payload::Burn]);
    let (keep, outcome) = run(&spec);
    let shares = keep.shares(&spec, |d| d.ran.0);
    assert!((shares[0] - 50.0).abs() < 5.0, "{shares:?}");
    assert!(value(&outcome, 0, Value::Yields) > 50);
    let ended = keep
        .dispatches
        .iter()
        .filter(|d| d.reason == Reason::Hypercall);
    assert!(ended.count() > 50);
}

fn one_clock() {
    let mut spec = burners(lps(), PolicyKind::Fair, &[(1, 100)]);
    let clock = Payload::Clock { pause: Ns(200_000) };
    for index in 0..3 {
        spec.guests
            .push(guest(&format!("clock-{index}"), 2, 100, clock));
    }
    let (keep, outcome) = run(&spec);
    assert!(keep.bursts.len() > 100, "{}", keep.bursts.len());
    for vp in 1..7 {
        assert_eq!(value(&outcome, vp, Value::Backwards), 0, "VP {vp}");
        let readings = of_vp(&keep, vp);
        let mut latest = Nanos::ZERO;
        for Burst {
            due, start, done, ..
        } in readings
        {
            // Page, hypercall, page, and the next page.
            assert!(latest <= due && due <= start && start <= done, "VP {vp}");
            latest = done;
        }
    }
    // Within 10 us of the host's clock, by which the line is drawn anew every 50 ms.
    if let Some(error) = outcome.clock_error {
        println!("reference time within {error} of the clock");
        assert!(error <= Nanos::from_micros(10), "{error}");
    }
    // A VP reads the clock while it is on an LP, and when that was the host has
    // read from its own clock: what any VP reads lies there, whoever it is.
    let off = Nanos::from_micros(10);
    for vp in 1..7 {
        let stays = keep.dispatches.iter().filter(|d| d.vp == VpId(vp));
        let stays: Vec<(Nanos, Nanos)> = stays.map(|d| (d.start - off, d.end + off)).collect();
        let readings = of_vp(&keep, vp).into_iter();
        for reading in readings.flat_map(|it| [it.due, it.start, it.done]) {
            let stay = stays.partition_point(|(_, end)| *end < reading);
            let within = stays.get(stay).is_some_and(|(start, _)| *start <= reading);
            assert!(within, "VP {vp} read {reading} off its LP");
        }
    }
}

fn interrupts() {
    let mut spec = burners(lps(), PolicyKind::Fair, &[(1, 100), (2, 100), (1, 100)]);
    spec.guests[0].ticks = 1_000;
    spec.guests[1].payload = Payload::Probe {
        period: ms(20),
        run: Ns(100_000),
    };
    let post = |at, guest, count| Change {
        at: Nanos::from_millis(at),
        action: Action::PostInterrupts {
            guest: GuestId(guest),
            count,
        },
    };
    // Held for most of the time, so that some are left for the end.
    let mut held = guest("held", 1, 100, Payload::Burn);
    held.controls.cap = Cap::from_percent(0.2).unwrap();
    spec.guests.push(held);
    spec.changes = vec![
        post(300, 1, 7),
        post(310, 2, 40),
        post(900, 1, 3),
        post(1_200, 3, 5),
    ];
    let (_, outcome) = run(&spec);
    let counters = outcome.counters.as_ref().unwrap();
    let posted: Vec<u64> = counters.vps.iter().map(|vp| vp.posted).collect();
    let handled: Vec<u64> = counters.vps.iter().map(|vp| vp.handled).collect();
    assert_eq!(posted, handled);
    assert!(counters.vps.iter().all(|vp| vp.injected == vp.posted));
    assert_eq!(posted[1..], [10, 10, 40, 5]);
    let ticks = outcome.stopped.since(outcome.start).0 / 1_000_000;
    // Up to when it last ran: a slice ago where it has half an LP, longer where the host stalls.
    assert!(
        posted[0] <= ticks && posted[0] + 200 > ticks,
        "{} of {ticks}",
        posted[0]
    );
}

fn interrupts_within_a_dispatch() {
    let mut spec = burners(1, PolicyKind::Fair, &[(1, 100)]);
    spec.slice = Nanos::from_millis(200);
    let post = |at| Change {
        at: Nanos::from_millis(at),
        action: Action::PostInterrupts {
            guest: GuestId(0),
            count: 1,
        },
    };
    spec.changes = (1..100).map(|turn| post(13 * turn)).collect();
    let (keep, outcome) = run(&spec);
    let counters = &outcome.counters.as_ref().unwrap().vps[0];
    assert_eq!((counters.posted, counters.handled), (99, 99));
    // Each of 99 interrupts met a dispatch of 200 ms, and none ended it.
    for dispatch in &keep.dispatches {
        let took = dispatch.end.since(dispatch.start);
        assert!(
            dispatch.reason == Reason::End || took >= spec.slice,
            "{dispatch:?}"
        );
    }
}

fn processor() {
    let mut spec = spec(&[Payload::Burn, Payload::Vector, Payload::Vector]);
    spec.guests[0].processor = Processor::Compatible;
    spec.guests[2].processor = Processor::Compatible;
    let (keep, outcome) = run(&spec);
    assert!(outcome.crashes.is_empty(), "{:?}", outcome.crashes);
    assert_eq!(outcome.reports[0].features, Features::V2);
    // What it sees is not less than it was given, and more only where KVM cannot mask it.
    let seen = Features(value(&outcome, 0, Value::FeaturesSeen));
    assert!(seen.has(Features::V2), "{seen:?}");
    // Told before it starts: it says so, is done, and has not crashed.
    assert_eq!(
        Features(value(&outcome, 2, Value::FeaturesMissing)),
        Features::AVX2
    );
    assert_eq!(keep.sum(|d| d.work, [2].into_iter()), 0.0);
    assert_eq!(
        keep.said.len(),
        if outcome.reports[1].features.has(Features::AVX2) {
            1
        } else {
            2
        }
    );
    assert_eq!(keep.said.last().map(|said| said.guest), Some(GuestId(2)));
    if outcome.reports[1].features.has(Features::AVX2) {
        assert!(keep.sum(|d| d.work, [1].into_iter()) > 0.0);
    }
}

fn added_vps() {
    let spin = Payload::Spin {
        critical: Ns(10_000),
        think: Ns(10_000),
        threshold: 1_000,
    };
    let memory = Payload::Memory {
        working_set: 64 << 10,
        stride: 64,
    };
    let mut spec = spec(&[spin, memory, Payload::Burn]);
    let at = |at, guest| Change {
        at: Nanos::from_millis(at),
        action: Action::AddVp {
            guest: GuestId(guest),
        },
    };
    spec.changes = vec![at(200, 0), at(300, 1), at(400, 2)];
    let (keep, outcome) = run(&spec);
    assert!(outcome.crashes.is_empty(), "{:?}", outcome.crashes);
    assert_eq!(outcome.reports.len(), 6);
    for vp in 3..6 {
        assert!(keep.sum(|d| d.work, [vp].into_iter()) > 0.0, "VP {vp}");
        let first = keep.dispatches.iter().find(|d| d.vp == VpId(vp)).unwrap();
        let added = outcome.measured_from + Nanos::from_millis(100 * (u64::from(vp) - 1));
        assert!(first.start >= added, "VP {vp} ran at {}", first.start);
    }
    assert!(value(&outcome, 3, Value::Acquisitions) > 0);
    assert!(value(&outcome, 4, Value::Accesses) > 0);
}
