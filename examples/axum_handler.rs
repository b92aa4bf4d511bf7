//! An axum handler that streams a countdown, and a page that shows it.
//!
//! ```text
//! cargo run --example axum_handler
//! cargo run --example axum_handler -- --listen 127.0.0.1:0
//! ```
//!
//! Each response is cut after five numbers, as on a bad network. The page's `EventSource` reconnects by itself and
//! sends the ID of the last event it received. The countdown goes on from there, although the server remembers nothing.
//! After zero the answer is `204 No Content`, which tells the `EventSource` to stop.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use tidings_server::{Event, EventId, LastEventId, Sse};
use tokio::net::TcpListener;

const START: u32 = 20;
const NUMBERS_PER_RESPONSE: usize = 5;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().skip(1).find(|argument| argument != "--listen");
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("http://{}/", listener.local_addr()?);

    let app = Router::new().route("/", get(Html(PAGE))).route("/countdown", get(countdown));
    axum::serve(listener, app).await
}

async fn countdown(last: Option<LastEventId>) -> Result<Sse<impl Stream<Item = Event>>, StatusCode> {
    let first = match last.map(|id| id.as_str().parse()) {
        Some(Ok(0)) => return Err(StatusCode::NO_CONTENT),
        Some(Ok(last @ 1..=START)) => last - 1,
        // A new client, or an ID that this server did not send.
        _ => START,
    };
    let events = stream::unfold(Some(first), |number| async move {
        let number = number?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((event(number), number.checked_sub(1)))
    });
    Ok(Sse::new(events.take(NUMBERS_PER_RESPONSE)).retry(Duration::from_secs(1)))
}

fn event(number: u32) -> Event {
    let id = EventId::parse(number.to_string()).expect("a number has no line break");
    Event::new(number.to_string()).with_id(id)
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>Countdown</title>
<style>body { font: 1.5rem system-ui; text-align: center } output { display: block; font-size: 8rem }</style>
<output id="number">…</output>
<p id="state">connecting</p>
<script>
  const number = document.getElementById("number");
  const state = document.getElementById("state");
  const source = new EventSource("/countdown");
  source.onopen = () => (state.textContent = "open");
  source.onmessage = (event) => (number.textContent = event.data);
  source.onerror = () =>
    (state.textContent = source.readyState === EventSource.CLOSED ? "over" : "cut; reconnecting");
</script>
"#;
