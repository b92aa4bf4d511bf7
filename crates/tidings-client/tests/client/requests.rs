//! The request: method, headers, body, and the factory that decides them.

use http::{HeaderValue, Method, header};
use tidings_client::{Error, EventSource, Request};

use crate::{
    server::{Server, stream},
    trace::{events, trace},
};

#[tokio::test(start_paused = true)]
async fn method_headers_and_body_are_sent() {
    let server = Server::start([stream()]).await;
    let request = Request::post(&server.url("/chat"))
        .unwrap()
        .with_header(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))
        .with_header(header::ACCEPT, HeaderValue::from_static("*/*"))
        .with_body("{}");
    EventSource::new(request.clone()).next().await;
    let requests = server.requests();
    assert_eq!(requests[0].line, "POST /chat HTTP/1.1");
    assert_eq!(requests[0].header("authorization"), Some("Bearer x"));
    assert_eq!(requests[0].header("accept"), Some("*/*"));
    assert_eq!(requests[0].body, b"{}");

    EventSource::new(request.with_method(Method::PUT)).next().await;
    assert_eq!(server.requests()[1].line, "PUT /chat HTTP/1.1");
}

#[tokio::test(start_paused = true)]
async fn the_factory_is_asked_before_each_attempt() {
    let server = Server::start([stream().send("id: a\ndata: 1\n\n"), stream().send("data: 2\n\n")]).await;
    let url = server.url("/");
    let mut source = EventSource::from_factory(move |attempt| {
        let url = format!("{url}?attempt={}&after={}", attempt.number, attempt.last_event_id);
        async move { Ok(Request::get(&url)?) }
    });
    assert_eq!(events(&mut source).await, ["1", "2"]);
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /?attempt=1&after= HTTP/1.1",
            "GET /?attempt=2&after=a HTTP/1.1",
            "GET /?attempt=3&after=a HTTP/1.1"
        ]
    );
    assert_eq!(requests[2].header("last-event-id"), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_factory_ends_the_source() {
    let mut source = EventSource::from_factory(|_| async { Err("no token".into()) });
    assert_eq!(trace(&mut source).await, ["error: the request factory failed: no token"]);
    let mut source = EventSource::from_factory(|_| async { Err("no token".into()) });
    assert!(matches!(source.next().await, Some(Err(Error::Factory(_)))));
}
