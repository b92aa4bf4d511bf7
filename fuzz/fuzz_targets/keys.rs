//! Keys of any form are read or refused, and accept nothing that is not signed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::keys(input));
