//! Streams that a server compresses although the client did not ask for it.

use std::{io::Write, mem, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::time::Instant;

use crate::{
    server::{Reply, Server, response},
    trace::{events, follow, take, trace},
};

fn compressed() -> Reply {
    response("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Encoding: gzip")
}

/// Compresses a stream and flushes after each event, as a careful server does. The end is missing.
pub(crate) fn gzip<'a>(events: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let pieces = events.into_iter().map(|event| {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        mem::take(encoder.get_mut())
    });
    pieces.collect()
}

#[tokio::test(start_paused = true)]
async fn a_gzip_stream_is_read_event_by_event() {
    let mut reply = compressed();
    for event in gzip(["data: a\n\n", "data: b\n\n"]) {
        reply = reply.send(event).wait(Duration::from_secs(1));
    }
    let server = Server::start([reply]).await;
    let mut source = follow(&server);
    let start = Instant::now();
    for (line, second) in [("opened", 0), ("message a", 0), ("message b", 1)] {
        assert_eq!(take(&mut source, 1).await, [line]);
        assert_eq!(start.elapsed().as_secs(), second, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gzip_stream_can_be_split_anywhere() {
    let bytes = gzip(["data: a\n\n", "data: b\n\n"]).concat();
    for at_a_time in 1..5 {
        let server = Server::start([compressed().drip(&bytes, at_a_time)]).await;
        assert_eq!(events(&mut follow(&server)).await, ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_compresses_well_comes_whole() {
    let event = format!("data: {}\n\n", "x".repeat(1_000_000));
    let server = Server::start([compressed().send(gzip([event.as_str()]).concat()).hold()]).await;
    assert_eq!(take(&mut follow(&server), 2).await[1].len(), "message ".len() + 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_gzip_is_a_broken_connection() {
    let server = Server::start([compressed().send("data: longer than the head of a gzip file\n\n")]).await;
    assert_eq!(trace(&mut follow(&server)).await, ["opened", "retrying after 3s: the connection broke"]);
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refusal_is_decompressed() {
    let body = gzip(["because"]).concat();
    let server = Server::start([response("HTTP/1.1 403 No\nContent-Encoding: gzip").send(body)]).await;
    let Some(Err(tidings_client::Error::Status(refusal))) = follow(&server).next().await else { panic!() };
    assert_eq!(refusal.body, "because");
}
