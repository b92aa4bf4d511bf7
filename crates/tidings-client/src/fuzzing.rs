//! Properties that hold for every response of a server, as functions that panic where one does not. Not part of the
//! API.
//!
//! Each fuzz target (`fuzz/`) runs one of them, and `tests/fuzz_corpus.rs` runs all of them over `fuzz/corpus/`.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tidings_codec::EventId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Error, EventStream, Item, Refusal, Request, RequestBody, Sending, Transport, transport::exchange_over,
};

/// Small enough that a fuzzer finds both sides of each.
const MAX_EVENT_BYTES: usize = 64;
const MAX_LINE_BYTES: usize = 128;

/// Reading a response never panics and comes to an end. The items and the decoder stay within the limits. Cutting the
/// response into other pieces changes only how many items are yielded before a failure. The last event ID can be sent
/// in a request, or is refused with an error that names it.
///
/// Input: one byte with the number of bytes that follow it (modulo 16). These bytes are the lengths of pieces, used in
/// turn. The rest is the server's response, which is the same for each request. After it the server closes the
/// connection.
pub fn response(input: &[u8]) {
    let (count, rest) = input.split_first().unwrap_or((&0, &[]));
    let (lengths, answer) = rest.split_at(rest.len().min(usize::from(count % 16)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime is made of memory").block_on(async {
        let whole = read(cut(answer, &[]), None).await;
        for lengths in [&[1], lengths] {
            let pieces = read(cut(answer, lengths), None).await;
            let common = whole.items.len().min(pieces.items.len());
            assert_eq!(pieces.items[..common], whole.items[..common], "in pieces of {lengths:?}");
            assert_eq!(pieces.failed, whole.failed, "in pieces of {lengths:?}");
            if !whole.failed {
                assert_eq!(pieces.items, whole.items, "in pieces of {lengths:?}");
            }
        }
        if let Ok(id) = EventId::parse(whole.last_event_id) {
            read(cut(answer, &[]), Some(id)).await;
        }
    });
}

/// The result of reading a response.
struct Outcome {
    items: Vec<String>,
    failed: bool,
    last_event_id: String,
}

async fn read(pieces: VecDeque<Bytes>, last_event_id: Option<EventId>) -> Outcome {
    let request = Request::get("http://server.example/topics/a").expect("it is a URL");
    let mut stream = EventStream::new(request)
        .with_comments(true)
        .with_max_event_bytes(MAX_EVENT_BYTES)
        .with_max_line_bytes(MAX_LINE_BYTES)
        .with_transport(Arc::new(InMemory(pieces)));
    if let Some(id) = &last_event_id {
        stream = stream.with_last_event_id(id.clone());
    }
    let (mut items, mut failed) = (Vec::new(), false);
    while let Some(item) = stream.next().await {
        match item {
            Ok(Item::Event(event)) => {
                // One ill-formed byte becomes a U+FFFD of three bytes.
                assert!(event.data().len() <= 3 * MAX_EVENT_BYTES, "data of {} bytes", event.data().len());
                items.push(format!("{event:?}"));
            }
            Ok(item) => items.push(format!("{item:?}")),
            Err(error) => {
                failed = true;
                if let Error::Status(refusal)
                | Error::ContentType(refusal)
                | Error::ContentEncoding(refusal) = &error
                {
                    assert!(refusal.body.len() <= Refusal::MAX_BODY_BYTES);
                }
                if let Error::LastEventId(id) = &error {
                    assert_eq!(Some(&**id), last_event_id.as_ref().map(EventId::as_str));
                }
                assert!(!error.to_string().is_empty());
            }
        }
    }
    Outcome { items, failed, last_event_id: stream.last_event_id().to_owned() }
}

/// Cuts `answer` into pieces of these lengths, used in turn. No piece is empty, because an empty piece would be the
/// end.
fn cut(answer: &[u8], lengths: &[u8]) -> VecDeque<Bytes> {
    let mut pieces = VecDeque::new();
    let mut rest = answer;
    let lengths = lengths.iter().copied().filter(|length| *length > 0).map(usize::from);
    let mut lengths = lengths.collect::<Vec<_>>().into_iter().cycle();
    while !rest.is_empty() {
        let (piece, tail) = rest.split_at(lengths.next().unwrap_or(rest.len()).min(rest.len()));
        pieces.push_back(Bytes::copy_from_slice(piece));
        rest = tail;
    }
    pieces
}

/// A transport without a network. Each of its connections brings the same bytes.
#[derive(Debug)]
struct InMemory(VecDeque<Bytes>);

impl Transport for InMemory {
    fn send(&self, request: http::Request<RequestBody>) -> Sending {
        exchange_over(Connection(self.0.clone()), request)
    }
}

/// A connection that accepts everything and returns its own bytes.
struct Connection(VecDeque<Bytes>);

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(piece) = self.0.front_mut() {
            let taken = piece.split_to(piece.len().min(buffer.remaining()));
            buffer.put_slice(&taken);
            if piece.is_empty() {
                self.0.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
