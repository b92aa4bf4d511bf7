//! Bounds on what a server can make this side hold.

use tidings_client::{Error, EventSource};

use crate::{
    server::{Server, stream},
    trace::{follow, trace},
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
async fn a_line_that_never_ends_is_not_collected() {
    let server = Server::start([stream().send(vec![b'x'; 100_000]).hold()]).await;
    let mut source = follow(&server).with_max_line_bytes(1_000);
    source.next().await.unwrap().unwrap();
    assert!(matches!(source.next().await, Some(Err(Error::Decode(_)))));
    server.all_closed().await;
}
