//! What only HTTP/1.1 has: `Expect`, and a connection that ends with its body.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::support::{
    HubProcess,
    wire::{Answer, EVENTS, NDJSON, TEXT, Wire, data, head, page},
};

#[tokio::test]
async fn a_client_that_expects_100_is_refused_before_it_sends() {
    let hub = HubProcess::start(&[]);
    for (target, headers, status) in [
        ("/topics/a", vec![TEXT, ("origin", "https://evil.example")], 403),
        ("/topics/a%00", vec![TEXT], 400),
        ("/topics/a", vec![("content-type", "multipart/mixed")], 415),
    ] {
        let mut all = headers;
        all.extend([("content-length", "1000000"), ("expect", "100-continue")]);
        let mut publisher = Wire::connect(&hub.address).await;
        publisher.write(head(&hub.address, "POST", target, &all)).await;
        assert_eq!(publisher.answer().await.status(), status);
    }
}

/// Sends `head` as it is, and gives back the answer.
async fn asked(hub: &HubProcess, head: &str) -> Answer {
    let mut wire = Wire::connect(&hub.address).await;
    wire.write(head).await;
    wire.answer().await
}

#[tokio::test]
async fn a_request_has_exactly_one_host_whatever_the_access_rule() {
    for flags in [&[][..], &["--anonymous", "publish,subscribe"], &["--allow-host", "hub.example"]] {
        let hub = HubProcess::start(flags);
        for target in ["/healthz", "/topics/a", "/nowhere", "http://localhost/topics/a"] {
            for hosts in
                ["", "host: localhost\r\nhost: evil.example\r\n", "host: localhost\r\nHost: localhost\r\n"]
            {
                asked(&hub, &format!("GET {target} HTTP/1.1\r\n{hosts}\r\n")).await.refusal(400, "Host");
            }
        }
        let two = "GET /healthz HTTP/1.0\r\nhost: localhost\r\nhost: localhost\r\n\r\n";
        asked(&hub, two).await.refusal(400, "Host");
    }
}

#[tokio::test]
async fn health_is_told_to_a_load_balancer_that_names_no_host() {
    // HAProxy's `option httpchk` sends HTTP/1.0 without `Host`.
    let hub = HubProcess::start(&["--allow-host", "hub.example"]);
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/topics/a", 421), ("/metrics", 421)] {
        for method in ["GET", "OPTIONS"] {
            let expected = if status == 200 && method == "OPTIONS" { 204 } else { status };
            let answer = asked(&hub, &format!("{method} {path} HTTP/1.0\r\n\r\n")).await;
            assert_eq!(answer.status(), expected, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn the_hub_as_a_whole_has_options_too() {
    let hub = HubProcess::start(&[]);
    let answer = asked(&hub, "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(answer.status(), 204, "{answer:?}");
    assert!(answer.header("allow").is_some_and(|methods| methods.contains("POST")), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_is_compressed_on_the_way_is_not_published_as_it_is() {
    let hub = HubProcess::start(&[]);
    for codings in
        ["gzip, chunked", "GZIP,Chunked", "gzip\r\ntransfer-encoding: chunked", "x-unknown, chunked"]
    {
        let request = format!(
            "POST /topics/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: {codings}\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        );
        asked(&hub, &request).await.refusal(501, "chunked");
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), [""; 0]);
    let chunked =
        "POST /topics/a HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    assert_eq!(asked(&hub, chunked).await.status(), 200);
}

#[tokio::test]
async fn what_arrived_right_before_the_cut_is_kept() {
    let hub = HubProcess::start(&[]);
    for round in 0..30 {
        for (content_type, complete, half) in [
            (EVENTS, "data: 1\n\ndata: 2\n\ndata: 3\n\n", "data: half\n"),
            (NDJSON, "{\"data\":\"1\"}\n{\"data\":\"2\"}\n{\"data\":\"3\"}\n", "{\"data\":"),
        ] {
            let target = format!("/topics/{round}/{}", content_type.1);
            let mut publisher = Wire::connect(&hub.address).await;
            let headers = [content_type, ("content-length", "1000")];
            let all = head(&hub.address, "POST", &target, &headers) + complete + half;
            publisher.write(all).await;
            // The end comes after all of it, and in order. The hub has no reason to look at it first.
            publisher.socket.shutdown().await.expect("the socket is open");
            publisher.rest().await;
            let page = page(&hub.address, &target).await;
            assert_eq!(data(&page), ["1", "2", "3"], "round {round} of {content_type:?}");
        }
    }
}

#[tokio::test]
async fn a_whole_body_is_kept_when_its_sender_hangs_up_at_once() {
    let hub = HubProcess::start(&[]);
    for round in 0..30 {
        for (content_type, update) in [(EVENTS, "data: x\n\n"), (NDJSON, "{\"data\":\"x\"}\n")] {
            let target = format!("/topics/{round}/{}", content_type.1);
            let body = update.repeat(500);
            let length = body.len().to_string();
            let mut publisher = Wire::connect(&hub.address).await;
            let headers = [content_type, ("content-length", &length)];
            publisher.write(head(&hub.address, "POST", &target, &headers) + &body).await;
            publisher.socket.shutdown().await.expect("the socket is open");
            publisher.rest().await;
            // The hub may still be at work on it.
            let deadline = Instant::now() + Duration::from_secs(2);
            loop {
                let page = page(&hub.address, &format!("{target}?limit=1000")).await;
                if data(&page).len() == 500 {
                    break;
                }
                assert!(Instant::now() < deadline, "{target}: {} of 500 kept", data(&page).len());
            }
        }
    }
}

#[tokio::test]
async fn an_attachment_over_the_limit_is_refused_before_it_is_sent() {
    let directory = tempfile::TempDir::new().expect("a place for the log");
    let path = directory.path().to_str().expect("a path of letters");
    let hub = HubProcess::start(&["--data", path, "--max-attachment", "100KiB"]);
    let mut wire = Wire::connect(&hub.address).await;
    let headers = [("content-type", "image/png"), ("content-length", "102401"), ("expect", "100-continue")];
    wire.write(head(&hub.address, "POST", "/topics/a", &headers)).await;
    wire.answer().await.refusal(413, "102400");
}
