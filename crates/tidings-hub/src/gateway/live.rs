//! The streams that the gateway is receiving now.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use prometheus_client::registry::Registry;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    admission::{Admission, Admitted},
    ending::Ending,
    failure::Failure,
    metrics::GatewayMetrics,
    restart::{NOTE_AFTER, Swept, end_cut_streams, note_ended},
    settings::GatewaySettings,
    stream::StreamId,
    token::Tokens,
    upstream::Upstream,
};
use crate::{Hub, delivery::Engine, log::Position};

/// How long the gateway's tasks, and then their readers, may take to end at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// The gateway of a hub.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(super) settings: GatewaySettings,
    pub(super) tokens: Tokens,
    pub(super) upstream: Upstream,
    pub(super) metrics: GatewayMetrics,
    pub(super) admission: Admission,
    live: Mutex<HashMap<StreamId, (Arc<Live>, Admitted)>>,
    tasks: Mutex<JoinSet<()>>,
    /// The position up to which the streams of earlier processes have ended; `None` while that is not known.
    swept: Mutex<Option<Position>>,
    /// The position of the first stream that this process could not end in the log.
    left_open: Mutex<Option<Position>>,
    /// How many streams have been announced.
    announced: AtomicU64,
    shutdown: watch::Sender<bool>,
}

/// A stream that is being received.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: StreamId,
    /// The digest of the request's body.
    pub(super) body: String,
    /// The log's end when it was entered: it is announced after that.
    after: Position,
    pub(super) progress: watch::Sender<Progress>,
    /// Set to end the stream before its time.
    pub(super) stop: watch::Sender<Option<Ending>>,
}

/// How far a stream has come.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    /// It is not in the log yet.
    Starting,
    /// It is in the log, and the upstream has said nothing.
    Waiting,
    /// There is an event. With it come the headers that the upstream sent.
    Flowing(Arc<HeaderMap>),
    /// It failed before its first event, or was never begun.
    Failed(Arc<Failure>),
    /// It has ended, or was there before. The headers of its upstream, if they are known.
    Kept(Arc<HeaderMap>),
}

/// Whether a stream is new.
#[derive(Debug)]
pub(super) enum Entered {
    New(Arc<Live>),
    Running(Arc<Live>),
    /// There are as many streams as there may be.
    Full,
}

impl Gateway {
    pub(crate) fn new(settings: GatewaySettings, registry: &mut Registry) -> Gateway {
        let metrics = GatewayMetrics::new(registry);
        Gateway {
            tokens: Tokens::new(&settings.token_secret, settings.token_lifetime),
            upstream: Upstream::new(&settings),
            admission: Admission::new(settings.max_streams, metrics.admitted.clone()),
            metrics,
            settings,
            live: Mutex::default(),
            tasks: Mutex::default(),
            swept: Mutex::default(),
            left_open: Mutex::default(),
            announced: AtomicU64::new(0),
            shutdown: watch::Sender::new(false),
        }
    }

    /// Begins to end the streams that an earlier process has left open. `hub` is the gateway's own.
    pub(super) fn begin(self: &Arc<Self>, hub: Hub) {
        let gateway = self.clone();
        self.spawn(async move {
            match end_cut_streams(&hub, &gateway).await {
                Ok(Swept { ended: 0, .. }) => {}
                Ok(Swept { ended: streams, .. }) => {
                    tracing::info!(streams, "streams that a restart has cut are ended");
                }
                Err(error) => tracing::error!(%error, "streams that a restart has cut cannot be ended"),
            }
        });
    }

    /// Enters a stream, if it is not there already. `newest` is the log's end.
    pub(super) fn enter(&self, id: StreamId, body: String, newest: Position) -> Entered {
        match self.live().entry(id) {
            Entry::Occupied(running) => Entered::Running(running.get().0.clone()),
            Entry::Vacant(vacant) => {
                let Some(admitted) = self.admission.admit() else { return Entered::Full };
                let live = Arc::new(Live {
                    id,
                    body,
                    after: newest,
                    progress: watch::Sender::new(Progress::Starting),
                    stop: watch::Sender::new(None),
                });
                vacant.insert((live.clone(), admitted));
                Entered::New(live)
            }
        }
    }

    /// Takes a stream out, and tells the tasks that wait for it how it has ended. `over` says whether the upstream has ended the
    /// exchange, or was not asked.
    pub(super) fn leave(&self, live: &Live, last: Progress, over: bool) {
        if let Some((_, mut admitted)) = self.live().remove(&live.id) {
            if over {
                admitted.over();
            }
        }
        live.progress.send_replace(last);
    }

    pub(super) fn find(&self, id: &StreamId) -> Option<Arc<Live>> {
        self.live().get(id).map(|(live, _)| live.clone())
    }

    fn live(&self) -> MutexGuard<'_, HashMap<StreamId, (Arc<Live>, Admitted)>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the position up to which the streams of earlier processes have ended.
    pub(super) fn swept_to(&self, position: Position) {
        *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
    }

    /// A position up to which all announced streams have ended, if there is one. Every live stream was announced after it.
    pub(super) fn all_ended_to(&self) -> Option<Position> {
        let swept = (*self.swept.lock().unwrap_or_else(PoisonError::into_inner))?;
        let left_open = *self.left_open.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live();
        let open = live.values().map(|(live, _)| live.after);
        [swept].into_iter().chain(left_open).chain(open).min_by_key(|position| position.sequence)
    }

    /// Notes that a stream may stay open in the log when it is no longer live. The next start looks at it.
    pub(super) fn leave_open(&self, live: &Live) {
        let mut left_open = self.left_open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = left_open.unwrap_or(live.after);
        *left_open = Some(if live.after.sequence < before.sequence { live.after } else { before });
    }

    /// Counts a stream that has been announced. After a number of them, the log gets a note of which have ended.
    pub(super) fn count_announced(self: &Arc<Self>, hub: &Hub) {
        if (self.announced.fetch_add(1, Ordering::Relaxed) + 1) % NOTE_AFTER == 0 {
            let (hub, gateway) = (hub.clone(), self.clone());
            self.spawn(async move { note_ended(&hub, &gateway).await });
        }
    }

    /// Runs a task that shutdown waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Waits for the tasks that run.
    #[cfg(test)]
    pub(super) async fn tasks_done(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        *self.shutdown.borrow()
    }

    /// Ready once the gateway shuts down.
    pub(super) async fn shutdown_begun(&self) {
        // An error means that the gateway is gone, which is an end as well.
        let _ = self.shutdown.subscribe().wait_for(|begun| *begun).await;
    }

    /// Ends all streams, so that readers get the last event before they are cut.
    pub(super) async fn end_streams(&self, engine: &Engine) {
        let topics: Vec<_> = self.live().keys().map(StreamId::topic).collect();
        self.shutdown.send_replace(true);
        let told = async {
            // Tasks begin other tasks.
            loop {
                let mut tasks =
                    std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
                if tasks.is_empty() {
                    return;
                }
                while tasks.join_next().await.is_some() {}
            }
        };
        if timeout(SHUTDOWN_GRACE, told).await.is_err() {
            tracing::warn!(after = ?SHUTDOWN_GRACE, "streams were still open at the end of the shutdown");
        }
        // A reader leaves by itself when it has read the end.
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        while Instant::now() < deadline && topics.iter().any(|topic| engine.routing.is_followed(topic)) {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Live {
    /// Waits until the stream is in the log, and says how far it is then.
    pub(super) async fn announced(&self) -> Progress {
        self.wait_for(|progress| !matches!(progress, Progress::Starting)).await
    }

    /// Waits until there is an event, or there will never be one.
    pub(super) async fn head(&self) -> Progress {
        self.wait_for(|progress| !matches!(progress, Progress::Starting | Progress::Waiting)).await
    }

    /// The headers of the upstream, if they have arrived.
    pub(super) fn headers(&self) -> Arc<HeaderMap> {
        match &*self.progress.borrow() {
            Progress::Flowing(headers) | Progress::Kept(headers) => headers.clone(),
            _ => Arc::default(),
        }
    }

    /// Waits until the stream is no longer received.
    pub(super) async fn ended(&self) {
        self.wait_for(|progress| matches!(progress, Progress::Failed(_) | Progress::Kept(_))).await;
    }

    async fn wait_for(&self, enough: impl FnMut(&Progress) -> bool) -> Progress {
        match self.progress.subscribe().wait_for(enough).await {
            Ok(progress) => progress.clone(),
            // The sender is in `self`.
            Err(_) => Progress::Kept(Arc::default()),
        }
    }
}
