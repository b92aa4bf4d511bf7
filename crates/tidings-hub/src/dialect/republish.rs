//! What a hub gave its subscribers, published again: its own events, and the IDs that it chose.

use std::{borrow::Cow, time::Duration};

use crate::{
    Topic, Update, UpdateId, UpdateRetry, UpdateType,
    http::Problem,
    log::{Append, HubId, IdempotencyKey},
};

/// The type under which another hub's `gap` is kept. To leave it out would hide that updates are missing, and the type itself is
/// this hub's own: its subscribers must know that their hub has said it.
const UPSTREAM_GAP: &str = "upstream-gap";

/// One event of a body that has many, as it was sent.
pub(super) struct Sent<'a> {
    pub(super) event_type: &'a str,
    pub(super) data: Cow<'a, str>,
    pub(super) id: Option<&'a str>,
    pub(super) retry: Option<Duration>,
}

impl Sent<'_> {
    /// What is to be appended for it; nothing for what another hub told its subscriber of itself.
    ///
    /// An ID of the form that hubs give names a place in another log, so the update gets an ID of this one. The old one becomes its
    /// idempotency key, as in `tidings log import`: the same update that comes once more is not appended again.
    pub(super) fn publish(self, topic: Topic, max_retry: Duration) -> Result<Option<Append>, Problem> {
        let Sent { event_type, data, id, retry } = self;
        let hub_id = id.filter(|id| HubId::parse(id).is_some());
        let (event_type, key) = match (event_type, hub_id) {
            ("start", Some(_)) => return Ok(None),
            ("close", Some(_)) => return Ok(Some(Update::close(topic, data).into())),
            // Its ID is that of a place, and may be an update's too.
            ("gap", Some(_)) => (UPSTREAM_GAP, None),
            (event_type, Some(id)) => (event_type, Some(IdempotencyKey::parse(&format!("import:{id}"))?)),
            (event_type, None) => (event_type, None),
        };
        let mut update = Update::new(topic, data).with_type(UpdateType::parse(event_type)?);
        if let Some(id) = id.filter(|_| hub_id.is_none()) {
            update = update.with_id(UpdateId::parse(id)?);
        }
        if let Some(retry) = retry {
            update = update.with_retry(UpdateRetry::parse(retry, max_retry)?);
        }
        Ok(Some(Append { update, key, time: None }))
    }
}
