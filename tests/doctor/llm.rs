//! `tidings doctor llm` against stand-ins.

use std::time::Duration;

use scripted_server::{Reply, Server, response};
use serde_json::{Value, json};

use crate::run;

const HEAD: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nCache-Control: no-cache, no-transform";

fn token(text: &str) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": text } }] }))
}

async fn llm(
    answer: impl Fn() -> Reply + Send + 'static,
) -> (Option<i32>, Value, Vec<scripted_server::Received>) {
    let server = Server::start_with(move |_| answer()).await;
    let url = server.url("/v1/chat/completions");
    let (code, out) =
        run(&["llm", &url, "--key-env", "DOCTOR_KEY", "--model", "m", "--json"], &[("DOCTOR_KEY", "secret")])
            .await;
    assert!(!out.contains("secret"), "{out}");
    (code, serde_json::from_str(&out).unwrap(), server.requests())
}

#[tokio::test]
async fn an_answer_that_streams_is_clean_and_its_tokens_are_counted() {
    let answer = || {
        let words = (0..10)
            .fold(response(HEAD), |reply, _| reply.send(token("one ")).wait(Duration::from_millis(20)));
        words.send("data: [DONE]\n\n")
    };
    let (code, report, requests) = llm(answer).await;
    assert_eq!((code, &report["findings"]), (Some(0), &json!([])), "{report}");
    assert_eq!(
        (&report["numbers"]["tokens"], &report["numbers"]["terminal_event"]),
        (&json!(10), &json!("[DONE]"))
    );
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(
        (requests[0].header("authorization"), &body["model"], &body["stream"]),
        (Some("Bearer secret"), &json!("m"), &json!(true))
    );
}

#[tokio::test]
async fn an_answer_that_comes_at_once_and_without_an_end_has_two_findings() {
    let answer = || {
        response(HEAD)
            .wait(Duration::from_millis(700))
            .send((0..10).map(|_| token("one ")).collect::<String>())
    };
    let (code, report, _) = llm(answer).await;
    let rules: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|finding| &finding["rule"]).collect();
    assert_eq!(
        (code, rules),
        (Some(1), vec![&json!("llm-no-terminal-event"), &json!("llm-not-streamed")]),
        "{report}"
    );
}
