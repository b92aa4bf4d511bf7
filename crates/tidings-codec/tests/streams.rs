//! The streams in `streams/`, each compared with its result by the standard.
//!
//! `name.sse` is the body of a response, byte for byte. `name.json` is the result in a browser, by the sections
//! "Parsing an event stream" and "Interpreting an event stream", written by hand from their text.
//! `tests/browser/codec_streams.test.mjs` runs the same files through Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tidings_codec::{Decoder, Item};

/// The result of a stream.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Outcome {
    /// The sentence of the standard that the stream tests, in short.
    standard: String,
    /// As dispatched.
    events: Vec<Dispatched>,
    /// The last reconnection time in milliseconds; `null` if the stream sets none.
    retry: Option<Milliseconds>,
    /// The last event ID string at the end.
    last_event_id: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dispatched {
    r#type: String,
    data: String,
    last_event_id: String,
}

/// A reconnection time as the decoder has it: the maximum if it exceeds `u64`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(from = "serde_json::Number")]
struct Milliseconds(Duration);

impl From<serde_json::Number> for Milliseconds {
    fn from(number: serde_json::Number) -> Self {
        Milliseconds(Duration::from_millis(number.as_u64().unwrap_or(u64::MAX)))
    }
}

#[test]
fn every_stream_comes_to_what_the_standard_says() {
    let streams = files("sse");
    assert!(!streams.is_empty(), "no stream was found");
    let mut differences = Vec::new();
    for path in &streams {
        let bytes = fs::read(path).unwrap();
        let expected = expected(path);
        // The last size is the whole stream.
        for size in [1, 2, 3, bytes.len().max(1)] {
            let found = Outcome { standard: expected.standard.clone(), ..decode(&bytes, size) };
            if found != expected {
                let name = path.file_stem().unwrap();
                differences.push(format!("{name:?} in chunks of {size}: {found:#?}, and not {expected:#?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn no_expectation_is_without_its_stream() {
    for path in files("json") {
        assert!(path.with_extension("sse").exists(), "{} belongs to no stream", path.display());
    }
}

fn decode(stream: &[u8], size: usize) -> Outcome {
    let mut decoder = Decoder::new();
    let mut events = Vec::new();
    let mut retry = None;
    for chunk in stream.chunks(size) {
        let mut input = chunk;
        while let Some(item) = decoder.decode(&mut input) {
            match item.expect("no stream reaches a limit") {
                Item::Event(event) => events.push(Dispatched {
                    r#type: event.event_type().to_owned(),
                    data: event.data().to_owned(),
                    last_event_id: event.last_event_id().to_owned(),
                }),
                Item::Retry(time) => retry = Some(Milliseconds(time)),
                _ => {}
            }
        }
    }
    // The end cuts an event off, and it is discarded: a browser reports nothing.
    let _ = decoder.finish();
    Outcome { standard: String::new(), events, retry, last_event_id: decoder.last_event_id().to_owned() }
}

fn expected(stream: &Path) -> Outcome {
    let path = stream.with_extension("json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let outcome: Outcome =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!outcome.standard.is_empty(), "{} names no sentence of the standard", path.display());
    outcome
}

fn files(extension: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let entries = fs::read_dir(directory).expect("the directory of the streams");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry of that directory").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
