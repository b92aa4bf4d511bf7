//! The set that an issuer has published last, and how long the hub goes by it.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
    time::{Instant, timeout},
};

use super::{
    fetch::{FETCH_TIMEOUT, Source},
    schedule::keep_fresh,
};
use crate::authorize::tokens::{InvalidIssuer, Refusal, TokenKeys};

/// How long after its time a set is used, if no newer one can be fetched.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// How often a key that nobody knows makes the hub fetch the set.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// The keys at a URL. A task fetches them for as long as this lives.
pub(in crate::authorize::tokens) struct PublishedKeys {
    source: Source,
    shared: Arc<Shared>,
    task: OnceLock<Task>,
}

/// The part that the task and the requests share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the task before its time.
    pub(super) wanted: Notify,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    set: Option<Set>,
    is_fetching: bool,
    /// When an unknown key last made the hub fetch.
    asked: Option<Instant>,
    /// How often the keys have changed.
    version: u64,
}

struct Set {
    keys: TokenKeys,
    hash: [u8; 32],
    fetched: Instant,
    serves_until: Instant,
}

/// A set that has arrived.
pub(super) struct Fetched {
    pub(super) keys: TokenKeys,
    /// Of its text: two sets of the same text are the same.
    pub(super) hash: [u8; 32],
    pub(super) max_age: Duration,
}

/// Ends the task with its owner. It keeps nothing that could be lost.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl PublishedKeys {
    /// The keys at `url`.
    ///
    /// # Errors
    /// For a URL that is neither `https` nor `http` on this machine.
    pub(in crate::authorize::tokens) fn parse(url: &str) -> Result<PublishedKeys, InvalidIssuer> {
        let source = Source::parse(url)?;
        Ok(PublishedKeys { source, shared: Arc::new(Shared::new()), task: OnceLock::new() })
    }

    pub(in crate::authorize::tokens) fn url(&self) -> String {
        self.source.to_string()
    }

    /// Begins to fetch the keys. Does nothing outside a Tokio runtime, and if it was called before.
    pub(in crate::authorize::tokens) fn start(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        self.task.get_or_init(|| {
            let (source, shared) = (self.source.clone(), self.shared.clone());
            let task = async move {
                let fetch = || source.fetch();
                keep_fresh(&shared, &source.to_string(), fetch).await;
            };
            // Until the task runs, a request waits for it instead of being refused.
            self.shared.state().is_fetching = true;
            Task(runtime.spawn(task).abort_handle())
        });
    }

    /// The keys that count now.
    ///
    /// # Errors
    /// While there are none. Its client must not throw its token away.
    pub(in crate::authorize::tokens) fn current(&self) -> Result<TokenKeys, Refusal> {
        self.start();
        self.shared.current().ok_or_else(|| {
            let detail = format!("the keys at {} could not be fetched; try again later", self.source);
            Refusal::before("keys-unavailable", detail)
        })
    }

    /// Fetches the keys for a token whose key is unknown, and waits for them. Returns whether it is worth looking again.
    pub(in crate::authorize::tokens) async fn ask_again(&self) -> bool {
        self.start();
        self.shared.ask_again().await
    }

    /// How often the keys have changed.
    pub(in crate::authorize::tokens) fn version(&self) -> u64 {
        self.shared.state().version
    }

    /// How old the keys are; `None` while there are none.
    pub(in crate::authorize::tokens) fn age(&self) -> Option<Duration> {
        self.shared.state().set.as_ref().map(|set| set.fetched.elapsed())
    }
}

impl Shared {
    pub(super) fn new() -> Shared {
        Shared { state: Mutex::default(), wanted: Notify::new(), ended: watch::Sender::new(0) }
    }

    /// The keys that count now. A set that is too old does not.
    pub(super) fn current(&self) -> Option<TokenKeys> {
        let state = self.state();
        let set = state.set.as_ref().filter(|set| Instant::now() < set.serves_until)?;
        Some(set.keys.clone())
    }

    /// Waits for a fetch that runs, or for one that it causes, at most once a minute.
    pub(super) async fn ask_again(&self) -> bool {
        let mut ended = self.ended.subscribe();
        {
            let mut state = self.state();
            if !state.is_fetching {
                let now = Instant::now();
                if state.asked.is_some_and(|asked| now < asked + ASK_EVERY) {
                    return false;
                }
                state.asked = Some(now);
                self.wanted.notify_one();
            }
        }
        timeout(FETCH_TIMEOUT, ended.changed()).await.is_ok()
    }

    pub(super) fn begin(&self) {
        self.state().is_fetching = true;
    }

    /// Keeps what a fetch has brought, and tells those that wait for it. Returns whether there was something new.
    pub(super) fn end(&self, fetched: Option<&Fetched>) -> bool {
        let mut state = self.state();
        state.is_fetching = false;
        let is_new = fetched.is_some_and(|new| state.set.as_ref().is_none_or(|set| set.hash != new.hash));
        if is_new {
            state.version += 1;
        }
        if let Some(Fetched { keys, hash, max_age }) = fetched {
            let fetched = Instant::now();
            let serves_until = fetched + *max_age + STALE;
            state.set = Some(Set { keys: keys.clone(), hash: *hash, fetched, serves_until });
        }
        drop(state);
        self.ended.send_modify(|count| *count += 1);
        is_new
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishedKeys").field("url", &self.url()).finish_non_exhaustive()
    }
}
