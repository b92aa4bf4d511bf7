//! What holds for every input. Each fuzz target runs one of these functions, and `cargo test` runs all of them over the
//! corpus.
#![allow(dead_code, reason = "each fuzz target uses one function")]

use std::time::Duration;

use tidings_codec::{Decoder, Event, EventId, EventType, Item};

/// Decoding never panics, reads all of its input, keeps its limits and comes to an end.
///
/// Input: one byte that chooses the decoder, then the stream.
pub(crate) fn decode(input: &[u8]) {
    let (decoder, limits, stream) = choose_decoder(input);
    let items = items(decoder, [stream]);
    // An item needs a line of its own: one with its end, or the last one if it is too long. The state is the other one.
    let lines = stream.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    assert!(items.len() <= lines + 2, "{} items from {lines} line ends", items.len());
    for item in &items {
        if let (Some(limits), Shown::Event { data, last_event_id, .. }) = (limits, item) {
            // One refused byte becomes a U+FFFD of three.
            assert!(data.len() <= 3 * limits.max_event_bytes, "an event of {} bytes", data.len());
            assert!(last_event_id.len() <= 3 * limits.max_id_bytes, "an id of {} bytes", last_event_id.len());
        }
    }
}

/// Any chunking gives the same items and errors, the same last event ID and the same cut at the end.
///
/// Input: one byte that chooses the decoder, one that says how many bytes follow it, these bytes as the lengths of the
/// chunks, over and over; then the stream.
pub(crate) fn chunks(input: &[u8]) {
    let (decoder, _, rest) = choose_decoder(input);
    let (count, rest) = rest.split_first().unwrap_or((&0, &[]));
    let (lengths, stream) = rest.split_at(rest.len().min(usize::from(count % 16)));
    let whole = items(decoder.clone(), [stream]);
    assert_eq!(items(decoder.clone(), stream.chunks(1)), whole, "byte by byte");
    assert_eq!(items(decoder.clone(), stream.chunks(2)), whole, "in twos");
    assert_eq!(items(decoder, cut(stream, lengths)), whole, "in chunks of {lengths:?}");
}

/// Decoding an encoded event gives the event, and nothing else, strictly read.
///
/// Input: one byte of flags, then data, ID, type and retry, separated by 0xFF, which is in no UTF-8 text.
pub(crate) fn round_trip(input: &[u8]) {
    let (flags, rest) = input.split_first().unwrap_or((&0, &[]));
    let mut texts = rest.splitn(4, |byte| *byte == 0xFF).map(String::from_utf8_lossy);
    let mut text = || texts.next().unwrap_or_default().into_owned();
    let mut event = Event::new(text());
    let (id, event_type, retry) = (EventId::parse(text()), EventType::parse(text()), text());
    if let (Ok(id), true) = (id, flags & 1 != 0) {
        event = event.with_id(id);
    }
    if let (Ok(event_type), true) = (event_type, flags & 2 != 0) {
        event = event.with_type(event_type);
    }
    if flags & 4 != 0 {
        let nanos = retry.bytes().take(12).fold(0, |n: u128, byte| n << 8 | u128::from(byte));
        let seconds = u64::try_from(nanos >> 32).expect("eight of twelve bytes");
        event = event.with_retry(Duration::new(seconds, (nanos as u32) % 1_000_000_000));
    }
    let mut bytes = Vec::new();
    event.encode(&mut bytes);
    event.encode(&mut bytes);
    for size in [bytes.len(), 1, 2] {
        // What is sent has no limits but the receiver's.
        let mut decoder = Decoder::strict().with_max_id_bytes(usize::MAX);
        let mut events = Vec::new();
        for chunk in bytes.chunks(size) {
            let mut input = chunk;
            while let Some(item) = decoder.decode(&mut input) {
                match item.expect("what is encoded is valid, strictly") {
                    Item::Event(borrowed) => {
                        let mut again = Vec::new();
                        borrowed.encode(&mut again);
                        assert_eq!(
                            bytes[..bytes.len() / 2],
                            again,
                            "a borrowed event encodes like its owned copy"
                        );
                        events.push(borrowed.to_owned_event());
                    }
                    Item::Retry(retry) => assert_eq!(Some(retry), event.retry()),
                    item => panic!("an event was encoded, not {item:?}"),
                }
            }
        }
        decoder.finish().expect("what is encoded is complete");
        assert_eq!(events, [event.clone(), event.clone()], "in chunks of {size}");
    }
}

/// An item or error, kept.
#[derive(Debug, PartialEq)]
enum Shown {
    Event { event: Event, data: String, last_event_id: String },
    Other(String),
}

/// Small enough that a fuzzer finds both sides of each.
#[derive(Clone, Copy)]
struct Limits {
    max_line_bytes: usize,
    max_event_bytes: usize,
    max_id_bytes: usize,
}

/// Strict, limits and unknown fields are chosen by the three lowest bits of the first byte.
fn choose_decoder(input: &[u8]) -> (Decoder, Option<Limits>, &[u8]) {
    let (choice, stream) = input.split_first().unwrap_or((&0, &[]));
    let mut decoder = if choice & 1 == 0 { Decoder::new() } else { Decoder::strict() };
    decoder = decoder.with_unknown_fields(choice & 2 != 0);
    let limits =
        (choice & 4 != 0).then_some(Limits { max_line_bytes: 16, max_event_bytes: 12, max_id_bytes: 4 });
    if let Some(limits) = limits {
        decoder = decoder
            .with_max_line_bytes(limits.max_line_bytes)
            .with_max_event_bytes(limits.max_event_bytes)
            .with_max_id_bytes(limits.max_id_bytes);
    }
    (decoder, limits, stream)
}

/// All that `chunks` say, then the state at the end, and what the end cut off.
fn items<'i>(mut decoder: Decoder, chunks: impl IntoIterator<Item = &'i [u8]>) -> Vec<Shown> {
    let mut items = Vec::new();
    for chunk in chunks {
        let mut input = chunk;
        while let Some(item) = decoder.decode(&mut input) {
            items.push(match item {
                Ok(Item::Event(event)) => Shown::Event {
                    event: event.to_owned_event(),
                    data: event.data().to_owned(),
                    last_event_id: event.last_event_id().to_owned(),
                },
                Ok(item) => Shown::Other(format!("{item:?}")),
                Err(error) => Shown::Other(format!("{error:?} {error}")),
            });
        }
        assert!(input.is_empty(), "a decoder that asks for more has read all");
    }
    let (id, line) = (decoder.last_event_id().to_owned(), decoder.line());
    items.push(Shown::Other(format!("id {id:?}, line {line}, {:?}", decoder.finish())));
    assert_eq!((decoder.last_event_id(), decoder.line()), (&*id, 1), "the end keeps the last event ID only");
    items
}

/// Cuts `stream` into chunks of these lengths, over and over. Empty chunks are chunks too.
fn cut<'i>(stream: &'i [u8], lengths: &[u8]) -> Vec<&'i [u8]> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let before = rest.len();
        for length in lengths {
            let (chunk, tail) = rest.split_at(usize::from(*length).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        if rest.len() == before {
            // No length moves on.
            chunks.push(rest);
            break;
        }
    }
    chunks
}
