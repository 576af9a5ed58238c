//! The engine in virtual time: what it logs, and the shares that the scheduler gives under it.

use apportion_abi::shared::Value;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry, Reason};
use apportion_hypervisor::{
    Action, Change, Engine, EngineError, Flow, GuestSpec, Ns, Observer, Payload, RunOutcome,
    RunSpec, SimulatorEngine, SimulatorSpec, Trace,
};
use apportion_scheduler::{
    AdmissionError, CAP_DEPTH_SLICES, Cap, Controls, Entry, GuestId, LpId, Nanos, PolicyKind,
    Random, Replay, Reserve, ReserveModel, VpId, Weight, WeightScope, What,
};
use std::collections::BTreeSet;
use std::error::Error;

const SLICE: Nanos = Nanos::from_millis(1);
const LATE: Nanos = Nanos::from_micros(20);
const OVERHEAD: Nanos = Nanos::from_micros(2);
const SECOND: Nanos = Nanos::from_millis(1_000);

const fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

/// b of one LP is q + j, of several 2(q + j): the lag that a VP has at most.
fn lag_limit(lps: u32) -> f64 {
    (SLICE + LATE + OVERHEAD).0 as f64 * if lps == 1 { 1.0 } else { 2.0 }
}

fn controls(weight: i64, reserve: f64, cap: f64) -> Controls {
    Controls::new(
        Weight::new(weight).unwrap(),
        Reserve::from_percent(reserve).unwrap(),
        Cap::from_percent(cap).unwrap(),
    )
    .unwrap()
}

fn ns(time: Nanos) -> Ns {
    Ns(time.0)
}

fn guest(vps: u32, controls: Controls, payload: Payload) -> GuestSpec {
    GuestSpec::new("guest", vps, controls, payload)
}

fn burn(vps: u32, weight: i64) -> GuestSpec {
    guest(vps, controls(weight, 0.0, 100.0), Payload::Burn)
}

fn spec(lps: u32, guests: Vec<GuestSpec>) -> RunSpec {
    RunSpec {
        lps,
        nodes: 1,
        slice: SLICE,
        policy: PolicyKind::Fair,
        reserve_model: ReserveModel::Additive,
        weight_scope: WeightScope::Vp,
        seed: 1,
        guests,
        changes: Vec::new(),
        warm_up: Nanos::ZERO,
        duration: Nanos::from_millis(10_000),
        decisions: false,
        simulator: SimulatorSpec {
            overhead: OVERHEAD,
            kick_latency: LATE,
        },
    }
}

/// Keeps everything; stops at some time if told to.
#[derive(Default)]
struct Keep {
    entries: Vec<LogEntry>,
    decisions: Vec<Entry>,
    ticks: Vec<Nanos>,
    stop_at: Option<Nanos>,
    /// What to request, and when, in order.
    requests: Vec<(Nanos, Action)>,
    refused: Vec<(Action, String, Nanos)>,
}

impl Observer for Keep {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.entries.push(*entry);
        Ok(())
    }

    fn decisions(&mut self, entries: Vec<Entry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.decisions.extend(entries);
        Ok(())
    }

    fn requests(&mut self) -> Vec<Action> {
        let now = self.ticks.last().copied().unwrap_or_default();
        let due = self.requests.extract_if(.., |(at, _)| *at <= now);
        due.map(|(_, action)| action).collect()
    }

    fn refused(
        &mut self,
        action: &Action,
        why: &AdmissionError,
        at: Nanos,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.refused.push((*action, why.to_string(), at));
        Ok(())
    }

    fn tick(&mut self, now: Nanos, _: Nanos) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        self.ticks.push(now);
        Ok(match self.stop_at {
            Some(stop) if now >= stop => Flow::Stop,
            _ => Flow::Continue,
        })
    }
}

struct Ran {
    lps: u32,
    keep: Keep,
    outcome: RunOutcome,
    trace: Trace,
}

fn run(spec: &RunSpec) -> Ran {
    run_with(spec, Keep::default())
}

fn run_with(spec: &RunSpec, mut keep: Keep) -> Ran {
    let mut engine = SimulatorEngine::new();
    let outcome = engine.run(spec, &mut keep).unwrap();
    let trace = engine.last_trace().unwrap();
    Ran {
        lps: spec.lps,
        keep,
        outcome,
        trace,
    }
}

/// The part of `from..to` in `start..end`.
fn overlap(start: Nanos, end: Nanos, from: Nanos, to: Nanos) -> Nanos {
    end.min(to).since(start.max(from))
}

/// The CPU time of `d` in ns that lies in `from..to`.
fn inside(d: &Dispatch, from: Nanos, to: Nanos) -> f64 {
    let wall = d.end.since(d.start).0.max(1) as f64;
    overlap(d.start, d.end, from, to).0 as f64 * d.ran.0 as f64 / wall
}

impl Ran {
    fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.keep.entries.iter().filter_map(|entry| match entry {
            LogEntry::Dispatch(dispatch) => Some(dispatch),
            _ => None,
        })
    }

    fn of(&self, vp: u32) -> impl Iterator<Item = &Dispatch> {
        self.dispatches().filter(move |d| d.vp == VpId(vp))
    }

    fn idle(&self) -> impl Iterator<Item = (LpId, Nanos, Nanos)> {
        self.keep.entries.iter().filter_map(|entry| match *entry {
            LogEntry::Idle { lp, start, end } => Some((lp, start, end)),
            _ => None,
        })
    }

    /// CPU time in ns, a dispatch across a border in proportion.
    fn received(&self, vp: u32, from: Nanos, to: Nanos) -> f64 {
        self.of(vp).map(|d| inside(d, from, to)).sum()
    }

    /// What guests received and idle time, as a part of the time of all LPs.
    fn delivered(&self, from: Nanos, to: Nanos) -> f64 {
        let vps: BTreeSet<VpId> = self.dispatches().map(|d| d.vp).collect();
        let received: f64 = vps.iter().map(|vp| self.received(vp.0, from, to)).sum();
        let idle: u64 = self.idle().map(|(_, s, e)| overlap(s, e, from, to).0).sum();
        (received + idle as f64) / (to.since(from).0 as f64 * f64::from(self.lps))
    }

    /// The error of each VP against its fluid answer (in LPs), in ns; the largest.
    fn error(&self, expected: &[f64], from: Nanos, to: Nanos) -> f64 {
        let each = to.since(from).0 as f64 * self.delivered(from, to);
        let error = |(vp, part): (usize, &f64)| self.received(vp as u32, from, to) - part * each;
        let errors: Vec<f64> = expected.iter().enumerate().map(error).collect();
        errors.into_iter().fold(0.0, |worst, e| e.abs().max(worst))
    }
}

/// Each with these many VPs and this weight.
fn weights(guests: &[(u32, i64)]) -> Vec<GuestSpec> {
    guests.iter().map(|&(vps, w)| burn(vps, w)).collect()
}

/// Each with one weight, these many VPs and this reserve.
fn reserves(guests: &[(u32, f64)]) -> Vec<GuestSpec> {
    let of =
        |&(vps, reserve): &(u32, f64)| guest(vps, controls(100, reserve, 100.0), Payload::Burn);
    guests.iter().map(of).collect()
}

fn assert_known(spec: &RunSpec, expected: &[f64]) {
    let ran = run(spec);
    let error = ran.error(expected, Nanos::ZERO, spec.duration);
    let limit = lag_limit(spec.lps);
    assert!(
        error <= limit,
        "{expected:?} on {} LPs: {error} ns off",
        spec.lps
    );
}

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
    let before = ran.error(&[0.5, 0.5], Nanos::ZERO, ms(5_000));
    let after = ran.error(&[0.75, 0.25], ms(5_000), ms(10_000));
    assert!(before <= limit && after <= limit, "{before} {after}");
    assert!(ran.keep.entries.iter().any(|entry| matches!(
        entry,
        LogEntry::ControlsChanged { guest: GuestId(0), at, .. } if *at == ms(5_000)
    )));
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
            let action = match below(4) {
                0 => Action::SetControls { guest, controls },
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
            // A guest that has crashed takes no changes; the last LP stays on line.
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
fn a_vp_cannot_be_requested() {
    let mut keep = Keep {
        requests: vec![(ms(0), Action::AddVp { guest: GuestId(0) })],
        ..Keep::default()
    };
    let ran = SimulatorEngine::new().run(&spec(1, weights(&[(1, 100)])), &mut keep);
    assert!(matches!(ran, Err(EngineError::Unplanned { .. })));
}

#[test]
fn what_cannot_be_run_is_refused() {
    let engine = SimulatorEngine::new();
    let none = spec(0, weights(&[(1, 100)]));
    assert!(matches!(
        engine.check(&none),
        Err(EngineError::Unsupported { .. })
    ));
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
