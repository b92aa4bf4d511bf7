//! The token that `tidings publish`, `tidings subscribe`, `tidings doctor` and the Rust client send to a hub.
//!
//! `TIDINGS_RECONNECTS` and `TIDINGS_EXPIRIES` make the last test longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{fs, net::SocketAddr, time::Duration};

use scripted_server::{Server, response};
use support::{
    HubProcess,
    program::{tidings, tidings_in},
    wire,
};
use tempfile::TempDir;
use tidings_client::{EventSource, Item};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

const STREAM: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTidings-Hub: 1";
const RECEIPT: &str = "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2";

/// A directory with a token in a file, and the path of that.
fn with_token(token: &str) -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, token).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

fn credentials(server: &Server) -> Vec<Option<String>> {
    server.requests().iter().map(|request| request.header("authorization").map(str::to_owned)).collect()
}

#[tokio::test]
async fn the_hub_gets_the_token_of_the_file_or_otherwise_of_the_variable() {
    let (_directory, file) = with_token("of-file\n");
    let variable = [("TIDINGS_TOKEN", "of-variable")];
    for (environment, flags, expected) in [
        (&variable[..], &[][..], "Bearer of-variable"),
        (&variable, &["--token-file", &file], "Bearer of-file"),
        (&[("TIDINGS_TOKEN", "of-variable"), ("TIDINGS_TOKEN_FILE", &file)], &[], "Bearer of-file"),
    ] {
        let server = Server::start([response(RECEIPT).send("{}")]).await;
        let hub = server.url("");
        let publish = [&["publish", "t", "x", "--hub", &hub], flags].concat();
        assert_eq!(tidings_in(environment, &publish, "").await.code, Some(0));
        assert_eq!(credentials(&server), [Some(expected.to_owned())]);

        let server = Server::start([response(STREAM).send("data: 1\nid: 1\n\n")]).await;
        let hub = server.url("");
        let subscribe = [&["subscribe", "t", "--initial-retry", "10ms", "--hub", &hub], flags].concat();
        assert_eq!(tidings_in(environment, &subscribe, "").await.out, "1\n");
        assert_eq!(credentials(&server)[0], Some(expected.to_owned()));
    }
}

#[tokio::test]
async fn another_server_gets_no_token_and_a_credential_of_the_command_line_counts_instead() {
    let (_directory, file) = with_token("of-file");
    let server = Server::start_with(|_| response(STREAM).send("data: 1\n\n")).await;
    let stream = server.url("/events");
    for (flags, expected) in [
        (&["--token-file", &file][..], None),
        (&["-H", "Authorization: Bearer own", "--hub", &server.url("")], Some("Bearer own")),
        (&["-u", "a:b", "--hub", &server.url("")], Some("Basic YTpi")),
        (&["--token-file", &file, "--hub", &server.url("")], Some("Bearer of-file")),
    ] {
        let before = server.requests().len();
        let line = [&["subscribe", &stream, "--once"], flags].concat();
        let outcome = tidings_in(&[("TIDINGS_TOKEN", "of-variable")], &line, "").await;
        assert_eq!(credentials(&server)[before..], [expected.map(str::to_owned)], "{flags:?}");
        assert_eq!(
            outcome.err.contains("is not sent to another server"),
            expected.is_none(),
            "{}",
            outcome.err
        );
    }
}

#[tokio::test]
async fn the_file_is_read_again_for_each_attempt_and_a_second_refusal_is_the_last() {
    let (_directory, file) = with_token("first");
    let path = file.clone();
    let server = Server::start_with(move |request| {
        fs::write(&path, "second").unwrap();
        if request.header("authorization") == Some("Bearer first") {
            response("HTTP/1.1 401 Unauthorized\nContent-Length: 0")
        } else if request.header("last-event-id").is_some() {
            response("HTTP/1.1 204 No Content")
        } else {
            response(STREAM).send("data: 1\nid: 1\n\n")
        }
    })
    .await;
    let line = ["subscribe", "t", "--initial-retry", "10ms", "--token-file", &file, "--hub", &server.url("")];
    let outcome = tidings(&line, "").await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "1\n"), "{}", outcome.err);

    let server = Server::start_with(|_| response("HTTP/1.1 401 Unauthorized\nContent-Length: 0")).await;
    let line = ["subscribe", "t", "--token-file", &file, "--hub", &server.url("")];
    let outcome = tidings(&line, "").await;
    assert_ne!(outcome.code, Some(0));
    assert_eq!(server.requests().len(), 2, "{}", outcome.err);
}

#[tokio::test]
async fn no_token_is_in_any_output() {
    let (_directory, file) = with_token("hunter2");
    let refuse = || Server::start_with(|_| response("HTTP/1.1 401 Unauthorized\nContent-Length: 0"));
    for token in ["hunter2", "hunter2 hunter2", "hunter2\nhunter2", "hünter2"] {
        let server = refuse().await;
        let hub = server.url("");
        fs::write(&file, token).unwrap();
        for line in [
            &["publish", "t", "x", "--hub", &hub, "--token-file", &file][..],
            &["publish", "t", "x", "--hub", &hub],
            &["subscribe", "t", "--hub", &hub, "--token-file", &file],
            &["subscribe", "t", "--hub", &hub, "--json", "--exec", "env; ps -o args"],
            &["doctor", &hub, "--token-file", &file, "--json"],
            &["doctor", &format!("{hub}/?token=hunter2"), "--token-file", &file],
        ] {
            let environment: &[_] =
                if line.contains(&"--token-file") { &[] } else { &[("TIDINGS_TOKEN", token)] };
            let outcome = tidings_in(environment, line, "").await;
            assert_ne!(outcome.code, Some(0), "{line:?}");
            assert!(
                !outcome.out.contains("hunter2") && !outcome.err.contains("nter2"),
                "{line:?}: {}",
                outcome.err
            );
        }
    }
}

#[tokio::test]
async fn a_file_without_a_token_is_named_with_the_rule() {
    let (directory, file) = with_token(" \n");
    let missing = directory.path().join("missing");
    for (file, words) in [(&*file, "one word of ASCII"), (missing.to_str().unwrap(), "cannot read the token")]
    {
        let outcome = tidings(&["publish", "t", "x", "--token-file", file], "").await;
        assert_eq!(outcome.code, Some(1), "{}", outcome.err);
        assert!(outcome.err.contains(file) && outcome.err.contains(words), "{}", outcome.err);
    }
}

/// A way to a hub that is cut when the test says so.
async fn way(hub: String) -> (SocketAddr, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, is_cut) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (hub, mut is_cut) = (hub.clone(), is_cut.clone());
            is_cut.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(hub).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = is_cut.changed() => {}
                }
            });
        }
    });
    (address, cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_comes_once_through_reconnections_and_expiries() {
    let size = |name: &str, default| std::env::var(name).map_or(default, |size| size.parse().unwrap());
    let (reconnects, expiries) = (size("TIDINGS_RECONNECTS", 30), size("TIDINGS_EXPIRIES", 1));
    let (_directory, key) = with_token(&tidings(&["token", "key"], "").await.out);
    let hub = HubProcess::start(&["--retry", "100ms", "--key-file", &key]);
    let (address, cut) = way(hub.address.clone()).await;
    let mint = |key: String, flags: &'static [&'static str]| async move {
        let token = tidings(&[&["token", "mint", "--key-file", &key], flags].concat(), "").await;
        token.out.trim_end().to_owned()
    };
    let publisher = format!("Bearer {}", mint(key.clone(), &["--publish", "a", "--for", "1h"]).await);
    let mut source = EventSource::get(&format!("http://{address}/topics/a"))
        .unwrap()
        .with_max_backoff(Duration::from_millis(10))
        .with_token(move |_| {
            let token = mint(key.clone(), &["--read", "a", "--for", "15s"]);
            async move { Ok(token.await) }
        });
    let (mut next, mut published, mut cuts, mut expired, mut renewed) = (0, 0, 0, 0, 0);
    // `start` is the place from which the first cut resumes.
    while source.last_event_id().is_empty() {
        source.next().await.unwrap().unwrap();
    }
    while expired < expiries || next < published {
        if next == published {
            let line: String =
                (published..published + 10).map(|data| format!("{{\"data\":\"{data}\"}}\n")).collect();
            let headers = [("authorization", &*publisher), ("content-type", "application/x-ndjson")];
            assert_eq!(wire::ask(&hub.address, "POST", "/topics/a", &headers, &line).await.status(), 200);
            published += 10;
            if cuts * expiries < reconnects * (expired + 1) {
                cut.send_replace(());
                cuts += 1;
            }
        }
        let item = tokio::time::timeout(Duration::from_secs(60), source.next()).await.expect("an item comes");
        match item.unwrap().unwrap() {
            Item::Event(event) if event.data().contains("\"expires\"") => expired += 1,
            Item::Event(event) if event.event_type() == "message" => {
                assert_eq!(event.data(), next.to_string());
                next += 1;
            }
            Item::Retrying { cause: tidings_client::Cause::Expiring, .. } => renewed += 1,
            Item::Gap(gap) => panic!("{gap:?}"),
            _ => {}
        }
    }
    println!("{published} events, {cuts} cuts, {expired} expiries, {renewed} renewals");
    assert!(cuts >= reconnects && renewed > 0);
}
