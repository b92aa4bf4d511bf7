//! Connections that are kept for the next request.

use std::time::Duration;

use http::{Request, Response};
use tidings_client::{HyperTransport, RequestBody, ResponseBody, Transport};

use crate::{
    hyper_server::{HyperServer, Way},
    server::{Server, response},
};

const HTTP1: Way = Way::Tls(&[b"http/1.1"]);

async fn get(transport: &HyperTransport, url: &str) -> ResponseBody {
    let request = Request::get(url).body(RequestBody::empty()).unwrap();
    transport.send(request).await.unwrap().into_body()
}

async fn read(mut body: ResponseBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    bytes
}

/// A server that answers every request with two pieces.
async fn pieces() -> HyperServer {
    HyperServer::start(HTTP1, |_| {
        let (mut sender, body) = RequestBody::channel();
        tokio::spawn(async move {
            for piece in ["data: a\n\n", "data: b\n\n"] {
                // The client may have left.
                let _ = sender.send(piece).await;
            }
        });
        Response::new(body)
    })
    .await
}

#[tokio::test]
async fn a_connection_whose_answer_was_read_to_the_end_carries_the_next_request() {
    let server = pieces().await;
    let transport = server.transport.clone().with_reuse();
    for _ in 0..3 {
        assert_eq!(read(get(&transport, &server.url).await).await, b"data: a\n\ndata: b\n\n");
    }
    assert_eq!((server.requests().len(), server.accepted()), (3, 1));
    // Two requests at the same time need two connections.
    let (one, other) = (get(&transport, &server.url).await, get(&transport, &server.url).await);
    assert_eq!((read(one).await, server.accepted()), (read(other).await, 2));
    drop(transport);
    server.all_closed().await;
}

#[tokio::test]
async fn a_connection_whose_answer_was_left_is_closed() {
    let server = pieces().await;
    let transport = server.transport.clone().with_reuse();
    let mut body = get(&transport, &server.url).await;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "data: a\n\n");
    drop(body);
    server.all_closed().await;
    assert_eq!(read(get(&transport, &server.url).await).await.len(), 18);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn without_being_asked_for_nothing_is_kept() {
    let server = pieces().await;
    for accepted in 1..=2 {
        read(get(&server.transport, &server.url).await).await;
        server.all_closed().await;
        assert_eq!(server.accepted(), accepted);
    }
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_not_used() {
    let answer = || response("HTTP/1.1 200 OK\nContent-Length: 2").send("ok");
    let server = Server::start([answer(), answer()]).await;
    let transport = HyperTransport::new().with_reuse();
    for _ in 0..2 {
        assert_eq!(read(get(&transport, &server.url("/")).await).await, b"ok");
        server.all_closed().await;
        // The runtime examines its sockets when no task is ready.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.requests().len(), 2);
}
