//! Reads published NDJSON.

use serde_json::json;
use tidings_codec::EventId;

use super::{cut, lengths_and_rest};
use crate::{
    Topic, Update, UpdateRetry,
    dialect::{Refusal, UpdateReader, ndjson::NdjsonReader},
    log::Append,
};

const MAX_DATA_BYTES: usize = 64;

/// Reading NDJSON never panics. Any chunking gives the same updates, lines and refusal. Each update has the data of its
/// line, is within the limit, and can be written as a line and read again.
///
/// Input: one byte with the number of bytes that follow it. These bytes are the lengths of chunks, used in turn. The
/// rest is the body.
pub fn ndjson(input: &[u8]) {
    let (lengths, body) = lengths_and_rest(input);
    let whole = read([body]);
    assert_eq!(read(body.chunks(1)), whole, "byte by byte");
    assert_eq!(read(cut(body, lengths)), whole, "in chunks of {lengths:?}");

    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    for (line, update) in &whole {
        let Ok(update) = update else { continue };
        let data = update.event().data();
        assert!(data.len() <= MAX_DATA_BYTES, "data of {} bytes", data.len());
        let text = lines[usize::try_from(*line).expect("a line of a small body") - 1];
        // A byte order mark may precede the first line. Each line may begin with white space that JSON does not allow.
        let text = text.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(text).trim_ascii();
        let said: Said = serde_json::from_slice(text).expect("what is taken for an update is JSON");
        let said = said.data.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(said, data, "the data of line {line}");

        if update.is_close() {
            // It has another hub's ID, which is not kept.
            continue;
        }
        let again = read([line_of(update).as_bytes()]);
        assert_eq!(again, [(1, Ok(update.clone()))], "an update's own line gives it again");
    }
}

/// The only examined member. Others may have any value, such as a number that fits no type.
#[derive(serde::Deserialize)]
struct Said {
    data: String,
}

/// Returns all updates with the numbers of their last lines, up to the first refusal, as a publish reads them.
fn read<'i>(chunks: impl IntoIterator<Item = &'i [u8]>) -> Vec<(u64, Result<Update, String>)> {
    let mut reader = NdjsonReader::new(topic(), MAX_DATA_BYTES, UpdateRetry::DEFAULT_MAX);
    let mut updates = Vec::new();
    for chunk in chunks {
        let mut input = chunk;
        while let Some(update) = reader.read(&mut input) {
            let refused = update.is_err();
            updates.push((reader.line(), update_of(update)));
            if refused {
                return updates;
            }
        }
        assert!(input.is_empty(), "a reader that asks for more has read all");
    }
    if let Some(update) = reader.finish() {
        updates.push((reader.line(), update_of(update)));
    }
    updates
}

fn update_of(read: Result<Append, Refusal>) -> Result<Update, String> {
    read.map(|append| append.update).map_err(|problem| format!("{problem:?}"))
}

fn line_of(update: &Update) -> String {
    let event = update.event();
    let retry = event.retry().map(|retry| u64::try_from(retry.as_millis()).expect("it was read as a u64"));
    json!({
        "topic": topic().as_str(),
        "type": event.event_type(),
        "data": event.data(),
        "id": event.id().map(EventId::as_str),
        "retry": retry,
    })
    .to_string()
}

fn topic() -> Topic {
    Topic::parse("t").expect("a letter is a topic")
}
