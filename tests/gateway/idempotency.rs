//! A request that is sent again is answered again, and paid for once.

use scripted_server::{Server, response, stream};

use crate::{
    model::*,
    support::{
        HubProcess,
        wire::{self, header},
    },
};

const KEY: (&str, &str) = ("idempotency-key", "order-7");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_racing_duplicates_make_one_upstream_call() {
    let model = model(|| stream().drip(chat(20), 50)).await;
    let hub = std::sync::Arc::new(gateway(&model, &[]));
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let hub = hub.clone();
            tokio::spawn(async move {
                let mut answering = ask_with(&hub, CHAT, &[KEY], ASK).await;
                (answering.id, text(&answering.stream.rest().await))
            })
        })
        .collect();
    let mut ids = Vec::new();
    for answer in asking {
        let (id, said) = answer.await.unwrap();
        assert_eq!(said, chat(20));
        ids.push(id);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "all have one stream");
    assert_eq!(model.requests().len(), 1);
    let metrics = wire::ask(&hub.address, "GET", "/metrics", &[], "").await.body;
    assert!(metrics.contains("tidings_gateway_upstream_requests_saved_total 49\n"), "{metrics}");
}

#[tokio::test]
async fn a_key_is_one_of_its_body_its_interface_and_its_client() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &[]);
    let mut first = ask_with(&hub, CHAT, &[KEY], ASK).await;
    first.stream.rest().await;
    let other = r#"{"stream":true,"model":"another"}"#;
    let json = ("content-type", "application/json");
    let refused = wire::ask(&hub.address, "POST", CHAT, &[KEY, json], other).await;
    refused.refusal(422, "Idempotency-Key");
    assert!(refused.json()["error"]["message"].is_string(), "an SDK can say why");
    assert_eq!(ask_with(&hub, CHAT, &[KEY], ASK).await.id, first.id);

    let somebody = ("authorization", "Bearer other");
    assert_ne!(ask_with(&hub, CHAT, &[KEY, somebody], ASK).await.id, first.id);
    assert_ne!(ask_with(&hub, RESPONSES, &[KEY], ASK).await.id, first.id);
    assert_eq!(model.requests().len(), 3);
}

#[tokio::test]
async fn a_key_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let model = saying(chat(2)).await;
    let start = |model: &Server| HubProcess::start(&["--data", data, "--upstream", &model.url("")]);
    let hub = start(&model);
    let mut first = ask_with(&hub, CHAT, &[KEY], ASK).await;
    first.stream.rest().await;
    drop(hub);
    let hub = start(&model);
    let mut again = ask_with(&hub, CHAT, &[KEY], ASK).await;
    assert_eq!((again.id, text(&again.stream.rest().await)), (first.id, chat(2)));
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_request_that_failed_before_its_first_event_may_be_tried_again_with_its_key() {
    let model = Server::start([
        response("HTTP/1.1 429 Too Many Requests\nContent-Type: application/json\nContent-Length: 2")
            .send("{}"),
        response("HTTP/1.1 400 Bad Request\nContent-Type: application/json\nContent-Length: 2").send("{}"),
        stream().send(chat(1)),
    ])
    .await;
    let hub = gateway(&model, &[]);
    for status in [429, 400] {
        let json = ("content-type", "application/json");
        assert_eq!(wire::ask(&hub.address, "POST", CHAT, &[KEY, json], ASK).await.status(), status);
    }
    for _ in 0..3 {
        assert_eq!(text(&ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await), chat(1));
    }
    assert_eq!(model.requests().len(), 3, "from then on, it is the one that succeeded");
}

#[tokio::test]
async fn a_request_without_a_key_is_a_request_of_its_own() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &[]);
    let (one, two) = (ask(&hub, CHAT).await, ask(&hub, CHAT).await);
    assert_ne!(one.id, two.id);
    assert_eq!(header(&one.stream.head, "cache-control"), Some("private, no-cache, no-transform"));
}

#[tokio::test]
async fn a_key_whose_answer_is_no_longer_kept_is_a_new_request() {
    let model = saying(chat(20)).await;
    let hub = gateway(&model, &["--max-updates", "50"]);
    let first = ask_with(&hub, CHAT, &[KEY], ASK).await.id;
    for _ in 0..4 {
        ask(&hub, CHAT).await.stream.rest().await;
    }
    let asked = model.requests().len();
    let mut again = ask_with(&hub, CHAT, &[KEY], ASK).await;
    assert_eq!(text(&again.stream.rest().await), chat(20));
    assert_ne!(again.id, first);
    assert_eq!(ask_with(&hub, CHAT, &[KEY], ASK).await.id, again.id, "the key is that of the new one");
    assert_eq!(model.requests().len(), asked + 1);
}
