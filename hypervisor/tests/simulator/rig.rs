//! What tests of the simulator run, and what they keep of a run.

use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry};
use apportion_hypervisor::{
    Action, Burst, Engine, Flow, GuestSpec, Ns, Observer, Payload, RunOutcome, RunSpec,
    SimulatorEngine, SimulatorSpec, Trace,
};
use apportion_scheduler::{
    AdmissionError, Cap, Controls, Entry, LpId, Nanos, PolicyKind, Reserve, ReserveModel, VpId,
    Weight, WeightScope,
};
use std::collections::BTreeSet;
use std::error::Error;

pub(crate) const SLICE: Nanos = Nanos::from_millis(1);
pub(crate) const LATE: Nanos = Nanos::from_micros(20);
pub(crate) const OVERHEAD: Nanos = Nanos::from_micros(2);
pub(crate) const SECOND: Nanos = Nanos::from_millis(1_000);

pub(crate) const fn ms(ms: u64) -> Nanos {
    Nanos::from_millis(ms)
}

/// b of one LP is q + j, of several 2(q + j): the lag that a VP has at most.
pub(crate) fn lag_limit(lps: u32) -> f64 {
    (SLICE + LATE + OVERHEAD).0 as f64 * if lps == 1 { 1.0 } else { 2.0 }
}

pub(crate) fn controls(weight: i64, reserve: f64, cap: f64) -> Controls {
    Controls::new(
        Weight::new(weight).unwrap(),
        Reserve::from_percent(reserve).unwrap(),
        Cap::from_percent(cap).unwrap(),
    )
    .unwrap()
}

pub(crate) fn ns(time: Nanos) -> Ns {
    Ns(time.0)
}

pub(crate) fn guest(vps: u32, controls: Controls, payload: Payload) -> GuestSpec {
    GuestSpec::new("guest", vps, controls, payload)
}

pub(crate) fn burn(vps: u32, weight: i64) -> GuestSpec {
    guest(vps, controls(weight, 0.0, 100.0), Payload::Burn)
}

pub(crate) fn spec(lps: u32, guests: Vec<GuestSpec>) -> RunSpec {
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
pub(crate) struct Keep {
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) decisions: Vec<Entry>,
    pub(crate) bursts: Vec<Burst>,
    pub(crate) ticks: Vec<Nanos>,
    pub(crate) stop_at: Option<Nanos>,
    /// What to request, and when, in order.
    pub(crate) requests: Vec<(Nanos, Action)>,
    pub(crate) refused: Vec<(Action, String, Nanos)>,
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

    fn burst(&mut self, burst: &Burst) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.bursts.push(*burst);
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

pub(crate) struct Ran {
    pub(crate) lps: u32,
    pub(crate) keep: Keep,
    pub(crate) outcome: RunOutcome,
    pub(crate) trace: Trace,
}

pub(crate) fn run(spec: &RunSpec) -> Ran {
    run_with(spec, Keep::default())
}

pub(crate) fn run_with(spec: &RunSpec, mut keep: Keep) -> Ran {
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
pub(crate) fn overlap(start: Nanos, end: Nanos, from: Nanos, to: Nanos) -> Nanos {
    end.min(to).since(start.max(from))
}

/// The CPU time of `d` in ns that lies in `from..to`.
pub(crate) fn inside(d: &Dispatch, from: Nanos, to: Nanos) -> f64 {
    let wall = d.end.since(d.start).0.max(1) as f64;
    overlap(d.start, d.end, from, to).0 as f64 * d.ran.0 as f64 / wall
}

impl Ran {
    pub(crate) fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        self.keep.entries.iter().filter_map(|entry| match entry {
            LogEntry::Dispatch(dispatch) => Some(dispatch),
            _ => None,
        })
    }

    pub(crate) fn of(&self, vp: u32) -> impl Iterator<Item = &Dispatch> {
        self.dispatches().filter(move |d| d.vp == VpId(vp))
    }

    pub(crate) fn idle(&self) -> impl Iterator<Item = (LpId, Nanos, Nanos)> {
        self.keep.entries.iter().filter_map(|entry| match *entry {
            LogEntry::Idle { lp, start, end } => Some((lp, start, end)),
            _ => None,
        })
    }

    /// CPU time in ns, a dispatch across a border in proportion.
    pub(crate) fn received(&self, vp: u32, from: Nanos, to: Nanos) -> f64 {
        self.of(vp).map(|d| inside(d, from, to)).sum()
    }

    /// What guests received and idle time, as a part of the time of all LPs.
    pub(crate) fn delivered(&self, from: Nanos, to: Nanos) -> f64 {
        let vps: BTreeSet<VpId> = self.dispatches().map(|d| d.vp).collect();
        let received: f64 = vps.iter().map(|vp| self.received(vp.0, from, to)).sum();
        let idle: u64 = self.idle().map(|(_, s, e)| overlap(s, e, from, to).0).sum();
        (received + idle as f64) / (to.since(from).0 as f64 * f64::from(self.lps))
    }

    /// The error of each VP against its fluid answer (in LPs, where nothing is lost), in ns; the largest. What of
    /// the answer is `fixed`, a reserve or a cap, is of wall time: losses fall on the rest.
    pub(crate) fn error(&self, expected: &[f64], fixed: &[f64], from: Nanos, to: Nanos) -> f64 {
        let wall = to.since(from).0 as f64;
        let all_fixed: f64 = fixed.iter().sum();
        let lps = f64::from(self.lps);
        let kept = (lps * self.delivered(from, to) - all_fixed) / (lps - all_fixed);
        let error = |(vp, part): (usize, &f64)| {
            let fixed = fixed.get(vp).copied().unwrap_or(0.0);
            self.received(vp as u32, from, to) - (fixed + (part - fixed) * kept) * wall
        };
        let errors: Vec<f64> = expected.iter().enumerate().map(error).collect();
        errors.into_iter().fold(0.0, |worst, e| e.abs().max(worst))
    }
}

/// Each with these many VPs and this weight.
pub(crate) fn weights(guests: &[(u32, i64)]) -> Vec<GuestSpec> {
    guests.iter().map(|&(vps, w)| burn(vps, w)).collect()
}

/// Each with one weight, these many VPs and this reserve.
pub(crate) fn reserves(guests: &[(u32, f64)]) -> Vec<GuestSpec> {
    let of =
        |&(vps, reserve): &(u32, f64)| guest(vps, controls(100, reserve, 100.0), Payload::Burn);
    guests.iter().map(of).collect()
}

pub(crate) fn assert_known(spec: &RunSpec, expected: &[f64]) {
    let ran = run(spec);
    // In all known answers a VP that has a cap is kept to it, and has no reserve.
    let fixed = spec.guests.iter().flat_map(|guest| {
        let (reserve, cap) = (
            guest.controls.reserve.percent(),
            guest.controls.cap.percent(),
        );
        let fixed = if cap < 100.0 { cap } else { reserve };
        vec![fixed / 100.0; guest.vps as usize]
    });
    let fixed: Vec<f64> = fixed.collect();
    let error = ran.error(expected, &fixed, Nanos::ZERO, spec.duration);
    let limit = lag_limit(spec.lps);
    assert!(
        error <= limit,
        "{expected:?} on {} LPs: {error} ns off",
        spec.lps
    );
}
