//! A subscriber that stops reading costs nobody else anything, and is not told less for it.

use std::time::{Duration, Instant};

use crate::support::{
    HubProcess,
    wire::{Event, NDJSON, Stream, Wire, dechunked, head, post},
};
use tokio::net::TcpSocket;

const EVENTS: usize = 50_000;
const BATCH: usize = 1_000;

/// Subscribes through a receive buffer that is small, so that the hub notices soon that nobody reads.
async fn stalled(hub: &HubProcess) -> Stream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("a smaller buffer");
    let address = hub.address.parse().expect("an address");
    let mut wire = Wire::over(socket.connect(address).await.expect("the hub listens"));
    wire.write(head(&hub.address, "GET", "/topics/load?from=start", &[])).await;
    Stream::read(wire).await
}

fn update(number: usize, filler: &str) -> String {
    format!("{number} {filler}")
}

fn number(event: &Event) -> usize {
    event.data.split(' ').next().and_then(|number| number.parse().ok()).expect("it starts with its number")
}

/// Publishes all events; each batch only when `follower` has the one before, so that it never falls behind.
async fn publish_all(hub: &HubProcess, events: usize, filler: &str, follower: &mut Stream) {
    for first in (0..events).step_by(BATCH) {
        let lines = (first..first + BATCH).map(|n| format!("{{\"data\":\"{}\"}}\n", update(n, filler)));
        assert_eq!(post(&hub.address, "/topics/load", NDJSON, lines.collect::<String>()).await.status(), 200);
        for expected in first..first + BATCH {
            assert_eq!(number(&follower.event().await), expected, "others get everything in order");
        }
    }
}

#[tokio::test]
async fn stalled_subscribers_cost_no_memory_and_then_get_a_gap_in_place() {
    let hub = HubProcess::start(&["--max-history", "8MiB"]);
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(stalled(&hub).await);
    }
    let mut follower = Stream::live(&hub.address, "/topics/load").await;
    let before = hub.resident_bytes();
    publish_all(&hub, EVENTS, &"x".repeat(2048), &mut follower).await;
    // 100 MiB were published. One queue that waits for the slowest holds them all, one for each holds eight times
    // that. What may be held are 8 MiB of history, as records and as ready frames, their indexes, a batch in
    // flight, and what the allocator keeps back of each: measured, 21 to 38 MiB, however many stall or events come.
    let grown = hub.resident_bytes().saturating_sub(before);
    println!("{EVENTS} events of 2 KiB, 8 stalled subscribers: grown by {} KiB", grown >> 10);
    assert!(grown < 64 << 20, "the hub grew by {grown} bytes");

    for stream in &mut readers {
        let (mut expected, mut gaps) = (0, 0);
        while expected < EVENTS {
            let event = stream.event().await;
            if event.event_type == "gap" {
                gaps += 1;
                let gap = event.json();
                assert_eq!(gap["reason"], "evicted", "{gap}");
                let next = stream.event().await;
                assert_eq!(gap["first"], next.id.as_str(), "{gap}");
                assert!(number(&next) > expected, "a gap is told where something is missing: {gap}");
                expected = number(&next);
            } else {
                assert_eq!(number(&event), expected, "in order, or told");
            }
            expected += 1;
        }
        assert!(gaps >= 1, "8 MiB of 100 cannot have been enough");
    }
}

/// `TIDINGS_EVENTS` and `TIDINGS_STALL_SECONDS` make it larger and longer.
#[tokio::test]
async fn a_stalled_subscriber_costs_a_constant_and_gets_everything_that_is_kept() {
    let size = |variable, default| {
        std::env::var(variable).map_or(default, |value| value.parse().expect("a size is a whole number"))
    };
    let events = size("TIDINGS_EVENTS", EVENTS);
    let stall = Duration::from_secs(size("TIDINGS_STALL_SECONDS", 1) as u64);
    let filler = "x".repeat(400);

    let undisturbed = HubProcess::start(&[]);
    let mut follower = Stream::live(&undisturbed.address, "/topics/load").await;
    let (before, began) = (undisturbed.resident_bytes(), Instant::now());
    publish_all(&undisturbed, events, &filler, &mut follower).await;
    let (alone, grown_alone) = (began.elapsed(), undisturbed.resident_bytes().saturating_sub(before));
    drop(undisturbed);

    let hub = HubProcess::start(&[]);
    let mut stalled = stalled(&hub).await;
    let mut follower = Stream::live(&hub.address, "/topics/load").await;
    let (before, began) = (hub.resident_bytes(), Instant::now());
    publish_all(&hub, events, &filler, &mut follower).await;
    let (beside, grown) = (began.elapsed(), hub.resident_bytes().saturating_sub(before));
    tokio::time::sleep(stall.saturating_sub(began.elapsed())).await;
    println!(
        "{events} events, one subscriber stalled for {stall:?}: the hub grew by {} KiB (alone {} KiB), and another \
         subscriber took {beside:?} (alone {alone:?})",
        grown >> 10,
        grown_alone >> 10
    );
    // The history is the same. What the stalled one may add is its buffers, in the hub and not in the kernel: below 1 MiB;
    // the rest is what the allocator does differently from one run to the next.
    assert!(grown < grown_alone + (16 << 20), "{grown} bytes beside {grown_alone}");
    for expected in 0..events {
        let event = stalled.event().await;
        assert_eq!((event.event_type.as_str(), number(&event)), ("message", expected));
    }
}

#[tokio::test]
async fn a_stalled_connection_is_closed_after_the_write_timeout_and_resumes() {
    let hub = HubProcess::start(&["--write-timeout", "1s"]);
    let mut stalled = stalled(&hub).await;
    let mut follower = Stream::live(&hub.address, "/topics/load").await;
    publish_all(&hub, EVENTS, &"x".repeat(400), &mut follower).await;
    // The connection is counted before what was on it.
    hub.metric("tidings_connections_stalled_total 1").await;
    hub.metric("tidings_subscriptions_ended_total{reason=\"stalled\"} 1").await;

    // Bytes that had been sent already may still arrive, whole events first.
    let mut last = None;
    for event in events(&stalled.wire.rest().await) {
        assert_eq!(number(&event), last.as_ref().map_or(0, |last| number(last) + 1));
        last = Some(event);
    }
    let (id, mut expected) = last.map_or((None, 0), |last| (Some(last.id.clone()), number(&last) + 1));
    assert!(expected < EVENTS, "it was cut");
    let headers: Vec<_> = id.iter().map(|id| ("last-event-id", id.as_str())).collect();
    let mut again = Stream::open(&hub.address, "/topics/load?from=start", &headers).await;
    while expected < EVENTS {
        assert_eq!(number(&again.event().await), expected);
        expected += 1;
    }
    let mut live = Stream::live(&hub.address, "/topics/load").await;
    post(&hub.address, "/topics/load", NDJSON, "{\"data\":\"50000 last\"}\n").await;
    assert_eq!(number(&live.event().await), EVENTS);
    assert_eq!(number(&follower.event().await), EVENTS, "whoever reads is not closed");
}

/// The complete events in what a cut connection left of a chunked body.
fn events(bytes: &[u8]) -> Vec<Event> {
    let text = dechunked(bytes);
    let (mut events, mut data) = (Vec::new(), String::new());
    // The text after the last line end may be half a line.
    for line in text.rsplit_once('\n').map_or("", |(whole, _)| whole).split('\n') {
        if let Some(value) = line.strip_prefix("data: ") {
            value.clone_into(&mut data);
        } else if let Some(id) = line.strip_prefix("id: ") {
            events.push(Event { data: std::mem::take(&mut data), id: id.to_owned(), ..Event::default() });
        }
    }
    // The last one may lack its blank line.
    events.pop();
    events
}
