//! Content encodings: none is asked for, and what cannot be read is said so.

use tidings_client::Error;

use crate::{
    server::{Reply, Server, response, stream},
    trace::{events, follow, trace},
};

fn encoded(encoding: &str) -> Reply {
    response(&format!("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Encoding: {encoding}"))
}

#[tokio::test(start_paused = true)]
async fn compression_is_not_asked_for() {
    let server = Server::start([stream()]).await;
    trace(&mut follow(&server)).await;
    assert_eq!(server.requests()[0].header("accept-encoding"), None);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_encoding_fails() {
    let server = Server::start([encoded("br").send("?")]).await;
    let Some(Err(error)) = follow(&server).next().await else { panic!() };
    assert!(
        error.to_string().ends_with("/ is encoded as \"br\", which this client does not read"),
        "{error}"
    );
    assert!(matches!(error, Error::ContentEncoding(_)));
}

#[tokio::test(start_paused = true)]
async fn no_encoding_by_any_name_is_read_as_it_is() {
    for encoding in ["identity", "none", ""] {
        let server = Server::start([encoded(encoding).send("data: a\n\n")]).await;
        assert_eq!(events(&mut follow(&server)).await, ["a"], "{encoding:?}");
    }
}
