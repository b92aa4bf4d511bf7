//! Properties that hold for every input of a hub, as functions that panic where one does not. Not part of the API.
//!
//! Each fuzz target (`fuzz/`) runs one of them, and `tests/fuzz_corpus.rs` runs all of them over `fuzz/corpus/`.

#[cfg(feature = "access-file")]
mod access;
mod database;
mod ndjson;
mod ranges;
mod request;
mod tokens;
mod topics;

#[cfg(feature = "access-file")]
pub use self::access::access_files;
pub use self::{
    database::database,
    ndjson::ndjson,
    ranges::ranges,
    request::request,
    tokens::{keys, tokens},
    topics::topics_and_patterns,
};

/// Splits `input` into the lengths of chunks and the rest. The first byte is the number of lengths (0 to 15).
fn lengths_and_rest(input: &[u8]) -> (&[u8], &[u8]) {
    let (count, rest) = input.split_first().unwrap_or((&0, &[]));
    rest.split_at(rest.len().min(usize::from(count % 16)))
}

/// Cuts `body` into chunks of these lengths, used in turn. Empty chunks count as chunks too.
fn cut<'i>(body: &'i [u8], lengths: &[u8]) -> Vec<&'i [u8]> {
    let mut chunks = Vec::new();
    let mut rest = body;
    // If no length is above 0, the rest is one chunk.
    let lengths = if lengths.iter().any(|length| *length > 0) { lengths } else { &[u8::MAX] };
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, tail) = rest.split_at(usize::from(*length).min(rest.len()));
        chunks.push(chunk);
        rest = tail;
    }
    chunks
}
