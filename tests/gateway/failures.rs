//! Models that fail, each in its own way: what the SDK is told, in its own words, and what is kept.

use std::time::Duration;

use scripted_server::{Reply, Server, nothing, response, stream};

use crate::{
    model::*,
    support::wire::{self, Answer, Event},
};

/// The end that an SDK sees of a model that breaks off, and the reason at the stream's own URL.
async fn broken_off(
    path: &str,
    reply: impl Fn() -> Reply + Send + 'static,
    flags: &[&str],
) -> (Vec<Event>, String) {
    let model = model(reply).await;
    let hub = gateway(&model, &[&["--upstream-retries", "0"], flags].concat());
    let mut answering = ask(&hub, path).await;
    let events = answering.stream.rest().await;
    let (watched, reason) = without_close(watch(&hub, &answering.location, None).await.rest().await);
    assert_eq!(watched, events, "the stream's own URL has the same, and then the reason");
    (events, reason)
}

/// The answer to an SDK that never gets a stream.
async fn refused(reply: impl Fn() -> Reply + Send + 'static, flags: &[&str]) -> (Answer, Server) {
    let model = model(reply).await;
    let hub = gateway(&model, flags);
    let json = ("content-type", "application/json");
    (wire::ask(&hub.address, "POST", CHAT, &[json], ASK).await, model)
}

#[tokio::test]
async fn an_answer_without_its_end_is_an_error_in_every_interface() {
    for (path, event_type) in [(CHAT, "message"), (MESSAGES, "error"), (RESPONSES, "error")] {
        let (events, reason) = broken_off(path, || stream().send(token("a")).send(token("b")), &[]).await;
        assert_eq!((events.len(), &*reason), (3, "truncated"), "{path}");
        let error = &events[2];
        assert_eq!((&*error.event_type, &error.json()["error"]["code"]), (event_type, &"truncated".into()));
        assert!(error.json()["error"]["message"].as_str().unwrap().contains("before it was complete"));
        assert_eq!(error.json()["type"], "error");
    }
}

#[tokio::test]
async fn a_connection_that_is_reset_is_an_error_too_and_half_an_event_is_none() {
    let reply = || {
        response("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Length: 9999")
            .send(token("a"))
            .send("data: {\"choi")
            .wait(Duration::from_millis(50))
            .reset()
    };
    let (events, reason) = broken_off(CHAT, reply, &[]).await;
    assert_eq!((text(&events[..1]), events.len(), &*reason), (token("a"), 2, "truncated"));
}

#[tokio::test]
async fn an_answer_that_names_its_finish_is_complete_without_done() {
    let last = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let sent = token("a") + last;
    let (events, reason) = broken_off(
        CHAT,
        {
            let sent = sent.clone();
            move || stream().send(&sent)
        },
        &[],
    )
    .await;
    assert_eq!((text(&events), &*reason), (sent, "complete"));
}

#[tokio::test]
async fn an_answer_of_several_choices_is_complete_when_each_of_them_is() {
    let last =
        |index: u32| format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\"}}]}}\n\n");
    for (ends, expected) in [(vec![0, 1], "complete"), (vec![1], "truncated"), (vec![0, 0], "truncated")] {
        let sent: String = ends.iter().copied().map(last).collect();
        let model = model(move || stream().send(&sent)).await;
        let hub = gateway(&model, &[]);
        let body = r#"{"model":"m","stream":true,"n":2}"#;
        let mut answering = ask_with(&hub, CHAT, &[], body).await;
        answering.stream.rest().await;
        let (_, reason) = without_close(watch(&hub, &answering.location, None).await.rest().await);
        assert_eq!(reason, expected, "{ends:?}");
    }
}

#[tokio::test]
async fn an_empty_reason_to_finish_is_none() {
    let piece = token("a").replace("null", "\"\"");
    let sent = piece.clone();
    let (events, reason) = broken_off(CHAT, move || stream().send(&sent), &[]).await;
    assert_eq!((text(&events[..1]), events.len(), &*reason), (piece, 2, "truncated"));
}

#[tokio::test]
async fn an_answer_whose_last_event_lacks_its_empty_line_is_complete() {
    let completed = typed("response.completed", 1);
    for (path, last) in
        [(CHAT, "data: [DONE]\n\n"), (RESPONSES, &*completed), (MESSAGES, &*typed("message_stop", 1))]
    {
        let sent = format!("{}{}", token("a"), &last[..last.len() - 1]);
        let (events, reason) = broken_off(path, move || stream().send(&sent), &[]).await;
        assert_eq!((text(&events), &*reason), (token("a") + last, "complete"), "{path}");
    }
    // An event whose data broke off does not count, with any type.
    for cut in [4, completed.len() / 2] {
        let sent = format!("{}{}", token("a"), &completed[..completed.len() - cut]);
        let (events, reason) = broken_off(RESPONSES, move || stream().send(&sent), &[]).await;
        assert_eq!((events.len(), &*events[1].event_type, &*reason), (2, "error", "truncated"), "{cut}");
    }
}

#[tokio::test]
async fn an_error_of_the_model_itself_is_passed_on_and_nothing_added() {
    let cases = [
        (CHAT, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n"),
        (MESSAGES, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"),
        (RESPONSES, "event: response.failed\ndata: {\"type\":\"response.failed\"}\n\n"),
    ];
    for (path, error) in cases {
        let sent = token("a") + error;
        let reply = {
            let sent = sent.clone();
            move || stream().send(&sent).hold()
        };
        let (events, reason) = broken_off(path, reply, &[]).await;
        assert_eq!((text(&events), &*reason), (sent, "upstream_error"), "{path}");
    }
}

#[tokio::test]
async fn silence_ends_in_an_error_and_not_in_waiting() {
    let flags = ["--between-events-timeout", "200ms"];
    let (events, reason) = broken_off(MESSAGES, || stream().send(token("a")).hold(), &flags).await;
    assert_eq!((events.len(), &*reason), (2, "expired"));
    assert_eq!(events[1].json()["error"]["type"], "timeout_error");

    let flags = ["--first-event-timeout", "200ms"];
    for reply in [|| stream().hold(), || nothing().hold()] {
        let (answer, _) = refused(reply, &flags).await;
        assert_eq!(answer.refusal(504, "0.2 s")["error"]["type"], "timeout_error");
    }
}

#[tokio::test]
async fn a_drip_of_bytes_without_an_event_is_silence_and_comments_are_not() {
    let drip = |piece: &'static str| {
        move || {
            (0..20)
                .fold(stream().send(token("a")), |reply, _| reply.wait(Duration::from_millis(50)).send(piece))
        }
    };
    let flags = ["--between-events-timeout", "300ms"];
    let (events, reason) = broken_off(CHAT, drip("d"), &flags).await;
    assert_eq!((events.len(), &*reason), (2, "expired"));
    let commented = drip(": still thinking\n");
    let (events, reason) = broken_off(CHAT, move || commented().send("data: [DONE]\n\n"), &flags).await;
    assert_eq!((events.len(), &*reason), (2, "complete"));
}

#[tokio::test]
async fn an_answer_that_never_ends_is_ended() {
    let endless =
        || (0..200).fold(stream(), |reply, _| reply.send(token("a")).wait(Duration::from_millis(20)));
    let (events, reason) = broken_off(CHAT, endless, &["--total-timeout", "300ms"]).await;
    assert_eq!(reason, "expired");
    assert_eq!(events.last().unwrap().json()["error"]["type"], "timeout_error");
}

#[tokio::test]
async fn a_huge_event_is_refused_and_what_came_before_is_kept() {
    let huge =
        || stream().send(token("a")).send("data: ").send("x".repeat(200_000)).send("\n\ndata: [DONE]\n\n");
    let (events, reason) = broken_off(CHAT, huge, &["--max-data", "100000"]).await;
    assert_eq!((text(&events[..1]), &*reason), (token("a"), "upstream_error"));
    assert!(
        events[1].json()["error"]["message"].as_str().unwrap().contains("the limit of a line"),
        "{events:?}"
    );
}

#[tokio::test]
async fn garbage_in_a_stream_is_passed_on_and_its_end_noticed() {
    let (events, reason) =
        broken_off(CHAT, || stream().send("data: {not json\n\nnonsense\n\ndata: \u{1F980}\n\n"), &[]).await;
    let data: Vec<_> = events[..2].iter().map(|event| &*event.data).collect();
    assert_eq!((data, &*reason), (vec!["{not json", "\u{1F980}"], "truncated"));
}

#[tokio::test]
async fn what_is_no_stream_is_a_bad_gateway() {
    let page = || response("HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 6").send("<html>");
    let (answer, _) = refused(page, &[]).await;
    assert_eq!(answer.refusal(502, "text/html")["error"]["type"], "api_error");
    let elsewhere =
        || response("HTTP/1.1 307 Temporary Redirect\nLocation: http://127.0.0.1:1/\nContent-Length: 0");
    let (answer, model) = refused(elsewhere, &[]).await;
    answer.refusal(502, "redirects are not followed");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_compressed_stream_is_a_bad_gateway_and_not_asked_for_again() {
    let compressed = || {
        response(
            "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Encoding: gzip\nContent-Length: 4",
        )
        .send("gzip")
    };
    let (answer, model) = refused(compressed, &[]).await;
    answer.refusal(502, "Content-Encoding");
    let requests = model.requests();
    assert_eq!((requests.len(), requests[0].header("accept-encoding")), (1, Some("identity")));
}

#[tokio::test]
async fn a_compressed_body_that_is_passed_on_says_so() {
    let reply = || {
        response("HTTP/1.1 400 Bad Request\nContent-Type: application/json\nContent-Encoding: gzip\nContent-Length: 4")
            .send("gzip")
    };
    let model = model(reply).await;
    let hub = gateway(&model, &[]);
    for body in [ASK, "{}"] {
        let json = ("content-type", "application/json");
        let answer = wire::ask(&hub.address, "POST", CHAT, &[json], body).await;
        assert_eq!((answer.status(), answer.header("content-encoding")), (400, Some("gzip")), "{body}");
        assert_eq!(answer.body, "gzip");
    }
}

#[tokio::test]
async fn a_refusal_of_the_model_comes_as_it_is() {
    let body = r#"{"error":{"message":"no such model","type":"invalid_request_error"}}"#;
    let length = body.len();
    let refusal = move || {
        let head = format!(
            "HTTP/1.1 404 Not Found\nContent-Type: application/json\nRetry-After: 3\nContent-Length: {length}"
        );
        response(&head).send(body)
    };
    let (answer, model) = refused(refusal, &[]).await;
    assert_eq!((answer.status(), &*answer.body, answer.header("retry-after")), (404, body, Some("3")));
    assert_eq!(model.requests().len(), 1, "it is not sent again");
}

#[tokio::test]
async fn a_model_that_fails_before_its_first_event_is_asked_again() {
    let model = Server::start([
        response("HTTP/1.1 503 Service Unavailable\nContent-Length: 0"),
        nothing(),
        stream().send(chat(1)),
    ])
    .await;
    let hub = gateway(&model, &[]);
    assert_eq!(text(&ask(&hub, CHAT).await.stream.rest().await), chat(1));
    assert_eq!(model.requests().len(), 3);
}

#[tokio::test]
async fn a_model_that_has_said_something_is_never_asked_again() {
    let model = Server::start([stream().send(token("a")), stream().send(chat(1))]).await;
    let hub = gateway(&model, &[]);
    assert_eq!(ask(&hub, CHAT).await.stream.rest().await.len(), 2);
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_model_that_is_away_is_a_bad_gateway_and_its_address_is_not_told() {
    let model = model(nothing).await;
    let hub = gateway(&model, &["--upstream-retries", "0"]);
    drop(model);
    let json = ("content-type", "application/json");
    let answer = wire::ask(&hub.address, "POST", CHAT, &[json], ASK).await;
    answer.refusal(502, "upstream");
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &["--max-request", "100"]);
    let large = format!("{{\"stream\":true,\"x\":\"{}\"}}", "x".repeat(200));
    let json = ("content-type", "application/json");
    let answer = wire::ask(&hub.address, "POST", CHAT, &[json], &large).await;
    assert_eq!(answer.refusal(413, "100 bytes")["error"]["type"], "invalid_request_error");
    assert_eq!(model.requests().len(), 0);
}

#[tokio::test]
async fn more_streams_than_there_may_be_are_refused() {
    let model = model(|| stream().send(token("a")).hold()).await;
    let hub = gateway(&model, &["--max-streams", "1"]);
    let _running = ask(&hub, CHAT).await;
    let json = ("content-type", "application/json");
    let answer = wire::ask(&hub.address, "POST", CHAT, &[json], ASK).await;
    assert_eq!(answer.refusal(429, "1 requests")["error"]["type"], "rate_limit_error");
}
