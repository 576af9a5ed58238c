//! What tests on KVM run guests with, and what they keep of a run.

use apportion_hypervisor::counters::Snapshot;
use apportion_hypervisor::dispatch_log::{Dispatch, LogEntry};
use apportion_hypervisor::kvm::KvmEngine;
use apportion_hypervisor::{
    Action, Burst, Crash, Engine, Flow, GuestSpec, Ns, Observer, Payload, RunOutcome, RunSpec,
    Said, SimulatorSpec, host,
};
use apportion_scheduler::{
    AdmissionError, Controls, Entry, GuestId, Happened, Nanos, PolicyKind, ReserveModel, Weight,
    WeightScope,
};
use std::error::Error;

/// Keeps everything; stops after a while if told to.
#[derive(Default)]
pub(crate) struct Keep {
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) happened: Vec<Happened>,
    pub(crate) changed_at: Vec<Nanos>,
    pub(crate) decisions: Vec<Entry>,
    pub(crate) idle: Nanos,
    pub(crate) crashed: Vec<GuestId>,
    pub(crate) crashes: Vec<Crash>,
    pub(crate) stop_after: Option<Nanos>,
    /// What to request at once.
    pub(crate) requests: Vec<Action>,
    pub(crate) refused: Vec<String>,
    pub(crate) bursts: Vec<Burst>,
    pub(crate) said: Vec<Said>,
    pub(crate) counted: Vec<Snapshot>,
}

impl Observer for Keep {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Box<dyn Error + Send + Sync>> {
        match *entry {
            LogEntry::Dispatch(dispatch) => self.dispatches.push(dispatch),
            LogEntry::Idle { start, end, .. } => self.idle += end.since(start),
            LogEntry::GuestCrashed { guest, .. } => self.crashed.push(guest),
            LogEntry::Vp(happened) => self.happened.push(happened),
            LogEntry::VpAdded { at, .. }
            | LogEntry::GuestStopped { at, .. }
            | LogEntry::ControlsChanged { at, .. }
            | LogEntry::InterruptsPosted { at, .. }
            | LogEntry::LpChanged { at, .. } => self.changed_at.push(at),
            LogEntry::GuestStarted { .. } | LogEntry::Sample { .. } => {}
        }
        Ok(())
    }

    fn decisions(&mut self, mut entries: Vec<Entry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.decisions.append(&mut entries);
        Ok(())
    }

    fn crashed(&mut self, crash: &Crash) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.crashes.push(crash.clone());
        Ok(())
    }

    fn burst(&mut self, burst: &Burst) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.bursts.push(*burst);
        Ok(())
    }

    fn said(&mut self, said: &Said) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.said.push(said.clone());
        Ok(())
    }

    fn counters(&mut self, snapshot: &Snapshot) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.counted.push(snapshot.clone());
        Ok(())
    }

    fn requests(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.requests)
    }

    fn refused(
        &mut self,
        _: &Action,
        why: &AdmissionError,
        _: Nanos,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.refused.push(why.to_string());
        Ok(())
    }

    fn tick(&mut self, now: Nanos, _: Nanos) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        Ok(match self.stop_after {
            Some(stop) if now >= stop => Flow::Stop,
            _ => Flow::Continue,
        })
    }
}

impl Keep {
    pub(crate) fn sum(&self, of: impl Fn(&Dispatch) -> u64, vps: impl Iterator<Item = u32>) -> f64 {
        let vps: Vec<u32> = vps.collect();
        self.dispatches
            .iter()
            .filter(|dispatch| vps.contains(&dispatch.vp.0))
            .map(|dispatch| of(dispatch) as f64)
            .sum()
    }

    /// Percentages by guest.
    pub(crate) fn shares(&self, spec: &RunSpec, of: impl Fn(&Dispatch) -> u64 + Copy) -> Vec<f64> {
        let by_guest: Vec<f64> = (0..spec.guests.len() as u32)
            .map(|guest| self.sum(of, spec.vps_of(GuestId(guest)).into_iter().map(|vp| vp.0)))
            .collect();
        let total: f64 = by_guest.iter().sum();
        by_guest
            .into_iter()
            .map(|part| 100.0 * part / total)
            .collect()
    }
}

pub(crate) fn ms(ms: u64) -> Ns {
    Ns(ms * 1_000_000)
}

pub(crate) fn guest(name: &str, vps: u32, weight: i64, payload: Payload) -> GuestSpec {
    let controls = Controls::with_weight(Weight::new(weight).unwrap());
    GuestSpec::new(name, vps, controls, payload)
}

pub(crate) fn burners(lps: u32, policy: PolicyKind, guests: &[(u32, i64)]) -> RunSpec {
    RunSpec {
        lps,
        nodes: 1,
        slice: Nanos::from_millis(1),
        policy,
        reserve_model: ReserveModel::default(),
        weight_scope: WeightScope::default(),
        seed: 1,
        changes: Vec::new(),
        decisions: false,
        simulator: SimulatorSpec {
            overhead: Nanos::ZERO,
            kick_latency: Nanos::ZERO,
        },
        guests: guests
            .iter()
            .map(|&(vps, weight)| guest("burner", vps, weight, Payload::Burn))
            .collect(),
        warm_up: Nanos::from_millis(100),
        duration: Nanos::from_millis(1_500),
    }
}

/// As many LPs as the host has, two at the most.
pub(crate) fn lps() -> u32 {
    host::cpus().len().min(2) as u32
}

pub(crate) fn run(spec: &RunSpec) -> (Keep, RunOutcome) {
    let mut keep = Keep::default();
    let outcome = KvmEngine::new().unwrap().run(spec, &mut keep).unwrap();
    (keep, outcome)
}
