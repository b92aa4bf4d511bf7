//! A closed topic: told once, then 204, which stops an `EventSource` for good.

use crate::support::{
    HubProcess,
    wire::{Event, JSON, NDJSON, Stream, TEXT, ask, data, is_hub_id, page, post, say},
};

async fn close(hub: &HubProcess, target: &str, reason: &str) -> String {
    say(&hub.address, &format!("{target}?close={reason}"), "").await
}

async fn status(hub: &HubProcess, target: &str, last_event_id: &str) -> u16 {
    ask(&hub.address, "GET", target, &[("last-event-id", last_event_id)], "").await.status()
}

fn is_close(event: &Event, reason: &str) {
    assert_eq!((event.event_type.as_str(), event.data.as_str()), ("close", reason));
}

#[tokio::test]
async fn a_subscriber_gets_the_reason_and_the_end() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    say(&hub.address, "/topics/a", "1").await;
    let id = close(&hub, "/topics/a", "all%20done").await;
    assert!(is_hub_id(&id), "{id}");
    let events = stream.rest().await;
    assert_eq!(events.len(), 2, "{events:?}");
    is_close(&events[1], "all done");
    assert_eq!(events[1].id, id);
}

#[tokio::test]
async fn a_subscriber_that_saw_the_close_or_is_new_gets_204() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    let id = close(&hub, "/topics/a", "done").await;
    for headers in [vec![], vec![("last-event-id", id.as_str())], vec![("accept", "text/event-stream")]] {
        let answer = ask(&hub.address, "GET", "/topics/a", &headers, "").await;
        assert_eq!((answer.status(), answer.body.as_str()), (204, ""), "{headers:?}");
        assert_eq!(answer.header("content-length"), None, "204 has no content");
    }
    let query = ask(&hub.address, "GET", &format!("/topics/a?lastEventId={id}"), &[], "").await;
    assert_eq!(query.status(), 204);
    let later = say(&hub.address, "/topics/b", "later").await;
    assert_eq!(status(&hub, "/topics/a", &later).await, 204, "a later place has seen it as well");
}

#[tokio::test]
async fn a_subscriber_that_resumes_earlier_gets_the_rest_and_the_close() {
    let hub = HubProcess::start(&[]);
    let start = Stream::open(&hub.address, "/topics/a", &[]).await.event().await.id;
    let one = say(&hub.address, "/topics/a", "1").await;
    let two = say(&hub.address, "/topics/a", "2").await;
    close(&hub, "/topics/a", "done").await;
    for (from, expected) in [(start, vec!["1", "2", "done"]), (one, vec!["2", "done"]), (two, vec!["done"])] {
        let mut stream = Stream::resume(&hub.address, "/topics/a", &from).await;
        assert_eq!(stream.verdict(), Some("resumed"));
        let events = stream.rest().await;
        assert_eq!(events.iter().map(|event| event.data.as_str()).collect::<Vec<_>>(), expected);
        is_close(events.last().expect("a close"), "done");
    }
}

#[tokio::test]
async fn from_start_replays_a_closed_topic() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    let id = close(&hub, "/topics/a", "done").await;
    let events = Stream::open(&hub.address, "/topics/a?from=start", &[]).await.rest().await;
    assert_eq!(events.len(), 2, "{events:?}");
    // An `EventSource` repeats its URL, and must not begin again for ever.
    assert_eq!(status(&hub, "/topics/a?from=start", &id).await, 204);
}

#[tokio::test]
async fn an_unknown_id_gets_the_gap_the_rest_and_the_close() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    close(&hub, "/topics/a", "done").await;
    let mut stream = Stream::resume(&hub.address, "/topics/a", "unknown").await;
    assert_eq!(stream.verdict(), Some("gap"));
    let types: Vec<_> = stream.rest().await.into_iter().map(|event| event.event_type).collect();
    assert_eq!(types, ["gap", "message", "close"]);
}

#[tokio::test]
async fn publishing_to_a_closed_topic_is_a_conflict() {
    let hub = HubProcess::start(&[]);
    close(&hub, "/topics/a/b", "done").await;
    post(&hub.address, "/topics/a/b", TEXT, "late").await.refusal(409, "a/b");
    let refusal =
        post(&hub.address, "/topics/a/b", NDJSON, "{\"data\":\"late\"}\n").await.refusal(409, "a/b");
    assert_eq!(refusal["count"], 0, "{refusal}");
    for open in ["/topics/a", "/topics/a/b/c", "/topics/a/B"] {
        say(&hub.address, open, "still open").await;
    }
}

#[tokio::test]
async fn a_body_is_published_before_the_close() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let answer = post(&hub.address, "/topics/a?close=done&type=t", TEXT, "last words").await.json();
    assert_eq!(answer["count"], 2, "{answer}");
    let events = stream.rest().await;
    assert_eq!((events[0].event_type.as_str(), events[0].data.as_str()), ("t", "last words"));
    is_close(&events[1], "done");
    assert_eq!(
        (&answer["first"], &answer["last"]),
        (&events[0].id.clone().into(), &events[1].id.clone().into())
    );
}

#[tokio::test]
async fn many_updates_are_published_before_the_close() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let body = "{\"data\":\"1\"}\n{\"data\":\"2\"}\n";
    let answer = post(&hub.address, "/topics/a?close=done", NDJSON, body).await;
    assert_eq!((answer.status(), &answer.json()["count"]), (200, &3.into()));
    let events = stream.rest().await;
    assert_eq!(events.iter().map(|event| event.data.as_str()).collect::<Vec<_>>(), ["1", "2", "done"]);
}

#[tokio::test]
async fn a_body_that_is_refused_does_not_close() {
    let hub = HubProcess::start(&[]);
    post(&hub.address, "/topics/a?close=done", NDJSON, "{\"data\":\"1\"}\nnonsense\n").await.refusal(400, "");
    post(&hub.address, "/topics/a?close=done", TEXT, b"\xff").await.refusal(400, "UTF-8");
    say(&hub.address, "/topics/a", "still open").await;
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["1", "still open"]);
}

#[tokio::test]
async fn closing_again_with_the_same_reason_is_answered_as_the_first_time() {
    let hub = HubProcess::start(&[]);
    let first = post(&hub.address, "/topics/a?close=done", TEXT, "").await;
    let second = post(&hub.address, "/topics/a?close=done", TEXT, "").await;
    assert_eq!((second.status(), second.json()), (200, first.json()));
    post(&hub.address, "/topics/a?close=other", TEXT, "").await.refusal(409, "a");
    let events = Stream::open(&hub.address, "/topics/a?from=start", &[]).await.rest().await;
    assert_eq!(events.len(), 1, "{events:?}");
}

#[tokio::test]
async fn a_reason_cannot_forge_an_event() {
    let hub = HubProcess::start(&[]);
    let reason = "x%0A%0Adata:%20forged%0Aid:%20forged%0A%0A";
    let answer = post(&hub.address, &format!("/topics/a?close={reason}"), TEXT, "").await;
    if answer.status() == 200 {
        let events = Stream::open(&hub.address, "/topics/a?from=start", &[]).await.rest().await;
        assert_eq!(events.len(), 1, "{events:?}");
        is_close(&events[0], "x\n\ndata: forged\nid: forged\n\n");
    } else {
        answer.refusal(400, "close");
    }
}

#[tokio::test]
async fn a_subscription_to_several_topics_ends_with_the_last() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics?topic=a&topic=b").await;
    let first = close(&hub, "/topics/a", "a").await;
    say(&hub.address, "/topics/b", "1").await;
    let last = close(&hub, "/topics/b", "b").await;
    let events = stream.rest().await;
    assert_eq!(events.iter().map(|event| event.data.as_str()).collect::<Vec<_>>(), ["a", "1", "b"]);
    is_close(&events[0], "a");
    is_close(&events[2], "b");
    assert_eq!(status(&hub, "/topics?topic=a&topic=b", &last).await, 204);
    assert_eq!(status(&hub, "/topics?topic=b&topic=a", "").await, 204, "an empty ID is none");
    let rest = Stream::resume(&hub.address, "/topics?topic=a&topic=b", &first).await.rest().await;
    assert_eq!(rest.len(), 2, "{rest:?}");
    let mut open = Stream::resume(&hub.address, "/topics?topic=a&topic=c", &last).await;
    say(&hub.address, "/topics/c", "open").await;
    assert_eq!(open.event().await.data, "open");
}

#[tokio::test]
async fn a_subscription_with_a_prefix_never_ends() {
    let hub = HubProcess::start(&[]);
    let mut prefix = Stream::live(&hub.address, "/topics/a/*").await;
    let mut mixed = Stream::live(&hub.address, "/topics?topic=a/b&topic=x/*").await;
    let id = close(&hub, "/topics/a/b", "done").await;
    is_close(&prefix.event().await, "done");
    is_close(&mixed.event().await, "done");
    say(&hub.address, "/topics/a/c", "goes on").await;
    assert_eq!(prefix.event().await.data, "goes on");
    say(&hub.address, "/topics/x/y", "goes on").await;
    assert_eq!(mixed.event().await.data, "goes on");
    let mut again = Stream::resume(&hub.address, "/topics/a/*", &id).await;
    assert_eq!(again.event().await.data, "goes on");
}

#[tokio::test]
async fn a_close_outlives_the_history() {
    let hub = HubProcess::start(&["--max-updates", "5"]);
    let start = Stream::open(&hub.address, "/topics/a", &[]).await.event().await.id;
    let one = say(&hub.address, "/topics/a", "1").await;
    let id = close(&hub, "/topics/a", "done").await;
    let lines = "{\"data\":\"x\"}\n".repeat(50);
    assert_eq!(post(&hub.address, "/topics/b", NDJSON, lines).await.status(), 200);
    assert_eq!(ask(&hub.address, "GET", "/topics/a", &[], "").await.status(), 204);
    assert_eq!(status(&hub, "/topics/a", &id).await, 204, "the close is known by its place");
    post(&hub.address, "/topics/a", TEXT, "late").await.refusal(409, "a");
    let again = post(&hub.address, "/topics/a?close=done", TEXT, "").await;
    assert_eq!((again.status(), &again.json()["id"]), (200, &id.clone().into()));
    // They saw no close yet: they get it, and those who missed an update are told.
    for (from, types) in [(&one, vec!["close"]), (&start, vec!["gap", "close"])] {
        let events = Stream::resume(&hub.address, "/topics/a", from).await.rest().await;
        assert_eq!(events.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>(), types);
        is_close(events.last().expect("a close"), "done");
    }
}

#[tokio::test]
async fn history_says_that_a_topic_is_closed() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    assert!(page(&hub.address, "/topics/a").await.get("closed").is_none());
    close(&hub, "/topics/a", "done").await;
    let whole = page(&hub.address, "/topics/a").await;
    assert_eq!(whole["closed"], true, "{whole}");
    let next = whole["next"].as_str().expect("a place");
    // Nothing will come: a long poll that waited for it would wait in vain.
    let poll = ask(&hub.address, "GET", &format!("/topics/a?wait=60&from={next}"), &[JSON], "").await;
    assert!(poll.status() == 204 || poll.json()["closed"] == true, "{poll:?}");
}
