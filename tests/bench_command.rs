//! `tidings bench` against a hub, against its reference server, and against servers that break their promises.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::Read,
    process::{Output, Stdio},
};

use serde_json::Value;
use support::{HubProcess, program::program};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::broadcast,
};

/// Runs `tidings bench` with a round of its own, and as little of everything as makes sense.
async fn bench(arguments: &[&str]) -> Output {
    let run = Command::from(program())
        .arg("bench")
        .args(arguments)
        .args(["--rounds", "1", "--json"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(std::time::Duration::from_secs(60), run).await;
    run.expect("it ends by itself").expect("the program starts")
}

/// The same, which must find everything in order, against a hub and against the reference server.
async fn faithful(arguments: &[&str]) -> Value {
    let hub = HubProcess::start(&[]);
    let id = hub.id().to_string();
    let url = hub.url();
    let output = bench(&[arguments, &["--hub", &url, "--server-pid", &id, "--bound"]].concat()).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    for server in ["server", "bound"] {
        for fault in ["lost", "duplicated", "reordered", "disconnected"] {
            let count = &json[server][fault];
            assert!(
                count.as_f64() == Some(0.0) || arguments[0] == "publish",
                "{fault} by the {server}: {count}"
            );
        }
    }
    json
}

#[track_caller]
fn assert_delivered(json: &Value, count: u32) {
    for server in ["server", "bound"] {
        assert_eq!(json[server]["delivered"], f64::from(count), "by the {server}");
    }
}

#[track_caller]
fn assert_told(json: &Value, figures: &[&str]) {
    for server in ["server", "bound"] {
        for figure in figures {
            assert!(
                json[server][figure].as_f64().is_some_and(|value| value > 0.0),
                "{figure}: {}",
                json[server]
            );
        }
    }
}

#[tokio::test]
async fn a_closed_loop_delivers_everything() {
    let json = faithful(&["fanout", "-n", "20", "--events", "30", "--burst", "7"]).await;
    // One more to each subscriber, before anything is measured.
    assert_delivered(&json, 20 * 31);
    assert_told(&json, &["latency_p50_us", "latency_max_us", "deliveries_per_second", "connects_per_second"]);
}

#[tokio::test]
async fn fixed_times_deliver_everything() {
    let json = faithful(&["fanout", "-n", "20", "--events", "30", "--rate", "300"]).await;
    assert_delivered(&json, 20 * 31);
}

#[tokio::test]
async fn many_topics_and_processes_deliver_everything() {
    let arguments =
        ["fanout", "-n", "30", "--topics", "10", "--events", "5", "--burst", "2", "--processes", "3"];
    assert_delivered(&faithful(&arguments).await, 30 * 6);
}

#[tokio::test]
async fn streamed_publishing_delivers_everything() {
    for form in ["ndjson", "event-stream"] {
        let json =
            faithful(&["fanout", "-n", "5", "--events", "40", "--burst", "10", "--publish-as", form]).await;
        assert_delivered(&json, 5 * 41);
    }
}

#[tokio::test]
async fn a_subscriber_that_returns_gets_what_it_missed() {
    let json = faithful(&["replay", "-n", "20", "--events", "50"]).await;
    assert_delivered(&json, 20 * 50);
    assert_told(&json, &["events_per_second", "connect_p99_us"]);
}

#[tokio::test]
async fn subscribers_that_come_and_go_take_nothing_from_others() {
    let json = faithful(&["churn", "-n", "10", "--churning", "4", "--events", "30", "--rate", "200"]).await;
    assert_delivered(&json, 10 * 60);
    assert_told(&json, &["alone_p50_us", "beside_p50_us", "connects_per_second"]);
}

#[tokio::test]
async fn a_subscriber_that_stops_reading_takes_nothing_from_others() {
    let json = faithful(&["stall", "-n", "10", "--stalled", "3", "--events", "300", "--rate", "1000"]).await;
    assert_delivered(&json, 10 * 600);
    assert_told(&json, &["alone_p99_us", "beside_p99_us"]);
}

#[tokio::test]
async fn subscribers_that_share_connections_get_everything() {
    // The last connection has fewer streams than the others.
    let arguments =
        ["fanout", "-n", "25", "--http2", "10", "--topics", "3", "--events", "20", "--burst", "4"];
    assert_delivered(&faithful(&arguments).await, 25 * 21);
}

#[tokio::test]
async fn every_way_to_publish_has_a_rate() {
    let json = faithful(&["publish", "--events", "300"]).await;
    let ways = ["single", "pipelined", "ndjson", "event_stream"].map(|way| format!("{way}_per_second"));
    assert_told(&json, &ways.each_ref().map(String::as_str));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_idle_connection_has_a_size() {
    let json = faithful(&["idle", "-n", "300", "--hold", "10ms"]).await;
    assert_told(&json, &["user_bytes_per_connection", "connects_per_second"]);
}

#[tokio::test]
async fn a_table_is_for_people() {
    let arguments = ["bench", "fanout", "--serve", "--bound", "-n", "3", "--events", "5", "--rounds", "2"];
    let output = Command::from(program()).args(arguments).output().await.unwrap();
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).map(str::split_whitespace);
    // Two rounds of 3 subscribers and 6 updates.
    assert_eq!(row("delivered").unwrap().collect::<Vec<_>>(), ["delivered", "36", "36"], "{table}");
    assert!(row("latency p50 us").is_some_and(|row| row.count() == 6), "{table}");
}

/// A server's fault at the update with the number 3.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Drop,
    Double,
    Swap,
    Cut,
    HangUp,
}

/// A server of one topic that delivers as it likes; gives back its address.
async fn unreliable(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (updates, _) = broadcast::channel(1024);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(BufReader::new(socket), updates.clone(), fault));
        }
    });
    address
}

async fn answer(mut socket: BufReader<TcpStream>, updates: broadcast::Sender<String>, fault: Fault) {
    loop {
        let mut length = None;
        let mut line = String::new();
        loop {
            line.clear();
            if !socket.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                return;
            }
            let header = line.trim_end().to_ascii_lowercase();
            length = header.strip_prefix("content-length: ").map(|text| text.parse().unwrap()).or(length);
            if header.is_empty() {
                break;
            }
        }
        let Some(length) = length else { return deliver(socket, updates.subscribe(), fault).await };
        let mut data = vec![0; length];
        socket.read_exact(&mut data).await.unwrap();
        updates.send(String::from_utf8(data).unwrap()).unwrap();
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    }
}

async fn deliver(mut socket: BufReader<TcpStream>, mut updates: broadcast::Receiver<String>, fault: Fault) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut number = 0;
    while let Ok(update) = updates.recv().await {
        let event = format!("data: {update}\n\n");
        let events = match (fault, number) {
            (Fault::Drop, 3) => String::new(),
            (Fault::Double, 3) => event.repeat(2),
            (Fault::Swap, 3) => format!("data: {}\n\n{event}", updates.recv().await.unwrap()),
            (Fault::Cut, 3) => event.replace("xx\n", "\n"),
            (Fault::HangUp, 3) => return,
            _ => event,
        };
        number += 1;
        // The reader leaves when it has seen enough.
        if socket.write_all(events.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What is told of a server with this fault and two subscribers: delivered, lost, duplicated, reordered, disconnected.
async fn told_of(fault: Fault) -> (Output, [f64; 5]) {
    let url = format!("http://{}/", unreliable(fault).await);
    let (subscribe, publish) = (["--subscribe-url", &url], ["--publish-url", &url]);
    // Together, so that a swap is not two losses.
    let scenario = ["fanout", "-n", "2", "--events", "9", "--burst", "9", "--patience", "1s"];
    let output = bench(&[&scenario[..], &subscribe, &publish].concat()).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let figures = ["delivered", "lost", "duplicated", "reordered", "disconnected"];
    let figures = figures.map(|name| json["server"][name].as_f64().unwrap());
    (output, figures)
}

#[tokio::test]
async fn a_server_that_keeps_its_promises_is_fine() {
    let (output, figures) = told_of(Fault::None).await;
    assert_eq!((output.status.code(), figures), (Some(0), [20.0, 0.0, 0.0, 0.0, 0.0]));
}

#[tokio::test]
async fn each_broken_promise_is_told() {
    let cases = [
        (Fault::Drop, [18.0, 2.0, 0.0, 0.0, 0.0]),
        (Fault::Double, [20.0, 0.0, 2.0, 0.0, 0.0]),
        (Fault::Swap, [20.0, 0.0, 0.0, 2.0, 0.0]),
        (Fault::Cut, [18.0, 2.0, 0.0, 0.0, 0.0]),
        (Fault::HangUp, [6.0, 14.0, 0.0, 0.0, 2.0]),
    ];
    for (fault, expected) in cases {
        let (output, figures) = told_of(fault).await;
        assert_eq!((output.status.code(), figures), (Some(1), expected), "{fault:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("did not deliver everything once and in order"), "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn no_more_connections_are_begun_at_once_than_asked_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut begun = vec![listener.accept().unwrap().0];
        // Nobody asks before all are begun that may be.
        begun[0].read_exact(&mut [0]).unwrap();
        listener.set_nonblocking(true).unwrap();
        begun.extend(std::iter::from_fn(|| Some(listener.accept().ok()?.0)));
        begun.len()
    });
    let urls = ["--subscribe-url", &url, "--publish-url", &url];
    let output = bench(&[&["fanout", "-n", "9", "--connecting", "4"], &urls[..]].concat()).await;
    // Its server is gone. Without a connection it would still wait for one.
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(server.join().unwrap(), 4);
}

#[tokio::test]
async fn what_can_not_be_measured_is_said_at_once() {
    let hub = HubProcess::start(&[]);
    let (url, other) = (hub.url(), format!("{}/nowhere", hub.url()));
    let cases: [(&[&str], i32, &str); 5] = [
        (&["idle", "--hub", &url], 64, "--server-pid"),
        (&["fanout", "--hub", "https://127.0.0.1"], 64, "http://"),
        (&["fanout", "--topics", "2", "--subscribe-url", &url, "--publish-url", &url], 64, "{topic}"),
        (&["fanout", "--topics", "2", "--publish-as", "ndjson", "--hub", &url], 64, "one topic"),
        (&["fanout", "--subscribe-url", &other, "--publish-url", &other], 1, "404"),
    ];
    for (arguments, code, reason) in cases {
        let output = bench(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn servers_that_it_starts_have_the_defaults_even_if_variables_are_set() {
    // With these, the hub would refuse every update, and the reference server could not listen.
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let run = Command::from(program())
        .args([
            "bench", "fanout", "--serve", "--bound", "--rounds", "1", "-n", "2", "--events", "5", "--json",
        ])
        .env("TIDINGS_MAX_DATA", "1")
        .env("TIDINGS_BENCH_LISTEN", taken.local_addr().unwrap().to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(std::time::Duration::from_secs(60), run).await;
    let output = run.expect("it ends by itself").expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Five updates and the warm-up, for each of two.
    assert_delivered(&json, 12);
}
