//! The items of a source, as lines of text.

use std::{error::Error as _, time::Duration};

use tidings_client::{Error, EventSource, Item};

use crate::server::Server;

/// A source without back-off, so that it waits for exactly the reconnection time.
pub(crate) fn follow(server: &Server) -> EventSource {
    EventSource::get(&server.url("/")).unwrap().with_max_backoff(Duration::ZERO)
}

/// Reads a source to its end.
pub(crate) async fn trace(source: &mut EventSource) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(item) = source.next().await {
        lines.push(line(&item));
    }
    lines
}

/// Reads `count` items.
pub(crate) async fn take(source: &mut EventSource, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..count {
        lines.push(line(&source.next().await.unwrap()));
    }
    lines
}

/// The data of all events up to the end.
pub(crate) async fn events(source: &mut EventSource) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(item) = source.next().await {
        if let Item::Event(event) = item.unwrap() {
            events.push(event.into_data());
        }
    }
    events
}

pub(crate) fn line(item: &Result<Item, Error>) -> String {
    match item {
        Ok(Item::Opened(_)) => "opened".to_owned(),
        Ok(Item::Event(event)) => format!("{} {}", event.event_type(), event.data()),
        Ok(Item::Comment(text)) => format!("comment {text}"),
        Ok(Item::Gap(gap)) => format!("gap {}", gap.reason()),
        Ok(Item::Retrying { cause, after }) => format!("retrying after {after:?}: {cause}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("error: {error}{cause}")
        }
    }
}

/// An error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause))).unwrap_or_default();
    format!("{error}{cause}")
}
