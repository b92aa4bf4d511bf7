//! The operations of a hub, as all dialects ask for them.

use std::time::Duration;

use tidings_server::KeepAlive;

use super::{Refusal, UpdateReader};
use crate::{
    Selector, StartAt, Topic, Update, UpdateId, UpdateRetry, UpdateType,
    attachments::{FileName, MediaType},
    delivery::cursor::Begin,
    log::{Append, IdempotencyKey},
};

/// An operation that a request asks for.
pub(crate) enum Operation {
    Publish(Publish),
    /// To get the updates of topics as they come.
    Subscribe(Subscription),
    /// To get a page of the updates that are kept.
    History(History),
    /// To get the number of subscribers of each topic.
    CountSubscribers(Selector),
    /// To get the subscriptions that lag, and those that ended last.
    ListLag,
}

/// A publish, by the form of the request's body.
pub(crate) enum Publish {
    /// The body is text, which is read whole.
    Text(Text),
    /// The body has many updates of one topic. Each is published as soon as it has arrived.
    Many(Many),
    /// The body is a file. The update that announces it is published when the file is stored.
    File(File),
}

/// A body that is text.
pub(crate) struct Text {
    /// The topic of all its updates, if the head of the request names it: a publisher that may not publish to it is refused before
    /// the body is read.
    pub(crate) topic: Option<Topic>,
    /// Makes the updates of the body, in order.
    pub(crate) updates: Box<dyn FnOnce(String) -> Result<Vec<Append>, Refusal> + Send>,
}

/// A body with many updates.
pub(crate) struct Many {
    pub(crate) topic: Topic,
    pub(crate) reader: Box<dyn UpdateReader>,
    /// An update without a key of its own has this one, with its number in the body.
    pub(crate) key: Option<IdempotencyKey>,
    /// Whether only readers with a grant for private updates receive its updates.
    pub(crate) is_private: bool,
    /// The reason with which the topic is closed after the body.
    pub(crate) close: Option<String>,
}

/// A body that is a file.
pub(crate) struct File {
    pub(crate) media_type: MediaType,
    /// The file's name, if its publisher says one.
    pub(crate) name: Option<FileName>,
    pub(crate) details: Details,
}

/// The parts of one update that a request names beside the data.
#[derive(Debug)]
pub(crate) struct Details {
    pub(crate) topic: Topic,
    pub(crate) event_type: Option<UpdateType>,
    pub(crate) id: Option<UpdateId>,
    pub(crate) retry: Option<UpdateRetry>,
    pub(crate) key: Option<IdempotencyKey>,
    /// Whether only readers with a grant for private updates receive it.
    pub(crate) is_private: bool,
    /// The reason with which the topic is closed after the update.
    pub(crate) close: Option<String>,
}

/// Which updates a subscriber gets, and how.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) selector: Selector,
    pub(crate) begin: Begin,
    pub(crate) keep_alive: KeepAlive,
}

/// Which page of the history a client gets.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) selector: Selector,
    pub(crate) start: StartAt,
    /// The most updates of the page.
    pub(crate) limit: usize,
    /// How long the hub waits for an update if there is none.
    pub(crate) wait: Duration,
}

impl Details {
    /// The append to the log: the update with these details and the close after it, if there are any.
    pub(crate) fn into_batch(self, update: Option<Update>) -> Vec<Append> {
        let Details { topic, event_type, id, retry, key, is_private, close } = self;
        let mut batch = Vec::new();
        if let Some(mut update) = update {
            if let Some(event_type) = event_type {
                update = update.with_type(event_type);
            }
            if let Some(id) = id {
                update = update.with_id(id);
            }
            if let Some(retry) = retry {
                update = update.with_retry(retry);
            }
            if is_private {
                update = update.private();
            }
            batch.push(Append { update, key, time: None });
        }
        if let Some(reason) = close {
            // It needs no key: to close again for the same reason is the same close.
            batch.push(Update::close(topic, reason).into());
        }
        batch
    }

    /// Whether they say something that only one update can have.
    pub(crate) fn are_of_one_update(&self) -> bool {
        self.event_type.is_some() || self.id.is_some() || self.retry.is_some()
    }
}
