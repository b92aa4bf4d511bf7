//! Topics and patterns match what their text says.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::topics_and_patterns(input));
