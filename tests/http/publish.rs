//! Publishing with one request: what is taken, what it is answered, and what is refused.

use crate::support::{
    HubProcess,
    wire::{EVENTS, NDJSON, Stream, TEXT, ask, data, is_hub_id, page, post, say},
};

/// Checks that nothing was published to `topic`.
async fn is_empty(hub: &HubProcess, topic: &str) {
    let page = page(&hub.address, topic).await;
    assert_eq!(data(&page), [""; 0], "a refused update is not kept");
}

#[tokio::test]
async fn a_publish_is_answered_with_its_place() {
    let hub = HubProcess::start(&[]);
    let first = post(&hub.address, "/topics/a", TEXT, "1").await.json();
    let second = post(&hub.address, "/topics/b", TEXT, "2").await.json();
    assert!(is_hub_id(first["id"].as_str().expect("an ID")), "{first}");
    assert_ne!(first["id"], second["id"]);
    assert!(first["sequence"].as_u64() < second["sequence"].as_u64(), "{first} {second}");
    assert_eq!(first.as_object().map(serde_json::Map::len), Some(2), "nothing else is in it: {first}");
}

#[tokio::test]
async fn text_and_json_bodies_are_the_data_as_they_are() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    for (content_type, body) in [
        ("text/plain", "plain"),
        ("text/plain; charset=utf-8", "é"),
        ("TEXT/PLAIN;CHARSET=\"UTF-8\"", "ü"),
        ("text/html", "<b>"),
        ("application/x-www-form-urlencoded", "a=b&c=%20+d"),
        ("application/json", "{\"a\" : [1,\n 2]}"),
        ("application/json; charset=utf-8", "{}"),
        ("application/ld+json", "[]"),
        ("text/plain", ""),
    ] {
        let answer = post(&hub.address, "/topics/a", ("content-type", content_type), body).await;
        assert_eq!(answer.status(), 200, "{content_type}: {answer:?}");
        assert_eq!(stream.event().await.data, body, "{content_type}");
    }
}

#[tokio::test]
async fn a_media_type_is_read_as_browsers_read_it() {
    let hub = HubProcess::start(&[]);
    for (number, (lines, count)) in [
        (&["Application/X-NDJSON"][..], 2),
        (&["application/x-ndjson ; charset=\"utf-8\""], 2),
        (&["application/x-ndjson;x=\"a,text/plain\""], 2),
        (&["text/plain", "application/x-ndjson"], 2),
        (&["text/plain, application/x-ndjson"], 2),
        (&["application/x-ndjson", "*/*"], 2),
        (&["application/x-ndjson", "text/plain"], 1),
        (&[""], 1),
    ]
    .into_iter()
    .enumerate()
    {
        let headers: Vec<_> = lines.iter().map(|line| ("content-type", *line)).collect();
        let body = "{\"data\":\"1\"}\n{\"data\":\"2\"}\n";
        let target = format!("/topics/{number}");
        let answer = ask(&hub.address, "POST", &target, &headers, body).await;
        assert_eq!(answer.status(), 200, "{lines:?}: {answer:?}");
        assert_eq!(data(&page(&hub.address, &target).await).len(), count, "{lines:?}");
    }
    for refused in ["nonsense", "text/", "text/plain; charset=latin1", "text/plain;charset=\"iso-8859-1\""] {
        post(&hub.address, "/topics/a", ("content-type", refused), "x").await.refusal(415, "");
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn content_codings_are_a_list_in_any_case() {
    let hub = HubProcess::start(&[]);
    for codings in [&["Identity"][..], &["identity, IDENTITY"], &["identity", "identity"], &["", ","]] {
        let headers: Vec<_> =
            codings.iter().map(|coding| ("content-encoding", *coding)).chain([TEXT]).collect();
        let answer = ask(&hub.address, "POST", "/topics/a", &headers, "x").await;
        assert_eq!(answer.status(), 200, "{codings:?}: {answer:?}");
    }
    for codings in [&["gzip"][..], &["identity", "GZIP"], &["identity, br"]] {
        let headers: Vec<_> =
            codings.iter().map(|coding| ("content-encoding", *coding)).chain([TEXT]).collect();
        let answer = ask(&hub.address, "POST", "/topics/b", &headers, "x").await;
        answer.refusal(415, "Content-Encoding");
        assert_eq!(answer.header("accept-encoding"), Some("identity"), "{answer:?}");
    }
    is_empty(&hub, "/topics/b").await;
}

#[tokio::test]
async fn a_byte_order_mark_at_the_beginning_of_many_is_ignored() {
    let hub = HubProcess::start(&[]);
    for (content_type, body) in [
        (EVENTS, "\u{feff}data: 1\r\n\r\ndata: 2\r\n\r\n"),
        (NDJSON, "\u{feff}{\"data\":\"1\"}\r\n{\"data\":\"2\"}\r\n"),
    ] {
        assert_eq!(post(&hub.address, "/topics/a", content_type, body).await.json()["count"], 2);
    }
    let refused =
        post(&hub.address, "/topics/b", NDJSON, "{\"data\":\"1\"}\n\u{feff}{\"data\":\"2\"}\n").await;
    assert_eq!(refused.refusal(400, "not an update")["line"], 2);
}

#[tokio::test]
async fn query_parameters_make_the_event() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let id = say(&hub.address, "/topics/a?type=%C3%A9+type&id=order/7%3F%23&retry=100", "x").await;
    assert_eq!(id, "order/7?#");
    let event = stream.event().await;
    assert_eq!((event.event_type.as_str(), event.id.as_str()), ("é type", "order/7?#"));
    assert_eq!(event.retry.as_deref(), Some("100"));
}

#[tokio::test]
async fn a_type_cannot_forge_a_field() {
    let hub = HubProcess::start(&[]);
    for kind in ["a%0Adata:%20forged", "a%0Did:%20forged", "a%0D%0A%0D%0A", "a%00", "%1B", "%7F", "%C2%85"] {
        let answer = post(&hub.address, &format!("/topics/a?type={kind}"), TEXT, "x").await;
        answer.refusal(400, "type");
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn the_types_of_the_hub_are_its_own() {
    let hub = HubProcess::start(&[]);
    for kind in ["start", "gap", "close"] {
        post(&hub.address, &format!("/topics/a?type={kind}"), TEXT, "x").await.refusal(400, kind);
        let line = format!("{{\"data\":\"x\",\"type\":\"{kind}\"}}\n");
        post(&hub.address, "/topics/a", NDJSON, line).await.refusal(400, kind);
        let block = format!("event: {kind}\ndata: x\n\n");
        post(&hub.address, "/topics/a", EVENTS, block).await.refusal(400, kind);
    }
    is_empty(&hub, "/topics/a").await;
    say(&hub.address, "/topics/a?type=Close", "types are case-sensitive").await;
}

#[tokio::test]
async fn an_id_is_printable_ascii_without_outer_spaces() {
    let hub = HubProcess::start(&[]);
    let long = "x".repeat(256);
    for id in ["%20a", "a%20", "a%0Ab", "a%0Db", "a%00b", "a%09b", "a%7F", "%C3%A9", "%FF", &long] {
        let answer = post(&hub.address, &format!("/topics/a?id={id}"), TEXT, "x").await;
        answer.refusal(400, "id");
    }
    is_empty(&hub, "/topics/a").await;
    for id in ["a%20b", "!", &long[1..]] {
        say(&hub.address, &format!("/topics/a?id={id}"), "x").await;
    }
}

#[tokio::test]
async fn an_id_that_looks_like_the_hubs_is_never_taken_from_a_publisher() {
    let hub = HubProcess::start(&[]);
    let id = say(&hub.address, "/topics/a", "x").await;
    post(&hub.address, &format!("/topics/b?id={id}"), TEXT, "x").await.refusal(400, "~");
    let forged = format!("~{}", "A".repeat(24));
    post(&hub.address, &format!("/topics/b?id={forged}"), TEXT, "x").await.refusal(400, "~");
    for looks_like in ["~", "~x", &forged[..24]] {
        let line = format!("{{\"data\":\"x\",\"id\":\"{looks_like}\"}}\n");
        post(&hub.address, "/topics/b", NDJSON, line).await.refusal(400, "~");
        let event = format!("data: x\nid: {looks_like}\n\n");
        post(&hub.address, "/topics/b", EVENTS, event).await.refusal(400, "~");
    }
    is_empty(&hub, "/topics/b").await;
    // One of the right form is another hub's, in a body with many: its update gets an ID of this hub.
    let line = format!("{{\"data\":\"x\",\"id\":\"{forged}\"}}\n");
    let answer = post(&hub.address, "/topics/b", NDJSON, line).await.json();
    assert!(answer["first"].as_str().is_some_and(|first| is_hub_id(first) && first != forged), "{answer}");
}

#[tokio::test]
async fn a_reconnection_time_is_digits() {
    let hub = HubProcess::start(&[]);
    for retry in
        ["-1", "%2B1", "1.5", "1e3", "0x10", "%201", "1%20", "soon", "99999999999999999999999", "%D9%A1"]
    {
        let answer = post(&hub.address, &format!("/topics/a?retry={retry}"), TEXT, "x").await;
        answer.refusal(400, "retry");
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn a_reconnection_time_is_within_bounds_that_the_operator_sets() {
    let ways = [
        |retry: &str| (format!("/topics/a?retry={retry}"), TEXT, "x".to_owned()),
        |retry: &str| ("/topics/a".into(), NDJSON, format!("{{\"data\":\"x\",\"retry\":{retry}}}\n")),
        |retry: &str| ("/topics/a".into(), EVENTS, format!("retry: {retry}\ndata: x\n\n")),
    ];
    let beyond = ["9223372036854775808", "18446744073709551615", "18446744073709551616"];
    for (flags, most) in [(&[][..], 3_600_000), (&["--max-retry", "1day"], 86_400_000)] {
        let hub = HubProcess::start(flags);
        for way in ways {
            let bad = ["0".to_owned(), "99".to_owned(), (most + 1).to_string()];
            for retry in bad.into_iter().chain(beyond.map(String::from)) {
                let (target, kind, body) = way(&retry);
                // A number of more than 64 bits is refused where it is read, by the reader's own rule.
                let rule = if retry.len() < 20 { format!("from 100 to {most} here") } else { String::new() };
                let answer = post(&hub.address, &target, kind, body).await;
                answer.refusal(400, &rule);
                answer.refusal(400, "retry");
            }
            is_empty(&hub, "/topics/a").await;
        }
        for way in ways {
            for retry in [100, most] {
                let (target, kind, body) = way(&retry.to_string());
                post(&hub.address, &target, kind, body).await.json();
            }
        }
        let updates = page(&hub.address, "/topics/a").await["updates"].clone();
        let kept: Vec<_> = updates.as_array().unwrap().iter().map(|update| update["retry"].clone()).collect();
        assert_eq!(kept, [100, most, 100, most, 100, most]);
    }
}

#[tokio::test]
async fn what_is_not_utf8_is_refused_and_not_repaired() {
    let hub = HubProcess::start(&[]);
    for body in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"ok \xf4\x90\x80\x80"] {
        post(&hub.address, "/topics/a", TEXT, body).await.refusal(400, "UTF-8");
        let line = [b"{\"data\":\"", body, b"\"}\n"].concat();
        post(&hub.address, "/topics/a", NDJSON, line).await.refusal(400, "UTF-8");
        let block = [b"data: ", body, b"\n\n"].concat();
        post(&hub.address, "/topics/a", EVENTS, block).await.refusal(400, "UTF-8");
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn what_is_neither_text_nor_json_is_refused() {
    let hub = HubProcess::start(&[]);
    for content_type in ["image/png", "application/octet-stream", "multipart/form-data; boundary=x"] {
        let answer = post(&hub.address, "/topics/a", ("content-type", content_type), "x").await;
        answer.refusal(415, content_type.split(';').next().unwrap_or_default());
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn data_may_be_as_large_as_the_flag_and_no_larger() {
    let hub = HubProcess::start(&["--max-data", "1KiB"]);
    let (fits, over) = ("x".repeat(1024), "x".repeat(1025));
    say(&hub.address, "/topics/a", &fits).await;
    post(&hub.address, "/topics/a", TEXT, &over).await.refusal(413, "1");
    let lines = format!("{{\"data\":\"{fits}\"}}\n{{\"data\":\"{over}\"}}\n");
    let refusal = post(&hub.address, "/topics/b", NDJSON, lines).await.refusal(413, "1");
    assert_eq!((&refusal["count"], &refusal["line"]), (&1.into(), &2.into()), "{refusal}");
    let blocks = format!("data: {fits}\n\ndata: {over}\n\n");
    let refusal = post(&hub.address, "/topics/c", EVENTS, blocks).await.refusal(413, "1");
    assert_eq!(refusal["count"], 1, "{refusal}");
    for topic in ["/topics/a", "/topics/b", "/topics/c"] {
        assert_eq!(data(&page(&hub.address, topic).await), [&fits], "{topic}");
    }
}

#[tokio::test]
async fn data_that_is_too_large_is_found_at_its_line() {
    let hub = HubProcess::start(&["--max-data", "1KiB"]);
    let over = "x".repeat(1025);
    for body in [format!("data: 1\n\ndata: {over}\n\n"), format!("data: 1\n\ndata: {over}\ndata: more\n\n")] {
        let refusal = post(&hub.address, "/topics/a", EVENTS, body).await.refusal(413, "1024");
        assert_eq!(refusal["line"], 3, "{refusal}");
    }
}

#[tokio::test]
async fn data_over_the_default_limit_is_too_large() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", &"x".repeat(1 << 20)).await;
    post(&hub.address, "/topics/a", TEXT, "x".repeat((1 << 20) + 1)).await.refusal(413, "1");
}

#[tokio::test]
async fn a_private_update_is_refused_while_nothing_can_grant_it() {
    let hub = HubProcess::start(&[]);
    for parameter in ["private", "private=", "private=on", "private=true"] {
        post(&hub.address, &format!("/topics/a?{parameter}"), TEXT, "x").await.refusal(403, "private");
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn the_same_id_with_the_same_content_is_the_same_update() {
    let hub = HubProcess::start(&[]);
    let target = "/topics/a?id=order-7&type=t&retry=500";
    let first = post(&hub.address, target, TEXT, "x").await;
    let second = post(&hub.address, target, TEXT, "x").await;
    assert_eq!((second.status(), second.json()), (200, first.json()));
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["x"], "nothing is appended");
    for (target, body) in [
        (target, "y"),
        ("/topics/a?id=order-7&type=u&retry=500", "x"),
        ("/topics/a?id=order-7&type=t&retry=600", "x"),
        ("/topics/a?id=order-7&type=t", "x"),
    ] {
        post(&hub.address, target, TEXT, body).await.refusal(409, "order-7");
    }
    // The names that another topic's publisher gives are its own affair.
    assert_eq!(post(&hub.address, "/topics/b?id=order-7", TEXT, "y").await.status(), 200);
    assert_eq!(data(&page(&hub.address, "/topics/b").await), ["y"]);
}

#[tokio::test]
async fn many_updates_are_answered_with_their_count_and_both_ends() {
    let hub = HubProcess::start(&[]);
    let body =
        "{\"data\":\"1\",\"id\":\"i1\",\"type\":\"t\",\"retry\":900}\n{\"data\":\"2\"}\n{\"data\":\"\"}\n";
    let answer = post(&hub.address, "/topics/a", NDJSON, body).await.json();
    assert_eq!((&answer["count"], &answer["first"]), (&3.into(), &"i1".into()));
    let page = page(&hub.address, "/topics/a").await;
    assert_eq!(data(&page), ["1", "2", ""]);
    assert_eq!(page["updates"][2]["id"], answer["last"]);
    assert_eq!(page["updates"][0]["retry"], 900);
    assert_eq!(page["updates"][0]["type"], "t");

    let body = "data: 3\nid: i3\nevent: t\nretry: 900\n\n: comment\ndata: 4\ndata\n\n";
    let answer = post(&hub.address, "/topics/a", EVENTS, body).await.json();
    assert_eq!((&answer["count"], &answer["first"]), (&2.into(), &"i3".into()));
}

#[tokio::test]
async fn parameters_of_one_update_are_refused_for_many() {
    let hub = HubProcess::start(&[]);
    for (content_type, body) in [(NDJSON, "{\"data\":\"1\"}\n"), (EVENTS, "data: 1\n\n")] {
        for parameter in ["type=t", "id=i", "retry=100"] {
            let answer = post(&hub.address, &format!("/topics/a?{parameter}"), content_type, body).await;
            let (name, _) = parameter.split_once('=').expect("a parameter has a value");
            answer.refusal(400, name);
        }
    }
    is_empty(&hub, "/topics/a").await;
}

#[tokio::test]
async fn a_line_that_is_no_update_is_refused_with_its_number() {
    let hub = HubProcess::start(&[]);
    for (number, line) in [
        "{\"data\":\"x\",\"foo\":1}",
        "{\"data\":1}",
        "{\"data\":null}",
        "{\"data\":\"x\",\"retry\":-1}",
        "{\"data\":\"x\",\"retry\":1.5}",
        "{\"data\":\"x\",\"retry\":\"1\"}",
        "{\"data\":\"x\",\"type\":\"a\\nb\"}",
        "{\"data\":\"x\",\"type\":\"a\\u0000b\"}",
        "{\"data\":\"x\",\"id\":\"a\\nb\"}",
        "{\"data\":\"x\",\"id\":\" a\"}",
        "{\"data\":\"x\",\"id\":\"\\u00e9\"}",
        "{\"data\":\"x\",\"topic\":\"other\"}",
        "{\"data\":\"x\"",
        "{\"data\":\"x\"} {\"data\":\"y\"}",
        "{\"data\":\"\\ud800\"}",
        "[\"x\"]",
        "\"x\"",
        "x",
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("/topics/{number}");
        let body = format!("{{\"data\":\"before\"}}\n{line}\n{{\"data\":\"after\"}}\n");
        let refusal = post(&hub.address, &target, NDJSON, body).await.refusal(400, "");
        assert_eq!((&refusal["count"], &refusal["line"]), (&1.into(), &2.into()), "{line}: {refusal}");
        let page = page(&hub.address, &target).await;
        assert_eq!(data(&page), ["before"], "{line}");
        assert_eq!(page["updates"][0]["id"], refusal["last"], "{line}");
    }
}

#[tokio::test]
async fn a_line_may_repeat_the_topic_and_any_time() {
    let hub = HubProcess::start(&[]);
    let body = "{\"topic\":\"a/é\",\"data\":\"1\",\"time\":\"2001-01-01T00:00:00Z\"}\r\n{\"data\":\"2\",\"time\":5}\n";
    let answer = post(&hub.address, "/topics/a/%C3%A9", NDJSON, body).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let page = page(&hub.address, "/topics/a/%C3%A9").await;
    assert_eq!(data(&page), ["1", "2"]);
    let time = page["updates"][0]["time"].as_str().expect("a time");
    assert!(!time.starts_with("2001"), "the time is the hub's: {time}");
}

#[tokio::test]
async fn an_item_of_history_can_be_published_again_elsewhere() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a?id=i1&type=t&retry=300", "1\n2").await;
    let item = page(&hub.address, "/topics/a").await["updates"][0].to_string();
    let other = HubProcess::start(&[]);
    let answer = post(&other.address, "/topics/a", NDJSON, item + "\n").await;
    assert_eq!(answer.json()["first"], "i1", "{answer:?}");
}

/// A topic on a hub with two updates of it and two of a publisher, and a close.
async fn original() -> HubProcess {
    let hub = HubProcess::start(&[]);
    for target in
        ["/topics/t", "/topics/t?type=x&retry=500", "/topics/t?id=i-1", "/topics/t?id=i-2&type=ping"]
    {
        say(&hub.address, target, target).await;
    }
    post(&hub.address, "/topics/t?close=done", TEXT, "").await.json();
    hub
}

/// The kept updates of `t`, without the IDs of the hub and the times.
async fn kept(hub: &HubProcess) -> Vec<serde_json::Value> {
    let mut page = page(&hub.address, "/topics/t").await;
    let updates = page["updates"].as_array_mut().expect("updates");
    for update in &mut *updates {
        let update = update.as_object_mut().expect("an object");
        update.remove("time");
        if update["id"].as_str().is_some_and(is_hub_id) {
            update.remove("id");
        }
    }
    updates.clone()
}

#[tokio::test]
async fn a_hubs_stream_is_published_on_another_once() {
    let original = original().await;
    for query in ["from=start", "from=start&fields=topic", "from=start&heartbeat=event"] {
        let mut stream = Stream::open(&original.address, &format!("/topics/t?{query}"), &[]).await;
        let mut body = String::new();
        while let Some(block) = stream.until("\n\n").await {
            body.push_str(&block);
        }
        let other = HubProcess::start(&[]);
        let first = post(&other.address, "/topics/t", EVENTS, &body).await;
        assert_eq!(first.status(), 200, "{query}: {first:?}");
        assert_eq!(kept(&other).await, kept(&original).await, "{query}");
        // Once more, or a part of it: nothing is appended, and nothing is a conflict.
        let from_the_second = body.split_once("\n\n").expect("blocks").1;
        for body in [&body, from_the_second] {
            let again = post(&other.address, "/topics/t", EVENTS, body).await;
            assert_eq!(again.status(), 200, "{query}: {again:?}");
            assert_eq!(kept(&other).await.len(), 5, "{query}");
        }
    }
}

#[tokio::test]
async fn a_hubs_history_is_published_on_another_once() {
    let original = original().await;
    let page = page(&original.address, "/topics/t").await;
    let items = page["updates"].as_array().expect("updates");
    let body: String = items
        .iter()
        .enumerate()
        .map(|(sequence, item)| {
            let mut item = item.clone();
            item["sequence"] = (sequence + 1).into();
            format!("{item}\n")
        })
        .collect();
    let other = HubProcess::start(&[]);
    for _ in 0..2 {
        let answer = post(&other.address, "/topics/t", NDJSON, &body).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(kept(&other).await, kept(&original).await);
    }
}

#[tokio::test]
async fn a_gap_of_another_hub_is_told_to_the_subscribers_of_this_one() {
    let original = HubProcess::start(&[]);
    say(&original.address, "/topics/t", "1").await;
    let mut stream = Stream::open(&original.address, "/topics/t", &[("last-event-id", "unknown")]).await;
    let body = stream.until("\n\n").await.expect("a gap") + &stream.until("\n\n").await.expect("an event");
    let other = HubProcess::start(&[]);
    assert_eq!(post(&other.address, "/topics/t", EVENTS, &body).await.json()["count"], 2);
    let mut told = Stream::open(&other.address, "/topics/t?from=start", &[]).await;
    let gap = told.event().await;
    assert_eq!((&*gap.event_type, &gap.json()["reason"]), ("upstream-gap", &"unknown-id".into()));
    assert_eq!(told.event().await.data, "1");
}

#[tokio::test]
async fn an_update_of_another_topic_is_refused_in_a_stream_as_in_ndjson() {
    let hub = HubProcess::start(&[]);
    for (content_type, body) in [
        (EVENTS, "data: 1\n\ntopic: b\ndata: 2\n\n"),
        (NDJSON, "{\"data\":\"1\"}\n{\"topic\":\"b\",\"data\":\"2\"}\n"),
    ] {
        let refused = post(&hub.address, "/topics/a", content_type, body).await.refusal(400, "\"b\"");
        assert_eq!(refused["count"], 1, "{refused}");
    }
}

#[tokio::test]
async fn a_subscription_cannot_be_published_to() {
    let hub = HubProcess::start(&[]);
    for target in ["/topics/*", "/topics/a/*", "/topics/a*b", "/topics/a%2A", "/topics/a%2F%2A"] {
        post(&hub.address, target, TEXT, "x").await.refusal(400, "*");
    }
    let answer = ask(&hub.address, "POST", "/topics?topic=a", &[TEXT], "x").await;
    assert_eq!(answer.status(), 400, "{answer:?}");
    is_empty(&hub, "/topics/*").await;
}
