//! Whatever a file of a trace has in it. See the function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| apportion_workloads::traces::fuzz::trace(input));
