//! A server and its client in one program: a stream that is interrupted, and resumes.
//!
//! ```sh
//! cargo run --example axum_and_client
//! ```
//!
//! Each response breaks off after four numbers. The client reports this, reconnects with the ID of the last number it
//! received, and gets the next number. After the last number the server answers `204 No Content`, which ends the
//! stream.

use std::{error::Error, io, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use futures_util::{Stream, stream};
use tidings_client::{EventSource, Item};
use tidings_server::{Event, EventId, LastEventId, Sse};
use tokio::net::TcpListener;

const LAST: u32 = 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/numbers", listener.local_addr()?);
    let app = Router::new().route("/numbers", get(numbers));
    tokio::spawn(async { axum::serve(listener, app).await });

    let mut source = EventSource::get(&url)?;
    while let Some(item) = source.next().await {
        match item? {
            Item::Opened(_) => println!("open"),
            Item::Event(event) => println!("{}", event.data()),
            Item::Retrying { cause, .. } => println!("{cause}; resuming after {}", source.last_event_id()),
            _ => {}
        }
    }
    println!("over");
    Ok(())
}

/// Counts up from the number after the client's last one.
async fn numbers(
    last: Option<LastEventId>,
) -> Result<Sse<impl Stream<Item = io::Result<Event>>>, StatusCode> {
    let seen: u32 = last.and_then(|id| id.as_str().parse().ok()).unwrap_or(0);
    if seen >= LAST {
        return Err(StatusCode::NO_CONTENT);
    }
    let numbers = (seen + 1..=LAST).take(4).map(|number| Ok(event(number)));
    let broken = Err(io::Error::other("a cable was pulled"));
    Ok(Sse::new(stream::iter(numbers.chain([broken]))).retry(Duration::from_millis(100)))
}

fn event(number: u32) -> Event {
    let id = EventId::parse(number.to_string()).expect("a number has no line break");
    Event::new(number.to_string()).with_id(id)
}
