//! Whatever is handed over as a guest image. See the function.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| apportion_hypervisor::fuzz::image(input));
