//! `tidings subscribe`: follow topics of a hub.

use std::io::{self, Write, stdout};

use anyhow::Context;
use serde_json::{Map, Value, json};
use tidings_client::{EventId, EventSource, Item, ReceivedEvent};
use tidings_hub::TopicFilter;

use crate::{cli::Subscribe, exit::UsageError, hub_url};

pub(crate) async fn run(subscribe: Subscribe) -> anyhow::Result<()> {
    let mut open_topics = exact_topics(&subscribe.topics)?;
    // Either way an event says which topic it is of.
    let form = if subscribe.json { ("envelope", "json") } else { ("fields", "topic") };
    let mut parameters = vec![form];
    let mut last_event_id = None;
    match &*subscribe.from {
        "end" => {}
        "start" => parameters.push(("from", "start")),
        id => {
            last_event_id = Some(EventId::parse(id).map_err(|error| UsageError(format!("--from: {error}")))?);
        }
    }
    let url = hub_url::of_topics(&subscribe.hub.url, &subscribe.topics, &parameters);
    let mut source = EventSource::get(&url)?;
    if let Some(id) = last_event_id {
        source = source.with_last_event_id(id);
    }

    let mut printer = Printer { json: subscribe.json };
    while let Some(item) = source.next().await {
        let item = item.with_context(|| format!("{} can't be followed", subscribe.topics.join(", ")))?;
        let closed = closed_topic(&item);
        if let Err(error) = printer.print(item) {
            // Whoever read our output, as `head` does, has seen enough.
            return if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) };
        }
        if let (Some(open), Some(topic)) = (&mut open_topics, closed) {
            open.retain(|open| *open != topic);
            if open.is_empty() {
                break;
            }
        }
    }
    printer.line(&json!({ "kind": "closed" })).or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error.into()),
    })
}

/// The topics, if there are no patterns among them: then the subscription ends with them.
fn exact_topics(topics: &[String]) -> anyhow::Result<Option<Vec<String>>> {
    let mut exact = Some(Vec::new());
    for text in topics {
        match TopicFilter::parse(text).map_err(|error| UsageError(error.to_string()))? {
            TopicFilter::Exact(topic) => exact.iter_mut().for_each(|exact| exact.push(topic.to_string())),
            TopicFilter::Below(_) | TopicFilter::All => exact = None,
        }
    }
    Ok(exact)
}

fn closed_topic(item: &Item) -> Option<String> {
    match item {
        Item::Event(event) if event.event_type() == "close" => event
            .topic()
            .map(str::to_owned)
            .or_else(|| Some(envelope(event)?.get("topic")?.as_str()?.to_owned())),
        _ => None,
    }
}

fn envelope(event: &ReceivedEvent) -> Option<Map<String, Value>> {
    serde_json::from_str(event.data()).ok()
}

/// Data to standard output, everything else to standard error; or all of it as JSON to standard output.
struct Printer {
    json: bool,
}

impl Printer {
    fn print(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Opened(_) if self.json => self.line(&json!({ "kind": "open" })),
            Item::Event(event) if self.json => self.line(&event_json(&event)),
            Item::Gap(gap) if self.json => self.line(
                &json!({ "kind": "gap", "asked": gap.asked(), "reason": gap.reason(), "first": gap.first() }),
            ),
            Item::Retrying { cause, .. } if self.json => self
                .line(&json!({ "kind": "error", "fatal": false, "status": null, "message": chain(&cause) })),
            Item::Event(event) => match event.event_type() {
                "start" => Ok(()),
                "close" => {
                    eprintln!("tidings: {} is closed: {}", event.topic().unwrap_or("a topic"), event.data());
                    Ok(())
                }
                _ => self.data(event.data()),
            },
            Item::Gap(gap) => {
                eprintln!("tidings: updates may be missing here ({})", gap.reason());
                Ok(())
            }
            Item::Retrying { cause, after } => {
                eprintln!(
                    "tidings: {}; trying again in {}",
                    chain(&cause),
                    humantime::format_duration(after)
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn data(&self, data: &str) -> io::Result<()> {
        let mut out = stdout().lock();
        out.write_all(data.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    fn line(&self, json: &Value) -> io::Result<()> {
        if self.json { self.data(&json.to_string()) } else { Ok(()) }
    }
}

/// What the envelope says of an update; the hub's own events have none.
fn event_json(event: &ReceivedEvent) -> Value {
    let known = match event.event_type() {
        "start" => None,
        _ => envelope(event),
    };
    let mut object = known.unwrap_or_else(|| {
        let own = json!({ "type": event.event_type(), "data": event.data(), "id": event.last_event_id() });
        own.as_object().cloned().unwrap_or_default()
    });
    object.insert("kind".into(), "event".into());
    object.into()
}

fn chain(cause: &tidings_client::Cause) -> String {
    let mut text = cause.to_string();
    if let tidings_client::Cause::Network(error) = cause {
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
    }
    text
}
