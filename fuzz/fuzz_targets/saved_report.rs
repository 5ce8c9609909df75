#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| loadgen_fuzz::saved_report::check(input));
