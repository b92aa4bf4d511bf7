//! Prints the events of a stream.

use std::{
    borrow::Cow,
    io::{self, Write, stdout},
};

use serde_json::{Map, Value, json};
use tidings_client::{Cause, Error, Item, ReceivedEvent};
use tidings_hub::log::Record;

use crate::terminal::{on_stdout, say};

/// Prints data to standard output and everything else to standard error; or everything as JSON to standard output.
#[derive(Default)]
pub(in crate::cmd) struct Printer {
    pub(in crate::cmd) json: bool,
    pub(in crate::cmd) comments: bool,
    /// Whether text of others goes to a terminal unchanged.
    pub(in crate::cmd) raw: bool,
    /// Whether the subscription asked a hub for envelopes.
    pub(in crate::cmd) asked_for_envelopes: bool,
    /// Whether the stream is a hub's, according to its head. Then some event types belong to the hub.
    pub(in crate::cmd) is_hub: bool,
}

/// An event as it was printed. If it arrived in an envelope, this is its content.
pub(super) struct Shown {
    pub(super) event_type: String,
    pub(super) data: String,
    pub(super) id: String,
    pub(super) topic: Option<String>,
}

impl Printer {
    /// Prints an item. Returns it if it is an event.
    pub(super) fn print(&mut self, item: &Item) -> io::Result<Option<Shown>> {
        match item {
            Item::Event(event) => return self.event(event).map(Some),
            Item::Gap(gap) if self.json => drop(self.event(gap.event())?),
            Item::Gap(gap) => say(&format!("tidings: updates may be missing here ({})", gap.reason())),
            Item::Opened(head) => {
                self.is_hub = head.is_hub();
                self.line(&json!({ "kind": "open" }))?;
            }
            Item::Comment(text) if self.json => self.line(&json!({ "kind": "comment", "comment": text }))?,
            Item::Comment(text) if self.comments && self.raw => eprintln!(": {text}"),
            Item::Comment(text) if self.comments => say(&format!(": {text}")),
            Item::Retrying { cause, .. } if self.json => {
                let status = status_of(cause);
                self.line(
                    &json!({ "kind": "error", "fatal": false, "status": status, "message": chain(cause) }),
                )?;
            }
            Item::Retrying { cause, after } => {
                let after = humantime::format_duration(std::time::Duration::from_millis(
                    u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
                ));
                say(&format!("tidings: {}; trying again in {after}", chain(cause)));
            }
            _ => {}
        }
        Ok(None)
    }

    /// In JSON mode, prints the error that ends the stream. Otherwise the program prints it when it ends.
    pub(super) fn fatal(&self, error: &Error) -> io::Result<()> {
        let status = match error {
            Error::Status(refusal) | Error::ContentType(refusal) => Some(refusal.status.as_u16()),
            _ => None,
        };
        self.line(&json!({ "kind": "error", "fatal": true, "status": status, "message": causes(error) }))
    }

    /// In JSON mode, prints that the stream is over.
    pub(super) fn closed(&self) -> io::Result<()> {
        self.line(&json!({ "kind": "closed" }))
    }

    fn event(&self, event: &ReceivedEvent) -> io::Result<Shown> {
        let enveloped = if self.asked_for_envelopes && self.is_hub { envelope(event) } else { None };
        let text = |name: &str| Some(enveloped.as_ref()?.get(name)?.as_str()?.to_owned());
        let shown = Shown {
            event_type: event.event_type().to_owned(),
            data: text("data").unwrap_or_else(|| event.data().to_owned()),
            id: event.last_event_id().to_owned(),
            topic: text("topic").or_else(|| event.topic().map(str::to_owned)),
        };
        // The envelope holds more than the stream: the topic, the time, and only the update's own retry.
        let object = enveloped.unwrap_or_else(|| {
            let retry = event.retry().map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
            retry.map(|retry| ("retry".into(), retry.into())).into_iter().collect()
        });
        self.show(&shown, object)?;
        Ok(shown)
    }

    /// Prints a record of a hub's log in the form of a subscriber's event.
    pub(in crate::cmd) fn record(&self, record: &Record) -> io::Result<()> {
        let event = record.event();
        let shown = Shown {
            event_type: event.event_type().to_owned(),
            data: event.data().to_owned(),
            id: record.id().to_string(),
            topic: record.topics().first().map(ToString::to_string),
        };
        let Value::Object(object) = serde_json::to_value(record)? else { return Ok(()) };
        self.show(&shown, object)
    }

    fn show(&self, shown: &Shown, mut object: Map<String, Value>) -> io::Result<()> {
        if self.json {
            object.insert("kind".into(), "event".into());
            object.insert("type".into(), shown.event_type.clone().into());
            object.insert("data".into(), shown.data.clone().into());
            object.insert("id".into(), shown.id.clone().into());
            return self.line(&object.into());
        }
        match &*shown.event_type {
            "start" if self.is_hub => Ok(()),
            "close" if self.is_hub => {
                let topic = shown.topic.as_deref().unwrap_or("the topic");
                say(&format!("tidings: {topic} is closed: {}", shown.data));
                Ok(())
            }
            "access" if self.is_hub => {
                say(&format!("tidings: {}", access(&shown.data)));
                Ok(())
            }
            _ => self.write_line(&shown.data),
        }
    }

    fn line(&self, json: &Value) -> io::Result<()> {
        if self.json { self.write_line(&json.to_string()) } else { Ok(()) }
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let text = if self.raw { Cow::Borrowed(text) } else { on_stdout(text) };
        let mut out = stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

/// The envelope of an update, if the subscription asked the hub for envelopes; the hub's own events have none. Such a
/// subscription does not ask for heartbeats of the type `ping`, so a `ping` is an update.
fn envelope(event: &ReceivedEvent) -> Option<Map<String, Value>> {
    match event.event_type() {
        "start" | "gap" | "access" => None,
        _ => serde_json::from_str(event.data()).ok(),
    }
}

/// The hub's event that the token of the stream ends, in words.
fn access(data: &str) -> String {
    let told: Value = serde_json::from_str(data).unwrap_or_default();
    match (told["reason"].as_str(), told["in"].as_u64()) {
        (Some("expires"), Some(seconds)) => format!("the token expires in {seconds} s"),
        (Some("expired"), _) => "the token has expired".to_owned(),
        _ => format!("the rights of this subscription change: {data}"),
    }
}

fn status_of(cause: &Cause) -> Option<u16> {
    match cause {
        Cause::Status(refusal) => Some(refusal.status.as_u16()),
        _ => None,
    }
}

fn chain(cause: &Cause) -> String {
    match cause {
        Cause::Network(error) => causes(error),
        _ => cause.to_string(),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
