//! The contenders of the benchmark. Each reads the same chunks and examines the data of every event.

use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tidings_codec::{Decoder, Event, EventId, EventType, Item};

use crate::measure::Contender;
use crate::workloads::{Decoding, Encoding};

pub(crate) const TIDINGS: &str = "tidings-codec";
pub(crate) const TIDINGS_BUILT: &str = "tidings-codec, building the event too";
pub(crate) const BOUND: &str = "memchr2 positions (bound)";
pub(crate) const VALIDATED: &str = "memchr2, then str::from_utf8";
pub(crate) const SSE_CORE: &str = "sse-core";
pub(crate) const SSE_STREAM: &str = "sse-stream";
pub(crate) const EVENTSOURCE_STREAM: &str = "eventsource-stream";
pub(crate) const AXUM: &str = "axum Event";

type Run<'w> = Box<dyn Fn() -> Option<usize> + 'w>;

pub(crate) fn decoding<'w>(workload: &'w Decoding, only: Option<&String>) -> Vec<Contender<'w>> {
    let chunks = &workload.chunks;
    // One decoder for all rounds, as a connection has one for all its events. The first round grows its buffers.
    let decoder = RefCell::new(Decoder::new());
    let mut all: Vec<(&'static str, Run<'w>)> = vec![
        (TIDINGS, Box::new(move || Some(tidings(&mut decoder.borrow_mut(), chunks)))),
        (BOUND, Box::new(|| memchr2_positions(chunks))),
        (VALIDATED, Box::new(|| memchr2_and_utf8(chunks))),
        (SSE_CORE, Box::new(|| Some(sse_core(chunks)))),
        (SSE_STREAM, Box::new(|| Some(sse_stream(chunks)))),
    ];
    // Quadratic in the length of a line that arrives in pieces: minutes a round.
    if workload.events > 1 {
        all.push((EVENTSOURCE_STREAM, Box::new(|| Some(eventsource_stream(chunks)))));
    }
    selected(all, only)
}

pub(crate) fn encoding<'w>(workload: &'w Encoding, only: Option<&String>) -> Vec<Contender<'w>> {
    let event = build(workload);
    let out = RefCell::new(Vec::new());
    let built_out = RefCell::new(Vec::new());
    let all: Vec<(&'static str, Run<'w>)> = vec![
        (TIDINGS, Box::new(move || Some(repeat(|| encode(&event, &mut out.borrow_mut()))))),
        (
            TIDINGS_BUILT,
            Box::new(move || Some(repeat(|| encode(&build(workload), &mut built_out.borrow_mut())))),
        ),
        (AXUM, Box::new(|| Some(repeat(|| drop(black_box(axum(workload))))))),
    ];
    selected(all, only)
}

fn selected<'w>(all: Vec<(&'static str, Run<'w>)>, only: Option<&String>) -> Vec<Contender<'w>> {
    all.into_iter()
        .filter(|(name, _)| only.is_none_or(|only| name.contains(only.as_str())))
        .map(|(name, run)| Contender { name, run })
        .collect()
}

fn tidings(decoder: &mut Decoder, chunks: &[&'static [u8]]) -> usize {
    let mut events = 0;
    for chunk in chunks {
        let mut input = *chunk;
        while let Some(item) = decoder.decode(&mut input) {
            if let Ok(Item::Event(event)) = item {
                black_box(event.data());
                events += 1;
            }
        }
    }
    events
}

/// The least work of any parser: find every CR and LF.
fn memchr2_positions(chunks: &[&'static [u8]]) -> Option<usize> {
    for chunk in chunks {
        for position in memchr::memchr2_iter(b'\r', b'\n', chunk) {
            black_box(position);
        }
    }
    None
}

/// The least work of a parser without unsafe code that returns text, if no line is ever split between chunks.
fn memchr2_and_utf8(chunks: &[&'static [u8]]) -> Option<usize> {
    for chunk in chunks {
        let mut start = 0;
        for end in memchr::memchr2_iter(b'\r', b'\n', chunk).chain([chunk.len()]) {
            let _ = black_box(std::str::from_utf8(&chunk[start..end]));
            start = end;
        }
    }
    None
}

fn sse_core(chunks: &[&'static [u8]]) -> usize {
    // Its default refuses the longest lines. This is the default limit of tidings-codec.
    const MAX_BYTES: NonZeroUsize = NonZeroUsize::new(16 * 1024 * 1024).expect("not zero");
    let mut decoder = sse_core::SseDecoder::with_limit(MAX_BYTES);
    let mut events = 0;
    for chunk in chunks {
        let mut input = *chunk;
        while let Some(item) = decoder.next(&mut input) {
            if let Ok(sse_core::SseEvent::Message(event)) = item {
                black_box(event.data);
                events += 1;
            }
        }
    }
    events
}

fn sse_stream(chunks: &[&'static [u8]]) -> usize {
    drain(sse_stream::SseByteStream::new(Chunks(chunks.iter())), |event| drop(black_box(event.data)))
}

fn eventsource_stream(chunks: &[&'static [u8]]) -> usize {
    drain(eventsource_stream::EventStream::new(Chunks(chunks.iter())), |event| drop(black_box(event.data)))
}

/// A stream of chunks that are all available at once.
struct Chunks<'w>(std::slice::Iter<'w, &'static [u8]>);

impl Stream for Chunks<'_> {
    type Item = Result<&'static [u8], Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(|chunk| Ok(*chunk)))
    }
}

fn drain<T, E>(stream: impl Stream<Item = Result<T, E>>, mut look: impl FnMut(T)) -> usize {
    let mut stream = std::pin::pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    let mut events = 0;
    while let Poll::Ready(Some(item)) = stream.as_mut().poll_next(&mut context) {
        if let Ok(event) = item {
            look(event);
            events += 1;
        }
    }
    events
}

fn build(workload: &Encoding) -> Event {
    Event::new(black_box(workload.data.as_str()))
        .with_type(EventType::parse(workload.event_type).expect("no line break"))
        .with_id(EventId::parse(workload.id.as_str()).expect("no line break or NUL"))
}

fn encode(event: &Event, out: &mut Vec<u8>) {
    out.clear();
    black_box(event).encode(out);
    black_box(out);
}

/// axum encodes into the event's own buffer while the event is built.
fn axum(workload: &Encoding) -> axum::response::sse::Event {
    axum::response::sse::Event::default()
        .event(workload.event_type)
        .id(workload.id.as_str())
        .data(black_box(workload.data.as_str()))
}

fn repeat(mut once: impl FnMut()) -> usize {
    for _ in 0..Encoding::REPEATS {
        once();
    }
    Encoding::REPEATS
}
