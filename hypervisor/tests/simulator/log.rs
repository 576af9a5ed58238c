//! What a run in virtual time logs, and how it ends.

use crate::rig::{
    Keep, LATE, OVERHEAD, Ran, SECOND, burn, controls, guest, ms, ns, reserves, run, run_with,
    spec, weights,
};
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::{
    Action, Change, Engine, EngineError, Ns, Payload, RunSpec, SimulatorEngine,
};
use apportion_scheduler::{GuestId, LpId, Nanos, Random, Replay};

fn on_off(seed: u64) -> RunSpec {
    let payload = Payload::OnOff {
        on: ns(ms(3)),
        off: ns(ms(5)),
    };
    let sleepy = guest(2, controls(150, 10.0, 60.0), payload);
    let mut spec = spec(2, vec![sleepy, burn(3, 100)]);
    (spec.seed, spec.decisions) = (seed, true);
    spec
}

#[test]
fn a_spec_has_one_trace_and_another_seed_another() {
    let first = run(&on_off(1));
    assert_eq!(first.trace, run(&on_off(1)).trace);
    assert_ne!(first.trace.hash, run(&on_off(2)).trace.hash);
    // Nor does it matter when on the engine's clock the run begins.
    let mut engine = SimulatorEngine::new();
    for _ in 0..2 {
        engine.run(&on_off(1), &mut Keep::default()).unwrap();
        assert_eq!(engine.last_trace(), Some(first.trace));
    }
}

#[test]
fn the_decisions_replay() {
    let spec = on_off(1);
    let ran = run(&spec);
    assert_eq!(ran.dispatches().count() as u64, ran.trace.dispatches);
    let mut replay = Replay::new(spec.config());
    for entry in &ran.keep.decisions {
        let answer = entry.answer.to_string();
        replay
            .step(entry.sequence, entry.now, &entry.call, &answer)
            .unwrap();
    }
    let guests = spec.guests.len() as u64;
    assert_eq!(ran.keep.decisions.len() as u64, ran.trace.calls + guests);
}

/// Entries come in order of time; what an LP does follows without a gap (but
/// for the time that it is off line), and what guests did not get was reported
/// as lost; no VP is on two LPs at once.
fn assert_accounts(ran: &Ran, lps: u32, vps: u32) {
    for lp in (0..lps).map(LpId) {
        let (mut at, mut lost, mut sampled) = (ran.outcome.start, Nanos::ZERO, Nanos::ZERO);
        let (mut spans, mut parked) = (Vec::new(), false);
        for entry in &ran.keep.entries {
            match *entry {
                LogEntry::Dispatch(d) if d.lp == lp => {
                    assert!(d.ready <= d.start && d.start + d.ran <= d.end);
                    lost += d.end.since(d.start) - d.ran;
                    spans.push((d.start, d.end));
                }
                LogEntry::Idle { lp: on, start, end } if on == lp => spans.push((start, end)),
                LogEntry::Sample { lp: on, lost, .. } if on == lp => sampled += lost,
                LogEntry::LpChanged { lp: on, .. } if on == lp => parked = true,
                _ => {}
            }
        }
        for (start, end) in spans {
            assert!(start == at || start > at && parked, "{lp:?} at {start}");
            at = end;
        }
        assert!(at == ran.outcome.stopped || parked, "{lp:?} until {at}");
        assert_eq!(sampled, lost);
    }
    for vp in 0..vps {
        let spans: Vec<(Nanos, Nanos)> = ran.of(vp).map(|d| (d.start, d.end)).collect();
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
    }
    let apart = ran.keep.ticks.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(apart.max() <= Some(ms(50)));
}

#[test]
fn the_log_is_in_order_and_accounts_for_all_time() {
    let mut spec = on_off(3);
    spec.warm_up = ms(120);
    let ran = run(&spec);
    assert_accounts(&ran, 2, 5);
    let outcome = &ran.outcome;
    assert_eq!(outcome.measured_from, outcome.start + ms(120));
    assert_eq!(
        outcome.measured_until,
        outcome.measured_from + spec.duration
    );
    assert!(!outcome.interrupted && outcome.steal == Some(Nanos::ZERO));
    let mut starts = ran.keep.entries.iter().take(2);
    assert!(starts.all(|e| matches!(e, LogEntry::GuestStarted { .. })));
    // Work is in units of 100 ns of CPU time.
    let sum = |(ran, work), d: &Dispatch| (ran + d.ran.0, work + d.work);
    let (cpu, work) = ran.of(3).fold((0, 0), sum);
    assert_eq!(cpu / 100, work);
}

/// Some spec, the same for a seed.
fn any_spec(seed: u64) -> RunSpec {
    let mut random = Random::new(seed);
    let mut below = move |bound: u64| random.below(bound);
    let lps = 1 + below(6) as u32;
    let guests = (0..=below(5)).map(|_| {
        let payload = match below(10) {
            0 | 1 => Payload::Burn,
            2 => Payload::Crash {
                after_work: below(1_000_000),
            },
            3 => Payload::Periodic {
                period: Ns(1 + below(5_000_000)),
                run: Ns(below(3_000_000)),
            },
            4 => Payload::OnOff {
                on: Ns(below(3_000_000)),
                off: Ns(below(3_000_000)),
            },
            5 => Payload::Bursts {
                every: Ns(1 + below(5_000_000)),
                run: Ns(below(3_000_000)),
                random: below(2) == 0,
            },
            6 => Payload::Probe {
                period: Ns(1 + below(5_000_000)),
                run: Ns(below(3_000_000)),
            },
            7 => Payload::FixedWork {
                units: below(1_000_000),
                burst: below(100_000),
                pause: Ns(below(3_000_000)),
            },
            8 => Payload::YieldLoop {
                run: Ns(10_000 + below(100_000)),
            },
            _ => Payload::Spin {
                critical: Ns(1_000 + below(100_000)),
                think: Ns(below(100_000)),
                threshold: 2_000 * below(2),
            },
        };
        let cap = if below(3) == 0 { 10 + below(91) } else { 100 };
        let weight = 1 + below(1_000) as i64;
        guest(
            1 + below(4) as u32,
            controls(weight, 0.0, cap as f64),
            payload,
        )
    });
    let mut spec = spec(lps, guests.collect());
    spec.changes = (0..below(6))
        .map(|index| {
            let guest = GuestId(below(spec.guests.len() as u64) as u32);
            let lp = LpId(below(u64::from(lps)) as u32);
            let controls = controls(1 + below(1_000) as i64, 0.0, 20.0 + below(81) as f64);
            let action = match below(6) {
                0 => Action::SetControls { guest, controls },
                4 => Action::StartGuest { guest },
                5 => Action::StopGuest { guest },
                1 => Action::AddVp { guest },
                2 if lps > 1 => Action::LpOff { lp, force: true },
                _ => Action::LpOn { lp },
            };
            let at = ms(20 * index + below(20));
            Change { at, action }
        })
        .collect();
    spec.nodes = 1 + below(3) as u32;
    spec.duration = ms(150);
    spec.simulator.overhead = Nanos(below(3) * 5_000);
    spec.simulator.kick_latency = Nanos(below(3) * 30_000);
    spec
}

#[test]
fn whatever_the_spec_all_time_is_accounted_for() {
    for seed in 0..400 {
        let spec = any_spec(seed);
        let mut engine = SimulatorEngine::new();
        let mut keep = Keep::default();
        let outcome = match engine.run(&spec, &mut keep) {
            Ok(outcome) => outcome,
            // A guest that is not there takes no changes; the last LP stays on line.
            Err(EngineError::ChangeRefused { .. }) => continue,
            Err(error) => panic!("seed {seed}: {error}"),
        };
        let ran = Ran {
            lps: spec.lps,
            keep,
            outcome,
            trace: engine.last_trace().unwrap(),
        };
        assert_accounts(&ran, spec.lps, spec.owners().len() as u32);
    }
}

#[test]
fn a_crashed_guest_is_named_and_the_others_go_on() {
    // A millisecond's work at 100 ns a unit; its other VP runs on the other LP.
    let crash = guest(
        2,
        controls(100, 0.0, 100.0),
        Payload::Crash { after_work: 12_000 },
    );
    let ran = run(&spec(2, vec![crash, burn(2, 100)]));
    let [crash] = &ran.outcome.crashes[..] else {
        panic!("{:?}", ran.outcome.crashes);
    };
    assert_eq!(crash.guest, GuestId(0));
    assert!(crash.report.contains("simulated"));
    let fault: Vec<&Dispatch> = ran
        .dispatches()
        .filter(|d| d.reason == Reason::Fault)
        .collect();
    assert_eq!((fault.len(), fault[0].end), (1, crash.at));
    let total: u64 = ran.of(crash.vp).map(|d| d.work).sum();
    assert_eq!(total, 12_000);
    let last = (0..2).flat_map(|vp| ran.of(vp)).map(|d| d.end).max();
    assert!(last <= Some(crash.at + LATE + OVERHEAD));
    assert!(ran.of(2).last().unwrap().end == ran.outcome.stopped);
    assert_eq!(ran.of(2).last().unwrap().reason, Reason::End);
}

#[test]
fn an_interrupted_run_keeps_what_was_there() {
    let keep = Keep {
        stop_at: Some(ms(500)),
        ..Keep::default()
    };
    let ran = run_with(&spec(1, weights(&[(2, 100)])), keep);
    assert!(ran.outcome.interrupted);
    assert_eq!(ran.outcome.measured_until, ms(500));
    let received = ran.received(0, Nanos::ZERO, SECOND) + ran.received(1, Nanos::ZERO, SECOND);
    assert!(received > 0.99 * ms(500).0 as f64);
}

#[test]
fn a_guest_that_was_to_start_after_an_interruption_says_nothing() {
    let mut spec = spec(1, weights(&[(1, 100), (2, 100)]));
    spec.changes = vec![Change {
        at: ms(600),
        action: Action::StartGuest { guest: GuestId(1) },
    }];
    let reports = |stop_at| {
        let keep = Keep {
            stop_at: Some(ms(stop_at)),
            ..Keep::default()
        };
        let ran = run_with(&spec, keep);
        let vps: Vec<u32> = ran.outcome.reports.iter().map(|it| it.vp.0).collect();
        (vps, ran.of(1).count() > 0)
    };
    assert_eq!(reports(500), (vec![0], false));
    assert_eq!(reports(700), (vec![0, 1, 2], true));
}

#[test]
fn what_an_observer_requests_is_done_or_refused_and_the_run_goes_on() {
    let set = |guest, controls| Action::SetControls {
        guest: GuestId(guest),
        controls,
    };
    let (heavier, greedy) = (controls(300, 60.0, 100.0), controls(100, 50.0, 100.0));
    let mut spec = spec(1, weights(&[(1, 100), (1, 100)]));
    // It fits as planned, and no longer once the first guest has its reserve.
    spec.changes = vec![Change {
        at: ms(6_000),
        action: set(1, greedy),
    }];
    spec.check_admission().unwrap();
    let keep = Keep {
        requests: vec![(ms(1_980), set(0, heavier)), (ms(4_000), set(1, greedy))],
        ..Keep::default()
    };
    let ran = run_with(&spec, keep);
    let told = ran.keep.entries.iter().filter_map(|entry| match *entry {
        LogEntry::ControlsChanged {
            guest,
            controls,
            at,
        } => Some((guest, controls, at)),
        _ => None,
    });
    // Asked for at the first tick after it was wanted.
    assert_eq!(told.collect::<Vec<_>>(), [(GuestId(0), heavier, ms(2_050))]);
    let refused: Vec<_> = ran.keep.refused.iter().map(|it| (it.0, it.2)).collect();
    assert_eq!(
        refused,
        [
            (set(1, greedy), ms(4_050)),
            (set(1, greedy), ms(6_000)) // as planned
        ]
    );
    assert!(
        ran.keep.refused[0].1.contains("39 % is left"),
        "{refused:?}"
    );
    // 60 % and three quarters of the rest.
    let received = ran.received(0, ms(3_000), ms(10_000)) / ms(7_000).0 as f64;
    assert!((received - 0.9).abs() < 0.005, "{received}");
    assert!(!ran.outcome.interrupted);
}

#[test]
fn neither_a_vp_nor_a_start_or_stop_can_be_requested() {
    let guest = GuestId(0);
    for action in [
        Action::AddVp { guest },
        Action::StartGuest { guest },
        Action::StopGuest { guest },
    ] {
        let mut keep = Keep {
            requests: vec![(ms(0), action)],
            ..Keep::default()
        };
        let ran = SimulatorEngine::new().run(&spec(1, weights(&[(1, 100)])), &mut keep);
        assert!(matches!(ran, Err(EngineError::Unplanned { .. })));
    }
}

#[test]
fn a_guest_that_has_crashed_before_it_is_to_stop_is_not_told_of_again() {
    let crash = Payload::Crash { after_work: 100 };
    let crash = guest(1, controls(100, 0.0, 100.0), crash);
    let mut spec = spec(1, vec![crash, burn(1, 100)]);
    spec.changes = vec![Change {
        at: ms(5_000),
        action: Action::StopGuest { guest: GuestId(0) },
    }];
    let ran = run(&spec);
    let stopped = |entry: &&LogEntry| matches!(entry, LogEntry::GuestStopped { .. });
    assert_eq!(ran.keep.entries.iter().filter(stopped).count(), 0);
    assert_eq!(ran.outcome.crashes.len(), 1);
}

#[test]
fn what_cannot_be_run_is_refused() {
    let engine = SimulatorEngine::new();
    let none = spec(0, weights(&[(1, 100)]));
    assert!(matches!(
        engine.check(&none),
        Err(EngineError::Unsupported { .. })
    ));
    let mut posts = spec(1, weights(&[(1, 100)]));
    posts.changes = vec![Change {
        at: ms(1),
        action: Action::PostInterrupts {
            guest: GuestId(0),
            count: 3,
        },
    }];
    let refused = engine.check(&posts).unwrap_err().to_string();
    assert!(refused.contains("interrupts are posted"), "{refused}");
    let much = spec(1, reserves(&[(1, 60.0), (1, 60.0)]));
    assert!(matches!(engine.check(&much), Err(EngineError::Refused(_))));
    let mut gone = spec(1, weights(&[(1, 100)]));
    gone.changes = vec![Change {
        at: ms(1),
        action: Action::LpOff {
            lp: LpId(0),
            force: true,
        },
    }];
    assert!(matches!(
        engine.check(&gone),
        Err(EngineError::ChangeRefused { .. })
    ));
}
