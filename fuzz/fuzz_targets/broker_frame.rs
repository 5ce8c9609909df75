#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| loadgen::fuzz::broker_frame(input));
