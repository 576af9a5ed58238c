//! Runs tests where /dev/kvm opens; elsewhere reports each as ignored, with the reason and a count.

use apportion_hypervisor::kvm::KvmEngine;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

/// A test: its name, a sentence about behaviour, and what shows it.
pub(crate) type Test = (&'static str, fn());

/// The whole `main` of a test binary that needs KVM.
pub(crate) fn main(tests: &[Test]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Guests share the host's CPUs: one experiment at a time.
    arguments.test_threads = Some(1);
    let missing = KvmEngine::new().err();
    let trials = tests
        .iter()
        .map(|&(name, test)| {
            Trial::test(name, move || {
                test();
                Ok(())
            })
            .with_ignored_flag(missing.is_some())
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    match &missing {
        None => println!(
            "{} tests ran on KVM",
            conclusion.num_passed + conclusion.num_failed
        ),
        Some(reason) => println!("SKIPPED: {} tests need KVM: {reason}", tests.len()),
    }
    conclusion.exit_code()
}
