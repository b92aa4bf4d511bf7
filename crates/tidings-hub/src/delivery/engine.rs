//! What all subscriptions work with: the log, the window of its newest updates, and the routing that wakes subscribers.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::sync::watch;

use super::{
    FeedPlace, Window,
    frame::{Form, OwnFormat},
    routing::Routing,
    subscription::LastRead,
};
use crate::{
    EventFormat, Settings,
    budget::Budget,
    delivery::lag::{Bodies, Ended, LastEnded, Loops},
    log::{Fault, Log},
    metrics::Metrics,
};

/// The state that all subscriptions of a hub share.
pub(crate) struct Engine {
    /// The log from which pages are read.
    pub(crate) log: Arc<dyn Log>,
    /// Which subscribers a record wakes.
    pub(crate) routing: Arc<Routing>,
    /// The delivery loops, to be asked how far their subscriptions lag.
    pub(crate) loops: Loops,
    /// The subscriptions outside the loops, to be asked the same.
    pub(crate) bodies: Bodies,
    /// The subscriptions that ended last, for operators.
    pub(crate) last_ended: LastEnded,
    /// The page of the log that was read last, for others that are at the same position.
    pub(crate) last_read: LastRead,
    /// Memory of answers that are under way.
    pub(crate) answers_room: Budget,
    /// Counted wherever something happens.
    pub(crate) metrics: Metrics,
    /// Read wherever something is limited.
    pub(crate) settings: Settings,
    /// Up to where the feed has read the log.
    pub(crate) fed: FeedPlace,
    /// Why the feed cannot follow the log, if it cannot: the feed sets it, and `/readyz` tells it.
    feed_fault: Mutex<Option<Fault>>,
    /// How the hub's extension writes events, if there is one.
    own_format: Option<&'static dyn OwnFormat>,
    window: RwLock<Window>,
    shutdown: watch::Sender<bool>,
}

impl Engine {
    /// Of a log whose newest updates come from now on; older ones are read from the log by those that ask for them.
    pub(crate) fn new(
        log: Arc<dyn Log>,
        settings: Settings,
        mut metrics: Metrics,
        own_format: Option<&'static dyn OwnFormat>,
    ) -> Engine {
        let newest = log.bounds().newest.sequence;
        Engine {
            log,
            routing: Arc::default(),
            loops: Loops::default(),
            bodies: Bodies::default(),
            last_ended: LastEnded::default(),
            last_read: LastRead::default(),
            answers_room: metrics.budget("answers", settings.answer_bytes),
            metrics,
            fed: FeedPlace::at(newest),
            feed_fault: Mutex::default(),
            window: RwLock::new(Window::after(newest, settings.window_bytes)),
            settings,
            own_format,
            shutdown: watch::Sender::new(false),
        }
    }

    /// How events of this form are written in this hub.
    pub(crate) fn form(&self, format: EventFormat) -> Form {
        Form::of(format, self.own_format)
    }

    pub(crate) fn read_window(&self) -> RwLockReadGuard<'_, Window> {
        self.window.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_window(&self) -> RwLockWriteGuard<'_, Window> {
        self.window.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether updates can be kept and delivered.
    ///
    /// # Errors
    /// Why not, and since when.
    pub(crate) fn health(&self) -> Result<(), Fault> {
        self.log.health()?;
        self.feed_fault.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    pub(crate) fn set_feed_fault(&self, fault: Option<Fault>) {
        *self.feed_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Notes that a subscription has ended.
    pub(crate) fn end(&self, ended: Ended) {
        self.metrics.ended(ended.reason);
        self.last_ended.push(ended);
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

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("bounds", &self.log.bounds()).finish_non_exhaustive()
    }
}
