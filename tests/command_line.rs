//! `tidings subscribe` and `tidings publish` as their users see them: flags, output, exit codes.

mod support;

use std::{process::Stdio, time::Duration};

use scripted_server::{Server, response, stream};
use serde_json::{Value, json};
use support::{
    HubProcess,
    program::{Outcome, program, tidings, tidings_in},
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
    for (outcome, code) in [(subscribed, 1), (published, 1), (unreachable, 2)] {
        let shown = outcome.out + &outcome.err;
        assert_eq!(outcome.code, Some(code));
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
    // Long enough for a machine that does other things.
    let outcome = subscribe(&server, &["--idle-timeout", "3s"]).await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "a\nb\n"));
    assert!(outcome.err.contains("nothing arrived for 3s"), "{}", outcome.err);
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
async fn a_command_does_not_get_the_variables_of_the_subscription() {
    let server = Server::start([stream().send("id: 7\ndata: a\n\n")]).await;
    let variables = [
        ("TIDINGS_SUBSCRIBE_HEADER", "Authorization: Bearer secret"),
        ("TIDINGS_SUBSCRIBE_EXEC", "env"),
        ("TIDINGS_TYPE", "not this"),
        ("TIDINGS_HUB", "http://hub.example"),
    ];
    let url = server.url("/stream");
    let outcome = tidings_in(&variables, &["subscribe", &url, "--once"], "").await;
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer secret"));
    let mut seen: Vec<_> = outcome.out.lines().filter(|line| line.starts_with("TIDINGS_")).collect();
    seen.sort_unstable();
    let expected =
        ["TIDINGS_HUB=http://hub.example", "TIDINGS_ID=7", "TIDINGS_TOPIC=", "TIDINGS_TYPE=message"];
    assert_eq!(seen, expected, "{}", outcome.err);
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
async fn an_error_of_usage_names_the_variables_that_count() {
    for (variable, value, arguments) in [
        ("TIDINGS_SYNC_EVERY", "1s", &["serve", "--durability", "fsync"][..]),
        ("TIDINGS_RETAIN", "a=7d\na=8d", &["serve"]),
        ("TIDINGS_LISTEN", "0.0.0.0:0", &["serve"]),
    ] {
        let outcome = tidings_in(&[(variable, value)], arguments, "").await;
        assert!(outcome.code == Some(64) && outcome.err.contains(variable), "{}", outcome.err);
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

/// `tidings publish` with these arguments to the topic `t`, which reads what the test writes.
struct Pipe {
    child: tokio::process::Child,
    input: tokio::process::ChildStdin,
}

impl Pipe {
    fn start(hub: &HubProcess, arguments: &[&str]) -> Pipe {
        let mut child = Command::from(program())
            .args(["publish", "t", "--hub", &hub.url()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("stdin is piped");
        Pipe { child, input }
    }

    async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.write_all(bytes.as_ref()).await.expect("it reads on");
    }

    async fn end(self) -> Outcome {
        drop(self.input);
        let output = tokio::time::timeout(Duration::from_secs(60), self.child.wait_with_output()).await;
        let output = output.expect("the program ends by itself").expect("it can be awaited");
        Outcome {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("errors are UTF-8"),
        }
    }
}

/// The kept updates of the topic `t`.
async fn kept(hub: &HubProcess) -> (Vec<String>, bool) {
    let page = support::wire::page(&hub.address, "/topics/t?limit=1000").await;
    let data = support::wire::data(&page).into_iter().map(str::to_owned).collect();
    (data, page["closed"] == true)
}

/// Waits until the topic `t` has so many updates.
async fn until_kept(hub: &HubProcess, count: usize) {
    let deadline = std::time::Instant::now() + support::wire::PATIENCE;
    while kept(hub).await.0.len() < count {
        assert!(std::time::Instant::now() < deadline, "{:?}", kept(hub).await);
    }
}

#[tokio::test]
async fn a_line_that_is_not_utf8_is_shown_with_a_mark_and_costs_no_other() {
    let hub = HubProcess::start(&[]);
    let mut pipe = Pipe::start(&hub, &["--lines", "--close", "finished"]);
    pipe.write(b"one\n").await;
    until_kept(&hub, 1).await;
    pipe.write(b"caf\xe9 \xff\xfe\n").await;
    until_kept(&hub, 2).await;
    pipe.write(b"three\n\0\nfive").await;
    let outcome = pipe.end().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("line 2") && outcome.err.contains("UTF-8"), "{}", outcome.err);
    let data = ["one", "caf\u{fffd} \u{fffd}\u{fffd}", "three", "\0", "five", "finished"];
    assert_eq!(kept(&hub).await, (data.map(str::to_owned).to_vec(), true));
}

#[tokio::test]
async fn a_line_that_is_not_utf8_is_left_out_and_reported_if_that_is_wanted() {
    let hub = HubProcess::start(&[]);
    let mut pipe = Pipe::start(&hub, &["--lines", "--utf8-only", "--close", "finished"]);
    pipe.write(b"one\n\xff\nthree\n").await;
    let outcome = pipe.end().await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(
        outcome.err.contains("line 2") && outcome.err.contains("1 line was not published"),
        "{}",
        outcome.err
    );
    assert_eq!(outcome.json()[0]["count"], 2);
    assert_eq!(kept(&hub).await, (["one", "three", "finished"].map(str::to_owned).to_vec(), true));
}

#[tokio::test]
async fn a_line_that_the_hub_refuses_costs_no_other() {
    let hub = HubProcess::start(&["--max-data", "1KiB"]);
    let mut pipe = Pipe::start(&hub, &["--ndjson", "--close", "done"]);
    pipe.write("{\"data\":\"1\",\"id\":\"i\"}\n").await;
    until_kept(&hub, 1).await;
    // No JSON, an ID that is taken, too much data, and far more than a hub looks at.
    let (long, longer) = ("x".repeat(2 << 10), "x".repeat(1 << 20));
    pipe.write("nonsense\n{\"data\":\"other\",\"id\":\"i\"}\n{\"data\":\"2\"}\n").await;
    pipe.write(format!("{{\"data\":\"{long}\"}}\n{{\"data\":\"3\"}}\n")).await;
    pipe.write(format!("{{\"data\":\"{longer}\"}}\n{{\"data\":\"4\"}}\n")).await;
    pipe.write(b"{\"data\":\"\xff\"}\n{\"data\":\"5\"}\n").await;
    let outcome = pipe.end().await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    for line in ["line 2", "line 3", "line 5", "line 7", "line 9", "5 lines were not published"] {
        assert!(outcome.err.contains(line), "{line}: {}", outcome.err);
    }
    assert_eq!(kept(&hub).await, (["1", "2", "3", "4", "5", "done"].map(str::to_owned).to_vec(), true));
}

#[tokio::test]
async fn a_publisher_to_a_closed_topic_is_not_cut_off() {
    let hub = HubProcess::start(&[]);
    let mut pipe = Pipe::start(&hub, &["--lines", "--close", "finished"]);
    pipe.write("one\n").await;
    until_kept(&hub, 1).await;
    support::wire::post(&hub.address, "/topics/t?close=stopped", support::wire::TEXT, "").await.json();
    // More than any pipe holds: it is read, or this would wait for ever.
    for _ in 0..64 {
        pipe.write("a line that is published nowhere\n".repeat(1_000)).await;
    }
    let outcome = pipe.end().await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(
        outcome.err.contains("was closed") && outcome.err.contains("1 updates before it"),
        "{}",
        outcome.err
    );
    assert_eq!(kept(&hub).await, (["one", "stopped"].map(str::to_owned).to_vec(), true));
}

#[tokio::test]
async fn a_hub_that_restarts_costs_a_pipe_nothing() {
    let directory = tempfile::tempdir().expect("a place for the log");
    let data = directory.path().join("data");
    let flags = ["--data", data.to_str().expect("UTF-8")];
    let mut hub = HubProcess::start(&flags);
    let address = hub.address.clone();
    let mut pipe = Pipe::start(&hub, &["--lines", "--close", "finished"]);
    let mut written = 0;
    for round in 0..3 {
        for _ in 0..10 {
            written += 1;
            pipe.write(format!("{written}\n")).await;
        }
        if round < 2 {
            until_kept(&hub, written - 5).await;
            // Stopped once, killed once.
            let signal = ["-TERM", "-KILL"][round];
            let killed = std::process::Command::new("kill").args([signal, &hub.id().to_string()]).status();
            assert!(killed.expect("kill is there").success());
            pipe.write("").await;
            drop(hub);
            hub = HubProcess::start_on(&address, &flags);
        }
    }
    let outcome = pipe.end().await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let mut expected: Vec<_> = (1..=written).map(|number| number.to_string()).collect();
    expected.push("finished".into());
    assert_eq!(kept(&hub).await, (expected, true));
}

#[tokio::test]
async fn a_byte_order_mark_before_the_first_line_is_not_published() {
    let hub = HubProcess::start(&[]);
    for (flag, input) in [
        ("--lines", "\u{feff}1\r\n\u{feff}2\r\n"),
        ("--ndjson", "\u{feff}{\"data\":\"3\"}\r\n{\"data\":\"4\"}\r\n"),
    ] {
        let published = tidings(&["publish", "t", flag, "--hub", &hub.url()], input).await;
        assert_eq!(published.code, Some(0), "{}", published.err);
    }
    assert_eq!(kept(&hub).await.0, ["1", "\u{feff}2", "3", "4"]);
}

#[tokio::test]
async fn what_is_subscribed_to_can_be_published_on_another_hub_once() {
    let original = HubProcess::start(&[]);
    let lines =
        tidings(&["publish", "t", "--lines", "--close", "done", "--hub", &original.url()], "1\n2\n").await;
    assert_eq!(lines.code, Some(0), "{}", lines.err);
    let followed =
        tidings(&["subscribe", "t", "--from", "start", "--json", "--hub", &original.url()], "").await;
    let other = HubProcess::start(&[]);
    for _ in 0..2 {
        let published = tidings(&["publish", "t", "--ndjson", "--hub", &other.url()], &followed.out).await;
        assert_eq!(published.code, Some(0), "{}", published.err);
        assert_eq!(kept(&other).await, (["1", "2", "done"].map(str::to_owned).to_vec(), true));
    }
}

#[tokio::test]
async fn an_unreachable_hub_is_named_with_the_next_step() {
    for arguments in [&["publish", "t", "x"][..], &["publish", "t", "--lines"]] {
        let arguments = [arguments, &["--hub", "http://127.0.0.1:1"]].concat();
        let outcome = tidings(&arguments, "").await;
        assert_eq!((outcome.code, &*outcome.out), (Some(2), ""), "{}", outcome.err);
        assert!(
            outcome.err.contains("http://127.0.0.1:1") && outcome.err.contains("hint: "),
            "{}",
            outcome.err
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_hangup_never_ends_a_hub_even_with_its_terminal_gone() {
    use std::io::BufRead;
    let mut hub = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--memory", "-v"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the hub starts");
    let mut greeting = std::io::BufReader::new(hub.stderr.take().expect("stderr is piped")).lines();
    let first = greeting.next().expect("it says where it listens").expect("as text");
    let address = first.rsplit("http://").next().expect("a URL").to_owned();
    // Nobody reads what it says any more, as when a terminal is closed.
    drop(greeting);
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &hub.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    };
    for _ in 0..3 {
        signal("-HUP");
        let refused = support::wire::ask(&address, "GET", "/nowhere", &[], "").await;
        assert_eq!(refused.status(), 404, "and what it logs of this goes nowhere");
        assert_eq!(support::wire::ask(&address, "GET", "/healthz", &[], "").await.status(), 200);
    }
    signal("-TERM");
    let ended = tokio::task::spawn_blocking(move || hub.wait()).await.expect("no panic").expect("it ends");
    assert_eq!(ended.code(), Some(0));
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

    // A type that is given beats the name's; a file that cannot be read publishes nothing.
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
    let expected = format!("cannot listen on {}", hub.address);
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
