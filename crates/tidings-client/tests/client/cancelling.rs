//! Stopping: by `close`, by dropping, and by dropping a `next` in the middle.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use tidings_client::ReadyState;

use crate::{
    server::{Server, nothing, stream},
    trace::{follow, take},
};

#[tokio::test(start_paused = true)]
async fn close_ends_the_connection_at_once() {
    let server = Server::start([stream().hold()]).await;
    let mut source = follow(&server);
    take(&mut source, 1).await;
    source.close();
    server.all_closed().await;
    assert_eq!(source.ready_state(), ReadyState::Closed);
    assert!(source.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn dropping_ends_the_connection_at_once() {
    let server = Server::start([stream().hold()]).await;
    let mut source = follow(&server);
    take(&mut source, 1).await;
    drop(source);
    server.all_closed().await;
}

#[tokio::test(start_paused = true)]
async fn close_ends_an_attempt_that_has_no_answer_yet() {
    let server = Server::start([nothing().hold()]).await;
    let mut source = follow(&server);
    tokio::time::timeout(Duration::from_secs(60), source.next()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    source.close();
    server.all_closed().await;
}

#[tokio::test(start_paused = true)]
async fn close_while_waiting_prevents_the_next_attempt() {
    let server = Server::start([stream()]).await;
    let mut source = follow(&server);
    take(&mut source, 2).await;
    source.close();
    assert!(source.next().await.is_none());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_next_that_is_dropped_at_every_poll_loses_nothing() {
    let body = "id: 1\ndata: a\n\nid: 2\ndata: b\n\nretry: 100\n: hi\n\nid: 3\ndata: c\n\n";
    let server = Server::start([stream().drip(body, 1), stream().drip(body, 3)]).await;
    let mut source = follow(&server);
    let mut lines = Vec::new();
    loop {
        let polled = pin!(source.next()).poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            std::task::Poll::Ready(Some(item)) => lines.push(crate::trace::line(&item)),
            std::task::Poll::Ready(None) => break,
            // Nothing wakes this task: it is polled again with a new future.
            std::task::Poll::Pending => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    let one = [
        "opened",
        "message a",
        "message b",
        "message c",
        "retrying after 100ms: the server ended the response",
    ];
    assert_eq!(lines, [one, one].concat());
}
