//! What guests do on real KVM, and what the host lets them.

#[path = "guests_on_kvm/accounting.rs"]
mod accounting;
#[path = "guests_on_kvm/hostile.rs"]
mod hostile;
#[path = "guests_on_kvm/isolation.rs"]
mod isolation;
mod kvm_only;
#[path = "guests_on_kvm/payloads.rs"]
mod payloads;
mod rig;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests: Vec<kvm_only::Test> = payloads::TESTS
        .into_iter()
        .chain(hostile::TESTS)
        .chain(isolation::TESTS)
        .chain(accounting::TESTS)
        .collect();
    kvm_only::main(&tests)
}
