//! Guests that mean harm, each beside three that do not: the run finishes, the others lose nothing to each other, and
//! what the attack costs is charged to the attacker.

use crate::kvm_only::Test;
use crate::rig::{Keep, burners, guest, lps, run};
use apportion_hypervisor::counters::{Intercept, VpSnapshot};
use apportion_hypervisor::dispatch_log::{Dispatch, Reason};
use apportion_hypervisor::{Attack, Payload, RunOutcome, RunSpec};
use apportion_scheduler::{GuestId, Nanos, PolicyKind, Reserve, VpId};

pub(crate) const TESTS: [Test; 6] = [
    ("attacks_that_kill_their_guest_are_named", deadly),
    ("attacks_that_go_on_cost_nobody_else_anything", endless),
    ("a_storm_of_hypercalls_is_charged_to_its_guest", storm),
    ("a_storm_of_sleeps_ends_few_dispatches", sleeps),
    (
        "a_storm_of_many_vps_ends_no_more_dispatches_than_one_of_one",
        storms_of_many,
    ),
    ("a_guest_that_floods_the_log_is_not_heard", flood),
];

/// Three VPs that burn, one of each guest, and one that attacks, at equal weight on all LPs.
fn beside(attack: Attack) -> (Keep, RunOutcome) {
    let mut spec = burners(lps(), PolicyKind::Fair, &[(1, 100), (1, 100), (1, 100)]);
    spec.guests
        .push(guest("hostile", 1, 100, Payload::Hostile { attack }));
    spec.duration = Nanos::from_millis(2_000);
    run(&spec)
}

/// Percent of what the three well-behaved received, each.
fn among_themselves(keep: &Keep) -> Vec<f64> {
    let received: Vec<f64> = (0..3)
        .map(|vp| keep.sum(|d| d.ran.0, [vp].into_iter()))
        .collect();
    let all: f64 = received.iter().sum();
    received.iter().map(|part| 100.0 * part / all).collect()
}

/// 2.1 s on two LPs: 1 pp of 3.15 s that three VPs share are 31 ms, fifteen
/// times the lag that one has by design. Where the outer host stops an LP
/// unseen, a VP is charged for that and made up for later, perhaps after the end.
fn assert_even(attack: Attack, keep: &Keep) {
    let all = keep.sum(|d| d.ran.0, 0..3);
    let unseen = keep.sum(|d| d.ran.0.saturating_sub(2_000_000), 0..3);
    let margin = 1.0 + 100.0 * unseen / all;
    for share in among_themselves(keep) {
        let error = (share - 100.0 / 3.0).abs();
        assert!(
            error < margin,
            "{}: {share} %, margin {margin}",
            attack.name()
        );
    }
}

fn deadly() {
    let attacks = [
        (Attack::WildRead, "shutdown"),
        (Attack::WildWrite, "shutdown"),
        (Attack::WildPort, "port 0x80"),
        (Attack::WildMmio, "0x80e0000000"),
        (Attack::Jump, "shutdown"),
        (Attack::TripleFault, "shutdown"),
        (Attack::RewriteTables, ""),
    ];
    for (attack, report) in attacks {
        let (keep, outcome) = beside(attack);
        let [crash] = &outcome.crashes[..] else {
            panic!("{}: one crash, not {:?}", attack.name(), outcome.crashes);
        };
        println!("{}: {}", attack.name(), crash.report);
        assert_eq!(crash.guest, GuestId(3), "{}", attack.name());
        assert!(
            crash.report.contains(report),
            "{}: {}",
            attack.name(),
            crash.report
        );
        assert_even(attack, &keep);
    }
}

fn endless() {
    let attacks = [
        Attack::UnknownCalls,
        Attack::NotifyStorm,
        Attack::TightLoop,
        Attack::FillMemory,
        Attack::RewriteStart,
    ];
    for attack in attacks {
        let (keep, outcome) = beside(attack);
        assert!(
            outcome.crashes.is_empty(),
            "{}: {:?}",
            attack.name(),
            outcome.crashes
        );
        assert_even(attack, &keep);
        // It is worth a quarter, and neither starves nor is starved.
        let spent = keep.sum(|d| d.ran.0, [3].into_iter());
        let all = spent + keep.sum(|d| d.ran.0, 0..3);
        let share = 100.0 * spent / all;
        assert!((share - 25.0).abs() < 1.5, "{}: {share} %", attack.name());
    }
}

fn attacker(outcome: &RunOutcome) -> &VpSnapshot {
    &outcome.counters.as_ref().unwrap().vps[3]
}

fn storm() {
    let (keep, outcome) = beside(Attack::HypercallStorm);
    assert_even(Attack::HypercallStorm, &keep);
    let counters = attacker(&outcome);
    assert!(
        counters.intercepts[Intercept::Hypercall as usize] > 100,
        "{counters:?}"
    );
    // What serving it took is its own, and it got no more than its quarter with it.
    // Each costs two readings of the thread's CPU time: system calls, no less than 50 ns on any machine.
    let served = counters.intercepts[Intercept::Hypercall as usize];
    assert!(counters.service > Nanos(100 * served), "{counters:?}");
    let spent = keep.sum(|d| d.ran.0, [3].into_iter());
    let charged = (counters.guest + counters.service).0 as f64;
    assert!((charged - spent).abs() < 0.01 * spent, "{charged}, {spent}");
    let all = spent + keep.sum(|d| d.ran.0, 0..3);
    assert!((100.0 * spent / all - 25.0).abs() < 1.5);
}

/// Storms of 1, 8 and 64 VPs of one guest, beside one that has a reserve of 90 % of the one LP, and alone on all LPs.
fn storms_of_many() {
    println!("\nattack        VPs  LPs  reserved %  dispatches  ended by the guest  at the most");
    for attack in [Attack::IdleStorm, Attack::NotifyStorm] {
        for vps in [1, 8, 64] {
            let mut spec = burners(1, PolicyKind::Fair, &[(1, 100)]);
            spec.guests[0].controls.reserve = Reserve::from_percent(90.0).unwrap();
            let storm = guest("storm", vps, 100, Payload::Hostile { attack });
            spec.guests.push(storm.clone());
            let (keep, outcome) = run(&spec);
            let delivered = keep.sum(|d| d.ran.0, 0..=vps) + keep.idle.0 as f64;
            let reserved = 100.0 * keep.sum(|d| d.ran.0, 0..1) / delivered;
            assert_few_ended(attack, &spec, &keep, &outcome, reserved);
            // 0.5 pp of 1.6 s are 8 ms: what a VP is behind with kicks that are 7 ms late, in slices of 1 ms.
            assert!(
                reserved >= 89.5,
                "{}, {vps} VPs: {reserved} %",
                attack.name()
            );

            let mut spec = burners(lps(), PolicyKind::Fair, &[]);
            spec.guests.push(storm);
            let (keep, outcome) = run(&spec);
            assert_few_ended(attack, &spec, &keep, &outcome, 0.0);
        }
    }
}

/// What the guest had saved, one dispatch in each 100 us, and one for each VP that sleeps and has not paid for that yet.
fn assert_few_ended(
    attack: Attack,
    spec: &RunSpec,
    keep: &Keep,
    outcome: &RunOutcome,
    reserved: f64,
) {
    let vps = spec.guests.last().unwrap().vps;
    let ended = |d: &&Dispatch| matches!(d.reason, Reason::Idle | Reason::Hypercall);
    let ended = keep.dispatches.iter().filter(ended).count() as u64;
    let lived = outcome.stopped.since(outcome.start);
    let most = 16 + u64::from(vps) + lived.0 / 100_000;
    println!(
        "{:12} {vps:4} {:4}  {reserved:10.2}  {:10}  {ended:18}  {most:11}",
        attack.name(),
        spec.lps,
        keep.dispatches.len(),
    );
    assert!(ended <= most, "{ended} of {most}");
}

/// Once per 100 us of its time, whether it slept or ran: that is what recording each may cost.
fn sleeps() {
    let (keep, outcome) = beside(Attack::IdleStorm);
    assert_even(Attack::IdleStorm, &keep);
    let ended = keep.dispatches.iter().filter(|dispatch| {
        dispatch.vp == VpId(3) && matches!(dispatch.reason, Reason::Idle | Reason::Hypercall)
    });
    let (ended, lived) = (ended.count() as u64, outcome.stopped.since(outcome.start).0);
    println!("{ended} in {lived} ns");
    assert!(ended > 100, "{ended}");
    assert!(ended <= 16 + lived / 100_000, "{ended} in {lived} ns");
}

fn flood() {
    let (keep, outcome) = beside(Attack::LogFlood);
    assert_even(Attack::LogFlood, &keep);
    // 20 at once and 10 a second for 2.1 s; a host that stalls stretches that.
    assert!((20..=60).contains(&keep.said.len()), "{}", keep.said.len());
    assert!(attacker(&outcome).log_dropped > 100);
    for said in &keep.said {
        assert_eq!(said.guest, GuestId(3));
        assert!(
            !said.text.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{:?}",
            said.text
        );
    }
}
