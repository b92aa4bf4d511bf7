//! The transport used alone, as a publisher uses it, and a source with another transport.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tidings_client::{
    EventSource, HyperTransport, RequestBody, ResponseBody, Sending, Transport, TransportError,
};

use crate::{
    server::{Server, nothing, response},
    trace::events,
};

async fn text(mut body: ResponseBody) -> String {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.chunk().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn post(server: &Server, body: impl Into<RequestBody>) -> Request<RequestBody> {
    Request::builder().method(Method::POST).uri(server.url("/topics/a")).body(body.into()).unwrap()
}

#[tokio::test]
async fn a_whole_body_is_sent_with_its_length() {
    let server = Server::start([response("HTTP/1.1 200 OK").send("{\"id\":\"7\"}")]).await;
    let answer = HyperTransport::new().send(post(&server, "hello")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer.into_body()).await, "{\"id\":\"7\"}");
    assert_eq!(server.requests()[0].header("content-length"), Some("5"));
    assert_eq!(server.requests()[0].body, b"hello");
}

#[tokio::test]
async fn a_body_can_be_sent_piece_by_piece() {
    let server = Server::start([response("HTTP/1.1 200 OK").send("done")]).await;
    let (mut sender, body) = RequestBody::channel();
    let publisher = async move {
        for piece in ["data: a\n\n", "data: b\n\n"] {
            sender.send(piece).await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(HyperTransport::new().send(post(&server, body)), publisher);
    assert_eq!(text(answer.unwrap().into_body()).await, "done");
    assert_eq!(server.requests()[0].body, b"9\r\ndata: a\n\n\r\n9\r\ndata: b\n\n\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_aborted_body_is_not_taken_for_a_whole_one() {
    let server = Server::start([response("HTTP/1.1 200 OK")]).await;
    let (mut sender, body) = RequestBody::channel();
    let publisher = async move {
        sender.send("data: a\n\n").await.unwrap();
        sender.abort("the disk is gone").await.unwrap();
    };
    let (answer, ()) = tokio::join!(HyperTransport::new().send(post(&server, body)), publisher);
    assert!(matches!(answer, Err(TransportError::Broken { .. })));
    server.all_closed().await;
    assert!(server.requests().is_empty(), "the server never saw the end of it");
}

#[tokio::test]
async fn a_sender_learns_that_the_exchange_is_over() {
    let server = Server::start([nothing().reset()]).await;
    let (mut sender, body) = RequestBody::channel();
    drop(HyperTransport::new().send(post(&server, body)));
    assert!(sender.send("data: a\n\n").await.is_err());
}

#[tokio::test]
async fn user_information_is_kept_out_of_the_host_header() {
    let server = Server::start([]).await;
    let url = server.url("/").replace("http://", "http://user:secret@");
    let request = Request::get(url).body(RequestBody::empty()).unwrap();
    HyperTransport::new().send(request).await.unwrap();
    assert_eq!(server.requests()[0].header("host"), server.url("").strip_prefix("http://"));
}

#[tokio::test]
async fn a_source_uses_the_transport_that_it_is_given() {
    #[derive(Debug)]
    struct Canned;

    #[derive(Debug)]
    struct Once(Option<Bytes>);

    impl http_body::Body for Once {
        type Data = Bytes;
        type Error = TransportError;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, TransportError>>> {
            std::task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
        }
    }

    impl Transport for Canned {
        fn send(&self, request: Request<RequestBody>) -> Sending {
            let response = if request.headers().contains_key("last-event-id") {
                Response::builder().status(204).body(ResponseBody::new(Once(None)))
            } else {
                let body = Once(Some(Bytes::from_static(b"retry: 0\nid: 1\ndata: canned\n\n")));
                Response::builder().header("content-type", "text/event-stream").body(ResponseBody::new(body))
            };
            Box::pin(std::future::ready(Ok(response.unwrap())))
        }
    }

    let mut source = EventSource::get("unheard-of://host/").unwrap().with_transport(Arc::new(Canned));
    assert_eq!(events(&mut source).await, ["canned"]);
}
