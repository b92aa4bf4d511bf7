//! `tidings subscribe` at servers that are not a hub, with all kinds of streams.

mod support;

use scripted_server::{Reply, Server, response, stream};
use serde_json::json;
use support::{
    HubProcess,
    program::{Outcome, program, tidings, tidings_in},
};

async fn once(server: &Server, arguments: &[&str]) -> Outcome {
    let url = server.url("/stream");
    tidings(&[&["subscribe", &url, "--once"], arguments].concat(), "").await
}

/// The head of a stream as a hub and nobody else writes it.
fn hub() -> Reply {
    response("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTidings-Hub: 1")
}

const OWN: &str = "event: start\nid: 1\ndata: {}\n\nevent: close\ntopic: t\ndata: over\n\nevent: ping\ndata: p\n\n\
                   event: gap\ndata: {\"reason\":\"r\"}\n\ndata: last\n\n";

#[tokio::test]
async fn events_with_the_names_of_a_hubs_own_are_ordinary_elsewhere() {
    let server = Server::start_with(|_| stream().send(OWN)).await;
    let expected = "{}\nover\np\n{\"reason\":\"r\"}\nlast\n";
    let printed = once(&server, &[]).await;
    assert_eq!((&*printed.out, &*printed.err), (expected, ""));
    // Also where the URL is one that would be a hub's.
    let of_a_topic = tidings(&["subscribe", "t", "--hub", &server.url(""), "--once"], "").await;
    assert_eq!((&*of_a_topic.out, &*of_a_topic.err), (expected, ""));
    let types: Vec<_> =
        once(&server, &["--json"]).await.json()[1..6].iter().map(|line| line["type"].clone()).collect();
    assert_eq!(types, ["start", "close", "ping", "gap", "message"]);
    let executed = once(&server, &["--exec", "echo \"$TIDINGS_TYPE\"; cat >/dev/null"]).await;
    let types: Vec<&str> =
        executed.out.lines().filter(|line| !expected.lines().any(|data| data == *line)).collect();
    assert_eq!(types, ["start", "close", "ping", "gap", "message"]);
}

#[tokio::test]
async fn a_hubs_own_events_are_known_by_its_head_whatever_the_url() {
    let server = Server::start_with(|_| hub().send(OWN)).await;
    let printed = once(&server, &[]).await;
    assert_eq!(printed.out, "p\nlast\n");
    assert!(
        printed.err.contains("t is closed: over") && printed.err.contains("may be missing here (r)"),
        "{}",
        printed.err
    );
    // The topic that was asked for is closed, so that what follows is not waited for.
    let of_a_topic = tidings(&["subscribe", "t", "--hub", &server.url("")], "").await;
    assert_eq!((of_a_topic.code, &*of_a_topic.out), (Some(0), ""));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn an_update_of_the_type_ping_comes_out_of_its_envelope() {
    let hub = HubProcess::start(&[]);
    let publish = ["publish", "t", "{\"a\":1}", "--type", "ping", "--close", "done", "--hub", &hub.url()];
    assert_eq!(tidings(&publish, "").await.code, Some(0));
    let followed = tidings(&["subscribe", "t", "--from", "start", "--json", "--hub", &hub.url()], "").await;
    let ping = followed.json().into_iter().find(|line| line["type"] == "ping").expect("it is there");
    assert_eq!((&ping["data"], &ping["topic"]), (&json!("{\"a\":1}"), &json!("t")));
}

#[tokio::test]
async fn a_command_runs_for_each_event_whatever_it_holds() {
    let huge = "x".repeat(300_000);
    let body = format!(
        "event: a\0b\nid: 1\ndata: one\n\nevent: {huge}\ndata: two\n\nevent: $(echo run) `echo run`; echo run\nid: $(echo run)\n\
         data: $(echo run)\n\ndata: {huge}\n\n"
    );
    let server = Server::start([stream().send(body)]).await;
    let command = "echo \"${TIDINGS_TYPE-none} ${TIDINGS_ID-none} $(wc -c)\"";
    // A variable that is set for the program itself is no event's.
    let url = server.url("/");
    let arguments = ["subscribe", &url, "--once", "--json", "--exec", command];
    let outcome = tidings_in(&[("TIDINGS_TYPE", "mine")], &arguments, "").await;
    let shown: Vec<&str> = outcome.out.lines().filter(|line| !line.starts_with('{')).collect();
    let literal = "$(echo run) `echo run`; echo run $(echo run) 11";
    assert_eq!(shown, ["none 1 3", "none 1 3", literal, "message $(echo run) 300000"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(outcome.err.matches("TIDINGS_TYPE is not set").count(), 1, "{}", outcome.err);
}

#[tokio::test]
async fn a_command_that_leaves_its_input_or_is_missing_ends_nothing() {
    let huge = "x".repeat(1_000_000);
    let server = Server::start_with(move |_| stream().send(format!("data: {huge}\n\ndata: b\n\n"))).await;
    let leaves = once(&server, &["--json", "--exec", "exec <&-; echo seen"]).await;
    assert_eq!((leaves.code, leaves.out.lines().filter(|line| *line == "seen").count()), (Some(0), 2));
    let missing = once(&server, &["--exec", "tidings-has-no-such-command"]).await;
    assert_eq!(
        (missing.code, missing.err.matches("does not find the command of --exec").count()),
        (Some(0), 2)
    );
}

#[tokio::test]
async fn a_scheme_in_capitals_is_a_scheme() {
    let server = Server::start_with(|_| stream().send("data: a\n\n")).await;
    let url = server.url("/x").replace("http:", "HTTP:");
    let outcome = tidings(&["subscribe", &url, "--once", "--hub", "http://127.0.0.1:1"], "").await;
    assert_eq!((outcome.code, &*outcome.out), (Some(0), "a\n"), "{}", outcome.err);
    let hub = HubProcess::start(&[]);
    let variable = hub.url().replace("http:", "Http:");
    let outcome = tidings_in(&[("TIDINGS_HUB", &variable)], &["publish", "t", "x"], "").await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
}

#[tokio::test]
async fn a_url_that_can_never_work_ends_at_once() {
    for url in ["http://", "http:///x", "HTTP://h:0/", "http://h:99999/", "https://h:x/"] {
        let outcome = tidings(&["subscribe", url], "").await;
        assert_eq!(outcome.code, Some(64), "{url}: {}", outcome.err);
        assert!(outcome.err.contains("is not a URL that can be requested"), "{url}: {}", outcome.err);
    }
    for hub in ["ftp://h/", "127.0.0.1:4400", "mailto:a@b"] {
        for command in [&["subscribe", "t"][..], &["publish", "t", "x"]] {
            let outcome = tidings(&[command, &["--hub", hub]].concat(), "").await;
            assert_ne!(outcome.code, Some(0), "{hub}");
            assert!(!outcome.err.contains("trying again"), "{hub}: {}", outcome.err);
        }
    }
}

#[tokio::test]
async fn a_wait_of_years_is_not_obeyed() {
    let server = Server::start([stream().send("retry: 18446744073709551615\ndata: a\n\n")]).await;
    let url = server.url("/");
    let mut child = program()
        .args(["subscribe", &url])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let mut said = String::new();
    let stderr = child.stderr.take().expect("stderr is piped");
    let said = tokio::task::spawn_blocking(move || {
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stderr), &mut said).expect("it says so");
        said
    })
    .await
    .expect("it is read");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(said, "tidings: the server ended the response; trying again in 1h\n");
}

/// The text that the program writes to a terminal.
#[cfg(target_os = "linux")]
async fn on_a_terminal(arguments: &[&str]) -> String {
    use std::{fs::File, io::Read};

    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = openpt(flags).expect("there is a terminal");
    grantpt(&ours).expect("it is ours");
    unlockpt(&ours).expect("it is open");
    let theirs = ioctl_tiocgptpeer(&ours, flags).expect("it has another end");
    let mut command = program();
    command.args(arguments).stdin(std::process::Stdio::null());
    command.stdout(theirs.try_clone().expect("a descriptor")).stderr(theirs);
    let mut child = command.spawn().expect("it starts");
    // Its end of the terminal is closed when it ends, and then there is nothing more to read.
    drop(command);
    tokio::task::spawn_blocking(move || {
        let (mut written, mut piece) = (Vec::new(), [0; 4096]);
        let mut terminal = File::from(ours);
        while let Ok(count @ 1..) = terminal.read(&mut piece) {
            written.extend_from_slice(&piece[..count]);
        }
        child.wait().expect("it ends");
        String::from_utf8(written).expect("it is UTF-8").replace("\r\n", "\n")
    })
    .await
    .expect("it is read")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn characters_that_control_a_terminal_are_shown_there_only() {
    let data = "\x1b]52;c;eA==\x07\x1b[2J\u{9b}31m\u{202e}\tü";
    let body = format!(":\x1b[2J\nevent: \x1b[31m\nid: 1\ndata: {data}\n\n");
    let server = Server::start_with(move |_| stream().send(&body)).await;
    let url = server.url("/");
    let arguments = ["subscribe", &url, "--once", "--comments"];
    assert_eq!(
        on_a_terminal(&arguments).await,
        ": \\u001b[2J\n\\u001b]52;c;eA==\\u0007\\u001b[2J\\u009b31m\\u202e\tü\n"
    );
    let json = on_a_terminal(&[&arguments[..], &["--json"]].concat()).await;
    assert!(!json.contains(['\x1b', '\u{9b}', '\u{202e}']), "{json:?}");
    let event: serde_json::Value =
        serde_json::from_str(json.lines().nth(2).expect("an event")).expect("JSON");
    assert_eq!(event["data"], data);
    let raw = on_a_terminal(&[&arguments[..], &["--raw"]].concat()).await;
    assert_eq!(raw, format!(": \x1b[2J\n{data}\n"));
    // To a pipe all goes as it came.
    let piped = once(&server, &[]).await;
    assert_eq!(piped.out, format!("{data}\n"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_server_answers_is_shown_on_a_terminal_without_effect() {
    let problem = "{\"detail\":\"\\u001b[2J\\u009b31m no\"}";
    let refusal = response("HTTP/1.1 403 Forbidden\nContent-Type: application/problem+json").send(problem);
    let odd = response("HTTP/1.1 500 Oops").send("\x1b[2J");
    let receipt = response("HTTP/1.1 200 OK").send("\x1b[2J");
    let server = Server::start([refusal, odd, receipt]).await;
    for _ in 0..3 {
        let shown = on_a_terminal(&["publish", "t", "x", "--hub", &server.url("")]).await;
        assert!(shown.contains("\\u001b[2J") && !shown.contains(['\x1b', '\u{9b}']), "{shown:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_newest_updates_of_a_log_are_shown_on_a_terminal_without_effect() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let data = directory.path().join("data");
    let data = data.to_str().expect("UTF-8");
    let hub = HubProcess::start(&["--data", data]);
    assert_eq!(tidings(&["publish", "t", "\x1b[2J\tx", "--hub", &hub.url()], "").await.code, Some(0));
    drop(hub);
    assert_eq!(on_a_terminal(&["log", "tail", data]).await, "\\u001b[2J\tx\n");
    assert_eq!(on_a_terminal(&["log", "tail", data, "--raw"]).await, "\x1b[2J\tx\n");
    for format in ["ndjson", "event-stream"] {
        let exported = on_a_terminal(&["log", "export", data, "--format", format]).await;
        // The escape sequences erase our own progress.
        assert!(exported.contains("\\u001b[2J") && !exported.contains("\x1b[2J"), "{exported:?}");
    }
    assert_eq!(tidings(&["log", "tail", data], "").await.out, "\x1b[2J\tx\n");
}
