//! A hub inside an axum application: the application's own routes publish, and browsers follow at `/hub/topics/…`.
//!
//! Run it, open the page it prints, and press the button in two tabs:
//!
//! ```sh
//! cargo run --example axum_hub
//! ```
//!
//! It listens on 127.0.0.1:3001, or on the address in its argument (port 0 means any free port).

use std::error::Error;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Html,
    routing::{get, post},
};
use tidings_hub::{Hub, Topic, Update};
use tokio::net::TcpListener;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>A hub in axum</title>
<button id="order">Order a coffee</button>
<ol id="orders"></ol>
<script>
  order.onclick = () => fetch("/orders/coffee", { method: "POST" });
  new EventSource("/hub/topics/orders?from=start").onmessage = ({ data }) => {
    orders.append(Object.assign(document.createElement("li"), { textContent: data }));
  };
</script>
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3001".into());
    let hub = Hub::default();
    let app = Router::new()
        .route("/", get(Html(PAGE)))
        .route("/orders/{what}", post(order))
        // The application decides which clients may publish, as for any other route.
        .nest_service("/hub", hub.service())
        .with_state(hub.clone());

    let listener = TcpListener::bind(&address).await?;
    println!("Open http://{}/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Streams never end by themselves. The hub ends them, and their clients reconnect.
            hub.shutdown().await;
        })
        .await?;
    Ok(())
}

/// Takes an order, and publishes it to the topic `orders`.
async fn order(State(hub): State<Hub>, Path(what): Path<String>) -> Result<StatusCode, (StatusCode, String)> {
    let topic = Topic::parse("orders").map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))?;
    hub.publish(Update::new(topic, format!("one {what}")))
        .await
        .map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    Ok(StatusCode::CREATED)
}
