//! The adapters yield the same items as the decoder, and end as their documentation says.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt, StreamExt};
use http_body_util::StreamBody;
use tidings_codec::{
    BodyChunks, DecodeErrorKind, Decoder, Event, EventId, ItemStream, OwnedItem, StreamError,
};

const STREAM: &str = ": hi\nretry: 5\n\nid: 1\n\nevent: x\ndata: a\ndata: b\n\nid: 2\ndata: c\ntopic: t\n\n";

fn expected() -> Vec<OwnedItem> {
    let mut items = Vec::new();
    let mut decoder = Decoder::new().with_unknown_fields(true);
    let mut input = STREAM.as_bytes();
    while let Some(item) = decoder.decode(&mut input) {
        items.push(item.expect("the stream has no mistake").into());
    }
    assert_eq!(items.len(), 6);
    assert_eq!(items[1], OwnedItem::Retry(Duration::from_millis(5)));
    assert_eq!(items[2], OwnedItem::LastEventId(EventId::parse("1").expect("a digit is an id")));
    items
}

fn chunks(text: &str, size: usize) -> impl Stream<Item = Result<Bytes, Infallible>> {
    stream::iter(
        text.as_bytes().chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>(),
    )
}

/// All items that a stream yields without waiting.
fn all<T>(stream: impl Stream<Item = T>) -> Vec<T> {
    stream.collect().now_or_never().expect("the stream waits for nothing")
}

#[test]
fn a_stream_of_chunks_gives_what_the_decoder_gives() {
    for size in [STREAM.len(), 1, 2] {
        let decoder = Decoder::new().with_unknown_fields(true);
        let items = all(ItemStream::with_decoder(chunks(STREAM, size), decoder));
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected(), "in {size}s");
    }
}

#[test]
fn a_body_gives_what_the_decoder_gives_and_its_trailers_nothing() {
    for size in [STREAM.len(), 1, 2] {
        let frames = chunks(STREAM, size).map(|chunk| chunk.map(http_body::Frame::data));
        let trailers = http_body::Frame::trailers(Default::default());
        let body = StreamBody::new(frames.chain(stream::iter([Ok(trailers)])));
        let decoder = Decoder::new().with_unknown_fields(true);
        let items = all(ItemStream::with_decoder(BodyChunks::new(body), decoder));
        assert_eq!(items.into_iter().map(Result::unwrap).collect::<Vec<_>>(), expected(), "in {size}s");
    }
}

#[test]
fn the_last_event_id_is_that_of_the_last_item_taken() {
    let mut items = ItemStream::new(chunks("id: 1\ndata: a\n\nid: 2\ndata: b\n\n", 1000));
    assert!(items.next().now_or_never().flatten().is_some());
    assert_eq!(items.last_event_id(), "1");
    assert!(items.next().now_or_never().flatten().is_some());
    assert_eq!(items.into_decoder().last_event_id(), "2");
}

#[test]
fn a_refused_block_is_an_error_between_items() {
    let text = "data: a\n\nretry: x\n\ndata: b\n\n";
    let items = all(ItemStream::with_decoder(chunks(text, 3), Decoder::strict()));
    assert_eq!(items[0], Ok(OwnedItem::Event(Event::new("a"))));
    assert!(
        matches!(&items[1], Err(StreamError::Decode(error)) if error.kind() == DecodeErrorKind::BadRetry)
    );
    assert_eq!(items[2], Ok(OwnedItem::Event(Event::new("b"))));
    assert_eq!(items.len(), 3);
}

#[test]
fn an_event_cut_at_the_end_is_the_last_thing_reported() {
    let mut items = ItemStream::new(chunks("data: a\n\ndata: b\n", 4));
    let taken = all(items.by_ref());
    assert!(matches!(&taken[..], [Ok(_), Err(StreamError::Incomplete(cut))] if cut.line() == 4));
    assert_eq!(items.next().now_or_never(), Some(None));
}

#[test]
fn nothing_follows_a_failure_of_the_chunks_and_the_decoder_goes_on_elsewhere() {
    let broken = stream::iter([Ok("id: 1\ndata: a\n\ndata: cut"), Err("reset"), Ok("\n\n")]);
    let mut items = ItemStream::new(broken);
    let taken = all(items.by_ref());
    assert!(matches!(&taken[..], [Ok(_), Err(StreamError::Chunks("reset"))]));
    let next = all(ItemStream::with_decoder(chunks("data: b\n\n", 1), items.into_decoder()));
    assert_eq!(next, [Ok(OwnedItem::Event(Event::new("b")))]);
}

#[test]
fn dropping_the_wait_for_an_item_loses_nothing() {
    let mut chunks = ["data: a", "\n", "\n"].into_iter();
    let mut waits = false;
    let slow = stream::poll_fn(|_| {
        waits = !waits;
        if waits { Poll::Pending } else { Poll::Ready(chunks.next().map(Ok::<_, Infallible>)) }
    });
    let mut items = ItemStream::new(slow);
    for _chunk in 0..3 {
        assert_eq!(items.next().now_or_never(), None);
    }
    assert_eq!(items.next().now_or_never(), Some(Some(Ok(OwnedItem::Event(Event::new("a"))))));
}

#[test]
fn json_is_read_from_an_event_borrowed_or_owned() {
    let mut decoder = Decoder::new();
    let mut input = &b"data: [\"a\",\ndata: \"b\"]\n\n"[..];
    let Some(Ok(tidings_codec::Item::Event(event))) = decoder.decode(&mut input) else {
        panic!("an event is complete")
    };
    assert_eq!(event.json::<Vec<&str>>().unwrap(), ["a", "b"]);
    assert_eq!(event.to_owned_event().json::<[&str; 2]>().unwrap(), ["a", "b"]);
    assert!(event.json::<Vec<u8>>().is_err());
}
