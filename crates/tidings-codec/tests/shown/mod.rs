//! Items as short text, so that a test reads like the stream it is about. Every stream is read in three ways.

use tidings_codec::{Decoder, Item};

/// Feeds `stream` in chunks of `size` bytes, and writes each item and error as a line of text. The last line is the
/// cut.
pub(crate) fn items_in_chunks(mut decoder: Decoder, stream: &[u8], size: usize) -> Vec<String> {
    let mut shown = Vec::new();
    for chunk in stream.chunks(size) {
        let mut input = chunk;
        while let Some(item) = decoder.decode(&mut input) {
            shown.push(match item {
                Ok(item) => show(item),
                Err(error) => format!("error: {error}"),
            });
        }
        assert!(input.is_empty(), "a decoder that asks for more has read all");
    }
    shown.push(format!("id={:?} line={}", decoder.last_event_id(), decoder.line()));
    if let Err(cut) = decoder.finish() {
        shown.push(format!("cut: {cut}"));
    }
    shown
}

/// The items of `stream`, which are the same whole, byte by byte and in twos.
pub(crate) fn items(decoder: &Decoder, stream: &[u8]) -> Vec<String> {
    let whole = items_in_chunks(decoder.clone(), stream, stream.len().max(1));
    for size in [1, 2] {
        assert_eq!(items_in_chunks(decoder.clone(), stream, size), whole, "in chunks of {size}");
    }
    whole
}

fn show(item: Item<'_>) -> String {
    match item {
        Item::Event(event) => {
            let mut text = format!("{}: {:?}", event.event_type(), event.data());
            if let Some(id) = event.id() {
                text += &format!(" sets id {id:?}");
            }
            if let Some(retry) = event.retry() {
                text += &format!(" retry {}", retry.as_millis());
            }
            text + &format!(" last id {:?}", event.last_event_id())
        }
        Item::Retry(retry) => format!("retry {}", retry.as_millis()),
        Item::LastEventId(id) => format!("last id {id:?}"),
        Item::Comment(text) => format!("comment {text:?}"),
        Item::Unknown { name, value } => format!("unknown {name:?}={value:?}"),
        _ => unreachable!("an item that these tests do not know"),
    }
}
