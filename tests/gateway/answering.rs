//! The answer that an unmodified SDK gets, and the one at the stream's own URL.

use scripted_server::response;
use tokio::sync::watch::channel;

use crate::{
    model::*,
    support::{
        HubProcess,
        wire::{self, header},
    },
};

#[tokio::test]
async fn an_sdk_gets_what_its_upstream_sent_with_ids_and_nothing_else() {
    let messages = ["message_start", "content_block_delta", "ping", "message_stop"];
    let responses = ["response.created", "response.output_text.delta", "response.completed"];
    let number = |(number, kind): (usize, &&str)| typed(kind, number);
    let cases = [
        (CHAT, chat(5)),
        (MESSAGES, messages.iter().enumerate().map(number).collect()),
        (RESPONSES, responses.iter().enumerate().map(number).collect()),
    ];
    for (path, sent) in cases {
        let model = saying(&sent).await;
        let hub = gateway(&model, &[]);
        let mut answering = ask(&hub, path).await;
        let events = answering.stream.rest().await;
        assert_eq!(text(&events), sent, "{path}");
        assert!(events.iter().all(|event| wire::is_hub_id(&event.id)), "{path}: {events:?}");
        assert_eq!(model.requests()[0].line, format!("POST {path} HTTP/1.1"));
        assert_eq!(model.requests()[0].body, ASK.as_bytes());
    }
}

#[tokio::test]
async fn a_cut_answer_resumes_at_its_own_url_and_ends_there_with_a_close() {
    let model = saying(chat(3)).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let first = answering.stream.event().await;
    drop(answering.stream);

    let mut resumed = watch(&hub, &answering.location, Some(&first.id)).await;
    assert_eq!(resumed.verdict(), Some("resumed"));
    let (events, reason) = without_close(resumed.rest().await);
    assert_eq!(text(&[vec![first], events].concat()), chat(3));
    assert_eq!(reason, "complete");

    let (again, _) = without_close(watch(&hub, &answering.location, None).await.rest().await);
    assert_eq!(text(&again), chat(3), "a finished answer is read again, from the start");
    assert_eq!(model.requests().len(), 1, "the upstream was asked once");
}

#[tokio::test]
async fn only_at_its_own_url_an_answer_has_events_of_the_hub_and_says_so() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    assert_eq!(header(&answering.stream.head, "tidings-hub"), None, "an SDK gets none of them");
    let _ = answering.stream.rest().await;
    for view in ["", "&view=compact"] {
        let watching = watch(&hub, &format!("{}{view}", answering.location), None).await;
        assert_eq!(header(&watching.head, "tidings-hub"), Some("1"), "{}", watching.head);
    }
}

#[tokio::test]
async fn a_request_without_streaming_is_passed_on_and_its_answer_back() {
    let model = model(|| {
        response(
            "HTTP/1.1 429 Too Many Requests\nContent-Type: application/json\nRetry-After: 7\nX-Request-Id: r1\n\
             Set-Cookie: no=1\nContent-Length: 14",
        )
        .send("{\"error\":\"no\"}")
    })
    .await;
    let hub = gateway(&model, &[]);
    let headers = [("content-type", "application/json"), ("openai-organization", "o"), ("cookie", "c=1")];
    let answer = wire::ask(&hub.address, "POST", CHAT, &headers, r#"{"model":"m"}"#).await;
    assert_eq!((answer.status(), &*answer.body), (429, "{\"error\":\"no\"}"));
    assert_eq!(header(&answer.head, "retry-after"), Some("7"));
    assert_eq!(header(&answer.head, "x-request-id"), Some("r1"));
    assert_eq!(header(&answer.head, "set-cookie"), None);
    let asked = &model.requests()[0];
    assert_eq!(asked.header("openai-organization"), Some("o"));
    assert_eq!(asked.header("cookie"), None, "what is for this hub stays here");
}

#[tokio::test]
async fn an_upstream_can_not_speak_in_the_name_of_the_hub() {
    let types = ["start", "gap", "close", "upstream-close", "other"];
    let sent: String =
        types.iter().enumerate().map(|(number, kind)| typed(kind, number)).chain([chat(0)]).collect();
    let model = saying(&sent).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    assert_eq!(text(&answering.stream.rest().await), sent, "an SDK gets what was sent");
    for view in ["", "&view=compact", "&envelope=message"] {
        let target = format!("{}{view}", answering.location);
        let (events, reason) = without_close_of(watch(&hub, &target, None).await.rest().await, view);
        assert_eq!(reason, "complete", "{view}");
        let expected = [
            "upstream-start",
            "upstream-gap",
            "upstream-close",
            "upstream-upstream-close",
            "other",
            "message",
        ];
        assert_eq!(events, expected, "{view}");
    }
}

/// The types of all events but the last, and the data of that.
fn without_close_of(mut events: Vec<wire::Event>, view: &str) -> (Vec<String>, String) {
    if view.contains("envelope") {
        for event in &mut events {
            let envelope = event.json();
            event.event_type = envelope["type"].as_str().unwrap().to_owned();
            event.data = envelope["data"].as_str().unwrap().to_owned();
        }
    }
    let (events, reason) = without_close(events);
    (events.into_iter().map(|event| event.event_type).collect(), reason)
}

#[tokio::test]
async fn the_models_of_the_upstream_are_passed_on() {
    let model = model(|| {
        response("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 11").send("{\"data\":[]}")
    })
    .await;
    let hub = HubProcess::start(&["--upstream", &model.url("")]);
    let targets = [
        ("/v1/models", "/v1/models"),
        ("/v1/models/org/model-7?limit=2&x=1", "/v1/models/org/model-7?limit=2"),
        ("/v1/models/org%2Fmodel-7", "/v1/models/org%2Fmodel-7"),
    ];
    for (target, passed_on) in targets {
        let headers = [("authorization", "Bearer k"), ("cookie", "c=1")];
        let answer = wire::ask(&hub.address, "GET", target, &headers, "").await;
        assert_eq!((answer.status(), &*answer.body), (200, "{\"data\":[]}"), "{target}");
        let asked = model.requests().pop().unwrap();
        assert_eq!(asked.line, format!("GET {passed_on} HTTP/1.1"));
        assert_eq!(asked.header("authorization"), Some("Bearer k"));
        assert_eq!(asked.header("anthropic-version"), None);
        assert_eq!(asked.header("cookie"), None, "what is for this hub stays here");
    }
    // Anthropic has models at the same path.
    let headers = [("x-api-key", "k"), ("anthropic-version", "2023-06-01")];
    assert_eq!(wire::ask(&hub.address, "GET", "/v1/models", &headers, "").await.status(), 200);
    let asked = model.requests().pop().unwrap();
    assert_eq!(
        (asked.header("x-api-key"), asked.header("anthropic-version")),
        (Some("k"), Some("2023-06-01"))
    );
    wire::ask(&hub.address, "POST", "/v1/models", &[], "{}").await.refusal(405, "GET");
    wire::ask(&hub.address, "GET", "/v1/modelsx", &[], "").await.refusal(404, "/v1/modelsx");
}

#[tokio::test]
async fn a_path_that_a_client_made_up_reaches_no_upstream() {
    let model = model(|| response("HTTP/1.1 200 OK\nContent-Length: 0")).await;
    let hub = gateway(&model, &[]);
    for target in [
        "/v1/models/../files",
        "/v1/models/..%2ffiles/file-1/content",
        "/v1/models/%2e%2e/organization/admin_api_keys",
        "/v1/models/%252e%252e/files",
        "/v1/models/..;/files",
        "/v1/models/..\\files",
        "/v1/models//evil.example/x",
        "/v1/models/m/../../../admin",
        "/v1/models/m%00",
        "/v1/models/",
    ] {
        let refusal = wire::ask(&hub.address, "GET", target, &[], "").await.refusal(400, "is not a name");
        assert_eq!(refusal["error"]["type"], "invalid_request_error", "{target}");
    }
    for target in ["/v1/chat/completions/../files", "/v1/chat/completions%2f..%2ffiles", "/v1/files"] {
        wire::ask(&hub.address, "POST", target, &[("content-type", "application/json")], ASK)
            .await
            .refusal(404, "/v1/");
    }
    assert_eq!(model.requests().len(), 0);
}

#[tokio::test]
async fn a_whole_answer_is_passed_on_as_it_comes_however_large_it_is() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 65;
    for length in [format!("Content-Length: {}", PIECE * (PIECES + 1)), "Connection: close".to_owned()] {
        let (go_on, gate) = channel(false);
        let head = format!("HTTP/1.1 200 OK\nContent-Type: application/json\n{length}");
        let model = model(move || {
            let begun = response(&head).send("a".repeat(PIECE)).until(&gate);
            (0..PIECES).fold(begun, |reply, _| reply.send("b".repeat(PIECE)))
        })
        .await;
        let hub = gateway(&model, &[]);
        for version in ["HTTP/1.1", "HTTP/2"] {
            go_on.send_replace(false);
            let mut answer = Unstreamed::ask(&hub, version).await;
            assert_eq!(answer.take(PIECE).await, "a".repeat(PIECE), "{version}, {length}");
            go_on.send_replace(true);
            assert_eq!(answer.rest().await, Ok(PIECE * PIECES), "{version}, {length}");
        }
    }
}

#[tokio::test]
async fn a_whole_answer_that_breaks_off_is_not_taken_for_whole() {
    for length in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let head = format!("HTTP/1.1 200 OK\nContent-Type: application/json\n{length}");
        let part = if length.ends_with("chunked") { "2\r\n{}\r\n" } else { "{}" };
        let (go_on, gate) = channel(false);
        let model = model(move || response(&head).send(part).until(&gate)).await;
        let hub = gateway(&model, &[]);
        for version in ["HTTP/1.1", "HTTP/2"] {
            go_on.send_replace(false);
            let mut answer = Unstreamed::ask(&hub, version).await;
            assert_eq!(answer.take(2).await, "{}", "{version}, {length}");
            go_on.send_replace(true);
            answer.rest().await.expect_err("it breaks off");
        }
    }
}
