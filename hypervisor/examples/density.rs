//! How many guests fit: what one costs the host in memory and in time, and whether all of them get on.
//!
//! `cargo run --release -p apportion-hypervisor --example density -- [GUESTS] [SECONDS]`

use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::kvm::KvmEngine;
use apportion_hypervisor::{
    Engine, Flow, GuestSpec, Observer, Payload, RunSpec, SimulatorSpec, host,
};
use apportion_scheduler::{Controls, Entry, Nanos, PolicyKind, ReserveModel, VpId, WeightScope};
use std::collections::HashSet;
use std::error::Error;

type Refused = Box<dyn Error + Send + Sync>;

/// Sees who has done any work, and how much memory the host had at the least.
#[derive(Default)]
struct Witness {
    worked: HashSet<VpId>,
    least_available: Option<u64>,
}

impl Observer for Witness {
    fn entry(&mut self, entry: &LogEntry) -> Result<(), Refused> {
        if let LogEntry::Dispatch(dispatch) = entry
            && dispatch.work > 0
        {
            self.worked.insert(dispatch.vp);
        }
        Ok(())
    }

    fn decisions(&mut self, _: Vec<Entry>) -> Result<(), Refused> {
        Ok(())
    }

    fn tick(&mut self, _: Nanos, _: Nanos) -> Result<Flow, Refused> {
        let now = host::available_memory();
        self.least_available = self.least_available.min(now).or(now);
        Ok(Flow::Continue)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |default: u64| -> Result<u64, Box<dyn Error>> {
        Ok(arguments.next().map_or(Ok(default), |text| text.parse())?)
    };
    let (guests, seconds) = (argument(1_000)?, argument(10)?);
    let mut engine = KvmEngine::new()?;

    let mut times = Vec::new();
    for _ in 0..500 {
        times.push(engine.time_to_first_instruction()?.0 as f64 / 1e6);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "create to first guest instruction: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms of {}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1],
        times.len()
    );

    let named = |index: u64| {
        let controls = Controls::default();
        GuestSpec::new(&format!("g{index}"), 1, controls, Payload::Burn)
    };
    let spec = RunSpec {
        lps: host::cpus().len() as u32,
        nodes: 1,
        slice: Nanos::from_millis(1),
        policy: PolicyKind::Fair,
        reserve_model: ReserveModel::default(),
        weight_scope: WeightScope::default(),
        seed: 1,
        guests: (0..guests).map(named).collect(),
        changes: Vec::new(),
        warm_up: Nanos::ZERO,
        duration: Nanos::from_millis(1_000 * seconds),
        decisions: false,
        simulator: SimulatorSpec {
            overhead: Nanos::ZERO,
            kick_latency: Nanos::ZERO,
        },
    };
    let before = host::available_memory();
    let mut witness = Witness::default();
    let outcome = engine.run(&spec, &mut witness)?;
    println!(
        "{} of {guests} guests worked within {seconds} s; {} crashed",
        witness.worked.len(),
        outcome.crashes.len()
    );
    let touched: u64 = outcome.memory.iter().sum();
    println!(
        "guest memory touched: {} KiB each",
        touched / 1024 / guests.max(1)
    );
    if let (Some(before), Some(least)) = (before, witness.least_available) {
        println!(
            "host memory: {} KiB each, all of it: the kernel's part, too",
            before.saturating_sub(least) / 1024 / guests.max(1)
        );
    }
    Ok(())
}
