//! What a request publishes reads back, and what is refused says why.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::request(input));
