//! `tidings subscribe` and `tidings publish` as their users see them: flags, output, exit codes.

mod support;

use std::process::Stdio;

use scripted_server::{Server, response, stream};
use serde_json::{Value, json};
use support::{
    HubProcess,
    program::{Outcome, tidings, tidings_in},
};
use tokio::{io::AsyncWriteExt, process::Command};

async fn subscribe(server: &Server, arguments: &[&str]) -> Outcome {
    let url = server.url("/stream");
    let arguments: Vec<&str> =
        ["subscribe", &url, "--initial-retry", "1ms"].iter().chain(arguments).copied().collect();
    tidings(&arguments, "").await
}

#[tokio::test]
async fn data_goes_to_stdout_and_the_connection_to_stderr() {
    let server = Server::start([stream().send("data: a\ndata: b\n\nevent: t\nid: 1\ndata:\n\n")]).await;
    let outcome = subscribe(&server, &[]).await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "a\nb\n\n"));
    assert!(outcome.err.contains("the server ended the response"), "{}", outcome.err);
}

#[tokio::test]
async fn json_tells_everything_in_order() {
    let server =
        Server::start([stream().send(": hi\ndata: a\n\nid: 7\nevent: t\ndata: b\n\ndata: c\n\n")]).await;
    let outcome = subscribe(&server, &["--json", "--comments"]).await;
    assert_eq!(outcome.kinds(), ["open", "comment", "event", "event", "event", "error", "closed"]);
    let lines = outcome.json();
    assert_eq!(lines[1], json!({ "kind": "comment", "comment": "hi" }));
    assert_eq!(lines[2], json!({ "kind": "event", "type": "message", "data": "a", "id": "" }));
    assert_eq!(lines[3], json!({ "kind": "event", "type": "t", "data": "b", "id": "7" }));
    // The last event ID stays, as a browser shows it.
    assert_eq!(lines[4], json!({ "kind": "event", "type": "message", "data": "c", "id": "7" }));
    assert_eq!((&lines[5]["fatal"], &lines[5]["status"]), (&json!(false), &Value::Null));
    assert_eq!(lines[6], json!({ "kind": "closed" }));
    assert_eq!(server.requests()[1].header("last-event-id"), Some("7"));
}

#[tokio::test]
async fn a_refusal_is_fatal_and_says_its_status() {
    let server = Server::start([response("HTTP/1.1 401 Unauthorized\nContent-Length: 0")]).await;
    let outcome = subscribe(&server, &["--json"]).await;
    assert_eq!((outcome.code, outcome.json().len()), (Some(1), 1));
    let line = &outcome.json()[0];
    assert_eq!(
        (&line["kind"], &line["fatal"], &line["status"]),
        (&json!("error"), &json!(true), &json!(401))
    );
    assert!(outcome.err.starts_with("tidings: "), "{}", outcome.err);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_unless_strict() {
    let busy = || response("HTTP/1.1 503 Service Unavailable\nContent-Length: 0");
    let server = Server::start([busy(), stream().send("data: a\n\n")]).await;
    let outcome = subscribe(&server, &["--json"]).await;
    assert_eq!(outcome.kinds()[..3], ["error", "open", "event"]);
    assert_eq!(outcome.json()[0]["status"], 503);

    let server = Server::start([busy(), stream().send("data: a\n\n")]).await;
    let outcome = subscribe(&server, &["--json", "--strict"]).await;
    assert_eq!((outcome.code, outcome.kinds()), (Some(1), vec!["error".to_owned()]));
}

#[tokio::test]
async fn once_reads_one_response() {
    let server = Server::start([stream().send("data: a\n\n"), stream().send("data: b\n\n")]).await;
    let outcome = subscribe(&server, &["--once"]).await;
    assert_eq!((outcome.code, &*outcome.out, server.requests().len()), (Some(0), "a\n", 1));
}

#[tokio::test]
async fn a_post_carries_what_curl_would_send_and_is_not_repeated() {
    let server = Server::start([stream().send("data: a\n\ndata: [DONE]\n\n")]).await;
    let outcome =
        subscribe(&server, &["-X", "POST", "-d", "{\"stream\": true}", "-H", "Authorization: Bearer k"])
            .await;
    assert_eq!((outcome.code, &*outcome.out, server.requests().len()), (Some(0), "a\n[DONE]\n", 1));
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /stream HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer k"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body, b"{\"stream\": true}");
}

#[tokio::test]
async fn a_post_with_an_idempotency_key_is_repeated() {
    let server = Server::start([stream().send("data: a\n\n"), stream().send("data: b\n\n")]).await;
    let outcome = subscribe(&server, &["-d", "x=1", "-H", "Idempotency-Key: k"]).await;
    assert_eq!((outcome.code, &*outcome.out, server.requests().len()), (Some(0), "a\nb\n", 3));
}

#[tokio::test]
async fn user_and_password_are_sent_and_never_shown() {
    let basic = Some("Basic dXNlcjpzZWNyZXQ=");
    let server = Server::start([]).await;
    subscribe(&server, &["-u", "user:secret"]).await;
    let refusal = || response("HTTP/1.1 403 Forbidden\nContent-Length: 0");
    let refusing = Server::start([refusal(), refusal()]).await;
    let url = refusing.url("/stream").replace("//", "//user:secret@");
    let subscribed = tidings(&["subscribe", &url, "--json"], "").await;
    let published = tidings(&["publish", "t", "x", "--hub", &url], "").await;
    for request in [&server.requests()[0], &refusing.requests()[0], &refusing.requests()[1]] {
        assert_eq!(request.header("authorization"), basic);
    }
    let unreachable = tidings(&["publish", "t", "x", "--hub", "http://user:secret@127.0.0.1:1"], "").await;
    for outcome in [subscribed, published, unreachable] {
        let shown = outcome.out + &outcome.err;
        assert_eq!(outcome.code, Some(1));
        assert!(!shown.contains("secret") && !shown.contains("c2Vjcm"), "{shown}");
    }
}

#[tokio::test]
async fn a_proxy_is_taken_from_the_flag_or_the_environment() {
    let url = "http://hub.example/stream";
    let proxy = || Server::start([stream().send("data: a\n\n")]);
    let (flag, variable) = (proxy().await, proxy().await);
    let (flag_url, variable_url) = (flag.url(""), variable.url(""));
    for name in ["--proxy", "-x"] {
        // A flag beats the environment.
        let arguments = ["subscribe", url, "--once", name, &flag_url];
        tidings_in(&[("http_proxy", "http://127.0.0.1:1")], &arguments, "").await;
    }
    let environment = [("http_proxy", &*variable_url)];
    let outcome = tidings_in(&environment, &["subscribe", url, "--once"], "").await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "a\n"), "{}", outcome.err);
    for (proxy, count) in [(&flag, 2), (&variable, 1)] {
        let lines: Vec<String> = proxy.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, vec!["GET http://hub.example/stream HTTP/1.1"; count]);
    }
    // The test server is on this machine, which no variable puts a proxy before.
    let server = Server::start([stream().send("data: direct\n\n")]).await;
    let outcome = tidings_in(&environment, &["subscribe", &server.url("/"), "--once"], "").await;
    assert_eq!(outcome.out, "direct\n", "{}", outcome.err);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_or_refuses_is_named_without_its_password() {
    let socks = [("all_proxy", "socks5://user:secret@p:1080")];
    let outcome = tidings_in(&socks, &["subscribe", "http://hub.example/"], "").await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("all_proxy") && outcome.err.contains("NO_PROXY"), "{}", outcome.err);
    assert!(!outcome.err.contains("secret"), "{}", outcome.err);

    let proxy = Server::start([response("HTTP/1.1 407 Proxy Authentication Required\nContent-Length: 0")]);
    let proxy = proxy.await;
    let url = proxy.url("").replace("//", "//user:secret@");
    let outcome = tidings(&["subscribe", "https://hub.example/", "-x", &url], "").await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains(&proxy.url("")) && outcome.err.contains("407"), "{}", outcome.err);
    assert!(!outcome.err.contains("secret"), "{}", outcome.err);
}

#[tokio::test]
async fn the_version_of_http_can_be_chosen() {
    let server = Server::start([stream().send("data: a\n\n")]).await;
    let outcome = subscribe(&server, &["--http1.1"]).await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "a\n"));

    // A server that knows HTTP/1.1 alone sees how HTTP/2 begins.
    let server = Server::start([stream().send("data: a\n\n")]).await;
    let outcome = subscribe(&server, &["--http2", "--once"]).await;
    assert_eq!((outcome.code, &*outcome.out), (Some(1), ""), "{}", outcome.err);
    assert_eq!(server.requests()[0].line, "PRI * HTTP/2.0");
}

#[tokio::test]
async fn a_stream_is_resumed_from_a_given_id() {
    let server = Server::start([]).await;
    let outcome = subscribe(&server, &["--last-event-id", "äöü 7"]).await;
    assert_eq!(outcome.code, Some(0));
    // UTF-8, as the test server shows it: byte by byte.
    let shown: String = "äöü 7".bytes().map(char::from).collect();
    assert_eq!(server.requests()[0].header("last-event-id"), Some(&*shown));
}

#[tokio::test]
async fn silence_is_noticed_with_an_idle_timeout() {
    let server = Server::start([stream().send("data: a\n\n").hold(), stream().send("data: b\n\n")]).await;
    let outcome = subscribe(&server, &["--idle-timeout", "100ms"]).await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "a\nb\n"));
    assert!(outcome.err.contains("nothing came for 100ms"), "{}", outcome.err);
}

#[tokio::test]
async fn an_event_over_the_limit_is_fatal() {
    let big = format!("data: {}\n\n", "x".repeat(2000));
    let server = Server::start([stream().send("data: a\n\n").send(big)]).await;
    let outcome = subscribe(&server, &["--max-event-bytes", "1KiB", "--json"]).await;
    assert_eq!(
        (outcome.code, outcome.kinds()),
        (Some(1), vec!["open".into(), "event".into(), "error".into()])
    );
}

#[tokio::test]
async fn a_command_runs_for_each_event_in_order() {
    let server =
        Server::start([stream().send("event: t\nid: 1\ndata: a\n\ndata: b; echo injected\n\n")]).await;
    let command = "echo \"$TIDINGS_TYPE $TIDINGS_ID $(cat)\"; exit 3";
    let outcome = subscribe(&server, &["--exec", command, "--json"]).await;
    let shown: Vec<&str> = outcome.out.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(shown, ["t 1 a", "message 1 b; echo injected"]);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.err.matches("the command of --exec failed").count(), 2, "{}", outcome.err);
}

#[tokio::test]
async fn what_is_not_understood_is_a_usage_error() {
    for arguments in [
        &["subscribe"][..],
        &["subscribe", "a*b"],
        &["subscribe", "a", "--from", "x", "--last-event-id", "y"],
        &["subscribe", "http://h/", "-H", "nonsense"],
        &["subscribe", "http:// h/"],
        &["subscribe", "http://h/", "--http1.1", "--http2"],
        &["subscribe", "http://h/", "--proxy", "socks5://h"],
        &["subscribe", "http://h/", "-u", "nonsense"],
        &["publish", "a", "data", "--lines"],
        &["publish", "a", "data", "--retry", "99ms"],
        &["publish", "a", "data", "--retry", "25h"],
        &["serve", "--listen", "0.0.0.0:0"],
        &["serve", "--allow-origin", "*"],
        &["serve", "--memory", "--durability", "write"],
        &["serve", "--retain", "news/*"],
        &["serve", "--max-retry", "25h"],
    ] {
        let outcome = tidings(arguments, "").await;
        assert_eq!((outcome.code, &*outcome.out), (Some(64), ""), "{arguments:?}: {}", outcome.err);
        assert!(!outcome.err.is_empty());
    }
}

#[tokio::test]
async fn lines_come_out_as_they_went_in() {
    let hub = HubProcess::start(&[]);
    let lines = "first\n\n  spaces  \nümläut 🎈\n\t\"quotes\" \\ and \u{1} control\nlast without line feed";
    let published =
        tidings(&["publish", "t", "--lines", "--close", "done", "--hub", &hub.url()], lines).await;
    assert_eq!(published.code, Some(0), "{}", published.err);
    // A receipt for the lines, and one for the close.
    assert_eq!((&published.json()[0]["count"], &published.json()[1]["sequence"]), (&json!(6), &json!(7)));
    let followed = tidings(&["subscribe", "t", "--from", "start", "--hub", &hub.url()], "").await;
    assert_eq!((followed.code, followed.out), (Some(0), format!("{lines}\n")));
    assert!(followed.err.contains("t is closed: done"), "{}", followed.err);
    let again = tidings(&["subscribe", "t", "--json", "--hub", &hub.url()], "").await;
    assert_eq!((again.code, again.kinds()), (Some(0), vec!["closed".to_owned()]));
}

#[tokio::test]
async fn a_line_that_is_not_utf8_is_refused_and_those_before_it_are_kept() {
    let hub = HubProcess::start(&[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .args(["publish", "t", "--lines", "--close", "done", "--hub", &hub.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("stdin is piped").write_all(b"one\ntwo\n\xff\n").await.expect("it reads");
    let output = child.wait_with_output().await.expect("it ends");
    let err = String::from_utf8(output.stderr).expect("errors are UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"count\":2"), "{err}");
    assert!(err.contains("line 3") && err.contains("hint: the lines before it are published"), "{err}");
    // The topic is not closed, since what was to be its end did not come.
    let next = tidings(&["publish", "t", "three", "--close", "done", "--hub", &hub.url()], "").await;
    assert_eq!(next.code, Some(0), "{}", next.err);
    let followed = tidings(&["subscribe", "t", "--from", "start", "--hub", &hub.url()], "").await;
    assert_eq!(followed.out, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn an_unreachable_hub_is_named_with_the_next_step() {
    let outcome = tidings(&["publish", "t", "x", "--hub", "http://127.0.0.1:1"], "").await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("http://127.0.0.1:1") && outcome.err.contains("hint: "), "{}", outcome.err);
}

#[tokio::test]
async fn a_file_is_published_with_its_name_and_type() {
    let directory = tempfile::tempdir().expect("a place for the log and the file");
    let hub = HubProcess::start(&["--data", directory.path().join("data").to_str().expect("UTF-8")]);
    let file = directory.path().join("photo 1.PNG");
    // Several pieces, and no text.
    let bytes: Vec<u8> = (0..300_000).map(|index| (index % 251) as u8).collect();
    std::fs::write(&file, &bytes).expect("written");
    let file = file.to_str().expect("UTF-8");
    let published =
        tidings(&["publish", "album", "--file", file, "--close", "done", "--hub", &hub.url()], "").await;
    assert_eq!(published.code, Some(0), "{}", published.err);
    assert!(published.out.contains("/attachments/"), "{}", published.out);
    let followed = tidings(&["subscribe", "album", "--from", "start", "--hub", &hub.url()], "").await;
    let announced: Value =
        serde_json::from_str(followed.out.lines().next().expect("an event")).expect("JSON");
    assert_eq!((&announced["name"], &announced["type"]), (&"photo 1.PNG".into(), &"image/png".into()));
    assert_eq!(announced["size"], 300_000);

    // A type that is given beats the name's; a file that can't be read publishes nothing.
    let typed = ["publish", "b", "--file", file, "--content-type", "application/x-mine", "--hub", &hub.url()];
    assert_eq!(tidings(&typed, "").await.code, Some(0));
    let missing = tidings(&["publish", "c", "--file", "/nowhere/x.png", "--hub", &hub.url()], "").await;
    assert!(missing.code != Some(0) && missing.err.contains("/nowhere/x.png"), "{}", missing.err);
    let directory_itself = directory.path().to_str().expect("UTF-8");
    let unread = tidings(&["publish", "c", "--file", directory_itself, "--hub", &hub.url()], "").await;
    assert_ne!(unread.code, Some(0), "{}", unread.err);
    let history = support::wire::page(&hub.address, "/topics?topic=b&topic=c").await;
    let data = support::wire::data(&history);
    assert!(data.len() == 1 && data[0].contains("application/x-mine"), "{history}");
}

#[tokio::test]
async fn a_second_hub_on_a_port_is_refused_with_the_port_and_the_next_step() {
    let hub = HubProcess::start(&[]);
    let outcome = tidings(&["serve", "--memory", "--listen", &hub.address], "").await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    let expected = format!("can't listen on {}", hub.address);
    assert!(outcome.err.contains(&expected) && outcome.err.contains("hint: "), "{}", outcome.err);
    assert!(outcome.err.contains("--listen"), "{}", outcome.err);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let file = directory.path().join("cert.pem");
    std::fs::write(&file, "none").expect("a file");
    let file = file.to_str().expect("a path of letters");
    let serve = ["serve", "--memory", "--listen", "127.0.0.1:0", "--tls-cert", file];
    let outcome = tidings(&[&serve[..], &["--tls-key", file]].concat(), "").await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(outcome.err.contains(file) && outcome.err.contains("PEM"), "{}", outcome.err);
    let outcome = tidings(&serve, "").await;
    assert_eq!(outcome.code, Some(64), "a certificate without its key: {}", outcome.err);
}
