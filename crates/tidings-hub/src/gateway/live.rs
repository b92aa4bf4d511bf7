//! The streams that the gateway is receiving now.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    restart::end_cut_streams,
    settings::GatewaySettings,
    stream::StreamId,
    token::Tokens,
    upstream::Upstream,
};
use crate::{Hub, hub::Shared};

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
    shutdown: watch::Sender<bool>,
}

/// A stream that is being received.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: StreamId,
    /// The digest of the request's body.
    pub(super) body: String,
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
    /// It has ended, or was there before; with the headers of its upstream where they are known.
    Kept(Arc<HeaderMap>),
}

/// Whether a stream is new.
#[derive(Debug)]
pub(super) enum Entered {
    New(Arc<Live>),
    Running(Arc<Live>),
    /// There are as many as there may be.
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
            shutdown: watch::Sender::new(false),
        }
    }

    /// Begins to end what an earlier process has left open. `hub` is the gateway's own.
    pub(crate) fn begin(&self, hub: Hub) {
        let newest = hub.shared().log.bounds().newest.sequence;
        self.spawn(async move {
            match end_cut_streams(&hub, newest).await {
                Ok(0) => {}
                Ok(streams) => tracing::info!(streams, "streams that a restart has cut are ended"),
                Err(error) => tracing::error!(%error, "streams that a restart has cut can't be ended"),
            }
        });
    }

    /// Enters a stream, if it is not there already.
    pub(super) fn enter(&self, id: StreamId, body: String) -> Entered {
        match self.live().entry(id) {
            Entry::Occupied(running) => Entered::Running(running.get().0.clone()),
            Entry::Vacant(vacant) => {
                let Some(admitted) = self.admission.admit() else { return Entered::Full };
                let live = Arc::new(Live {
                    id,
                    body,
                    progress: watch::Sender::new(Progress::Starting),
                    stop: watch::Sender::new(None),
                });
                vacant.insert((live.clone(), admitted));
                Entered::New(live)
            }
        }
    }

    /// Takes a stream out, and tells who waits for it how far it has come. `over` is whether the upstream has ended the exchange,
    /// or was not asked.
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

    /// Runs a task that shutdown waits for.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Ready once the gateway shuts down.
    pub(super) async fn shutdown_begun(&self) {
        // An error means that the gateway is gone, which is an end as well.
        let _ = self.shutdown.subscribe().wait_for(|begun| *begun).await;
    }

    /// Ends all streams, so that readers are told before they are cut.
    pub(crate) async fn shutdown(&self, shared: &Shared) {
        let topics: Vec<_> = self.live().keys().map(StreamId::topic).collect();
        self.shutdown.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let told = async { while tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_GRACE, told).await.is_err() {
            tracing::warn!(after = ?SHUTDOWN_GRACE, "streams were still open at the end of the shutdown");
        }
        // A reader leaves by itself when it has read the end.
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        while Instant::now() < deadline && topics.iter().any(|topic| shared.routing.is_followed(topic)) {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Live {
    /// Waits until the stream is in the log, and says how far it is then.
    pub(super) async fn announced(&self) -> Progress {
        self.wait_for(|progress| !matches!(progress, Progress::Starting)).await
    }

    /// Waits until there is an event, or will be none.
    pub(super) async fn head(&self) -> Progress {
        self.wait_for(|progress| !matches!(progress, Progress::Starting | Progress::Waiting)).await
    }

    /// What the upstream sent, as far as it has.
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
