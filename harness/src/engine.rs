//! Which engine runs the guests, and what to say where it is not the one that was hoped for.

use crate::cli::EngineChoice;
use crate::exit::Failure;
use crate::plan::Planned;
use apportion_hypervisor::kvm::KvmEngine;
use apportion_hypervisor::{Engine, EngineError, SimulatorEngine};

/// The engine to run with.
pub(crate) struct Chosen {
    pub(crate) engine: Box<dyn Engine>,
    /// Why it is not KVM, where that was to be tried.
    pub(crate) instead_of_kvm: Option<String>,
}

/// Opens the engine that `choice` means.
///
/// # Errors
/// Where KVM was asked for and there is none, or not enough of it.
pub(crate) fn choose(
    choice: EngineChoice,
    plans: &[Planned],
    host_lps: u32,
) -> Result<Chosen, Failure> {
    let simulator = |instead_of_kvm| Chosen {
        engine: Box::new(SimulatorEngine::new()),
        instead_of_kvm,
    };
    if choice == EngineChoice::Simulator {
        return Ok(simulator(None));
    }
    if choice == EngineChoice::Kvm
        && let Some(wanted) = plans.iter().map(|planned| planned.spec.lps).max()
        && wanted > host_lps
    {
        // A mistake on any host, with KVM or without.
        let available = host_lps;
        return Err(EngineError::TooFewLps { wanted, available }.into());
    }
    match KvmEngine::new() {
        Ok(kvm) => Ok(Chosen {
            engine: Box::new(kvm),
            instead_of_kvm: None,
        }),
        Err(error @ EngineError::Unavailable { .. }) if choice == EngineChoice::Auto => {
            Ok(simulator(Some(error.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}
