//! A stand-in for a hub whose stream of known timing something on the way spoils.

use std::time::Duration;

use scripted_server::{Received, Reply, Server, response};

/// What becomes of each piece on its way: the pieces with their times in milliseconds.
pub(crate) type Pieces = Vec<(u64, String)>;

/// Answers with streams of known timing, spoiled by `way`, which also sees the request and how many there were before.
pub(crate) async fn spoiled(way: impl Fn(&Received, usize, Pieces) -> Pieces + Send + 'static) -> Server {
    let mut count = 0;
    Server::start_with(move |request| {
        if let Some(reply) = without_stream(request) {
            return reply;
        }
        count += 1;
        let pieces = way(request, count, sent(request, &count.to_string()));
        reply(&pieces)
    })
    .await
}

/// The pieces that a hub would send, and when, in the stream of this name.
pub(crate) fn sent(request: &Received, name: &str) -> Pieces {
    let knob = |name: &str, default: u64| {
        let query = request.line.split(['?', ' ']).nth(2).unwrap_or_default();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(knob, _)| *knob == name).find_map(|(_, value)| value.parse().ok()).unwrap_or(default)
    };
    let (events, every) = (knob("events", 30), knob("every", 100));
    let seen: u64 = request.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
    let mut pieces = vec![(0, start(name, events))];
    let fill = "x".repeat(usize::try_from(knob("size", 0)).unwrap());
    let mut time = 0;
    for number in seen + 1..=events {
        time += every;
        let sent = time * 1000;
        pieces.push((
            time,
            format!("id: {number}\ndata: {{\"n\":{number},\"sent_us\":{sent},\"fill\":\"{fill}\"}}\n\n"),
        ));
    }
    let end = time + knob("idle", 500);
    let heartbeat = knob("heartbeat", 0);
    while heartbeat > 0 && time + heartbeat < end {
        time += heartbeat;
        pieces.push((time, ":\n".into()));
    }
    pieces.push((end, format!("event: end\ndata: {{\"sent_us\":{}}}\n\n", end * 1000)));
    pieces
}

fn start(name: &str, events: u64) -> String {
    format!(":\nretry: 2000\nevent: start\ndata: {{\"stream\":\"{name}\",\"events\":{events}}}\n\n")
}

pub(crate) const HEAD: &str = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\
                               Cache-Control: no-cache, no-transform\nTidings-Probe: 1\n\
                               Allow: GET, HEAD, POST";

/// The answer of a healthy server where there is no stream to send.
pub(crate) fn without_stream(request: &Received) -> Option<Reply> {
    match request.line.split(' ').next() {
        Some("HEAD") => Some(response("HTTP/1.1 200 OK\nContent-Type: text/event-stream")),
        Some("OPTIONS") => Some(response("HTTP/1.1 204 No Content")),
        _ => None,
    }
}

fn reply(pieces: &Pieces) -> Reply {
    let mut reply = Reply::default();
    let mut head = Some(response(HEAD));
    let mut now = 0;
    for (at, piece) in pieces {
        if *at > now {
            reply = reply.wait(Duration::from_millis(at - now));
            now = *at;
        }
        reply = reply.then(head.take().unwrap_or_default()).send(piece);
    }
    reply
}
