//! HTTP/2: the same promises as over HTTP/1.1, and without a task.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use tidings_client::{
    Cause, EventId, EventSource, Item, RequestBody, RequestBodySender, Transport, TransportError,
};

use crate::{
    hyper_server::{BY_H2, HyperServer, Way},
    trace::{events, take},
};

/// Answers with event streams, one after the other. The test writes their content.
fn streams(
    count: usize,
) -> (Vec<RequestBodySender>, impl Fn(&Request<Bytes>) -> Response<RequestBody> + Clone) {
    let (senders, bodies): (Vec<_>, Vec<_>) = (0..count).map(|_| RequestBody::channel()).unzip();
    let bodies = Arc::new(Mutex::new(bodies.into_iter()));
    let script = move |_: &Request<Bytes>| match bodies.lock().unwrap().next() {
        Some(body) => event_stream(body),
        None => Response::builder().status(204).body(RequestBody::empty()).unwrap(),
    };
    (senders, script)
}

fn event_stream(body: impl Into<RequestBody>) -> Response<RequestBody> {
    Response::builder().header("content-type", "text/event-stream").body(body.into()).unwrap()
}

fn follow(server: &HyperServer) -> EventSource {
    EventSource::get(&server.url).unwrap().with_transport(Arc::new(server.transport.clone()))
}

#[tokio::test]
async fn events_arrive_one_by_one_and_dropping_the_source_ends_the_connection() {
    for way in [BY_H2, Way::Clear] {
        let (mut senders, script) = streams(1);
        let server = HyperServer::start(way, script).await;
        let mut source = follow(&server);
        let Some(Ok(Item::Opened(head))) = source.next().await else { panic!() };
        assert_eq!(head.version, Version::HTTP_2);
        for number in 0..10 {
            senders[0].send(format!("data: {number}\n\n")).await.unwrap();
            assert_eq!(take(&mut source, 1).await, [format!("message {number}")]);
        }
        drop(source);
        server.all_closed().await;
        // The body has room for one piece. That it takes no second one proves that the server has dropped it.
        let _ = senders[0].send("data: late\n\n").await;
        assert!(senders[0].send("data: too late\n\n").await.is_err());
    }
}

#[tokio::test]
async fn a_head_of_many_fields_is_read() {
    let server = HyperServer::start(Way::Clear, |_| {
        let mut response = event_stream("data: a\n\n");
        for number in 0..1_000 {
            response.headers_mut().append("x-many", HeaderValue::from(number));
        }
        response
    })
    .await;
    assert_eq!(take(&mut follow(&server), 2).await, ["opened", "message a"]);
}

async fn version(source: &mut EventSource) -> Version {
    match source.next().await {
        Some(Ok(Item::Opened(head))) => head.version,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_server_chooses_the_version_and_each_side_can_insist() {
    const BOTH: Way = Way::Tls(&[b"h2", b"http/1.1"]);
    for (way, expected) in [
        (BOTH, Version::HTTP_2),
        (Way::Tls(&[b"http/1.1"]), Version::HTTP_11),
        (Way::Tls(&[]), Version::HTTP_11),
    ] {
        let (_senders, script) = streams(1);
        let server = HyperServer::start(way, script).await;
        assert_eq!(version(&mut follow(&server)).await, expected);
    }

    let (_senders, script) = streams(1);
    let server = HyperServer::start(BOTH, script).await;
    let transport = server.transport.clone().with_http1_only();
    assert_eq!(version(&mut follow(&server).with_transport(Arc::new(transport))).await, Version::HTTP_11);
}

#[tokio::test]
async fn a_server_without_http2_is_refused_where_nothing_else_is_allowed() {
    for way in [Way::Tls(&[]), Way::Tls(&[b"http/1.1"])] {
        let server = HyperServer::start(way, streams(0).1).await;
        let transport = server.transport.clone().with_http2_only();
        let item = follow(&server).with_transport(Arc::new(transport)).next().await;
        let Some(Ok(Item::Retrying { cause: Cause::Network(error), .. })) = item else { panic!("{item:?}") };
        assert!(matches!(error, TransportError::Connect { .. }), "{error:?}");
        assert!(server.requests().is_empty());
    }
}

#[tokio::test]
async fn no_task_is_left_or_needed() {
    // The tasks of the server: one that accepts, one for the connection, one for the request. hyper's client by itself
    // would add three.
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (mut senders, script) = streams(1);
    let server = HyperServer::start(BY_H2, script).await;
    let mut source = follow(&server);
    senders[0].send("data: a\n\n").await.unwrap();
    assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
    assert!(tasks() <= 3, "{} tasks are alive", tasks());
}

#[tokio::test]
async fn the_headers_are_those_of_http2() {
    let server = HyperServer::start(BY_H2, streams(0).1).await;
    let request = tidings_client::Request::post(&server.url)
        .unwrap()
        .with_header(header::CONNECTION, HeaderValue::from_static("keep-alive"))
        .with_header(header::HOST, HeaderValue::from_static("other.example"))
        .with_body("{}");
    let transport = Arc::new(server.transport.clone());
    let mut source = EventSource::new(request).with_transport(transport);
    source = source.with_last_event_id(EventId::parse("7").unwrap());
    assert!(source.next().await.is_none());
    let [request] = &server.requests()[..] else { panic!() };
    assert_eq!((request.version(), request.body()), (Version::HTTP_2, &Bytes::from("{}")));
    assert_eq!(request.uri().authority().unwrap(), "other.example");
    assert_eq!(request.headers()["last-event-id"], "7");
    assert_eq!(request.headers()["accept"], "text/event-stream");
    for name in ["connection", "host", "transfer-encoding", "keep-alive"] {
        assert!(!request.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_or_breaks_is_resumed() {
    let (mut senders, script) = streams(3);
    let server = HyperServer::start(BY_H2, script).await;
    let mut source = follow(&server).with_max_backoff(Duration::ZERO);
    let writing = async {
        senders[0].send("retry: 1\nid: 1\ndata: a\n\n").await.unwrap();
        drop(senders.remove(0));
        senders[0].send("id: 2\ndata: b\n\nid: 3\ndata: never whole").await.unwrap();
        senders.remove(0).abort("the disk is gone").await.unwrap();
        senders.remove(0).send("id: 3\ndata: c\n\n").await.unwrap();
    };
    let ((), lines) = tokio::join!(writing, events(&mut source));
    assert_eq!(lines, ["a", "b", "c"]);
    let asked: Vec<_> = server.requests().iter().map(|r| r.headers().get("last-event-id").cloned()).collect();
    assert_eq!(asked, [None, Some("1"), Some("2"), Some("3")].map(|id| id.map(HeaderValue::from_static)));
}

#[tokio::test]
async fn more_than_the_window_comes_through_and_a_line_beyond_its_limit_ends_the_source() {
    let event = format!("data: {}\n\n", "x".repeat(3_000_000));
    let server = HyperServer::start(BY_H2, move |_| event_stream(event.clone())).await;
    assert_eq!(take(&mut follow(&server), 2).await[1].len(), "message ".len() + 3_000_000);
    let lines = take(&mut follow(&server).with_max_line_bytes(1_000), 2).await;
    assert!(lines[1].starts_with("error: the event stream cannot be read: "), "{lines:?}");
}

#[tokio::test]
async fn silence_is_noticed() {
    let (mut senders, script) = streams(1);
    let server = HyperServer::start(BY_H2, script).await;
    let mut source = follow(&server).with_idle_timeout(Duration::from_millis(200));
    senders[0].send("data: a\n\n").await.unwrap();
    assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
    let silent = source.next().await;
    assert!(matches!(silent, Some(Ok(Item::Retrying { cause: Cause::Idle(_), .. }))), "{silent:?}");
    server.all_closed().await;
}

#[tokio::test]
async fn redirects_are_followed_and_refusals_are_read() {
    let server = HyperServer::start(BY_H2, |request| {
        match request.uri().path() {
            "/stream" => {
                Response::builder().status(307).header("location", "/there").body(RequestBody::empty())
            }
            _ => Response::builder().status(403).body("because".into()),
        }
        .unwrap()
    });
    let server = server.await;
    let Some(Err(tidings_client::Error::Status(refusal))) = follow(&server).next().await else { panic!() };
    assert_eq!((refusal.url.path(), &refusal.body), ("/there", &Bytes::from("because")));
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn a_gzip_stream_is_read_event_by_event() {
    let (mut senders, script) = streams(1);
    let server = HyperServer::start(BY_H2, move |request| {
        let mut response = script(request);
        response.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
        response
    })
    .await;
    let mut source = follow(&server);
    assert_eq!(take(&mut source, 1).await, ["opened"]);
    for (event, line) in crate::gzip::gzip(["data: a\n\n", "data: b\n\n"]).into_iter().zip(["a", "b"]) {
        senders[0].send(event).await.unwrap();
        assert_eq!(take(&mut source, 1).await, [format!("message {line}")]);
    }
}

#[tokio::test]
async fn a_body_is_sent_piece_by_piece_and_an_aborted_one_is_not_taken_for_whole() {
    let server = HyperServer::start(BY_H2, |_| Response::new("done".into())).await;
    let post = |body| Request::post(&server.url).body(body).unwrap();
    let (mut sender, body) = RequestBody::channel();
    let publisher = async move {
        for piece in ["data: a\n\n", "data: b\n\n"] {
            sender.send(piece).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(server.transport.send(post(body)), publisher);
    assert_eq!(answer.unwrap().into_body().chunk().await.unwrap().unwrap(), "done");
    assert_eq!(server.requests()[0].body(), "data: a\n\ndata: b\n\n");

    let (mut sender, body) = RequestBody::channel();
    let publisher = async move {
        sender.send("data: a\n\n").await.unwrap();
        sender.abort("the disk is gone").await.unwrap();
    };
    let (answer, ()) = tokio::join!(server.transport.send(post(body)), publisher);
    assert!(matches!(answer, Err(TransportError::Broken { .. })), "{answer:?}");
    server.all_closed().await;
    assert_eq!(server.requests().len(), 1);
}
