#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| loadgen_fuzz::queue_command::check(input));
