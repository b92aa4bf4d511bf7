//! The hub: an engine that delivers, and the order in which publishers go to its log.

use std::{any::Any, sync::Arc};

use crate::{
    Cursor, Policy, PublishError, Settings, Subscribe, Topic, Update,
    attachments::Unannounced,
    authorize::Reading,
    budget::Budget,
    delivery::{Engine, Feed, cursor::Begin},
    encoder::Encoder,
    extension::Extension,
    log::{
        Append, Appended, Log, LogError, MemoryLog, Receipt, Refused, Turn,
        turns::{Publisher, Turns, cost},
    },
    metrics::Metrics,
    probe::Probes,
    seats::Seats,
};

/// Takes updates and delivers them: a cheap handle, to be cloned.
///
/// ```
/// use tidings_hub::{Hub, Selector, Topic, Update};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::default();
/// let topic = Topic::parse("builds/42")?;
/// let receipt = hub.publish(Update::new(topic.clone(), "passed")).await?;
/// assert_eq!(receipt.sequence, 1);
/// # hub.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

/// The parts of a hub beside its engine.
struct Inner {
    engine: Arc<Engine>,
    feed: Feed,
    /// The order in which publishers go to the log.
    turns: Turns,
    /// Memory of bodies that are not complete yet.
    bodies_room: Budget,
    encoder: Arc<Encoder>,
    probes: Probes,
    seats: Seats,
    extension: Option<Arc<dyn Extension>>,
    /// The routes of the extension, for the room `http`.
    routes: Option<Box<dyn Any + Send + Sync>>,
}

impl Hub {
    /// A hub over `log`.
    ///
    /// # Panics
    /// Outside a Tokio runtime: the hub has a task that follows the log.
    pub fn new(log: Arc<dyn Log>, settings: Settings) -> Hub {
        Hub::extended(log, settings, Metrics::new(), None)
    }

    /// A hub with this extension, which has registered its own metrics in `metrics`.
    pub(crate) fn extended(
        log: Arc<dyn Log>,
        settings: Settings,
        mut metrics: Metrics,
        extension: Option<Arc<dyn Extension>>,
    ) -> Hub {
        let bodies_room = metrics.budget("bodies", settings.body_bytes);
        let seats = Seats::new(settings.max_connections);
        if let Some(control) = settings.access.control() {
            control.start();
        }
        let own_format = extension.as_ref().map(|extension| extension.format());
        let engine = Arc::new(Engine::new(log, settings, metrics, own_format));
        let hub = Hub {
            inner: Arc::new(Inner {
                feed: Feed::start(engine.clone()),
                engine,
                turns: Turns::default(),
                bodies_room,
                encoder: Arc::default(),
                probes: Probes::default(),
                seats,
                routes: extension.clone().map(Extension::routes),
                extension,
            }),
        };
        if let Some(extension) = hub.inner.extension.clone() {
            extension.start(&hub);
        }
        hub
    }

    /// Publishes one update; returns when it is as durable as the log makes it.
    ///
    /// Subscribers get it from the log: publishing never waits for them. It waits for the hub's own task, which reads the log for
    /// them, if that task lags by more than 2,000 updates. Dropping the future does not cancel the publish.
    ///
    /// # Errors
    /// [`PublishError::Refused`] when its topic is closed or its ID is taken, [`PublishError::Log`] when the log fails.
    pub async fn publish(&self, update: Update) -> Result<Receipt, PublishError> {
        let Appended { receipts, refused } = self.publish_all(vec![update.into()]).await?;
        match (receipts.into_iter().next(), refused) {
            (Some(receipt), _) => Ok(receipt),
            (None, Some(refused)) => Err(refused.into()),
            (None, None) => {
                let reason = "the log neither took nor refused the update";
                Err(LogError::Unavailable { reason, source: None }.into())
            }
        }
    }

    /// Publishes updates in order, up to the first that is refused. Waits as [`publish`](Hub::publish) does.
    ///
    /// # Errors
    /// When the log fails. It may then have kept some of them; with idempotency keys it is safe to publish them again.
    pub async fn publish_all(&self, batch: Vec<Append>) -> Result<Appended, LogError> {
        self.publish_for(None, batch).await
    }

    /// The same, for a connection that may publish many things at once.
    pub(crate) async fn publish_for(
        &self,
        publisher: Option<&Publisher>,
        batch: Vec<Append>,
    ) -> Result<Appended, LogError> {
        match &self.inner.extension {
            None => self.append(publisher, batch).await,
            Some(_) => self.publish_unreserved(publisher, batch).await,
        }
    }

    /// The same, up to the first update of a topic that is reserved for the extension.
    async fn publish_unreserved(
        &self,
        publisher: Option<&Publisher>,
        mut batch: Vec<Append>,
    ) -> Result<Appended, LogError> {
        let refused = batch.iter().enumerate().find_map(|(index, append)| {
            let (topic, _) = self.reserved(append.update.topics().iter().map(Topic::as_str))?;
            Some((index, Refused::Reserved { topic: topic.to_owned() }))
        });
        let Some((index, refused)) = refused else { return self.append(publisher, batch).await };
        let dropped = batch.split_off(index);
        if let Some(attachments) = self.inner.engine.log.attachments() {
            // The log never sees them, so their files are removed here.
            drop(Unannounced::of(attachments, dropped.iter().map(|append| &append.update)));
        }
        if batch.is_empty() {
            return Ok(Appended { receipts: Vec::new(), refused: Some(refused) });
        }
        let mut appended = self.append(publisher, batch).await?;
        appended.refused.get_or_insert(refused);
        Ok(appended)
    }

    /// The first of these topics, or beginnings of topics, that is reserved for the extension, and the advice for its reader.
    pub(crate) fn reserved<'a>(
        &self,
        mut names: impl Iterator<Item = &'a str>,
    ) -> Option<(&'a str, &'static str)> {
        let extension = self.extension()?;
        names.find_map(|name| Some((name, extension.reserved(name)?)))
    }

    /// Publishes for the extension, to its own topics.
    pub(crate) async fn publish_reserved(&self, batch: Vec<Append>) -> Result<Appended, LogError> {
        self.append(None, batch).await
    }

    async fn append(&self, publisher: Option<&Publisher>, batch: Vec<Append>) -> Result<Appended, LogError> {
        let bytes = cost(&batch);
        // The file of an attachment is nobody's until the log has it, so that one does not wait.
        let turn = match batch.iter().any(|append| append.update.attachment().is_some()) {
            true => Turn::at_once(publisher, bytes),
            false => self.inner.turns.take(publisher, bytes).await,
        };
        let appended = self.inner.engine.log.append_in_turn(batch, turn).await?;
        let repeated = appended.receipts.iter().filter(|receipt| receipt.repeated).count() as u64;
        self.inner.engine.metrics.repeated.inc_by(repeated);
        self.inner.engine.metrics.published.inc_by(appended.receipts.len() as u64 - repeated);
        let last = appended.receipts.iter().map(|receipt| receipt.sequence).max().unwrap_or_default();
        if self.inner.engine.fed.is_far_from(last) {
            Box::pin(self.inner.engine.fed.come_to(last)).await;
        }
        Ok(appended)
    }

    /// Subscribes within this process: a stream of encoded events, private ones left out.
    ///
    /// `None` means that there is nothing to come: all topics are closed, and the subscriber has seen it, or is new.
    ///
    /// # Errors
    /// When the log fails.
    pub async fn subscribe(&self, subscribe: impl Into<Subscribe>) -> Result<Option<Cursor>, LogError> {
        let Subscribe { selector, start, form, start_event } = subscribe.into();
        let begin = Begin { start, form, start_event };
        Cursor::open(self.engine().clone(), Reading::public(selector), begin).await
    }

    /// Ends all subscriptions between two events, then the hub's own task. Subscribers resume elsewhere, or later.
    pub async fn shutdown(&self) {
        if let Some(extension) = &self.inner.extension {
            extension.shutdown(self).await;
        }
        self.inner.engine.begin_shutdown();
        self.inner.feed.ended().await;
    }

    /// Puts another policy in force. Within a second, streams end that it does not allow any more; their clients are told so by an event
    /// of type `access`. All other streams go on.
    ///
    /// It does nothing for a hub whose [`Access`](crate::Access) is no [`Control`](crate::Control).
    pub fn set_policy(&self, policy: Policy) {
        if let Some(control) = self.engine().settings.access.control() {
            control.replace(policy);
            self.look_at_grants();
        }
    }

    /// Makes all streams look whether their grants still hold.
    pub(crate) fn look_at_grants(&self) {
        self.engine().loops.look_at_grants();
        self.engine().bodies.look_at_grants();
    }

    /// The engine that subscriptions work with.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    /// Memory of bodies that are not complete yet.
    pub(crate) fn bodies_room(&self) -> &Budget {
        &self.inner.bodies_room
    }

    /// The thread that encodes long pages.
    pub(crate) fn encoder(&self) -> &Arc<Encoder> {
        &self.inner.encoder
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.inner.probes
    }

    pub(crate) fn seats(&self) -> &Seats {
        &self.inner.seats
    }

    pub(crate) fn extension(&self) -> Option<&dyn Extension> {
        self.inner.extension.as_deref()
    }

    /// The routes of the extension, if they are of this type.
    pub(crate) fn routes<R: 'static>(&self) -> Option<&R> {
        self.inner.routes.as_ref()?.downcast_ref()
    }
}

impl Default for Hub {
    /// A hub over a [`MemoryLog`], with default limits and settings.
    fn default() -> Hub {
        Hub::new(Arc::new(MemoryLog::default()), Settings::default())
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("engine", &self.engine).finish_non_exhaustive()
    }
}
