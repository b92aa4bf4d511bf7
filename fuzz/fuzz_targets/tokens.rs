//! A token is always judged alike, and accepted only if it is signed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::tokens(input));
