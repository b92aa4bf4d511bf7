//! The order and the times at which the body of a response sends its bytes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http_body::Body;
use http_body_util::BodyExt;
use tidings_server::{Event, Frame, IntoFrame, KeepAlive, Sse, SseBody};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// A body whose first bytes have been read.
async fn opened<S>(sse: Sse<S>) -> Pin<Box<SseBody<S>>>
where
    S: Stream,
    S::Item: IntoFrame<Error: std::fmt::Debug>,
{
    let mut body = Box::pin(sse.into_response().into_body());
    assert_eq!(next(&mut body).await, ":\n");
    body
}

async fn next<B>(body: &mut Pin<Box<B>>) -> Bytes
where
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    body.frame().await.expect("a frame").unwrap().into_data().unwrap()
}

/// A stream fed by the test; it ends when the sender is dropped.
fn fed() -> (mpsc::UnboundedSender<Event>, impl Stream<Item = Event>) {
    let (sender, mut events) = mpsc::unbounded_channel();
    (sender, stream::poll_fn(move |cx| events.poll_recv(cx)))
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_come_before_the_first_event() {
    let mut body = Box::pin(Sse::new(stream::pending::<Event>()).retry(SECOND).into_response().into_body());
    assert_eq!(next(&mut body).now_or_never().unwrap(), ":\nretry: 1000\n");
}

#[tokio::test(start_paused = true)]
async fn without_an_opening_the_first_event_comes_first() {
    let (sender, events) = fed();
    let mut body = Box::pin(Sse::new(events).retry(SECOND).without_opening().into_response().into_body());
    assert!(next(&mut body).now_or_never().is_none());
    sender.send(Event::new("a")).unwrap();
    assert_eq!(next(&mut body).await, "data: a\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_can_be_any_bytes() {
    let keep_alive = KeepAlive::encoded(b"event: tick\ndata: 1\n\n").after(SECOND);
    let mut body = opened(Sse::new(stream::pending::<Event>()).keep_alive(keep_alive)).await;
    assert_eq!(next(&mut body).await, "event: tick\ndata: 1\n\n");
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_sends_a_comment_every_15_seconds() {
    let mut body = opened(Sse::new(stream::pending::<Event>())).await;
    for _ in 0..3 {
        let before = Instant::now();
        assert_eq!(next(&mut body).await, ":\n");
        assert_eq!(before.elapsed().as_secs(), 15);
    }
}

#[tokio::test(start_paused = true)]
async fn each_form_of_heartbeat_has_its_bytes() {
    let forms: [(KeepAlive, &str); 3] = [
        (KeepAlive::comment(), ":\n"),
        (KeepAlive::block(), ":\n\n"),
        (KeepAlive::event(), "event: ping\ndata:\n\n"),
    ];
    for (keep_alive, bytes) in forms {
        let sse = Sse::new(stream::pending::<Event>()).keep_alive(keep_alive.after(SECOND));
        let mut body = opened(sse).await;
        let before = Instant::now();
        assert_eq!(next(&mut body).await, bytes);
        assert_eq!(before.elapsed().as_secs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_keep_alive_a_silent_stream_stays_silent() {
    for keep_alive in
        [KeepAlive::none(), KeepAlive::none().after(SECOND), KeepAlive::comment().after(Duration::ZERO)]
    {
        let mut body = opened(Sse::new(stream::pending::<Event>()).keep_alive(keep_alive)).await;
        assert!(timeout(1000 * SECOND, body.frame()).await.is_err(), "{keep_alive:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_begins_a_new_silence() {
    let (sender, events) = fed();
    let mut body = opened(Sse::new(events)).await;
    let silence = tokio::spawn(async move {
        assert_eq!(next(&mut body).await, "data: one\n\n");
        let before = Instant::now();
        assert_eq!(next(&mut body).await, ":\n");
        before.elapsed()
    });
    sleep(10 * SECOND).await;
    sender.send(Event::new("one")).unwrap();
    assert_eq!(silence.await.unwrap().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_silent_has_no_heartbeat() {
    let events = stream::unfold(0, |number| async move {
        sleep(14 * SECOND).await;
        Some((Event::new(""), number + 1))
    });
    let mut body = opened(Sse::new(Box::pin(events))).await;
    for _ in 0..10 {
        assert_eq!(next(&mut body).await, "data: \n\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_due_does_not_delay_an_event() {
    let (sender, events) = fed();
    let mut body = opened(Sse::new(events)).await;
    assert!(body.frame().now_or_never().is_none());

    advance(60 * SECOND).await;
    sender.send(Event::new("one")).unwrap();
    assert_eq!(next(&mut body).now_or_never().unwrap(), "data: one\n\n");
    assert!(body.frame().now_or_never().is_none(), "the silence is over");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_one_heartbeat_for_a_long_silence() {
    let mut body = opened(Sse::new(stream::pending::<Event>())).await;
    advance(600 * SECOND).await;
    assert_eq!(next(&mut body).now_or_never().unwrap(), ":\n");
    assert!(body.frame().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_sent_as_it_is_and_an_empty_one_not_at_all() {
    let several = "data: one\n\n: two\nid: 3\ndata: three\n\n";
    let frames = ["", several, ""].map(|text| Frame::from_encoded(Bytes::from_static(text.as_bytes())));
    let mut body = opened(Sse::new(stream::iter(frames))).await;
    assert_eq!(next(&mut body).await, several);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_reported_once_and_after_a_flush() {
    let events = stream::iter([Ok(Event::new("one")), Err(io::Error::other("gone")), Ok(Event::new("two"))]);
    let mut body = opened(Sse::new(events)).await;
    assert_eq!(next(&mut body).await, "data: one\n\n");
    assert!(body.frame().now_or_never().is_none(), "the server flushes when the body is pending");
    assert!(!body.is_end_stream());
    assert_eq!(body.frame().await.unwrap().unwrap_err().to_string(), "gone");
    assert!(body.is_end_stream());
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_ended_is_dropped_and_not_polled_again() {
    let (alive, mut dropped) = mpsc::channel::<()>(1);
    let mut ended = false;
    let mut body = opened(Sse::new(stream::poll_fn(move |_| {
        let _ = &alive;
        assert!(!std::mem::replace(&mut ended, true), "polled after its end");
        Poll::Ready(None::<Event>)
    })))
    .await;
    assert!(!body.is_end_stream());
    for _ in 0..2 {
        assert!(body.frame().await.is_none());
        assert!(body.is_end_stream());
    }
    assert!(dropped.recv().now_or_never().unwrap().is_none(), "dropped with the body still there");
}

#[tokio::test(start_paused = true)]
async fn giving_up_waiting_for_a_frame_loses_none() {
    let numbers = stream::iter(0..5).then(|number| async move {
        sleep(SECOND).await;
        Event::new(number.to_string())
    });
    let mut body = opened(Sse::new(Box::pin(numbers)).keep_alive(KeepAlive::none())).await;
    let mut sent = Vec::new();
    while sent.len() < 5 {
        if let Ok(frame) = timeout(SECOND / 3, body.frame()).await {
            sent.push(frame.unwrap().unwrap().into_data().unwrap());
        }
    }
    assert_eq!(sent.concat(), b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
}

#[test]
fn without_keep_alive_no_runtime_is_needed() {
    let sse = Sse::new(stream::pending::<Event>()).keep_alive(KeepAlive::none());
    let mut body = opened(sse).now_or_never().unwrap();
    assert!(body.frame().now_or_never().is_none());
}
