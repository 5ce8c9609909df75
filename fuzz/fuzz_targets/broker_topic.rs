#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| loadgen_fuzz::broker_topic::check(input));
