//! The encoder is tested by decoding its output.

use std::time::Duration;

use tidings_codec::{Decoder, Event, EventId, EventType, Item, encode_comment, encode_retry};

/// Decodes `bytes` in chunks of `size`. Returns the events, and the number of all items.
fn decoded(bytes: &[u8], size: usize) -> (Vec<Event>, usize) {
    let mut decoder = Decoder::strict();
    let (mut events, mut count) = (Vec::new(), 0);
    for chunk in bytes.chunks(size) {
        let mut input = chunk;
        while let Some(item) = decoder.decode(&mut input) {
            count += 1;
            if let Item::Event(event) = item.expect("what is encoded is valid, strictly") {
                events.push(event.to_owned_event());
            }
        }
    }
    decoder.finish().expect("what is encoded is complete");
    (events, count)
}

#[test]
fn decoding_an_encoded_event_gives_the_event() {
    let texts = [
        "",
        " ",
        "a",
        " a",
        "a ",
        ":",
        "data: x",
        "\n",
        "a\n",
        "\na",
        "a\n\nb",
        "\u{FEFF}",
        "\0",
        "é\u{1F600}",
    ];
    let ids = [None, Some(""), Some("1"), Some(" 1 "), Some("é:")];
    let types = [None, Some(""), Some("message"), Some(" message"), Some("x"), Some("\0")];
    let retries = [None, Some(Duration::ZERO), Some(Duration::MAX), Some(Duration::from_micros(1_500))];
    for text in texts {
        for id in ids {
            for event_type in types {
                for retry in retries {
                    let mut event = Event::new(text);
                    if let Some(id) = id {
                        event = event.with_id(EventId::parse(id).unwrap());
                    }
                    if let Some(event_type) = event_type {
                        event = event.with_type(EventType::parse(event_type).unwrap());
                    }
                    if let Some(retry) = retry {
                        event = event.with_retry(retry);
                    }
                    let mut bytes = Vec::new();
                    event.encode(&mut bytes);
                    assert_eq!(event.encoded_len(), bytes.len(), "{event:?}");
                    for size in [bytes.len(), 1, 2] {
                        assert_eq!(decoded(&bytes, size).0, [event.clone()], "{event:?} in chunks of {size}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_borrowed_event_encodes_like_its_owned_copy() {
    let stream = "event: x\nretry: 5\ndata: a\ndata: \nid: 1\n\n";
    let mut decoder = Decoder::new();
    let mut input = stream.as_bytes();
    let mut out = Vec::new();
    while let Some(item) = decoder.decode(&mut input) {
        if let Ok(Item::Event(event)) = item {
            event.encode(&mut out);
            event.to_owned_event().encode(&mut out);
        }
    }
    assert_eq!(out, stream.repeat(2).as_bytes());
}

#[test]
fn comments_and_retry_may_stand_inside_a_block() {
    let mut bytes = b"data: a\n".to_vec();
    encode_comment("two\nlines", &mut bytes);
    encode_retry(Duration::from_secs(1), &mut bytes);
    bytes.extend_from_slice(b"data: b\n\n");
    let event = Event::new("a\nb").with_retry(Duration::from_secs(1));
    assert_eq!(decoded(&bytes, 1), (vec![event], 4));
}
