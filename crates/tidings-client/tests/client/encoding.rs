//! Content encodings: the client asks for none, and reports one that it cannot read.

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
async fn an_encoding_that_is_one_and_cannot_be_undone_fails() {
    for (encoding, named) in
        [("br", "br"), ("ZSTD", "zstd"), ("utf-8, deflate", "deflate"), ("br\nContent-Encoding: none", "br")]
    {
        let server = Server::start([encoded(encoding).send("?")]).await;
        let mut source = follow(&server);
        let Some(Err(error)) = source.next().await else { panic!("{encoding}") };
        let expected = format!("/ is encoded as \"{named}\", which this client does not read");
        assert!(error.to_string().ends_with(&expected), "{error}");
        assert!(matches!(error, Error::ContentEncoding(_)));
        assert!(source.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn no_encoding_by_any_name_is_read_as_it_is() {
    let names = [
        "identity",
        "none",
        "",
        "utf-8",
        "UTF-8",
        "chunked",
        "utf-8, chunked",
        "none\nContent-Encoding: utf-8",
    ];
    for encoding in names {
        let server = Server::start([encoded(encoding).send("data: a\n\n")]).await;
        assert_eq!(events(&mut follow(&server)).await, ["a"], "{encoding:?}");
    }
}
