//! Credentials: one for each attempt, renewed before it expires, and asked for once more when it is refused.

use std::time::Duration;

use http::StatusCode;
use tidings_client::{Attempt, Cause, Error, EventSource, Item, Request};

use crate::{
    server::{Server, response, stream},
    trace::{events, trace},
};

const HUB: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTidings-Hub: 1";
const EXPIRES: &str = "event: access\ndata: {\"reason\":\"expires\",\"in\":30}\n\n";

/// A source whose token is the number of its attempt, with `r` if the attempt before was refused.
fn source(server: &Server) -> EventSource {
    let source = EventSource::get(&server.url("/topics/a")).unwrap();
    source.with_token(|Attempt { number, is_refused, .. }| async move {
        Ok(format!("{number}{}", if is_refused { "r" } else { "" }))
    })
}

fn tokens(server: &Server) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|request| request.header("authorization").unwrap_or_default().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_asked_for_once_more_and_then_no_more() {
    let server = Server::start([
        response("HTTP/1.1 401 Unauthorized"),
        response("HTTP/1.1 401 Unauthorized"),
        stream(),
    ])
    .await;
    let mut source = source(&server);
    let first = source.next().await;
    assert!(
        matches!(first, Some(Ok(Item::Retrying { cause: Cause::Status(_), after })) if after < Duration::from_secs(1))
    );
    let Some(Err(Error::Status(refusal))) = source.next().await else {
        panic!("it ends with the second 401")
    };
    assert_eq!(refusal.status, StatusCode::UNAUTHORIZED);
    assert!(source.next().await.is_none());
    assert_eq!(tokens(&server), ["Bearer 1", "Bearer 2r"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_stream_is_asked_about_again() {
    let refused = || response("HTTP/1.1 401 Unauthorized");
    let script = [
        refused(),
        stream().send("data: a\n\n"),
        refused(),
        stream().send("data: b\n\n"),
        refused(),
        refused(),
    ];
    let server = Server::start(script).await;
    let mut source = source(&server);
    let mut heard = Vec::new();
    while let Some(Ok(item)) = source.next().await {
        if let Item::Event(event) = item {
            heard.push(event.into_data());
        }
    }
    assert_eq!((heard, server.requests().len()), (vec!["a".to_owned(), "b".to_owned()], 6));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_stays_the_same_ends_with_the_first_refusal() {
    let server = Server::start([response("HTTP/1.1 401 Unauthorized"), stream()]).await;
    let mut source = EventSource::new(Request::get(&server.url("/")).unwrap());
    assert!(matches!(source.next().await, Some(Err(Error::Status(_)))));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn forbidden_is_final() {
    let server = Server::start([response("HTTP/1.1 403 Forbidden"), stream()]).await;
    assert!(matches!(source(&server).next().await, Some(Err(Error::Status(_)))));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_expires_soon_is_renewed_without_loss_and_without_a_wait() {
    let old = response(HUB).send(format!("data: 1\nid: 1\n\n{EXPIRES}data: 2\nid: 2\n\n")).hold();
    let new = response(HUB).send("data: 2\nid: 2\n\ndata: 3\nid: 3\n\n");
    let server = Server::start([old, new]).await;
    let mut source = source(&server);
    assert_eq!(events(&mut source).await, ["1", "{\"reason\":\"expires\",\"in\":30}", "2", "3"]);
    let requests = server.requests();
    assert_eq!(requests[1].header("last-event-id"), Some("1"));
    assert_eq!(tokens(&server)[..2], ["Bearer 1", "Bearer 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_renews_says_so() {
    let old = response(HUB).send(format!("data: 1\nid: 1\n\n{EXPIRES}")).hold();
    let server = Server::start([old, response(HUB)]).await;
    let mut source = source(&server);
    loop {
        if let Item::Retrying { cause, after } = source.next().await.unwrap().unwrap() {
            assert_eq!(
                (cause.to_string(), after),
                ("the credential expires soon".to_owned(), Duration::ZERO)
            );
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_always_expires_soon_is_renewed_once_a_second_at_most() {
    let server =
        Server::start_with(|_| response(HUB).send(format!("data: 1\nid: 1\n\n{EXPIRES}")).hold()).await;
    let mut source = source(&server);
    let follow = async { while source.next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_millis(900), follow).await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_a_hub_that_gave_an_id_is_asked_to_renew_and_only_with_another_credential() {
    let with_id = format!("data: 1\nid: 1\n\n{EXPIRES}");
    for (head, text, is_fixed) in [
        ("HTTP/1.1 200 OK\nContent-Type: text/event-stream", &with_id, false),
        (HUB, &format!("data: 1\n\n{EXPIRES}"), false),
        (HUB, &with_id, true),
    ] {
        let server = Server::start([response(head).send(text).hold(), response(HUB)]).await;
        let mut source = if is_fixed { EventSource::get(&server.url("/")).unwrap() } else { source(&server) };
        let follow = async { while source.next().await.is_some() {} };
        assert!(tokio::time::timeout(Duration::from_secs(5), follow).await.is_err());
        assert_eq!(server.requests().len(), 1, "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_a_hub_gave_a_stream_for_a_token_demands_no_other() {
    let granted = || response(&format!("{HUB}\nTidings-Access: token, partial")).send("data: 1\n\n");
    let server = Server::start([response(HUB).send("data: 0\n\n"), granted(), granted()]).await;
    assert_eq!(events(&mut source(&server)).await, ["0", "1", "1"]);
    let lines: Vec<_> = server.requests().iter().map(|request| request.line.clone()).collect();
    let [plain, demanding] = ["", "?access=token"].map(|query| format!("GET /topics/a{query} HTTP/1.1"));
    assert_eq!(lines, [&plain, &plain, &demanding, &demanding].map(Clone::clone));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_no_header_can_hold_ends_the_source_and_is_not_shown() {
    let server = Server::start([stream()]).await;
    let source = EventSource::get(&server.url("/")).unwrap();
    let mut source = source.with_token(|_| async { Ok("sec\nret".to_owned()) });
    let said = trace(&mut source).await.join(" ");
    assert!(said.contains("no header can hold") && !said.contains("sec"), "{said}");
}
