//! Reading a response ends and keeps its limits, however it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_client::fuzzing::response(input));
