//! Publishes the stream of another hub again. This module handles that hub's own events and its IDs.

use std::{borrow::Cow, mem, time::Duration};

use tidings_codec::Item;

use super::{Append, HubId, IdempotencyKey, InvalidKey};
use crate::{InvalidName, InvalidRetry, Topic, Update, UpdateId, UpdateRetry, UpdateType};

/// The type under which another hub's `gap` is kept. To leave it out would hide that updates are missing, and the type itself is
/// this hub's own: its subscribers must know that their hub has said it.
const UPSTREAM_GAP: &str = "upstream-gap";

/// Why an event cannot be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unpublishable {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Retry(#[from] InvalidRetry),
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// One event of a stream or a body that has many, as it was sent.
pub(crate) struct Sent<'a> {
    /// `message` where none was sent.
    pub(crate) event_type: &'a str,
    /// Without the line feed at its end.
    pub(crate) data: Cow<'a, str>,
    /// The ID of the same block, as a hub or a publisher wrote it.
    pub(crate) id: Option<&'a str>,
    /// The reconnection time that the event sets.
    pub(crate) retry: Option<Duration>,
}

impl Sent<'_> {
    /// The append for it. Nothing for another hub's own events.
    ///
    /// An ID of the form that hubs give names a place in another log, so the update gets an ID of this one. The old one becomes its
    /// idempotency key: the same update that comes once more is not appended again.
    pub(crate) fn publish(self, topic: Topic, max_retry: Duration) -> Result<Option<Append>, Unpublishable> {
        let Sent { event_type, data, id, retry } = self;
        let hub_id = id.filter(|id| HubId::parse(id).is_some());
        let (event_type, key) = match (event_type, hub_id) {
            ("start", Some(_)) => return Ok(None),
            ("close", Some(_)) => return Ok(Some(Update::close(topic, data).into())),
            // Its ID is that of a position, and may be an update's too.
            ("gap", Some(_)) => (UPSTREAM_GAP, None),
            (event_type, Some(id)) => (event_type, Some(IdempotencyKey::parse(&format!("import:{id}"))?)),
            (event_type, None) => (event_type, None),
        };
        let mut update = Update::new(topic, data);
        if !event_type.is_empty() {
            update = update.with_type(UpdateType::parse(event_type)?);
        }
        if let Some(id) = id.filter(|_| hub_id.is_none()) {
            update = update.with_id(UpdateId::parse(id)?);
        }
        if let Some(retry) = retry {
            update = update.with_retry(UpdateRetry::parse(retry, max_retry)?);
        }
        Ok(Some(Append { update, key, time: None }))
    }
}

/// Reads the items of an event stream, which may be a hub's, as updates.
///
/// Comments, and blocks that only set `retry` or an `id`, are no updates. Nor are the events of another hub that tell of itself, its
/// heartbeats, and the reconnection time that its stream begins with.
#[derive(Debug, Default)]
pub(crate) struct Republishing {
    opening: Opening,
    /// Whether an ID of a hub has come: then an empty `ping` without an ID is its heartbeat, and an `access` says that a grant ends.
    is_hubs: bool,
}

/// A server's first two lines: an empty comment and its reconnection time, which stand in the block of the first event and are no
/// part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Opening {
    #[default]
    Nothing,
    Comment,
    Retry,
    /// Over, or never there.
    Past,
}

impl Republishing {
    /// The append for the next item, if any. Fields that the standard does not know are not handled here.
    pub(crate) fn read(
        &mut self,
        item: &Item<'_>,
        topic: &Topic,
        max_retry: Duration,
    ) -> Result<Option<Append>, Unpublishable> {
        match (item, self.opening) {
            (Item::Event(event), _) => {
                let is_opening = mem::replace(&mut self.opening, Opening::Past) == Opening::Retry;
                self.is_hubs |= event.id().is_some_and(|id| HubId::parse(id).is_some());
                let is_ping = event.event_type() == "ping" && event.data().is_empty();
                let is_access = event.event_type() == "access";
                if self.is_hubs && (is_ping || is_access) && event.id().is_none() {
                    return Ok(None);
                }
                let sent = Sent {
                    event_type: event.event_type(),
                    data: event.data().into(),
                    id: event.id(),
                    retry: event.retry().filter(|_| !is_opening),
                };
                return sent.publish(topic.clone(), max_retry);
            }
            (Item::Comment(""), Opening::Nothing) => self.opening = Opening::Comment,
            (Item::Retry(_), Opening::Comment) => self.opening = Opening::Retry,
            // A heartbeat may come before the first event.
            (Item::Comment(_), Opening::Retry) => {}
            // A second reconnection time in the first block is the event's own.
            _ => self.opening = Opening::Past,
        }
        Ok(None)
    }
}
