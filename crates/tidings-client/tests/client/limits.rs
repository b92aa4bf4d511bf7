//! Bounds on the memory that a server can occupy here.

use tidings_client::{Error, EventSource, Item};

use crate::{
    server::{Server, stream},
    trace::{events, follow, take, trace},
};

async fn limited(body: &str, limit: impl FnOnce(EventSource) -> EventSource) -> Vec<String> {
    let server = Server::start([stream().drip(body, 1)]).await;
    trace(&mut limit(follow(&server))).await
}

#[tokio::test(start_paused = true)]
async fn a_line_beyond_its_limit_ends_the_source() {
    let lines = limited("data: 1234\n\ndata: 12345\n\n", |source| source.with_max_line_bytes(10)).await;
    assert_eq!(lines[..2], ["opened", "message 1234"]);
    assert!(lines[2].starts_with("error: the event stream cannot be read: "), "{lines:?}");
    assert_eq!(lines.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_event_beyond_its_limit_ends_the_source() {
    let lines =
        limited("data: 12\ndata: 34\n\ndata: 12\ndata: 345\n\n", |source| source.with_max_event_bytes(5))
            .await;
    assert_eq!(lines[..2], ["opened", "message 12\n34"]);
    assert!(lines[2].starts_with("error: the event stream cannot be read: "), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn an_id_that_no_server_would_take_is_ignored_and_its_event_is_not() {
    for length in [4097, 100_000, 1_000_000] {
        let id = "i".repeat(length);
        let first = format!("id: 1\ndata: a\n\nid: {id}\ndata: b\n\nid: {id}\n\n");
        let server = Server::start([stream().send(first), stream().send("id: 2\ndata: c\n\n")]).await;
        let mut source = follow(&server);
        assert_eq!(take(&mut source, 3).await, ["opened", "message a", "message b"]);
        assert_eq!(source.last_event_id(), "1");
        assert_eq!(events(&mut source).await, ["c"]);
        assert_eq!(server.requests()[1].header("last-event-id"), Some("1"), "{length}");
        assert_eq!(server.requests()[2].header("last-event-id"), Some("2"), "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn huge_types_topics_comments_and_unknown_fields_are_read() {
    let huge = "x".repeat(1_000_000);
    let body = format!(
        "event: {huge}\ntopic: {huge}\n:{huge}\n{huge}: {huge}\nretry: {huge}\ndata: a\n\ndata: b\n\n"
    );
    let server = Server::start([stream().send(body)]).await;
    let mut source = follow(&server);
    take(&mut source, 1).await;
    let Some(Ok(Item::Event(event))) = source.next().await else { panic!() };
    assert_eq!((event.event_type().len(), event.topic().map(str::len)), (huge.len(), Some(huge.len())));
    assert_eq!(events(&mut source).await, ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_never_ends_is_not_collected() {
    let server = Server::start([stream().send(vec![b'x'; 100_000]).hold()]).await;
    let mut source = follow(&server).with_max_line_bytes(1_000);
    source.next().await.unwrap().unwrap();
    assert!(matches!(source.next().await, Some(Err(Error::Decode(_)))));
    server.all_closed().await;
}
