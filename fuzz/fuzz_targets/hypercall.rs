//! Whatever a VP asks for. See the function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| apportion_hypervisor::fuzz::hypercall(input));
