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

#[tokio::test]
async fn a_request_that_is_sent_again_with_a_last_event_id_goes_on_after_it() {
    let model = saying(chat(5)).await;
    let hub = gateway(&model, &[]);
    let events = ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await;
    let after = |id| [KEY, ("last-event-id", id)];
    let mut again = ask_with(&hub, CHAT, &after(&events[2].id), ASK).await;
    assert_eq!(header(&again.stream.head, "tidings-resume"), Some("resumed"));
    assert_eq!(again.stream.rest().await, events[3..]);
    // A client that has all of it gets a 204, which stops an `EventSource` for good.
    let all = after(&events.last().unwrap().id);
    let json = ("content-type", "application/json");
    let nothing_more = wire::ask(&hub.address, "POST", CHAT, &[all[0], all[1], json], ASK).await;
    assert_eq!(nothing_more.status(), 204, "{nothing_more:?}");
    // The gap is told, as an SDK hears it.
    let mut unknown = ask_with(&hub, CHAT, &after("~another.7"), ASK).await;
    assert_eq!(header(&unknown.stream.head, "tidings-resume"), Some("gap"));
    assert!(unknown.stream.event().await.json()["error"]["message"].is_string());
    assert_eq!(model.requests().len(), 1);
    // Without a key it is a request of its own, of whose answer nobody has seen anything.
    let mut own = ask_with(&hub, CHAT, &after(&events[2].id)[1..], ASK).await;
    assert_eq!(text(&own.stream.rest().await), chat(5));
}

#[tokio::test]
async fn a_running_answer_goes_on_after_the_last_event_id_too() {
    let (go_on, gate) = tokio::sync::watch::channel(false);
    let model = model(move || {
        stream().send(chat(2)[..].trim_end_matches("data: [DONE]\n\n")).until(&gate).send(chat(1))
    })
    .await;
    let hub = gateway(&model, &[]);
    let mut first = ask_with(&hub, CHAT, &[KEY], ASK).await;
    let seen = [first.stream.event().await, first.stream.event().await];
    let mut again = ask_with(&hub, CHAT, &[KEY, ("last-event-id", &seen[1].id)], ASK).await;
    go_on.send_replace(true);
    assert_eq!(text(&again.stream.rest().await), chat(1));
}

#[tokio::test]
async fn what_was_stopped_before_its_first_event_stays_stopped() {
    let model = model(|| stream().hold()).await;
    let hub = gateway(&model, &["--first-byte-deadline", "200ms"]);
    let json = ("content-type", "application/json");
    let mut answering = ask_with(&hub, CHAT, &[KEY], ASK).await;
    let mut waiting = send(&hub, CHAT, &[KEY], ASK).await;
    let target = format!("/streams/{}?token={}", answering.id, answering.stop);
    assert_eq!(wire::ask(&hub.address, "DELETE", &target, &[], "").await.status(), 204);
    assert_eq!(answering.stream.event().await.json()["error"]["code"], "stopped");
    // A status after which no SDK asks again by itself: neither now, nor of one that waited for its head.
    let waited = waiting.answer().await;
    assert!(matches!(waited.status(), 200 | 410), "{waited:?}");
    let again = wire::ask(&hub.address, "POST", CHAT, &[KEY, json], ASK).await;
    again.refusal(410, "stopped");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_was_stopped_later_is_read_again_as_far_as_it_came() {
    let model = model(|| stream().send(token("a")).hold()).await;
    let hub = gateway(&model, &[]);
    let answering = ask_with(&hub, CHAT, &[KEY], ASK).await;
    let target = format!("/streams/{}?token={}", answering.id, answering.stop);
    assert_eq!(wire::ask(&hub.address, "DELETE", &target, &[], "").await.status(), 204);
    let events = ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await;
    assert_eq!(text(&events[..1]), token("a"));
    assert_eq!(events[1].json()["error"]["code"], "stopped");
    assert_eq!((events.len(), model.requests().len()), (2, 1));
}

#[tokio::test]
async fn an_answer_without_readers_is_requested_again_with_its_key() {
    let model = Server::start([stream().hold(), stream().send(chat(1))]).await;
    let hub = gateway(&model, &["--abandon", "cancel"]);
    let wire = send(&hub, CHAT, &[KEY], ASK).await;
    while model.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(wire);
    model.all_closed().await;
    assert_eq!(text(&ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await), chat(1));
}

#[tokio::test]
async fn a_finished_answer_needs_no_room_among_those_that_are_received() {
    let model = Server::start([stream().send(chat(1)), stream().send(token("a")).hold()]).await;
    let hub = gateway(&model, &["--max-streams", "1"]);
    ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await;
    let running = ask(&hub, CHAT).await;
    assert_eq!(text(&ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await), chat(1));
    let json = ("content-type", "application/json");
    wire::ask(&hub.address, "POST", CHAT, &[KEY, json], r#"{"stream":true}"#)
        .await
        .refusal(422, "another body");
    let other = ("idempotency-key", "another");
    wire::ask(&hub.address, "POST", CHAT, &[other, json], ASK).await.refusal(429, "1 requests");
    drop(running);
}

#[tokio::test]
async fn only_what_the_upstream_was_not_asked_for_counts_as_saved() {
    let refusal =
        || response("HTTP/1.1 400 Bad Request\nContent-Type: application/json\nContent-Length: 2").send("{}");
    let model = Server::start([refusal(), refusal(), stream().send(chat(1))]).await;
    let hub = gateway(&model, &[]);
    let json = ("content-type", "application/json");
    for _ in 0..2 {
        assert_eq!(wire::ask(&hub.address, "POST", CHAT, &[KEY, json], ASK).await.status(), 400);
    }
    // Two tries before it have failed, and it is asked for; the one behind it is saved.
    for saved in [0, 1] {
        ask_with(&hub, CHAT, &[KEY], ASK).await.stream.rest().await;
        let metrics = wire::ask(&hub.address, "GET", "/metrics", &[], "").await.body;
        let line = format!("tidings_gateway_upstream_requests_saved_total {saved}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    assert_eq!(model.requests().len(), 3);
}
