//! Over hyper, without a framework.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidings_server::{Event, IntoFrame, KeepAlive, Sse};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::raw_client::{LAST_CHUNK, RawClient, chunk};

/// Serves one connection. Its first request is answered with `sse`.
async fn serve_once<S>(sse: Sse<S>) -> (SocketAddr, JoinHandle<hyper::Result<()>>)
where
    S: Stream + Send + 'static,
    S::Item: IntoFrame<Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send>,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let response = Mutex::new(Some(sse.into_response()));
        let service = service_fn(move |_| {
            let response = response.lock().unwrap().take().expect("one request");
            async { Ok::<_, Infallible>(response) }
        });
        http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
    });
    (address, served)
}

fn received<T>(mut events: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |cx| events.poll_recv(cx))
}

#[tokio::test]
async fn the_head_and_the_first_bytes_arrive_before_any_event() {
    let (publisher, events) = mpsc::unbounded_channel();
    let (address, _served) = serve_once(Sse::new(received(events)).retry(Duration::from_millis(1500))).await;
    let mut client = RawClient::get(address, "/", "").await;

    let opened = client.read_until(&chunk(":\nretry: 1500\n")).await.to_owned();
    let (head, body) = opened.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, chunk(":\nretry: 1500\n"));
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "HTTP/1.1 200 OK",
            "cache-control: no-cache, no-transform",
            "content-type: text/event-stream",
            "transfer-encoding: chunked",
            "x-accel-buffering: no",
        ]
    );

    publisher.send(Event::new("one")).unwrap();
    let event = chunk("data: one\n\n");
    assert_eq!(client.read_until(&event).await, opened + &event);
}

#[tokio::test]
async fn a_silent_stream_sends_heartbeats() {
    let keep_alive = KeepAlive::comment().after(Duration::from_millis(20));
    let (address, _served) = serve_once(Sse::new(stream::pending::<Event>()).keep_alive(keep_alive)).await;
    let mut client = RawClient::get(address, "/", "").await;

    client.read_until(&chunk(":\n").repeat(4)).await;
}

#[tokio::test]
async fn a_stream_that_ends_ends_the_response() {
    let (address, served) = serve_once(Sse::new(stream::iter([Event::new("last")]))).await;
    let mut client = RawClient::get(address, "/", "Connection: close\r\n").await;

    let all = client.read_to_end().await;
    assert!(all.ends_with(&(chunk("data: last\n\n") + LAST_CHUNK)), "{all:?}");
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_that_fails_is_cut_after_what_it_has_sent() {
    let events = stream::iter([Ok(Event::new("last")), Err(io::Error::other("the sensor is gone"))]);
    let (address, served) = serve_once(Sse::new(events)).await;
    let mut client = RawClient::get(address, "/", "").await;

    let all = client.read_to_end().await;
    assert!(all.ends_with(&chunk("data: last\n\n")), "without the chunk that says all is well: {all:?}");
    let error = served.await.unwrap().unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the sensor is gone");
}

#[tokio::test]
async fn a_stream_that_fails_at_once_has_a_head() {
    let events = stream::iter([Err::<Event, _>(io::Error::other("no sensor"))]);
    let (address, _served) = serve_once(Sse::new(events)).await;
    let mut client = RawClient::get(address, "/", "").await;

    let all = client.read_to_end().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n"), "{all:?}");
    assert!(all.ends_with(&chunk(":\n")), "{all:?}");
}

#[tokio::test]
async fn a_client_that_disconnects_drops_the_stream() {
    let (alive, dropped) = oneshot::channel::<()>();
    let silent = stream::poll_fn(move |_| {
        let _ = &alive;
        Poll::<Option<Event>>::Pending
    });
    let (address, _served) = serve_once(Sse::new(silent).keep_alive(KeepAlive::none())).await;
    let mut client = RawClient::get(address, "/", "").await;
    client.read_until(&chunk(":\n")).await;

    drop(client);
    dropped.await.unwrap_err();
}

#[tokio::test]
async fn a_burst_is_not_held_back_until_the_next_event() {
    let (publisher, events) = mpsc::unbounded_channel();
    let (address, _served) = serve_once(Sse::new(received(events).map(Ok::<Event, io::Error>))).await;
    let mut client = RawClient::get(address, "/", "").await;

    for number in 0..1000 {
        publisher.send(Event::new(number.to_string())).unwrap();
    }
    client.read_until(&chunk("data: 999\n\n")).await;
}
