//! Over axum: `Sse` is returned by a handler, `Option<LastEventId>` is one of its arguments.

use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use futures_util::stream::{self, Stream};
use futures_util::{FutureExt, StreamExt};
use tidings_server::{Event, KeepAlive, LastEventId, Sse};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::raw_client::{LAST_CHUNK, RawClient, chunk};

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends the client's last event ID back.
async fn echo(last: Option<LastEventId>) -> Sse<impl Stream<Item = Event>> {
    let told = last.map_or("none".to_owned(), |id| format!("after {id}"));
    Sse::new(stream::iter([Event::new(told)]).chain(stream::pending()))
}

#[tokio::test]
async fn the_head_and_the_first_bytes_arrive_before_any_event() {
    let (publish, event) = oneshot::channel();
    let event = event.shared();
    let one = async move || Sse::new(event.into_stream()).private();
    let mut client = RawClient::get(serve(Router::new().route("/", get(one))).await, "/", "").await;

    let opened = client.read_until(&chunk(":\n")).await;
    for line in [
        "HTTP/1.1 200 OK\r\n",
        "content-type: text/event-stream\r\n",
        "cache-control: private, no-cache, no-transform\r\n",
        "x-accel-buffering: no\r\n",
    ] {
        assert!(opened.contains(line), "{line:?} in {opened:?}");
    }
    for name in ["connection:", "content-length:", "content-encoding:"] {
        assert!(!opened.contains(name), "no {name:?} in {opened:?}");
    }

    publish.send(Event::new("one")).unwrap();
    client.read_until(&(chunk("data: one\n\n") + LAST_CHUNK)).await;
}

#[tokio::test]
async fn a_silent_stream_sends_heartbeats() {
    let keep_alive = KeepAlive::event().after(Duration::from_millis(20));
    let silent = async move || Sse::new(stream::pending::<Event>()).keep_alive(keep_alive);
    let mut client = RawClient::get(serve(Router::new().route("/", get(silent))).await, "/", "").await;

    client.read_until(&chunk("event: ping\ndata:\n\n").repeat(3)).await;
}

#[tokio::test]
async fn a_client_that_disconnects_drops_the_stream() {
    let (drops, mut dropped) = mpsc::unbounded_channel();
    let silent = async move || {
        let guard = ReportsDrop(drops);
        Sse::new(stream::poll_fn(move |_| {
            let _ = &guard;
            Poll::<Option<Event>>::Pending
        }))
    };
    let mut client = RawClient::get(serve(Router::new().route("/", get(silent))).await, "/", "").await;
    client.read_until(&chunk(":\n")).await;

    drop(client);
    dropped.recv().await.unwrap();
}

struct ReportsDrop(mpsc::UnboundedSender<()>);

impl Drop for ReportsDrop {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

#[tokio::test]
async fn a_handler_takes_the_last_event_id() {
    let address = serve(Router::new().route("/", get(echo))).await;
    let new = RawClient::get(address, "/", "").await;
    let header = RawClient::get(address, "/?lastEventId=41", "Last-Event-ID: 42\r\n").await;
    let query = RawClient::get(address, "/?last_event_id=4%2F1", "").await;
    for (mut client, told) in [(new, "none"), (header, "after 42"), (query, "after 4/1")] {
        client.read_until(&chunk(&format!("data: {told}\n\n"))).await;
    }
}
