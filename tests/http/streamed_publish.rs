//! A body that is still being sent: each update is published as soon as it has arrived.

use std::time::Duration;

use crate::support::{
    HubProcess,
    wire::{EVENTS, NDJSON, Stream, TEXT, Wire, data, head, is_hub_id, page, post, say},
};
use tokio::io::AsyncWriteExt;

/// Starts a chunked publish, and leaves its body open.
async fn begin(hub: &HubProcess, target: &str, content_type: (&str, &str)) -> Wire {
    let mut wire = Wire::connect(&hub.address).await;
    let headers = [content_type, ("transfer-encoding", "chunked")];
    wire.write(head(&hub.address, "POST", target, &headers)).await;
    wire
}

#[tokio::test]
async fn each_event_is_visible_before_the_request_ends() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let mut publisher = begin(&hub, "/topics/a", EVENTS).await;
    for number in 0..10 {
        publisher.write_chunk(format!("event: t\ndata: {number}\n\n")).await;
        assert_eq!(stream.event().await.data, number.to_string());
    }
    publisher.write_chunk("").await;
    assert_eq!(publisher.answer().await.json()["count"], 10);
}

#[tokio::test]
async fn each_line_is_visible_before_the_request_ends() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let mut publisher = begin(&hub, "/topics/a", NDJSON).await;
    for number in 0..10 {
        publisher.write_chunk(format!("{{\"data\":\"{number}\"}}\n")).await;
        assert_eq!(stream.event().await.data, number.to_string());
    }
    publisher.write_chunk("").await;
    assert_eq!(publisher.answer().await.json()["count"], 10);
}

#[tokio::test]
async fn a_body_with_a_length_is_streamed_too() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let mut publisher = Wire::connect(&hub.address).await;
    let headers = [EVENTS, ("content-length", "18")];
    publisher.write(head(&hub.address, "POST", "/topics/a", &headers)).await;
    publisher.write("data: 1\n\n").await;
    assert_eq!(stream.event().await.data, "1");
    publisher.write("data: 2\n\n").await;
    assert_eq!(publisher.answer().await.json()["count"], 2);
    assert_eq!(stream.event().await.data, "2");
}

#[tokio::test]
async fn an_update_sent_byte_by_byte_is_whole() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    for (content_type, body, expected) in [
        (EVENTS, "data: é🎉\r\ndata: 漢\r\n\r\ndata: 2\r\r", ["é🎉\n漢", "2"]),
        (NDJSON, "{\"data\":\"é🎉\\n漢\"}\r\n{\"data\":\"2\"}\n", ["é🎉\n漢", "2"]),
    ] {
        let mut publisher = begin(&hub, "/topics/a", content_type).await;
        for byte in body.bytes() {
            publisher.write_chunk([byte]).await;
        }
        publisher.write_chunk("").await;
        let answer = publisher.answer().await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert_eq!(answer.json()["count"], 2);
        assert_eq!(stream.data(2).await, expected);
    }
}

#[tokio::test]
async fn one_update_sent_byte_by_byte_in_chunks_is_one_update() {
    let hub = HubProcess::start(&[]);
    let mut publisher = begin(&hub, "/topics/a", TEXT).await;
    for byte in "é🎉\nx".bytes() {
        publisher.write_chunk([byte]).await;
    }
    publisher.write_chunk("").await;
    assert_eq!(publisher.answer().await.status(), 200);
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["é🎉\nx"]);
}

#[tokio::test]
async fn a_connection_that_is_cut_keeps_what_was_complete() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    for (content_type, complete, half) in [
        (EVENTS, "data: kept\n\n", "data: half\n"),
        (EVENTS, "data: kept\n\n", "data: half"),
        (NDJSON, "{\"data\":\"kept\"}\n", "{\"data\":\"half\"}"),
        (NDJSON, "{\"data\":\"kept\"}\n", "{\"data\":\"half\""),
        (TEXT, "", "half"),
    ] {
        let mut publisher = begin(&hub, "/topics/a", content_type).await;
        if !complete.is_empty() {
            publisher.write_chunk(complete).await;
            assert_eq!(stream.event().await.data, "kept");
        }
        publisher.write_chunk(half).await;
        drop(publisher);
        say(&hub.address, "/topics/a", "marker").await;
        assert_eq!(stream.event().await.data, "marker", "nothing of {half:?}");
    }
    say(&hub.address, "/topics/a", "end").await;
    assert_eq!(stream.event().await.data, "end");
}

#[tokio::test]
async fn a_chunk_that_breaks_keeps_what_was_complete() {
    let hub = HubProcess::start(&[]);
    let mut stream = Stream::live(&hub.address, "/topics/a").await;
    let mut publisher = begin(&hub, "/topics/a", EVENTS).await;
    publisher.write_chunk("data: kept\n\ndata: ha").await;
    assert_eq!(stream.event().await.data, "kept");
    publisher.write("zz\r\nlf\n\n\r\n0\r\n\r\n").await;
    let answer = String::from_utf8(publisher.rest().await).expect("answers are text");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["kept"]);
}

/// Publishes each body, which must keep two updates and be refused at its line.
async fn refused_after_two(bodies: &[(&str, u64)]) {
    let hub = HubProcess::start(&[]);
    for (number, (body, line)) in bodies.iter().enumerate() {
        let target = format!("/topics/{number}");
        let refusal = post(&hub.address, &target, EVENTS, body).await.refusal(400, "");
        assert_eq!(refusal["count"], 2, "{body:?}: {refusal}");
        let page = page(&hub.address, &target).await;
        assert_eq!(data(&page), ["1", "2"], "{body:?}");
        assert_eq!(page["updates"][1]["id"], refusal["last"], "{body:?}");
        assert_eq!(refusal["line"], *line, "{body:?}: {refusal}");
    }
}

#[tokio::test]
async fn a_refused_event_names_count_last_and_line() {
    refused_after_two(&[
        ("data: 1\n\ndata: 2\n\nretry: soon\ndata: 3\n\n", 5),
        ("data: 1\n\ndata: 2\n\ndata: 3\nretry: 1.5\n\n", 6),
        ("data: 1\n\n: c\ndata: 2\n\nid: a\0b\ndata: 3\n\n", 6),
        ("\u{feff}data: 1\r\rdata: 2\r\runknown: x\rdata: 3\r\r", 5),
        ("data: 1\r\n\r\ndata: 2\r\n\r\ndata: 3\r\nRetry: 1\r\n\r\n", 6),
    ])
    .await;
}

#[tokio::test]
async fn a_refused_id_or_type_names_the_line_that_ends_its_block() {
    refused_after_two(&[
        ("data: 1\r\n\r\ndata: 2\r\n\r\nid:  a\r\ndata: 3\r\n\r\n", 7),
        ("data: 1\r\rdata: 2\r\rdata: 3\rid: \u{e9}\r\r", 7),
        ("data: 1\n\ndata: 2\n\nevent: a\u{7}\ndata: 3\n\n", 7),
        ("data: 1\n\ndata: 2\n\nevent: gap\ndata: 3\n\n", 7),
    ])
    .await;
}

#[tokio::test]
async fn a_block_without_its_blank_line_is_refused_with_its_line() {
    let hub = HubProcess::start(&[]);
    for (body, lines) in [("data: 1\n\ndata: 2\n", [3, 4]), ("data: 1\n\ndata: 2", [3, 3])] {
        let refusal = post(&hub.address, "/topics/a", EVENTS, body).await.refusal(400, "");
        assert_eq!(refusal["count"], 1, "{refusal}");
        // The block's first line, or the one that should have been blank.
        let line = refusal["line"].as_u64().expect("the refusal names the line");
        assert!((lines[0]..=lines[1]).contains(&line), "{body:?}: {refusal}");
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["1", "1"]);
}

#[tokio::test]
async fn a_refusal_of_the_first_update_counts_none() {
    let hub = HubProcess::start(&[]);
    for (content_type, body) in [(NDJSON, "x\n"), (EVENTS, "retry: x\n\n")] {
        let refusal = post(&hub.address, "/topics/a", content_type, body).await.refusal(400, "");
        assert_eq!((&refusal["count"], &refusal["line"]), (&0.into(), &1.into()), "{refusal}");
        assert!(refusal["last"].is_null(), "{refusal}");
    }
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_rest_of_the_body() {
    let hub = HubProcess::start(&[]);
    let mut publisher = begin(&hub, "/topics/a", NDJSON).await;
    publisher.write_chunk("{\"data\":\"1\"}\nnonsense\n").await;
    assert_eq!(publisher.answer().await.refusal(400, "")["line"], 2);
}

#[tokio::test]
async fn a_line_that_never_ends_is_too_large() {
    let hub = HubProcess::start(&["--max-data", "64KiB"]);
    for (content_type, start) in [(NDJSON, "{\"data\":\""), (EVENTS, "data: "), (EVENTS, ": "), (TEXT, "x")] {
        let mut publisher = begin(&hub, "/topics/a", content_type).await;
        publisher.write_chunk(start).await;
        let before = hub.resident_bytes();
        let piece = "x".repeat(64 << 10);
        // 64 MiB, unless the hub stops reading: it must not collect what it will refuse.
        for _ in 0..1024 {
            let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
            let written = publisher.socket.write_all(chunk.as_bytes());
            match tokio::time::timeout(Duration::from_millis(500), written).await {
                Ok(Ok(())) => {}
                _ => break,
            }
        }
        let grown = hub.resident_bytes().saturating_sub(before);
        assert!(grown < 8 << 20, "{content_type:?} {start:?} grew the hub by {grown} bytes");
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), [""; 0]);
}

#[tokio::test]
async fn a_shutdown_answers_at_once_with_what_is_kept() {
    for (content_type, update, half) in
        [(EVENTS, "data: 1\n\n", "data: ha"), (NDJSON, "{\"data\":\"1\"}\n", "{\"data\":")]
    {
        let hub = HubProcess::start(&[]);
        let mut stream = Stream::live(&hub.address, "/topics/a").await;
        let mut publisher = begin(&hub, "/topics/a", content_type).await;
        publisher.write_chunk(update).await;
        let event = stream.event().await;
        publisher.write_chunk(half).await;
        let killed = std::process::Command::new("kill").arg(hub.id().to_string()).status();
        assert!(killed.expect("kill is there").success());
        // At the end of the time that the hub gives its connections there would be no answer.
        let answer = publisher.answer().await;
        let problem = answer.refusal(503, "shutting down");
        assert_eq!((&problem["count"], &problem["last"]), (&1.into(), &event.id.into()), "{problem}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
}

#[tokio::test]
async fn an_id_holds_for_its_block_only() {
    let hub = HubProcess::start(&[]);
    let answer = post(&hub.address, "/topics/a", EVENTS, "id: i1\ndata: 1\n\ndata: 2\n\n").await.json();
    assert_eq!((&answer["count"], &answer["first"]), (&2.into(), &"i1".into()));
    assert!(answer["last"].as_str().is_some_and(is_hub_id), "the second gets one from the hub: {answer}");
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on() {
    let hub = HubProcess::start(&[]);
    for (content_type, body) in [(TEXT, "hello"), (EVENTS, "data: x\n\n"), (NDJSON, "{\"data\":\"x\"}\n")] {
        let mut publisher = Wire::connect(&hub.address).await;
        let length = body.len().to_string();
        let headers = [content_type, ("content-length", &length), ("expect", "100-continue")];
        publisher.write(head(&hub.address, "POST", "/topics/a", &headers)).await;
        assert!(publisher.head().await.starts_with("HTTP/1.1 100 "), "{content_type:?}");
        publisher.write(body).await;
        assert_eq!(publisher.answer().await.status(), 200);
    }
}
