//! `axum::response::Sse` over `tokio::sync::broadcast`, one channel for each topic: what axum's users write.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::{Path, State},
    response::{Sse, sse::Event},
    routing::get,
};
use futures_util::{Stream, StreamExt};
use tokio::sync::broadcast::{Sender, channel};
use tokio_stream::wrappers::BroadcastStream;

/// Events that a slow subscriber may be behind, before it loses some.
const CAPACITY: usize = 1024;

#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, (Sender<Event>, u64)>>>);

impl Topics {
    fn topic<T>(&self, name: String, f: impl FnOnce(&mut (Sender<Event>, u64)) -> T) -> T {
        let mut topics = self.0.lock().expect("nobody panics with it");
        f(topics.entry(name).or_insert_with(|| (channel(CAPACITY).0, 0)))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).expect("a port is given");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let app =
        Router::new().route("/topics/{topic}", get(subscribe).post(publish)).with_state(Topics::default());
    use axum::serve::ListenerExt;
    axum::serve(listener.tap_io(|socket| drop(socket.set_nodelay(true))), app).await
}

async fn subscribe(
    State(topics): State<Topics>,
    Path(topic): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let updates = BroadcastStream::new(topics.topic(topic, |(sender, _)| sender.subscribe()));
    Sse::new(updates.filter_map(async |event| event.ok().map(Ok)))
}

async fn publish(State(topics): State<Topics>, Path(topic): Path<String>, data: String) {
    topics.topic(topic, |(sender, number)| {
        *number += 1;
        // As many bytes as a hub's ID has. Nobody may be there to hear it.
        let _ = sender.send(Event::default().data(data).id(format!("~{number:024}")));
    });
}
