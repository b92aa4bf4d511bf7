//! Follows a stream over reqwest. With a hub running (`cargo run -- serve`), in this directory:
//!
//! ```sh
//! cargo run -- 'http://127.0.0.1:4400/topics/news?from=start'
//! ```

use std::{error::Error, sync::Arc};

use reqwest::{Client, redirect::Policy};
use tidings_client::{EventSource, Item};
use tidings_reqwest_example::ReqwestTransport;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: tidings-reqwest-example URL")?;
    let client = Client::builder().redirect(Policy::none()).build()?;

    let mut source = EventSource::get(&url)?.with_transport(Arc::new(ReqwestTransport(client)));
    while let Some(item) = source.next().await {
        match item? {
            Item::Event(event) => println!("{}: {}", event.event_type(), event.data()),
            Item::Retrying { cause, after } => eprintln!("{cause}; again in {after:?}"),
            _ => {}
        }
    }
    Ok(())
}
