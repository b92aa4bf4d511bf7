//! Ten thousand reconnections.

use std::time::Duration;

use tidings_client::Item;

use crate::{
    server::{Server, stream},
    trace::follow,
};

const RECONNECTIONS: u64 = 10_000;

/// A server with an endless log of events 1, 2, 3, …. It resumes after the last event ID and cuts each connection in
/// another place: between events, inside an event, by an end and by a reset.
async fn cutting_server() -> Server {
    Server::start_with(|request| {
        let last: u64 = request.header("last-event-id").map_or(0, |id| id.parse().unwrap());
        let mut reply = stream().send("retry: 0\n");
        for sequence in last + 1..last + 1 + last % 3 {
            reply = reply.send(format!("data: {sequence}\nid: {sequence}\n\n"));
        }
        let next = last + 1 + last % 3;
        let whole = format!("data: {next}\nid: {next}\n\n");
        if next % 5 == 0 {
            return reply.send(&whole).send(&whole[..whole.len() - 1]);
        }
        reply = reply.send(&whole);
        if next % 7 == 0 { reply.wait(Duration::from_millis(1)).reset() } else { reply }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_reconnections_lose_and_repeat_and_leak_nothing() {
    let server = cutting_server().await;
    let mut source = follow(&server);
    let (mut received, mut reconnections) = (0, 0);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    while reconnections < RECONNECTIONS {
        match source.next().await.unwrap().unwrap() {
            Item::Event(event) => {
                received += 1;
                assert_eq!(event.data(), received.to_string());
            }
            Item::Retrying { .. } => reconnections += 1,
            _ => {}
        }
    }
    assert!(received >= RECONNECTIONS, "{received}");
    source.close();
    server.all_closed().await;
    // The only task is the test's server. The client has none.
    tokio::task::yield_now().await;
    assert!(tasks() <= 2, "{} tasks are alive", tasks());
    let sockets = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    assert!(sockets < 200, "{sockets} files are open");
}
