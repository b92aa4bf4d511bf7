//! The compacted view of a stream.

use scripted_server::stream;

use crate::{
    model::*,
    support::wire::{self, Event, Stream},
};

/// The text of a chat completion, however many events it is in.
fn said(events: &[Event]) -> String {
    let text = |event: &Event| {
        let chunk: serde_json::Value = serde_json::from_str(&event.data).unwrap_or_default();
        chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    events.iter().map(text).collect()
}

#[tokio::test]
async fn a_late_reader_gets_what_was_said_in_one_event_and_resumes_anywhere() {
    let model = saying(chat(500)).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let events = answering.stream.rest().await;
    let target = format!("{}&view=compact", answering.location);
    let (compacted, reason) = without_close(Stream::open(&hub.address, &target, &[]).await.rest().await);
    assert_eq!((compacted.len(), &*reason), (2, "complete"), "one text, and [DONE]");
    assert_eq!(said(&compacted), said(&events));
    assert_eq!((&compacted[0].id, &compacted[1].id), (&events[499].id, &events[500].id));

    // With any ID, compacted or not, the two views go on from one another.
    for after in [&compacted[0].id, &events[7].id] {
        let (rest, _) = without_close(Stream::resume(&hub.address, &target, after).await.rest().await);
        let (plain, _) = without_close(watch(&hub, &answering.location, Some(after)).await.rest().await);
        assert_eq!(said(&rest), said(&plain));
    }
    let close = watch(&hub, &answering.location, None).await.rest().await.pop().unwrap();
    let over = wire::ask(&hub.address, "GET", &target, &[("last-event-id", &close.id)], "").await;
    assert_eq!(over.status(), 204);
    let bad = target.replace("compact", "tiny");
    wire::ask(&hub.address, "GET", &bad, &[], "").await.refusal(400, "compact");
}

#[tokio::test]
async fn a_text_of_any_length_is_joined_in_pieces_of_a_bounded_size() {
    let word = "w".repeat(64 << 10);
    let model = saying(token(&word).repeat(160) + "data: [DONE]\n\n").await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let events = answering.stream.rest().await;
    let target = format!("{}&view=compact", answering.location);
    let (compacted, reason) = without_close(Stream::open(&hub.address, &target, &[]).await.rest().await);
    assert_eq!((said(&compacted) == said(&events), &*reason), (true, "complete"));
    let longest = compacted.iter().map(|event| event.data.len()).max().unwrap();
    assert!((1 << 20..6 << 20).contains(&longest), "{longest}");
}

#[tokio::test]
async fn the_rest_comes_live_after_the_compacted_part() {
    let model = model(|| stream().send(token("a")).send(token("b")).hold()).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.data(2).await;
    let target = format!("{}&view=compact", answering.location);
    let mut late = Stream::open(&hub.address, &target, &[]).await;
    assert_eq!(said(&[late.event().await]), "ab");
    let stop = format!("/streams/{}?token={}", answering.id, answering.stop);
    assert_eq!(wire::ask(&hub.address, "DELETE", &stop, &[], "").await.status(), 204);
    let (rest, reason) = without_close(late.rest().await);
    assert_eq!((rest.len(), &*reason), (1, "stopped"), "the error, and the end");
}

#[tokio::test]
async fn the_blocks_of_a_message_stay_apart() {
    let delta = |index: usize, kind: &str, text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"\
             {kind}_delta\",\"{kind}\":\"{text}\"}}}}\n\n"
        )
    };
    let sent = [
        typed("message_start", 0),
        delta(0, "thinking", "h"),
        delta(0, "thinking", "m"),
        delta(1, "text", "y"),
        delta(1, "text", "es"),
        typed("message_stop", 9),
    ];
    let model = saying(sent.concat()).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, MESSAGES).await;
    answering.stream.rest().await;
    let target = format!("{}&view=compact", answering.location);
    let (events, _) = without_close(Stream::open(&hub.address, &target, &[]).await.rest().await);
    let kinds: Vec<_> = events.iter().map(|event| &*event.event_type).collect();
    assert_eq!(kinds, ["message_start", "content_block_delta", "content_block_delta", "message_stop"]);
    assert_eq!(events[1].json()["delta"]["thinking"], "hm");
    assert_eq!(events[2].json()["delta"]["text"], "yes");
}
