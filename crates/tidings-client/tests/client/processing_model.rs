//! The rules of the standard's section "Processing model", one by one.

use std::time::Duration;

use tidings_client::{Error, EventId, EventSource, Item, ReadyState};
use tokio::time::Instant;

use crate::{
    server::{Server, nothing, response, stream},
    trace::{events, follow, take, trace},
};

#[tokio::test(start_paused = true)]
async fn an_event_stream_with_status_200_opens() {
    let server = Server::start([stream().send("data: a\n\n").hold()]).await;
    let mut source = EventSource::get(&server.url("/path?query")).unwrap();
    assert_eq!(source.ready_state(), ReadyState::Connecting);
    let Some(Ok(Item::Opened(head))) = source.next().await else { panic!() };
    assert_eq!(source.ready_state(), ReadyState::Open);
    assert_eq!(head.url.path(), "/path");
    assert_eq!(head.headers["content-type"], "text/event-stream");
    assert_eq!(take(&mut source, 1).await, ["message a"]);
    assert_eq!(server.requests()[0].line, "GET /path?query HTTP/1.1");
    assert_eq!(server.requests()[0].header("host"), server.url("").strip_prefix("http://"));
}

#[tokio::test(start_paused = true)]
async fn a_request_accepts_event_streams_and_no_cached_ones() {
    let server = Server::start([]).await;
    let mut source = follow(&server);
    assert!(trace(&mut source).await.is_empty());
    assert_eq!(server.requests()[0].header("accept"), Some("text/event-stream"));
    assert_eq!(server.requests()[0].header("cache-control"), Some("no-cache"));
}

#[tokio::test(start_paused = true)]
async fn status_204_ends_for_good() {
    let server = Server::start([response("HTTP/1.1 204 No Content")]).await;
    let mut source = follow(&server);
    assert!(source.next().await.is_none());
    assert_eq!(source.ready_state(), ReadyState::Closed);
    assert!(source.next().await.is_none());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn status_204_on_a_reconnection_ends_for_good() {
    let server = Server::start([stream().send("data: a\n\n")]).await;
    let mut source = follow(&server);
    assert_eq!(
        trace(&mut source).await,
        ["opened", "message a", "retrying after 3s: the server ended the response"]
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn any_other_status_fails_with_status_headers_and_body() {
    for status in
        ["201 Created", "206 Partial", "300 Choices", "304 Same", "401 Who", "404 No", "500 Oops", "503 Busy"]
    {
        let head =
            format!("HTTP/1.1 {status}\nContent-Type: text/event-stream\nContent-Length: 4\nX-Reason: mine");
        let body = if status.starts_with("304") { "" } else { "sad!" };
        let server = Server::start([response(&head).send(body)]).await;
        let mut source = follow(&server);
        let Some(Err(Error::Status(refusal))) = source.next().await else { panic!("{status}") };
        assert!(status.starts_with(refusal.status.as_str()), "{status}");
        assert_eq!(refusal.headers["x-reason"], "mine");
        assert_eq!(refusal.body, body);
        assert!(!refusal.truncated);
        assert!(source.next().await.is_none());
        assert_eq!(source.ready_state(), ReadyState::Closed);
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_content_type_fails() {
    for head in ["HTTP/1.1 200 OK\nContent-Type: text/html", "HTTP/1.1 200 OK"] {
        let server = Server::start([response(head).send("<!doctype html>")]).await;
        let mut source = follow(&server);
        let Some(Err(Error::ContentType(refusal))) = source.next().await else { panic!("{head}") };
        assert_eq!(refusal.body, "<!doctype html>");
        assert!(source.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn parameters_of_the_content_type_do_not_matter() {
    let head = "HTTP/1.1 200 OK\nContent-Type: TEXT/event-stream; charset=windows-1252";
    let server = Server::start([response(head).send("data: ü\n\n")]).await;
    assert_eq!(events(&mut follow(&server)).await, ["ü"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_content_types_counts() {
    let (stream, page) = ("Content-Type: text/event-stream", "Content-Type: text/html");
    let head =
        |lines: &[&str]| response(&format!("HTTP/1.1 200 OK\n{}", lines.join("\n"))).send("data: a\n\n");
    let server = Server::start([head(&[page, stream]), head(&[stream, page])]).await;
    let mut source = follow(&server);
    assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
    assert!(trace(&mut source).await.last().unwrap().contains("a stream opens with `text/event-stream`"));
}

#[tokio::test(start_paused = true)]
async fn a_head_is_read_as_browsers_read_it() {
    let many: String = (0..2_000).map(|number| format!("\nX-{number}: v")).collect();
    for odd in [
        many.as_str(),
        "\nX-Long: a\n  b\n\tc",
        "\nServer : x",
        "\nX[a]: x",
        "\nno colon here",
        "\n: no name",
        "\nX-Empty:",
        "\nX-Latin-1: \u{fc}",
    ] {
        let head = response(&format!("HTTP/1.1 200 OK{odd}\nContent-Type: text/event-stream"));
        let server = Server::start([head.send("data: a\n\n")]).await;
        let lines = take(&mut follow(&server), 2).await;
        assert_eq!(lines, ["opened", "message a"], "{:?}", &odd[..odd.len().min(40)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_not_collected() {
    let fields = "X-A: b\r\n".repeat(100_000);
    let line = format!("X-A: {}", "b".repeat(1_000_000));
    for endless in [fields, line] {
        let server = Server::start([nothing().send("HTTP/1.1 200 OK\r\n").send(endless).hold()]).await;
        let mut source = follow(&server);
        let line = take(&mut source, 1).await.remove(0);
        assert!(line.starts_with("retrying after 3s"), "{line}");
        server.all_closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_refusal_is_kept_up_to_64_kib() {
    let server = Server::start([response("HTTP/1.1 500 Oops").send(vec![b'x'; 70_000])]).await;
    let mut source = follow(&server);
    let Some(Err(Error::Status(refusal))) = source.next().await else { panic!() };
    assert_eq!(refusal.body.len(), 64 * 1024);
    assert!(refusal.truncated);
    server.all_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_never_ends_is_told_after_five_seconds() {
    let server = Server::start([response("HTTP/1.1 500 Oops").send("because").hold()]).await;
    let mut source = follow(&server);
    let start = Instant::now();
    let Some(Err(Error::Status(refusal))) = source.next().await else { panic!() };
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(refusal.body, "because");
    assert!(refusal.truncated);
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_reconnects_after_the_reconnection_time() {
    let server = Server::start([stream(), stream()]).await;
    let mut source = follow(&server).with_reconnection_time(Duration::from_secs(7));
    let start = Instant::now();
    take(&mut source, 2).await;
    assert_eq!(source.ready_state(), ReadyState::Connecting);
    assert_eq!(start.elapsed().as_secs(), 0);
    assert_eq!(take(&mut source, 1).await, ["opened"]);
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_reconnects() {
    for reply in [
        nothing(),
        nothing().reset(),
        nothing().send("HTTP/1.1 200 OK\r\nContent-Ty"),
        nothing().send("what?\r\n\r\n"),
    ] {
        let server = Server::start([reply, stream().send("data: a\n\n")]).await;
        let mut source = follow(&server);
        assert_eq!(
            take(&mut source, 3).await,
            ["retrying after 3s: the connection broke", "opened", "message a"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_inside_the_stream_reconnects() {
    let chunked = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked";
    for reply in [
        response(chunked).send("9\r\ndata: a\n\n\r\n"),
        stream().send("data: a\n\n").wait(Duration::from_secs(1)).reset(),
    ] {
        let server = Server::start([reply, stream()]).await;
        let mut source = follow(&server);
        assert_eq!(
            take(&mut source, 4).await,
            ["opened", "message a", "retrying after 3s: the connection broke", "opened"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_tried_again() {
    let gone = Server::start([]).await.url("/");
    let mut source = EventSource::get(&gone).unwrap();
    for line in take(&mut source, 3).await {
        assert!(
            line.starts_with("retrying after") && line.contains("cannot connect to 127.0.0.1:"),
            "{line}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_event_id_goes_with_a_reconnection() {
    let server = Server::start([stream().send("id: 7\ndata: a\n\ndata: b\n\n")]).await;
    let mut source = follow(&server);
    take(&mut source, 2).await;
    let Some(Ok(Item::Event(event))) = source.next().await else { panic!() };
    assert_eq!((event.data(), event.id(), event.last_event_id()), ("b", None, "7"));
    trace(&mut source).await;
    assert_eq!(server.requests()[0].header("last-event-id"), None);
    assert_eq!(server.requests()[1].header("last-event-id"), Some("7"));
}

#[tokio::test(start_paused = true)]
async fn an_id_without_an_event_counts() {
    let server = Server::start([stream().send("id: 7\n\n")]).await;
    let mut source = follow(&server);
    trace(&mut source).await;
    assert_eq!(server.requests()[1].header("last-event-id"), Some("7"));
}

#[tokio::test(start_paused = true)]
async fn the_id_of_an_unfinished_event_does_not_count() {
    let server = Server::start([stream().send("id: 1\ndata: a\n\nid: 2\ndata: b\n")]).await;
    let mut source = follow(&server);
    assert_eq!(events(&mut source).await, ["a"]);
    assert_eq!(server.requests()[1].header("last-event-id"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn an_empty_id_resets_the_last_event_id_and_is_not_sent() {
    let server = Server::start([stream().send("id: 7\ndata: a\n\nid\ndata: b\n\n")]).await;
    let mut source = follow(&server);
    assert_eq!(events(&mut source).await, ["a", "b"]);
    assert_eq!(source.last_event_id(), "");
    assert_eq!(server.requests()[1].header("last-event-id"), None);
}

#[tokio::test(start_paused = true)]
async fn the_last_event_id_is_sent_as_utf_8() {
    let server = Server::start([]).await;
    let id = EventId::parse("naïve–7").unwrap();
    trace(&mut follow(&server).with_last_event_id(id)).await;
    let bytes: Vec<u8> =
        server.requests()[0].header("last-event-id").unwrap().chars().map(|byte| byte as u8).collect();
    assert_eq!(bytes, "naïve–7".as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_last_event_id_that_no_header_can_carry_is_an_error() {
    let server = Server::start([stream().send("id: \u{1}\ndata: a\n\n")]).await;
    let mut source = follow(&server);
    let lines = trace(&mut source).await;
    assert!(lines[3].starts_with("error: last event id \"\\u{1}\""), "{lines:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_sets_the_reconnection_time() {
    let server = Server::start([stream().send("retry: 250\n\n"), stream()]).await;
    let mut source = follow(&server);
    let lines = take(&mut source, 4).await;
    assert_eq!(lines[1], "retrying after 250ms: the server ended the response");
    assert_eq!(source.ready_state(), ReadyState::Connecting);
}

#[tokio::test(start_paused = true)]
async fn retry_counts_from_its_line_on() {
    let server = Server::start([stream().send("retry: 250\nretry: x\ndata: cut")]).await;
    let mut source = follow(&server);
    assert_eq!(trace(&mut source).await, ["opened", "retrying after 250ms: the server ended the response"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_bytes_are_split_does_not_matter() {
    let body =
        "\u{feff}event: grüße\r\ndata: ein\r\ndata: zwei 🦀\r\nid: é\r\n\r\n: still here\r\rdata:b\n\n";
    for at_a_time in 1..=4 {
        let server = Server::start([stream().drip(body, at_a_time)]).await;
        let mut source = follow(&server).with_comments(true);
        assert_eq!(
            take(&mut source, 4).await,
            ["opened", "grüße ein\nzwei 🦀", "comment still here", "message b"],
            "{at_a_time}"
        );
        assert_eq!(source.last_event_id(), "é");
    }
}

#[tokio::test(start_paused = true)]
async fn comments_are_yielded_only_on_request() {
    let server = Server::start([stream().send(": hello\n\ndata: a\n\n")]).await;
    let mut source = follow(&server);
    assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_of_a_hub_is_an_item_of_its_own() {
    let gap = "event: gap\ndata: {\"asked\":\"a\",\"reason\":\"evicted\",\"first\":\"c\"}\nid: b\n\n";
    let hub = || response("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTidings-Hub: 1");
    let server = Server::start([hub().send(gap).send("data: x\n\n")]).await;
    let mut source = follow(&server);
    assert_eq!(take(&mut source, 3).await, ["opened", "gap evicted", "message x"]);
    assert_eq!(source.last_event_id(), "b");
}

#[tokio::test(start_paused = true)]
async fn the_names_of_a_hubs_own_events_are_ordinary_types_elsewhere() {
    let types = ["start", "gap", "close", "ping"];
    let events: String =
        types.iter().map(|name| format!("event: {name}\ndata: {{\"reason\":\"evicted\"}}\n\n")).collect();
    let server = Server::start([stream().send(events).send("data: x\n\n")]).await;
    let lines = take(&mut follow(&server), 6).await;
    let all = types.map(|name| format!("{name} {{\"reason\":\"evicted\"}}"));
    assert_eq!((&*lines[0], &lines[1..5], &*lines[5]), ("opened", &all[..], "message x"));
}

#[tokio::test(start_paused = true)]
async fn the_topic_of_an_update_is_told_where_the_server_says_it() {
    let server = Server::start([stream().send("topic: news\ndata: a\n\ndata: b\n\n")]).await;
    let mut source = follow(&server);
    take(&mut source, 1).await;
    for topic in [Some("news"), None] {
        let Some(Ok(Item::Event(event))) = source.next().await else { panic!() };
        assert_eq!(event.topic(), topic);
    }
}
