//! An access file is used, or refused with a line, and its rules keep their word.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_hub::fuzzing::access_files(input));
