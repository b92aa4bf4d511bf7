//! Redirects: which ones are followed, how often, and from where a source reconnects. Source: Fetch, "HTTP-redirect
//! fetch".

use http::{HeaderName, HeaderValue};
use tidings_client::{Error, EventId, EventSource, Item, Request};

use crate::{
    server::{Reply, Server, response, stream},
    trace::{follow, take},
};

fn redirect(status: u16, location: &str) -> Reply {
    response(&format!("HTTP/1.1 {status} Elsewhere\nLocation: {location}\nContent-Length: 0"))
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([redirect(status, "../there?x"), stream()]).await;
        let mut source = EventSource::get(&server.url("/a/b")).unwrap();
        let Some(Ok(Item::Opened(head))) = source.next().await else { panic!("{status}") };
        assert_eq!(head.url.to_string(), server.url("/there?x"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_leads_to_another_server_with_the_last_event_id() {
    let other = Server::start([stream()]).await;
    let server = Server::start([redirect(302, &other.url("/there"))]).await;
    let mut source = follow(&server).with_last_event_id(EventId::parse("7").unwrap());
    take(&mut source, 1).await;
    assert_eq!(other.requests()[0].line, "GET /there HTTP/1.1");
    assert_eq!(other.requests()[0].header("last-event-id"), Some("7"));
    assert_eq!(other.requests()[0].header("host"), other.url("").strip_prefix("http://"));
}

#[tokio::test(start_paused = true)]
async fn a_reconnection_starts_from_the_first_url() {
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([redirect(status, "/there"), stream(), stream()]).await;
        let mut source = EventSource::get(&server.url("/here")).unwrap();
        take(&mut source, 3).await;
        let lines: Vec<String> = server.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, ["GET /here HTTP/1.1", "GET /there HTTP/1.1", "GET /here HTTP/1.1"], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_redirects_fails_after_20() {
    let server = Server::start_with(|_| redirect(302, "/")).await;
    let mut source = follow(&server);
    assert!(matches!(source.next().await, Some(Err(Error::TooManyRedirects { limit: 20, .. }))));
    assert!(source.next().await.is_none());
    assert_eq!(server.requests().len(), 21);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_nowhere_fails() {
    let server = Server::start([redirect(302, "http://")]).await;
    let mut source = follow(&server);
    assert!(matches!(source.next().await, Some(Err(Error::Redirect { .. }))));
    assert!(source.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_redirect_without_location_fails_by_its_status() {
    let server = Server::start([response("HTTP/1.1 302 Somewhere\nContent-Length: 0")]).await;
    let mut source = follow(&server);
    assert!(matches!(source.next().await, Some(Err(Error::Status(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_with_its_origin() {
    let other = Server::start([stream()]).await;
    let server = Server::start([redirect(307, "/there"), redirect(307, &other.url("/"))]).await;
    let mut request = Request::get(&server.url("/")).unwrap();
    let names = ["authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key", "x-acme"];
    for name in names {
        request = request.with_header(HeaderName::from_static(name), HeaderValue::from_static("S"));
    }
    take(&mut EventSource::new(request), 1).await;
    for name in names {
        assert_eq!(server.requests()[1].header(name), Some("S"), "{name}");
        assert_eq!(other.requests()[0].header(name), None, "{name}");
    }
    assert_eq!(other.requests()[0].header("accept"), Some("text/event-stream"));
}

#[tokio::test(start_paused = true)]
async fn of_two_locations_none_is_followed() {
    let twice = |second: &str| {
        response(&format!("HTTP/1.1 302 There\nLocation: /there\nLocation: {second}\nContent-Length: 0"))
    };
    let server = Server::start([twice("/there"), stream(), twice("/other")]).await;
    let mut source = follow(&server);
    assert_eq!(take(&mut source, 2).await[0], "opened");
    assert!(matches!(source.next().await, Some(Err(Error::Redirect { .. }))));
    assert!(source.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_a_scheme_that_cannot_be_requested_fails() {
    let server = Server::start([redirect(302, "ftp://example.org/")]).await;
    let mut source = follow(&server);
    let Some(Err(error)) = source.next().await else { panic!() };
    assert_eq!(
        error.to_string(),
        "cannot request ftp://example.org/: its scheme is neither `http` nor `https`"
    );
    assert!(source.next().await.is_none());
}
