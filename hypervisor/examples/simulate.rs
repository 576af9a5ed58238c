//! How fast the simulator is: `cargo run --release --example simulate -- LPS VPS SECONDS NODES`.
//!
//! Burning guests of four VPs with ten different weights, slices of 1 ms. Runs
//! without a recording and prints the run's figures and fingerprint.

use apportion_hypervisor::dispatch_log::LogEntry;
use apportion_hypervisor::{
    Engine, Flow, GuestSpec, Observer, Payload, RunSpec, SimulatorEngine, SimulatorSpec,
};
use apportion_scheduler::{Controls, Entry, Nanos, PolicyKind, ReserveModel, Weight, WeightScope};
use std::error::Error;
use std::time::Instant;

/// VPs of each guest.
const VPS: u32 = 4;

/// Records nothing.
struct Nobody;

impl Observer for Nobody {
    fn entry(&mut self, _: &LogEntry) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
    fn decisions(&mut self, _: Vec<Entry>) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
    fn tick(&mut self, _: Nanos, _: Nanos) -> Result<Flow, Box<dyn Error + Send + Sync>> {
        Ok(Flow::Continue)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: u32| -> Result<u32, Box<dyn Error>> {
        match arguments.get(index) {
            Some(text) => text.parse().map_err(|_| {
                format!("`{text}` is no whole number: give LPS VPS SECONDS NODES").into()
            }),
            None => Ok(default),
        }
    };
    let (lps, vps) = (argument(0, 64)?, argument(1, 512)?);
    let (seconds, nodes) = (argument(2, 10)?, argument(3, 1)?);
    let guest = |index: u32| -> Result<GuestSpec, Box<dyn Error>> {
        Ok(GuestSpec::new(
            &format!("g{index}"),
            VPS.min(vps - index * VPS),
            Controls::with_weight(Weight::new(i64::from(100 * (1 + index % 10)))?),
            Payload::Burn,
        ))
    };
    let spec = RunSpec {
        lps,
        nodes,
        slice: Nanos::from_millis(1),
        policy: PolicyKind::Fair,
        reserve_model: ReserveModel::default(),
        weight_scope: WeightScope::default(),
        seed: 1,
        guests: (0..vps.div_ceil(VPS))
            .map(guest)
            .collect::<Result<_, _>>()?,
        changes: Vec::new(),
        warm_up: Nanos::ZERO,
        duration: Nanos::from_millis(1_000 * u64::from(seconds)),
        decisions: false,
        simulator: SimulatorSpec {
            overhead: Nanos::from_micros(2),
            kick_latency: Nanos::from_micros(20),
        },
    };
    let mut engine = SimulatorEngine::new();
    let begun = Instant::now();
    engine.check(&spec)?;
    let checked = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    engine.run(&spec, &mut Nobody)?;
    let wall = begun.elapsed().as_secs_f64();
    let trace = engine.last_trace().ok_or("the run left no trace")?;
    println!("dispatches       {}", trace.dispatches);
    println!("scheduler calls  {}", trace.calls);
    println!("admission        {checked:.3} s (once more within the run)");
    println!("run              {wall:.3} s");
    println!(
        "events/s         {:.0}",
        trace.dispatches as f64 / (wall - checked)
    );
    println!("trace            {:016x}", trace.hash);
    Ok(())
}
