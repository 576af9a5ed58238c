//! Whatever a guest leaves in the memory that it shares with the host. See the function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| apportion_hypervisor::fuzz::rings(input));
