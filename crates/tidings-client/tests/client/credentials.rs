//! User and password in a URL.

use std::error::Error as _;

use http::{HeaderValue, header::AUTHORIZATION};
use tidings_client::{EventSource, Request};

use crate::{
    server::{Server, response, stream},
    trace::take,
};

fn with_password(server: &Server) -> String {
    server.url("/").replace("http://", "http://user:secret@")
}

#[tokio::test(start_paused = true)]
async fn user_and_password_of_the_url_are_sent_unless_the_request_has_its_own() {
    let server = Server::start([stream()]).await;
    EventSource::get(&with_password(&server)).unwrap().next().await;
    assert_eq!(server.requests()[0].header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    assert_eq!(server.requests()[0].header("host"), server.url("").strip_prefix("http://"));

    let own = HeaderValue::from_static("Bearer x");
    let request = Request::get(&with_password(&server)).unwrap().with_header(AUTHORIZATION, own);
    EventSource::new(request).next().await;
    assert_eq!(server.requests()[1].header("authorization"), Some("Bearer x"));
}

#[tokio::test(start_paused = true)]
async fn they_stay_with_their_origin() {
    let other = Server::start([stream()]).await;
    let to = |url: &str| response(&format!("HTTP/1.1 307 There\nLocation: {url}\nContent-Length: 0"));
    let server = Server::start([to("/there"), to(&other.url("/"))]).await;
    take(&mut EventSource::get(&with_password(&server)).unwrap(), 1).await;
    assert_eq!(server.requests()[1].header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    assert_eq!(other.requests()[0].header("authorization"), None);
}

#[tokio::test(start_paused = true)]
async fn they_are_not_shown() {
    let server = Server::start([response("HTTP/1.1 403 No\nContent-Length: 0")]).await;
    let mut source = EventSource::get(&with_password(&server)).unwrap();
    assert!(!format!("{source:?}").contains("secret"), "{source:?}");
    let error = source.next().await.unwrap().unwrap_err();
    let shown = format!("{error} {error:?} {:?}", error.source());
    assert!(!shown.contains("secret") && !shown.contains("c2Vjcm"), "{shown}");
}
