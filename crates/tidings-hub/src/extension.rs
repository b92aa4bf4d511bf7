//! The seam for a part that registers itself with a hub: paths, topics and tasks of its own.

use std::{any::Any, future::Future, pin::Pin, sync::Arc};

use crate::{Hub, Matchers, delivery::OwnFormat};

/// A part that lives as long as its hub. The hub and the rooms below it know it by this alone.
pub(crate) trait Extension: Send + Sync {
    /// The advice for a client that reads `topic`, if the extension alone publishes to that topic and reads it; `None` for
    /// every other topic. `topic` may be the beginning of a topic's name, from the pattern of a subscription.
    fn reserved(&self, topic: &str) -> Option<&'static str>;

    /// The topics that are [reserved](Extension::reserved).
    fn reserved_topics(&self) -> &Matchers;

    /// The wire form of the extension's own subscriptions, [`EventFormat::Own`](crate::EventFormat::Own).
    fn format(&self) -> &'static dyn OwnFormat;

    /// The routes that the extension answers: a `Routes` of the room `http`, which the hub keeps and cannot name.
    fn routes(self: Arc<Self>) -> Box<dyn Any + Send + Sync>;

    /// Begins the extension's work. Called once, when the hub is complete.
    fn start(self: Arc<Self>, hub: &Hub);

    /// Ends the extension's work. The subscriptions of the hub are still open, and end after this.
    fn shutdown<'a>(&'a self, hub: &'a Hub) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}
