//! Models that think for long.

use std::time::Duration;

use scripted_server::stream;

use crate::{
    model::*,
    support::wire::{self, Stream, header},
};

/// Opens the answer of a model that thinks, and reads its bytes up to the first token.
async fn thinking(path: &str, form: Option<&str>) -> String {
    let model = model(|| stream().wait(Duration::from_millis(1500)).send(chat(1))).await;
    let mut flags = vec!["--first-byte-deadline", "50ms", "--heartbeat", "60ms"];
    if let Some(form) = form {
        flags.extend(["--stream-heartbeat", form]);
    }
    let hub = gateway(&model, &flags);
    let mut answering = ask(&hub, path).await;
    let mut before = String::new();
    loop {
        let line = answering.stream.until("\n").await.expect("the answer comes");
        if line.contains("choices") {
            return before;
        }
        before.push_str(&line);
    }
}

#[tokio::test]
async fn a_heartbeat_has_the_form_that_is_wanted() {
    let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    for (path, form, beat) in [
        (CHAT, None, ":\n"),
        (MESSAGES, None, ping),
        (CHAT, Some("event"), ping),
        (MESSAGES, Some("comment"), ":\n"),
    ] {
        let before = thinking(path, form).await;
        let beats = before.strip_prefix(":\n").expect("the first bytes are a comment");
        assert!(beats.len() >= 2 * beat.len(), "{before:?}");
        assert_eq!(beats.replace(beat, ""), "", "{form:?} at {path}: {before:?}");
    }
    assert_eq!(thinking(CHAT, Some("none")).await, "", "not even the first comment");
}

#[tokio::test]
async fn a_failure_after_the_deadline_is_told_in_the_stream() {
    let model = model(|| {
        scripted_server::nothing().wait(Duration::from_millis(200)).then(scripted_server::response(
            "HTTP/1.1 401 Unauthorized\nContent-Type: application/json\nContent-Length: 0",
        ))
    })
    .await;
    let hub = gateway(&model, &["--first-byte-deadline", "20ms"]);
    let mut answering = ask(&hub, MESSAGES).await;
    let events = answering.stream.rest().await;
    assert_eq!((events.len(), &*events[0].event_type), (1, "error"));
    assert!(events[0].json()["error"]["message"].as_str().unwrap().contains("401"));
}

#[tokio::test]
async fn the_head_waits_for_the_first_event_and_brings_the_models_headers() {
    let model = model(|| {
        scripted_server::response(
            "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nX-Request-Id: r7\nSet-Cookie: a=1",
        )
        .send(chat(1))
    })
    .await;
    let hub = gateway(&model, &[]);
    let Stream { head, .. } = ask(&hub, CHAT).await.stream;
    assert_eq!((header(&head, "x-request-id"), header(&head, "set-cookie")), (Some("r7"), None));
    assert_eq!(head.to_ascii_lowercase().matches("content-type:").count(), 1, "{head}");
    let answer = wire::ask(&hub.address, "GET", CHAT, &[], "").await;
    answer.refusal(405, "POST");
}
