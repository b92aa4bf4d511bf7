//! One response, read to its end: complete, cut, or refused.

use std::time::Duration;

use tidings_client::{Error, EventSource, EventStream, Item, ReadyState, Request};

use crate::{
    server::{Server, nothing, response, stream},
    trace::{follow, line, trace},
};

async fn read(stream: &mut EventStream) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(item) = stream.next().await {
        lines.push(line(&item));
    }
    lines
}

fn ask(server: &Server) -> EventStream {
    EventStream::new(Request::post(&server.url("/v1/chat/completions")).unwrap().with_body("{}"))
}

const ANSWER: &str = "data: {\"token\":\"Hi\"}\n\ndata: [DONE]\n\n";

#[tokio::test(start_paused = true)]
async fn a_complete_response_is_the_end() {
    let server = Server::start([stream().send("retry: 1\ndata: a\n\n")]).await;
    let mut stream = EventStream::get(&server.url("/")).unwrap();
    assert_eq!(stream.ready_state(), ReadyState::Connecting);
    assert_eq!(read(&mut stream).await, ["opened", "message a"]);
    assert_eq!(stream.ready_state(), ReadyState::Closed);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn status_204_is_an_empty_answer() {
    let server = Server::start([]).await;
    assert!(ask(&server).next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_a_break_and_silence_are_errors() {
    let server = Server::start([
        response("HTTP/1.1 429 Many").send("slow down"),
        response("HTTP/1.1 200 OK\nContent-Type: application/json").send("{}"),
        nothing(),
        nothing().hold(),
    ])
    .await;
    let error = |item: Option<Result<Item, Error>>| item.unwrap().unwrap_err();
    assert!(
        matches!(error(ask(&server).next().await), Error::Status(refusal) if refusal.body == "slow down")
    );
    assert!(matches!(error(ask(&server).next().await), Error::ContentType(_)));
    assert!(matches!(error(ask(&server).next().await), Error::Transport(_)));
    let mut silent = ask(&server).with_idle_timeout(Duration::from_secs(9));
    assert!(matches!(error(silent.next().await), Error::Idle(_)));
    assert!(silent.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_terminal_event_ends_an_answer_at_once() {
    let server = Server::start([stream().send(ANSWER).send("data: more\n\n").hold()]).await;
    let mut stream = ask(&server).with_terminal_event(|event| event.data() == "[DONE]");
    assert_eq!(read(&mut stream).await, ["opened", "message {\"token\":\"Hi\"}", "message [DONE]"]);
    server.all_closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_its_terminal_event_is_unfinished() {
    let server = Server::start([stream().send("data: {}\n\n"), stream().send("data: {}\n\n")]).await;
    let lines = read(&mut ask(&server).with_terminal_event(|event| event.data() == "[DONE]")).await;
    assert_eq!(lines[2], "error: the response ended without its terminal event");
    let mut source = EventSource::new(Request::post(&server.url("/")).unwrap())
        .with_terminal_event(|event| event.data() == "[DONE]");
    assert_eq!(trace(&mut source).await[2], "error: the response ended without its terminal event");
}

#[tokio::test(start_paused = true)]
async fn the_terminal_event_ends_a_source_for_good() {
    let server =
        Server::start([stream(), stream().send("event: close\ndata: over\n\ndata: x\n\n").hold()]).await;
    let mut source = follow(&server).with_terminal_event(|event| event.event_type() == "close");
    let lines = trace(&mut source).await;
    assert_eq!(lines[1..], ["retrying after 3s: the server ended the response", "opened", "close over"]);
    server.all_closed().await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn close_and_drop_end_the_connection_at_once() {
    let server = Server::start([stream().hold(), stream().hold()]).await;
    let mut closed = ask(&server);
    closed.next().await.unwrap().unwrap();
    closed.close();
    assert!(closed.next().await.is_none());
    server.all_closed().await;

    let mut dropped = ask(&server);
    dropped.next().await.unwrap().unwrap();
    drop(dropped);
    server.all_closed().await;
}
