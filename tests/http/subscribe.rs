//! What a subscriber sees: where it starts, which updates match, and what an event looks like.

use crate::support::{
    HubProcess,
    wire::{NDJSON, Stream, TEXT, is_hub_id, page, post, say},
};

#[tokio::test]
async fn a_new_subscriber_first_gets_its_place() {
    let hub = HubProcess::start(&[]);
    let before = say(&hub.address, "/topics/a", "before").await;
    let mut stream = Stream::open(&hub.address, "/topics/a", &[]).await;
    let start = stream.event().await;
    assert_eq!(start.event_type, "start");
    assert!(is_hub_id(&start.id), "{start:?}");
    assert_eq!(start.json(), serde_json::json!({ "id": start.id }));
    assert_eq!(start.id, before, "its place is that of the newest record");
    let id = say(&hub.address, "/topics/a", "after").await;
    let event = stream.event().await;
    assert_eq!((event.data.as_str(), event.id), ("after", id));
}

#[tokio::test]
async fn a_subscriber_that_is_cut_before_its_first_event_misses_nothing() {
    let hub = HubProcess::start(&[]);
    let start = Stream::open(&hub.address, "/topics/a", &[]).await.event().await;
    say(&hub.address, "/topics/a", "meanwhile").await;
    let mut stream = Stream::resume(&hub.address, "/topics/a", &start.id).await;
    assert_eq!(stream.verdict(), Some("resumed"));
    assert_eq!(stream.event().await.data, "meanwhile");
}

#[tokio::test]
async fn from_the_head_on_every_update_is_seen_without_a_start_event_too() {
    let hub = HubProcess::start(&[]);
    for round in 0..50 {
        let mut stream = Stream::open(&hub.address, "/topics/a?start=none", &[]).await;
        say(&hub.address, "/topics/a", &round.to_string()).await;
        assert_eq!(stream.event().await.data, round.to_string());
    }
}

#[tokio::test]
async fn from_start_replays_and_follows() {
    let hub = HubProcess::start(&[]);
    for data in ["1", "2"] {
        say(&hub.address, "/topics/a", data).await;
        say(&hub.address, "/topics/b", "other").await;
    }
    let mut stream = Stream::open(&hub.address, "/topics/a?from=start", &[]).await;
    assert_eq!(stream.data(2).await, ["1", "2"], "and no start event");
    say(&hub.address, "/topics/a", "3").await;
    assert_eq!(stream.event().await.data, "3");
}

#[tokio::test]
async fn from_an_id_begins_after_it() {
    let hub = HubProcess::start(&[]);
    let given = say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a?id=chosen", "2").await;
    say(&hub.address, "/topics/a", "3").await;
    let mut stream = Stream::open(&hub.address, &format!("/topics/a?from={given}"), &[]).await;
    assert_eq!(stream.data(2).await, ["2", "3"]);
    let mut stream = Stream::open(&hub.address, "/topics/a?from=chosen", &[]).await;
    assert_eq!(stream.event().await.data, "3");
}

#[tokio::test]
async fn from_end_is_where_a_subscriber_starts_anyway() {
    let hub = HubProcess::start(&[]);
    let before = say(&hub.address, "/topics/a", "before").await;
    let mut stream = Stream::open(&hub.address, "/topics/a?from=end", &[]).await;
    let start = stream.event().await;
    assert_eq!((start.event_type.as_str(), start.id), ("start", before));
    say(&hub.address, "/topics/a", "after").await;
    assert_eq!(stream.event().await.data, "after");
}

#[tokio::test]
async fn several_topics_share_a_connection_and_one_order() {
    let hub = HubProcess::start(&[]);
    let mut live = Stream::live(&hub.address, "/topics?topic=a&topic=b").await;
    for number in 0..20 {
        let topic = ["a", "b", "c"][number % 3];
        say(&hub.address, &format!("/topics/{topic}"), &number.to_string()).await;
    }
    let expected: Vec<_> = (0..20).filter(|number| number % 3 != 2).map(|n: usize| n.to_string()).collect();
    assert_eq!(live.data(expected.len()).await, expected);
    let mut replayed = Stream::open(&hub.address, "/topics?topic=b&topic=a&from=start", &[]).await;
    assert_eq!(replayed.data(expected.len()).await, expected);
}

#[tokio::test]
async fn a_prefix_matches_what_is_below_it_only() {
    let hub = HubProcess::start(&[]);
    for topic in ["a", "ab", "b/a", "a/b", "a/b/c", "A/b", "a%2Fd", "a/", "last"] {
        say(&hub.address, &format!("/topics/{topic}"), topic).await;
    }
    let mut stream = Stream::open(&hub.address, "/topics?topic=a/*&topic=last&from=start", &[]).await;
    let mut seen = stream.data(3).await;
    // Whether the topic `a/` is below `a/` is left open.
    while seen.last().is_none_or(|data| data != "last") {
        seen.push(stream.event().await.data);
    }
    seen.retain(|data| data != "a/");
    assert_eq!(seen, ["a/b", "a/b/c", "a%2Fd", "last"]);

    let mut all = Stream::open(&hub.address, "/topics?topic=*&from=start", &[]).await;
    assert_eq!(all.data(9).await, ["a", "ab", "b/a", "a/b", "a/b/c", "A/b", "a%2Fd", "a/", "last"]);
}

#[tokio::test]
async fn a_prefix_may_stand_in_the_path() {
    let hub = HubProcess::start(&[]);
    let mut below = Stream::live(&hub.address, "/topics/a/*").await;
    let mut all = Stream::live(&hub.address, "/topics/*").await;
    say(&hub.address, "/topics/b", "b").await;
    say(&hub.address, "/topics/a/b", "a/b").await;
    assert_eq!(below.event().await.data, "a/b");
    assert_eq!(all.data(2).await, ["b", "a/b"]);
}

#[tokio::test]
async fn an_update_that_matches_twice_is_seen_once() {
    let hub = HubProcess::start(&[]);
    let target = "/topics?topic=a/b&topic=a/b&topic=a/*&topic=*";
    let mut live = Stream::live(&hub.address, target).await;
    say(&hub.address, "/topics/a/b", "1").await;
    say(&hub.address, "/topics/a/b", "2").await;
    assert_eq!(live.data(2).await, ["1", "2"]);
    let mut replayed = Stream::open(&hub.address, &format!("{target}&from=start"), &[]).await;
    assert_eq!(replayed.data(2).await, ["1", "2"]);
}

#[tokio::test]
async fn an_event_is_its_fields_with_the_id_last() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let mut with_topic = Stream::live(&hub.address, "/topics/a?fields=topic").await;
    say(&hub.address, "/topics/a?type=greeting&id=x-1&retry=500", "hello\nworld").await;
    let block = stream.until("\n\n").await.expect("an event");
    assert_eq!(block, "event: greeting\nretry: 500\ndata: hello\ndata: world\nid: x-1\n\n");
    let block = with_topic.until("\n\n").await.expect("an event");
    let lines: Vec<_> = block.lines().collect();
    assert!(lines.contains(&"topic: a"), "{block}");
    assert_eq!(lines[lines.len() - 2..], ["id: x-1", ""], "{block}");
}

#[tokio::test]
async fn the_json_envelope_wraps_the_update() {
    let hub = HubProcess::start(&[]);
    let mut typed = Stream::live(&hub.address, "/topics/a?envelope=json").await;
    let mut untyped = Stream::live(&hub.address, "/topics/a?envelope=message").await;
    say(&hub.address, "/topics/a?type=greeting&id=x-1&retry=500", "hello\n\"world\"").await;
    let (typed, untyped) = (typed.event().await, untyped.event().await);
    assert_eq!((typed.event_type.as_str(), untyped.event_type.as_str()), ("greeting", "message"));
    for event in [typed, untyped] {
        assert_eq!(event.id, "x-1");
        let mut envelope = event.json();
        let time = envelope.as_object_mut().and_then(|envelope| envelope.remove("time"));
        assert!(time.is_some_and(|time| time.as_str().is_some_and(|time| time.starts_with("20"))));
        assert_eq!(
            envelope,
            serde_json::json!({
                "topic": "a", "type": "greeting", "data": "hello\n\"world\"", "id": "x-1", "retry": 500
            })
        );
    }
}

#[tokio::test]
async fn replayed_and_live_events_have_the_same_bytes() {
    let hub = HubProcess::start(&[]);
    for (number, form) in ["", "envelope=json", "envelope=message", "fields=topic"].into_iter().enumerate() {
        let topic = format!("/topics/{number}");
        let mut live = Stream::live(&hub.address, &format!("{topic}?{form}")).await;
        for parameters in ["", "type=x&retry=700", &format!("id={number}")] {
            say(&hub.address, &format!("{topic}?{parameters}"), "1\n2").await;
        }
        let mut replayed = Stream::open(&hub.address, &format!("{topic}?from=start&{form}"), &[]).await;
        assert_eq!(replayed.until("2000\n").await.as_deref(), Some(":\nretry: 2000\n"));
        for _ in 0..3 {
            assert_eq!(replayed.until("\n\n").await, live.until("\n\n").await, "{form}");
        }
    }
}

#[tokio::test]
async fn data_arrives_as_it_was_published() {
    let hub = HubProcess::start(&[]);
    let all = [
        "",
        " ",
        "\n",
        "\n\n",
        "a\n",
        "\na",
        " leading",
        ":",
        ": comment?",
        "data: x",
        "id: forged\nevent: forged",
        "a\n\nevent: forged\ndata: b\n\n",
        "\u{feff}mark",
        "nul \0 in it",
        "é 漢 🎉 \u{2028}\u{85}",
        "tab\there",
    ];
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    for data in all {
        say(&hub.address, "/topics/a", data).await;
        let event = stream.event().await;
        assert_eq!((event.event_type.as_str(), event.data.as_str()), ("message", data));
        assert!(is_hub_id(&event.id), "{event:?}");
    }
    let page = page(&hub.address, "/topics/a").await;
    assert_eq!(crate::support::wire::data(&page), all);
}

#[tokio::test]
async fn every_line_end_in_data_is_one_line_end() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    for (data, expected) in
        [("a\r\nb", "a\nb"), ("a\rb", "a\nb"), ("a\r", "a\n"), ("\r\n", "\n"), ("a\n\rb", "a\n\nb")]
    {
        say(&hub.address, "/topics/a", data).await;
        assert_eq!(stream.event().await.data, expected, "{data:?}");
    }
}

#[tokio::test]
async fn heartbeats_come_at_an_event_boundary_in_the_asked_form() {
    let hub = HubProcess::start(&["--heartbeat", "100ms"]);
    let mut line = Stream::open(&hub.address, "/topics/a?start=none", &[]).await;
    let mut block = Stream::open(&hub.address, "/topics/a?start=none&heartbeat=block", &[]).await;
    let mut event = Stream::open(&hub.address, "/topics/a?start=none&heartbeat=event", &[]).await;
    for stream in [&mut line, &mut block, &mut event] {
        assert_eq!(stream.until("2000\n").await.as_deref(), Some(":\nretry: 2000\n"));
    }
    assert_eq!(line.until("\n").await.as_deref(), Some(":\n"));
    assert_eq!(line.until("\n").await.as_deref(), Some(":\n"), "one after the other");
    assert_eq!(block.until("\n\n").await.as_deref(), Some(":\n\n"));
    let ping = event.event().await;
    assert_eq!((ping.event_type.as_str(), ping.id.as_str()), ("ping", ""), "it changes no last event ID");
    say(&hub.address, "/topics/a", "after").await;
    assert_eq!(line.event().await.data, "after");
    assert_eq!(block.event().await.data, "after");
}

#[tokio::test]
async fn the_same_topic_has_many_spellings() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a/b%20c").await;
    for target in ["/topics/a/b%20c", "/topics/a%2Fb%20c", "/topics/%61%2fb%20c"] {
        say(&hub.address, target, target).await;
        assert_eq!(stream.event().await.data, target);
    }
    let mut query = Stream::open(&hub.address, "/topics?topic=a/b+c&topic=x&from=start", &[]).await;
    assert_eq!(query.data(3).await.len(), 3, "a plus in a query is a space");
    say(&hub.address, "/topics/a/b+c", "plus").await;
    let plus = page(&hub.address, "/topics/a/b%2Bc").await;
    assert_eq!(crate::support::wire::data(&plus), ["plus"], "a plus in a path is a plus");
}

#[tokio::test]
async fn a_uri_can_be_a_topic() {
    let hub = HubProcess::start(&[]);
    let mut stream =
        Stream::live(&hub.address, "/topics?topic=https%3A%2F%2Fexample.com%2Fbooks%2F1%3Fx%231").await;
    say(&hub.address, "/topics/https%3A%2F%2Fexample.com%2Fbooks%2F1%3Fx%231", "uri").await;
    assert_eq!(stream.event().await.data, "uri");
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a?_=123&cache-buster&=&&x=%00&token").await;
    say(&hub.address, "/topics/a?_=1&utm_source=x", "one").await;
    assert_eq!(stream.event().await.data, "one");
}

#[tokio::test]
async fn a_batch_arrives_whole_and_in_order() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let lines: String = (0..2_000).map(|number| format!("{{\"data\":\"{number}\"}}\n")).collect();
    let answer = post(&hub.address, "/topics/a", NDJSON, lines).await;
    assert_eq!(answer.json()["count"], 2_000);
    let expected: Vec<_> = (0..2_000).map(|number| number.to_string()).collect();
    assert_eq!(stream.data(2_000).await, expected);
    assert_eq!(post(&hub.address, "/topics/a", TEXT, "end").await.status(), 200);
    assert_eq!(stream.event().await.data, "end");
}
