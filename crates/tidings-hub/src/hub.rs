//! The hub: a log, those who follow it, and the door.

use std::{
    future::Future,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::watch;

use crate::{
    Cursor, PublishError, Settings, Subscribe, Update,
    authorize::Grant,
    budget::Budget,
    delivery::{
        Feed, FeedPlace, Window,
        routing::Routing,
        subscription::{LastRead, Subscription},
    },
    encoder::Encoder,
    lag::{Bodies, Ended, LastEnded, Loops},
    log::{Append, Appended, Log, LogError, MemoryLog, Receipt, Turn},
    metrics::Metrics,
    probe::Probes,
    seats::Seats,
    turns::{Publisher, Turns, cost},
};
#[cfg(feature = "gateway")]
use crate::{
    gateway::{Gateway, is_reserved},
    log::Refused,
};

/// Takes updates and delivers them: a cheap handle, to be cloned.
///
/// ```
/// use tidings_hub::{Hub, Interest, Topic, Update};
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
    shared: Arc<Shared>,
    feed: Arc<Feed>,
}

/// What the parts of one hub share.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) loops: Loops,
    pub(crate) bodies: Bodies,
    pub(crate) last_ended: LastEnded,
    pub(crate) last_read: LastRead,
    /// Who goes to the log next.
    pub(crate) turns: Turns,
    /// Memory of bodies that are not complete yet.
    pub(crate) bodies_room: Budget,
    /// Memory of answers that are under way.
    pub(crate) answers_room: Budget,
    /// Who encodes pages of history that are long.
    pub(crate) encoder: Arc<Encoder>,
    pub(crate) metrics: Metrics,
    pub(crate) probes: Probes,
    pub(crate) seats: Seats,
    pub(crate) settings: Settings,
    #[cfg(feature = "gateway")]
    pub(crate) gateway: Option<Arc<Gateway>>,
    pub(crate) fed: FeedPlace,
    window: RwLock<Window>,
    shutdown: watch::Sender<bool>,
}

impl Hub {
    /// A hub over `log`.
    ///
    /// # Panics
    /// Outside a Tokio runtime: the hub has a task that follows the log.
    pub fn new(log: Arc<dyn Log>, settings: Settings) -> Hub {
        // The window begins at the tail. What is older is read from the log by those who ask for it.
        let newest = log.bounds().newest.sequence;
        let mut metrics = Metrics::new();
        let answers_room = metrics.budget("answers", settings.answer_bytes);
        let bodies_room = metrics.budget("bodies", settings.body_bytes);
        let shared = Arc::new(Shared {
            log,
            routing: Arc::default(),
            loops: Loops::default(),
            bodies: Bodies::default(),
            last_ended: LastEnded::default(),
            last_read: LastRead::default(),
            turns: Turns::default(),
            bodies_room,
            answers_room,
            encoder: Arc::default(),
            probes: Probes::default(),
            seats: Seats::new(settings.max_connections),
            #[cfg(feature = "gateway")]
            gateway: settings
                .gateway
                .clone()
                .map(|settings| Arc::new(Gateway::new(settings, metrics.registry()))),
            metrics,
            fed: FeedPlace::at(newest),
            window: RwLock::new(Window::after(newest, settings.window_bytes)),
            settings,
            shutdown: watch::Sender::new(false),
        });
        let hub = Hub { feed: Arc::new(Feed::start(shared.clone())), shared };
        #[cfg(feature = "gateway")]
        if let Some(gateway) = &hub.shared.gateway {
            gateway.begin(hub.clone());
        }
        hub
    }

    /// Publishes one update; returns when it is as durable as the log makes it.
    ///
    /// Subscribers get it from the log: publishing never waits for them. It waits for the hub's own task, which reads the log for
    /// them, where that is more than 2,000 updates behind. Who drops the future then has published all the same.
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
        #[cfg(feature = "gateway")]
        if self.shared.gateway.is_some() {
            return self.publish_unreserved(publisher, batch).await;
        }
        self.append(publisher, batch).await
    }

    /// The same, up to the first that is for a topic of the gateway.
    #[cfg(feature = "gateway")]
    async fn publish_unreserved(
        &self,
        publisher: Option<&Publisher>,
        mut batch: Vec<Append>,
    ) -> Result<Appended, LogError> {
        let reserved = |append: &Append| {
            let topic = append.update.topics().iter().find(|topic| is_reserved(topic.as_str()))?;
            Some(Refused::Reserved { topic: topic.to_string() })
        };
        let refused = batch.iter().enumerate().find_map(|(index, append)| Some((index, reserved(append)?)));
        let Some((index, refused)) = refused else { return self.append(publisher, batch).await };
        if index == 0 {
            return Ok(Appended { receipts: Vec::new(), refused: Some(refused) });
        }
        batch.truncate(index);
        let mut appended = self.append(publisher, batch).await?;
        appended.refused.get_or_insert(refused);
        Ok(appended)
    }

    /// Publishes to topics of the gateway.
    #[cfg(feature = "gateway")]
    pub(crate) async fn publish_reserved(&self, batch: Vec<Append>) -> Result<Appended, LogError> {
        self.append(None, batch).await
    }

    async fn append(&self, publisher: Option<&Publisher>, batch: Vec<Append>) -> Result<Appended, LogError> {
        let bytes = cost(&batch);
        // The file of an attachment is nobody's until the log has it, so that one does not wait.
        let turn = match batch.iter().any(|append| append.update.attachment().is_some()) {
            true => Turn::at_once(publisher, bytes),
            false => self.shared.turns.take(publisher, bytes).await,
        };
        let appended = self.shared.log.append_in_turn(batch, turn).await?;
        let repeated = appended.receipts.iter().filter(|receipt| receipt.repeated).count() as u64;
        self.shared.metrics.repeated.inc_by(repeated);
        self.shared.metrics.published.inc_by(appended.receipts.len() as u64 - repeated);
        let last = appended.receipts.iter().map(|receipt| receipt.sequence).max().unwrap_or_default();
        if self.shared.fed.is_far_from(last) {
            Box::pin(self.shared.fed.come_to(last)).await;
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
        let grant = Grant { subscribe: true, ..Grant::default() };
        Cursor::open(self.shared.clone(), subscribe.into(), grant).await
    }

    /// Ends all subscriptions between two events, then the hub's own task. Subscribers resume elsewhere, or later.
    pub async fn shutdown(&self) {
        #[cfg(feature = "gateway")]
        if let Some(gateway) = &self.shared.gateway {
            gateway.shutdown(&self.shared).await;
        }
        self.shared.begin_shutdown();
        self.feed.ended().await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Default for Hub {
    /// A hub over a [`MemoryLog`], with default limits and settings.
    fn default() -> Hub {
        Hub::new(Arc::new(MemoryLog::default()), Settings::default())
    }
}

impl Shared {
    pub(crate) fn read_window(&self) -> RwLockReadGuard<'_, Window> {
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_window(&self) -> RwLockWriteGuard<'_, Window> {
        self.window.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether others may be told what a subscription follows: those who may receive all that it may.
    pub(crate) fn may_be_told_of(&self, subscription: &Subscription) -> bool {
        self.settings.access.anonymous().covers(subscription.grant)
    }

    /// Notes that a subscription has ended.
    pub(crate) fn end(&self, ended: Ended) {
        self.metrics.ended(ended.reason);
        if self.may_be_told_of(&ended.subscription) {
            self.last_ended.push(ended);
        }
    }

    /// Ends subscriptions and the feed; they notice soon.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
        self.routing.signal_all(1);
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Ready once the hub shuts down.
    pub(crate) fn shutdown_begun(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut shutdown = self.shutdown.subscribe();
        async move {
            // An error means that the hub is gone, which is an end as well.
            let _ = shutdown.wait_for(|begun| *begun).await;
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("bounds", &self.log.bounds()).finish_non_exhaustive()
    }
}
