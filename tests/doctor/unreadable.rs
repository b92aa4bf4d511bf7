//! Servers whose answers cannot be read: never clean, in any form of the report.

use scripted_server::{Received, Reply, Server, nothing, response};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{doctor, rules, run, stand_in::without_stream};

const HEAD: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nCache-Control: no-cache, no-transform";

/// Things that a server does instead of answering, and how the finding names them.
fn cases() -> [(Reply, &'static str); 7] {
    [
        (nothing(), "ended before a byte"),
        (nothing().reset(), "reset before a byte"),
        (nothing().send("SSH-2.0-OpenSSH_9.2\r\n"), "begins \"SSH-2.0-OpenSSH_9.2\""),
        (nothing().send(b"\x15\x03\x01\x00\x02\x02\x46"), "speaks TLS: use https://"),
        (nothing().send(b"\0\0\0\x04\0\0\0\0\0"), "speaks HTTP/2: use --http2"),
        (
            nothing().send(
                "HTTP/1.1 200 OK\r\nX-A: a\r\n  b\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n",
            ),
            "head",
        ),
        (nothing().send("HTTP/1.1 200 OK\r\nContent-Type: text/ev"), "head"),
    ]
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_found_and_named() {
    let mut running = Vec::new();
    for (reply, named) in cases() {
        running.push((
            named,
            tokio::spawn(async move {
                let server = Server::start_with(move |_| reply.clone()).await;
                doctor(&[&server.url("/events")]).await
            }),
        ));
    }
    for (named, found) in running {
        let (code, report) = found.await.unwrap();
        assert_eq!(
            (code, rules(&report), &report["verdict"]),
            (Some(1), vec!["unreadable"], &Value::from("findings")),
            "{named}"
        );
        let measured = report["findings"][0]["measured"].as_str().unwrap();
        assert!(measured.contains(named), "{measured}");
        assert!(!report["findings"][0]["fix"]["text"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn every_form_of_the_report_says_it() {
    let server = Server::start_with(|_| nothing()).await;
    let url = server.url("/events");
    let (code, text) = run(&[&url], &[]).await;
    assert!(code == Some(1) && text.contains("S1 unreadable") && text.contains("What to change:"), "{text}");
    let (code, xml) = run(&[&url, "--junit"], &[]).await;
    assert!(
        code == Some(1) && xml.contains("failures=\"1\"") && xml.contains("name=\"unreadable\""),
        "{xml}"
    );
    let (code, sarif) = run(&[&url, "--sarif"], &[]).await;
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!((code, &sarif["runs"][0]["results"][0]["ruleId"]), (Some(1), &Value::from("unreadable")));
}

#[tokio::test]
async fn an_llm_whose_answer_cannot_be_read_is_found() {
    for (reply, named) in cases() {
        let server = Server::start_with(move |_| reply.clone()).await;
        let url = server.url("/v1/chat/completions");
        let (code, out) = run(&["llm", &url, "--model", "m", "--json"], &[]).await;
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, rules(&report)), (Some(1), vec!["unreadable"]), "{named}: {report}");
    }
}

#[tokio::test]
async fn no_tls_where_tls_is_asked_for_is_found() {
    for answer in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n"] {
        // TLS begins without the blank line that the scripted server waits for.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/events", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 4096]).await;
                let _ = socket.write_all(answer).await;
            }
        });
        let (code, report) = doctor(&[&url]).await;
        serving.abort();
        assert_eq!((code, rules(&report)), (Some(1), vec!["unreadable"]), "{report}");
        assert!(report["findings"][0]["measured"].as_str().unwrap().contains("try http://"), "{report}");
    }
}

#[tokio::test]
async fn some_answers_that_cannot_be_read_are_told_beside_the_others() {
    let script = |request: &Received| {
        if request.header("accept-encoding").is_some() {
            return nothing();
        }
        let healthy = || response(HEAD).send("retry: 3000\n:\nid: 1\ndata: a\n\n").hold();
        without_stream(request).unwrap_or_else(healthy)
    };
    let server = Server::start_with(script).await;
    let (code, report) = doctor(&[&server.url("/events")]).await;
    // On a busy machine there may be others besides, of streams that came late.
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["rule"] == "unreadable-at-times");
    assert_eq!((code, found.is_some()), (Some(1), true), "{report}");
    let measured = found.unwrap()["measured"].as_str().unwrap();
    assert!(measured.starts_with("2 of ") && measured.contains("Accept-Encoding"), "{measured}");
    let missing = report["not_measured"].to_string();
    assert!(
        missing.contains("with Accept-Encoding: gzip") && missing.contains("ended before a byte"),
        "{missing}"
    );
}

#[tokio::test]
async fn many_fields_in_a_head_are_no_fault() {
    let many: String = (0..300).map(|number| format!("\nX-{number}: v")).collect();
    let script = move |request: &Received| {
        let healthy = || response(&format!("{HEAD}{many}")).send("retry: 3000\n:\nid: 1\ndata: a\n\n").hold();
        without_stream(request).unwrap_or_else(healthy)
    };
    let server = Server::start_with(script).await;
    let (_, report) = doctor(&[&server.url("/events")]).await;
    assert!(!rules(&report).iter().any(|rule| rule.starts_with("unreadable")), "{report}");
    assert!(!report["numbers"]["ttfb_ms"].is_null(), "{report}");
}

#[tokio::test]
async fn keys_stay_with_their_origin_and_a_scheme_in_capitals_is_one() {
    let healthy = || response(HEAD).send("retry: 3000\n:\nid: 1\ndata: a\n\n").hold();
    let other = Server::start_with(move |request| without_stream(request).unwrap_or_else(healthy)).await;
    let there = other.url("/there").replace("http:", "HTTP:");
    let server = Server::start_with(move |_| {
        response(&format!("HTTP/1.1 302 Found\nLocation: {there}\nContent-Length: 0"))
    })
    .await;
    let url = server.url("/events").replace("http:", "HTTP:");
    let (_, report) = doctor(&[&url, "-H", "X-Api-Key: secret"]).await;
    assert!(rules(&report).contains(&"redirect"), "{report}");
    assert!(server.requests().iter().all(|request| request.header("x-api-key") == Some("secret")));
    let asked = other.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.header("x-api-key").is_none()));
}
