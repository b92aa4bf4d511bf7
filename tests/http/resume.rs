//! Resuming: from exactly there, or told exactly that something may be missing.

use crate::support::{
    HubProcess,
    wire::{NDJSON, Stream, TEXT, Wire, head, is_hub_id, post, say},
};

/// Publishes `count` updates that nobody asked for.
async fn fill(hub: &HubProcess, target: &str, count: usize) {
    let lines = (0..count).map(|number| format!("{{\"data\":\"fill {number}\"}}\n"));
    assert_eq!(post(&hub.address, target, NDJSON, lines.collect::<String>()).await.status(), 200);
}

/// Reads the gap event that a stream must begin with; gives back its ID.
async fn gap(stream: &mut Stream, asked: &str, reason: &str) -> crate::support::wire::Event {
    assert_eq!(stream.verdict(), Some("gap"), "{}", stream.head);
    let gap = stream.event().await;
    assert_eq!(gap.event_type, "gap");
    let told = gap.json();
    assert_eq!((&told["asked"], &told["reason"]), (&asked.into(), &reason.into()), "{told}");
    assert!(told.get("first").is_some(), "{told}");
    assert!(is_hub_id(&gap.id), "{gap:?}");
    gap
}

#[tokio::test]
async fn a_resume_goes_on_exactly_after_the_id() {
    let hub = HubProcess::start(&[]);
    let mut ids = Vec::new();
    for number in 0..5 {
        // Every second ID is the publisher's own.
        let id = if number % 2 == 0 { String::new() } else { format!("?id=own-{number}") };
        ids.push(say(&hub.address, &format!("/topics/a{id}"), &number.to_string()).await);
    }
    for (number, id) in ids.iter().enumerate() {
        let mut stream = Stream::resume(&hub.address, "/topics/a", id).await;
        assert_eq!(stream.verdict(), Some("resumed"), "{id}");
        let expected: Vec<_> = (number + 1..5).map(|number| number.to_string()).collect();
        assert_eq!(stream.data(expected.len()).await, expected);
    }
    let mut newest = Stream::resume(&hub.address, "/topics/a", &ids[4]).await;
    say(&hub.address, "/topics/a", "live").await;
    assert_eq!(newest.event().await.data, "live");
}

#[tokio::test]
async fn a_stream_that_does_not_resume_has_no_verdict() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    for target in ["/topics/a", "/topics/a?from=start", "/topics/a?from=end"] {
        assert_eq!(Stream::open(&hub.address, target, &[]).await.verdict(), None, "{target}");
    }
}

#[tokio::test]
async fn the_header_beats_the_query_and_both_beat_from() {
    let hub = HubProcess::start(&[]);
    let one = say(&hub.address, "/topics/a", "1").await;
    let two = say(&hub.address, "/topics/a", "2").await;
    say(&hub.address, "/topics/a", "3").await;
    for target in
        ["/topics/a?from=start", "/topics/a?from=end", &format!("/topics/a?from={one}&lastEventId={one}")]
    {
        let mut stream = Stream::resume(&hub.address, target, &two).await;
        assert_eq!(stream.verdict(), Some("resumed"), "{target}");
        assert_eq!(stream.event().await.data, "3", "{target}");
    }
    for from in ["start", "end", &one] {
        let target = format!("/topics/a?from={from}&lastEventId={two}");
        assert_eq!(Stream::open(&hub.address, &target, &[]).await.event().await.data, "3", "{target}");
    }
}

#[tokio::test]
async fn every_spelling_of_the_query_resumes() {
    let hub = HubProcess::start(&[]);
    let one = say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a", "2").await;
    for name in ["lastEventId", "last_event_id", "lastEventID", "Last-Event-ID"] {
        let id = one.replace('~', "%7E");
        let mut stream = Stream::open(&hub.address, &format!("/topics/a?x=1&{name}={id}"), &[]).await;
        assert_eq!(stream.verdict(), Some("resumed"), "{name}");
        assert_eq!(stream.event().await.data, "2", "{name}");
    }
}

#[tokio::test]
async fn a_resume_crosses_topics() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/b", "b1").await;
    let place = say(&hub.address, "/topics/a", "a1").await;
    say(&hub.address, "/topics/b", "b2").await;
    say(&hub.address, "/topics/a", "a2").await;
    say(&hub.address, "/topics/c/d", "d1").await;
    for (target, expected) in [
        ("/topics/b", vec!["b2"]),
        ("/topics?topic=b&topic=a", vec!["b2", "a2"]),
        ("/topics?topic=c/*&topic=a", vec!["a2", "d1"]),
        ("/topics/*", vec!["b2", "a2", "d1"]),
    ] {
        let mut stream = Stream::resume(&hub.address, target, &place).await;
        assert_eq!(stream.verdict(), Some("resumed"), "{target}");
        assert_eq!(stream.data(expected.len()).await, expected, "{target}");
    }
}

#[tokio::test]
async fn an_unknown_id_is_a_gap_and_then_all_that_is_kept() {
    let hub = HubProcess::start(&[]);
    let one = say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a", "2").await;
    for asked in ["never-seen", "0", "start", "end", "~", "~short", "a\"b\\c", "~$$$$$$$$$$$$$$$$$$$$$$$$"] {
        let mut stream = Stream::resume(&hub.address, "/topics/a", asked).await;
        let gap = gap(&mut stream, asked, "unknown-id").await;
        assert_eq!(gap.json()["first"], one.as_str(), "the first record kept");
        assert_eq!(stream.data(2).await, ["1", "2"], "{asked}");
    }
}

#[tokio::test]
async fn an_unknown_id_in_from_is_a_gap_too() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    let mut stream = Stream::open(&hub.address, "/topics/a?from=nonsense", &[]).await;
    gap(&mut stream, "nonsense", "unknown-id").await;
    assert_eq!(stream.event().await.data, "1");
}

#[tokio::test]
async fn an_id_that_only_another_topic_has_is_unknown() {
    let hub = HubProcess::start(&[]);
    for topic in ["a/1", "b"] {
        say(&hub.address, &format!("/topics/{topic}?id=own"), topic).await;
    }
    for target in ["/topics/c", "/topics/a/2", "/topics/a", "/topics?topic=c&topic=b/*"] {
        gap(&mut Stream::resume(&hub.address, target, "own").await, "own", "unknown-id").await;
    }
}

#[tokio::test]
async fn an_id_that_several_topics_have_is_a_place_only_where_one_of_them_is_asked_for() {
    let hub = HubProcess::start(&["--retain", "b=1"]);
    for topic in ["a/1", "a/2", "b", "b"] {
        say(&hub.address, &format!("/topics/{topic}?id=1"), topic).await;
    }
    for topic in ["a/1", "a/2", "b"] {
        say(&hub.address, &format!("/topics/{topic}?id=2"), topic).await;
    }
    for (target, expected) in [("/topics/a/1", "a/1"), ("/topics?topic=a/2&topic=c", "a/2")] {
        let mut stream = Stream::resume(&hub.address, target, "1").await;
        assert_eq!(stream.verdict(), Some("resumed"), "{target}");
        assert_eq!(stream.event().await.data, expected);
    }
    // Of b it is evicted, and might still be the one that was seen.
    for target in ["/topics/a/*", "/topics?topic=*", "/topics?topic=b&topic=a/1"] {
        gap(&mut Stream::resume(&hub.address, target, "1").await, "1", "unknown-id").await;
    }
}

#[tokio::test]
async fn an_id_whose_update_is_gone_is_a_place_still_and_no_other_update_gets_it() {
    let hub = HubProcess::start(&["--retain", "a=2", "--retain", "b=1"]);
    let address = &*hub.address;
    say(address, "/topics/b?id=own", "seen").await;
    say(address, "/topics/b", "last").await;
    for target in ["/topics/a?id=own", "/topics/a", "/topics/a", "/topics/a"] {
        say(address, target, "x").await;
    }
    let mut stream = Stream::resume(address, "/topics/b", "own").await;
    assert_eq!(stream.verdict(), Some("resumed"), "nothing is missing after it");
    assert_eq!(stream.event().await.data, "last");
    gap(&mut Stream::resume(address, "/topics/a", "own").await, "own", "evicted").await;

    post(address, "/topics/a?id=own", TEXT, "other").await.refusal(409, "\"own\"");
    let again = post(address, "/topics/a?id=own", TEXT, "x").await;
    assert_eq!((again.status(), again.json()["sequence"].as_u64()), (200, Some(3)), "{again:?}");
    gap(&mut Stream::resume(address, "/topics/a", "own").await, "own", "evicted").await;
}

#[tokio::test]
async fn an_id_is_compared_strictly() {
    let hub = HubProcess::start(&[]);
    let given = say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a?id=Own", "2").await;
    for asked in ["own", "Own2", "Ow", &given[1..], &format!("{given}A"), &format!("{given}=")] {
        let mut stream = Stream::resume(&hub.address, "/topics/a", asked).await;
        gap(&mut stream, asked, "unknown-id").await;
    }
}

#[tokio::test]
async fn a_tampered_id_is_a_gap() {
    let hub = HubProcess::start(&[]);
    fill(&hub, "/topics/a", 20).await;
    let id = say(&hub.address, "/topics/a", "x").await;
    fill(&hub, "/topics/a", 20).await;
    for place in 1..25 {
        for other in ["A", "B", "f", "_"] {
            let mut tampered = id.clone();
            tampered.replace_range(place..=place, other);
            if tampered == id {
                continue;
            }
            let mut stream = Stream::resume(&hub.address, "/topics/a", &tampered).await;
            assert_eq!(stream.verdict(), Some("gap"), "{tampered} is not {id}");
            let reason = stream.event().await.json()["reason"].clone();
            assert!(["unknown-id", "unknown-epoch"].iter().any(|known| reason == *known), "{reason}");
            assert_eq!(stream.event().await.data, "fill 0");
        }
    }
}

#[tokio::test]
async fn a_tampered_id_of_the_place_before_all_records_is_a_gap() {
    let hub = HubProcess::start(&[]);
    let start = Stream::open(&hub.address, "/topics/a", &[]).await.event().await.id;
    say(&hub.address, "/topics/a", "1").await;
    for place in 21..25 {
        let mut tampered = start.clone();
        let other = if &start[place..=place] == "A" { "B" } else { "A" };
        tampered.replace_range(place..=place, other);
        let mut stream = Stream::resume(&hub.address, "/topics/a", &tampered).await;
        gap(&mut stream, &tampered, "unknown-id").await;
    }
}

#[tokio::test]
async fn an_id_of_the_future_is_a_gap() {
    // The same epoch, a sequence that is not there yet: no check can make it right.
    let hub = HubProcess::start(&[]);
    let start = Stream::open(&hub.address, "/topics/a", &[]).await.event().await.id;
    let one = say(&hub.address, "/topics/a", "1").await;
    let spliced = format!("{}{}", &one[..20], &start[20..]);
    let mut stream = Stream::resume(&hub.address, "/topics/a", &spliced).await;
    gap(&mut stream, &spliced, "unknown-id").await;
}

#[tokio::test]
async fn an_id_of_another_log_is_a_gap_of_its_own_kind() {
    let (old, new) = (HubProcess::start(&[]), HubProcess::start(&[]));
    let start = Stream::open(&old.address, "/topics/a", &[]).await.event().await.id;
    let one = say(&old.address, "/topics/a", "1").await;
    say(&new.address, "/topics/a", "other").await;
    for asked in [start, one] {
        let mut stream = Stream::resume(&new.address, "/topics/a", &asked).await;
        gap(&mut stream, &asked, "unknown-epoch").await;
        assert_eq!(stream.event().await.data, "other");
    }
}

#[tokio::test]
async fn an_empty_hub_tells_a_gap_and_follows() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::resume(&hub.address, "/topics/a", "lost").await;
    let told = gap(&mut stream, "lost", "unknown-id").await;
    assert!(told.json()["first"].is_null(), "nothing is kept: {told:?}");
    say(&hub.address, "/topics/a", "1").await;
    assert_eq!(stream.event().await.data, "1");
    let mut again = Stream::resume(&hub.address, "/topics/a", &told.id).await;
    assert_eq!(again.verdict(), Some("resumed"));
    assert_eq!(again.event().await.data, "1");
}

#[tokio::test]
async fn an_evicted_history_is_a_gap_that_is_told_once() {
    let hub = HubProcess::start(&["--max-updates", "10"]);
    let one = say(&hub.address, "/topics/a", "1").await;
    fill(&hub, "/topics/a", 20).await;
    let mut stream = Stream::resume(&hub.address, "/topics/a", &one).await;
    let told = gap(&mut stream, &one, "evicted").await;
    let first = stream.event().await;
    assert_eq!(told.json()["first"], first.id.as_str());
    assert_eq!(first.data, "fill 10", "ten updates are kept");

    let mut again = Stream::resume(&hub.address, "/topics/a", &told.id).await;
    assert_eq!(again.verdict(), Some("resumed"), "the gap was told");
    assert_eq!(again.event().await.id, first.id, "and what is kept follows once more");
}

#[tokio::test]
async fn the_last_evicted_id_misses_nothing() {
    let hub = HubProcess::start(&["--max-updates", "10"]);
    let ids = [say(&hub.address, "/topics/a", "1").await, say(&hub.address, "/topics/a", "2").await];
    fill(&hub, "/topics/a", 10).await;
    let mut stream = Stream::resume(&hub.address, "/topics/a", &ids[1]).await;
    assert_eq!(stream.verdict(), Some("resumed"), "all that follows it is kept");
    assert_eq!(stream.event().await.data, "fill 0");
    let mut stream = Stream::resume(&hub.address, "/topics/a", &ids[0]).await;
    gap(&mut stream, &ids[0], "evicted").await;
}

#[tokio::test]
async fn a_gap_is_told_only_to_subscribers_that_may_miss_something() {
    let hub = HubProcess::start(&["--max-updates", "10"]);
    let a1 = say(&hub.address, "/topics/a", "a1").await;
    let a2 = say(&hub.address, "/topics/a", "a2").await;
    fill(&hub, "/topics/noise/1", 30).await;
    let last = say(&hub.address, "/topics/a", "a3").await;
    for (target, asked, verdict) in [
        ("/topics/a", &a1, "gap"),
        ("/topics/a", &a2, "resumed"),
        ("/topics/quiet", &a1, "resumed"),
        ("/topics?topic=quiet&topic=a", &a2, "resumed"),
        ("/topics/quiet/*", &a2, "resumed"),
        ("/topics/noise/1", &a2, "gap"),
        ("/topics/noise/*", &a2, "gap"),
        ("/topics?topic=a&topic=noise/1", &a2, "gap"),
        ("/topics/*", &a2, "gap"),
        ("/topics/*", &last, "resumed"),
    ] {
        let mut stream = Stream::resume(&hub.address, target, asked).await;
        assert_eq!(stream.verdict(), Some(verdict), "{target} after {asked}");
        if verdict == "gap" {
            assert_eq!(stream.event().await.event_type, "gap", "{target} after {asked}");
        }
    }
}

#[tokio::test]
async fn an_own_id_that_was_evicted_is_unknown() {
    let hub = HubProcess::start(&["--max-updates", "5"]);
    say(&hub.address, "/topics/a?id=own", "1").await;
    fill(&hub, "/topics/a", 10).await;
    let mut stream = Stream::resume(&hub.address, "/topics/a", "own").await;
    assert_eq!(stream.verdict(), Some("gap"));
    let told = stream.event().await.json();
    assert_eq!(told["asked"], "own");
    assert_eq!(stream.event().await.data, "fill 5");
}

#[tokio::test]
async fn a_resume_sends_what_was_evicted_by_bytes_as_a_gap() {
    let hub = HubProcess::start(&["--max-history", "64KiB"]);
    let one = say(&hub.address, "/topics/a", "1").await;
    for _ in 0..20 {
        say(&hub.address, "/topics/a", &"x".repeat(8 << 10)).await;
    }
    let mut stream = Stream::resume(&hub.address, "/topics/a", &one).await;
    gap(&mut stream, &one, "evicted").await;
    assert_eq!(stream.event().await.data.len(), 8 << 10);
}

#[tokio::test]
async fn an_id_with_8_bit_bytes_is_unknown_and_told_as_json() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    for bytes in [&b"caf\xc3\xa9"[..], b"caf\xe9", b"\xff\xfe"] {
        let request = head(&hub.address, "GET", "/topics/a", &[("last-event-id", "?")]);
        let (before, after) = request.split_once('?').expect("the place of the ID");
        let mut wire = Wire::connect(&hub.address).await;
        wire.write([before.as_bytes(), bytes, after.as_bytes()].concat()).await;
        let mut stream = Stream::read(wire).await;
        assert_eq!(stream.verdict(), Some("gap"), "{bytes:?}");
        let told = stream.event().await.json();
        assert_eq!(told["reason"], "unknown-id", "{bytes:?}");
        if let Ok(text) = str::from_utf8(bytes) {
            assert_eq!(told["asked"], text, "an EventSource sends its ID as UTF-8");
        }
        assert_eq!(stream.event().await.data, "1");
    }
}
