//! Decoding never panics, whatever the bytes and limits.
#![no_main]

#[path = "../promises.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|input: &[u8]| promises::decode(input));
