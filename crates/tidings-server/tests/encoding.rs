//! Text from a user arrives unchanged, and as nothing but data.
//!
//! The tests decode the sent bytes, and examine the bytes of each line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures_util::stream;
use http_body_util::BodyExt;
use tidings_codec::{Decoder, Item};
use tidings_server::{Event, EventId, EventType, Frame, IntoFrame, KeepAlive, Sse};

/// Text that breaks encoders: line breaks of every kind, fields in the data, colons, NUL, a byte order mark.
const HOSTILE: [&str; 16] = [
    "",
    " ",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\r\r\n\n",
    "a\r\nb",
    "a\n\nevent: forged\ndata: forged\n\n",
    "a\rid: forged\r\rdata: forged\r\r",
    "id: forged",
    ": not a comment",
    " leading space",
    "NUL \0 and \u{feff} and \u{2028}",
    "\u{feff}",
    "trailing\n",
];

/// The bytes that a client receives.
async fn sent<T: IntoFrame>(items: Vec<T>) -> Vec<u8>
where
    T::Error: std::fmt::Debug,
{
    let response = Sse::new(stream::iter(items)).keep_alive(KeepAlive::none()).into_response();
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

fn decoded(bytes: &[u8]) -> Vec<Event> {
    let mut decoder = Decoder::strict();
    let mut input = bytes;
    let mut events = Vec::new();
    while let Some(item) = decoder.decode(&mut input) {
        if let Item::Event(event) = item.unwrap() {
            events.push(event.to_owned_event());
        }
    }
    decoder.finish().unwrap();
    events
}

/// The standard's end of a line: CRLF, LF or CR.
fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec())
        .unwrap()
        .replace("\r\n", "\n")
        .replace('\r', "\n")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn crlf_in_data_is_one_line_break() {
    let bytes = sent(vec![Event::new("one\r\ntwo\rthree\nfour")]).await;
    assert_eq!(bytes, b":\ndata: one\ndata: two\ndata: three\ndata: four\n\n");
    assert_eq!(decoded(&bytes)[0].data(), "one\ntwo\nthree\nfour");
}

#[tokio::test]
async fn empty_data_is_still_an_event() {
    let bytes = sent(vec![Event::new("")]).await;
    assert_eq!(decoded(&bytes), [Event::new("")]);
}

#[tokio::test]
async fn no_data_panics_or_forges_a_field() {
    let events: Vec<Event> = HOSTILE.into_iter().map(Event::new).collect();
    let bytes = sent(events.clone()).await;

    assert_eq!(decoded(&bytes), events);
    for line in &lines(&bytes)[1..] {
        assert!(line.is_empty() || line.starts_with("data:"), "{line:?}");
    }
}

#[tokio::test]
async fn no_type_or_id_panics_or_forges_a_field() {
    for text in HOSTILE {
        let mut event = Event::new("data");
        if let Ok(event_type) = EventType::parse(text) {
            event = event.with_type(event_type);
        }
        if let Ok(id) = EventId::parse(text) {
            event = event.with_id(id);
        }
        let bytes = sent(vec![event.clone()]).await;

        assert_eq!(decoded(&bytes), [event], "{text:?}");
        for name in ["event:", "data:", "id:"] {
            let count = lines(&bytes).iter().filter(|line| line.starts_with(name)).count();
            assert!(count <= 1, "{count} times {name:?} for {text:?}");
        }
    }
}

#[tokio::test]
async fn no_comment_panics_or_forges_a_field() {
    for text in HOSTILE {
        let bytes = sent(vec![Frame::comment(text), Event::new("data").into()]).await;

        assert_eq!(decoded(&bytes), [Event::new("data")], "{text:?}");
        let lines = lines(&bytes);
        let (comments, event) = lines.split_at(lines.len() - 2);
        assert!(comments.iter().all(|line| line.starts_with(':')), "{comments:?}");
        assert_eq!(event, ["data: data", ""]);
    }
}
