//! A damaged log gives no record that was not appended.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::database(input));
