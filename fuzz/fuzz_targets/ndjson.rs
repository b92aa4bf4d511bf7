//! A line of NDJSON is what it says, however it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::ndjson(input));
