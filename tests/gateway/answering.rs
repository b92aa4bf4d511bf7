//! What an unmodified SDK gets, and what is at the stream's own URL.

use scripted_server::response;

use crate::{
    model::*,
    support::wire::{self, header},
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
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.id, format!("~{}.{}", answering.id, index + 1), "{path}");
        }
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
