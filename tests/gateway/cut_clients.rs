//! Clients that are killed anywhere.

use bytes::BytesMut;
use scripted_server::stream;

use crate::{
    model::*,
    support::wire::{Event, header},
};

/// The events that are whole in a cut piece of a stream, by a parser that knows nothing of the hub.
fn whole(piece: &str) -> Vec<Event> {
    let Some(end) = piece.rfind("\n\n") else { return Vec::new() };
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.strip_prefix(": ")).unwrap_or_default().to_owned()
    };
    piece[..end]
        .split("\n\n")
        .map(|block| Event {
            event_type: "message".into(),
            data: field(block, "data"),
            id: field(block, "id"),
            ..Event::default()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_killed_after_any_byte_gets_the_rest_and_nothing_twice() {
    let sent = chat(4);
    let model = model({
        let sent = sent.clone();
        move || stream().drip(&sent, 11)
    })
    .await;
    let hub = gateway(&model, &[]);
    let mut cut = 0;
    loop {
        let mut wire = send(&hub, CHAT, &[], ASK).await;
        let head = wire.head().await;
        let location = header(&head, "location").expect("a stream has a location").to_owned();
        let mut piece = BytesMut::new();
        let mut ended = false;
        while piece.len() < cut {
            match wire.chunk().await.expect("the stream goes on") {
                chunk if chunk.is_empty() => {
                    ended = true;
                    break;
                }
                chunk => piece.extend_from_slice(&chunk),
            }
        }
        drop(wire);
        piece.truncate(cut);
        let seen = whole(std::str::from_utf8(&piece).expect("it is ASCII"));
        let last = seen.last().map(|event| event.id.clone());
        let (rest, reason) = without_close(watch(&hub, &location, last.as_deref()).await.rest().await);
        assert_eq!(text(&[seen, rest].concat()), sent, "cut after {cut} bytes");
        assert_eq!(reason, "complete", "cut after {cut} bytes");
        if ended {
            break;
        }
        cut += 1;
    }
    assert!(cut > sent.len(), "every byte was a place to be cut at");
    assert_eq!(model.requests().len(), cut + 1, "the upstream was asked once for each answer");
}

#[tokio::test]
async fn a_reader_can_come_back_as_often_as_it_likes() {
    let sent = chat(30);
    let model = saying(&sent).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let mut seen = vec![answering.stream.event().await];
    loop {
        let last = seen.last().expect("there is one").id.clone();
        match watch(&hub, &answering.location, Some(&last)).await.event().await {
            event if event.event_type == "close" => break,
            event => seen.push(event),
        }
    }
    assert_eq!(text(&seen), sent);
}
