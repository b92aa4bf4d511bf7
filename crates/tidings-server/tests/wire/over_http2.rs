//! Over HTTP/2, where streams share a connection and a stream that is cut is reset.

use std::convert::Infallible;
use std::io;
use std::sync::Mutex;

use futures_util::{Stream, stream};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_server::{Event, Sse};

/// The response for `events`, as a client on the other end of a pipe gets it.
async fn response<S>(events: S) -> Response<Incoming>
where
    S: Stream<Item = io::Result<Event>> + Send + 'static,
{
    let (client, server) = tokio::io::duplex(64 * 1024);
    let response = Mutex::new(Some(Sse::new(events).into_response()));
    let service = service_fn(move |_| {
        let response = response.lock().unwrap().take().expect("one request");
        async { Ok::<_, Infallible>(response) }
    });
    tokio::spawn(async move {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(server), service).await
    });
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut requests, connection) = builder.handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    requests.send_request(Request::new(Empty::<Bytes>::new())).await.unwrap()
}

/// The bytes up to the end, and whether the response was complete.
async fn read(mut body: Incoming) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap()),
            Some(Err(_)) => return (bytes, false),
            None => return (bytes, true),
        }
    }
}

#[tokio::test]
async fn no_field_of_the_head_makes_it_malformed() {
    let response = response(stream::pending()).await;
    let mut names: Vec<&str> = response.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["cache-control", "content-type", "date", "x-accel-buffering"]);
}

#[tokio::test]
async fn a_stream_that_ends_ends_the_response() {
    let response = response(stream::iter([Ok(Event::new("last"))])).await;
    assert_eq!(read(response.into_body()).await, (b":\ndata: last\n\n".to_vec(), true));
}

#[tokio::test]
async fn a_stream_that_fails_is_reset_after_what_it_has_sent() {
    let events = stream::iter([Ok(Event::new("last")), Err(io::Error::other("the sensor is gone"))]);
    let response = response(events).await;
    assert_eq!(read(response.into_body()).await, (b":\ndata: last\n\n".to_vec(), false));
}
