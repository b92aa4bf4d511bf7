//! How much each client has used of its limits.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Exceeded, Holder, Limits,
    rate::{Bucket, burst},
    recent::Recent,
};

/// How many holders are remembered. One that was not seen for the longest time is forgotten, and its buckets are full again.
const MAX_HOLDERS: usize = 100_000;

/// How many refused credentials an address may send in a minute.
const REFUSED_PER_MINUTE: u64 = 20;

/// How long a client waits that has no place for another stream.
const STREAM_RETRY: Duration = Duration::from_secs(5);

/// Counts what clients do that have limits. Others cost nothing.
pub(crate) struct Meter {
    began: Instant,
    used: Mutex<Used>,
}

struct Used {
    /// Open streams. There is an entry only while one is open.
    streams: HashMap<Holder, u32>,
    rates: Recent<Holder, Rates>,
    /// Credentials that were refused, by the network of their senders.
    refused: Recent<Holder, Bucket>,
    /// Signatures that were verified for networks of which too many credentials were refused.
    verified: Recent<Holder, Bucket>,
}

/// 16 bytes for each holder.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    updates: Bucket,
    bytes: Bucket,
}

/// The place of an open stream. It is free again when this is dropped.
pub(crate) struct Place {
    meter: Arc<Meter>,
    holder: Holder,
}

/// A client that has limits.
#[derive(Debug, Clone)]
pub(crate) struct Metered {
    pub(crate) holder: Holder,
    pub(crate) limits: Limits,
    /// The client in the words of a refusal: `"alice"`, or `192.0.2.7`.
    pub(crate) name: String,
}

impl Default for Meter {
    fn default() -> Meter {
        let used = Used {
            streams: HashMap::new(),
            rates: Recent::new(MAX_HOLDERS),
            refused: Recent::new(MAX_HOLDERS),
            verified: Recent::new(MAX_HOLDERS),
        };
        Meter { began: Instant::now(), used: Mutex::new(used) }
    }
}

impl Meter {
    /// Takes a place for a stream to so many topics and patterns. `None` if streams are not limited.
    ///
    /// # Errors
    /// When it asks for too many topics, and when all places are taken: open streams stay, the new one is refused.
    pub(crate) fn open_stream(
        self: &Arc<Meter>,
        client: &Metered,
        topics: usize,
    ) -> Result<Option<Place>, Exceeded> {
        let Metered { holder, limits, name } = client;
        if let Some(limit) = limits.topics.filter(|limit| topics > *limit as usize) {
            let detail = format!(
                "a stream of {name} may have {limit} topics and patterns, and this one asks for {topics}; name a pattern such \
                 as a/*, or open several streams"
            );
            return Err(Exceeded::new("too-many-topics", detail, STREAM_RETRY).with_quota(
                "topics",
                limit.into(),
                0,
            ));
        }
        let Some(limit) = limits.streams else { return Ok(None) };
        let mut used = self.lock();
        let open = used.streams.entry(*holder).or_default();
        if *open >= limit {
            let detail = format!(
                "{name} has {open} open streams, and {limit} are allowed; close one of them, or subscribe to several topics with \
                 one stream"
            );
            if limit == 0 {
                used.streams.remove(holder);
            }
            let exceeded = Exceeded::new("too-many-streams", detail, STREAM_RETRY);
            return Err(exceeded.with_quota("streams", limit.into(), 0));
        }
        *open += 1;
        Ok(Some(Place { meter: self.clone(), holder: *holder }))
    }

    /// Counts updates that a client publishes, and the bytes of their data.
    ///
    /// # Errors
    /// When it has published too much in the last seconds. Nothing is counted then.
    pub(crate) fn publish(&self, client: &Metered, updates: u64, bytes: u64) -> Result<(), Exceeded> {
        let Metered { holder, limits, name } = client;
        if limits.publishes.is_none() && limits.publish_bytes.is_none() {
            return Ok(());
        }
        let now = self.now();
        let mut used = self.lock();
        let rates = used.rates.entry(*holder);
        let exceeded = |rate: f64, what: &str, policy: &'static str, wait| {
            let detail = format!(
                "{name} has published {what} too fast: {rate} a second are allowed, and {} at once; wait, and send the rest",
                burst(rate)
            );
            Exceeded::new("publishing-too-fast", detail, wait).with_quota(policy, burst(rate), 2)
        };
        // Neither is taken if the other is used up.
        if let Some(rate) = limits.publish_bytes {
            rates.bytes.has_some(rate, now).map_err(|wait| exceeded(rate, "bytes", "publish-bytes", wait))?;
        }
        if let Some(rate) = limits.publishes {
            rates
                .updates
                .take(updates, rate, now)
                .map_err(|wait| exceeded(rate, "updates", "publish", wait))?;
        }
        if let Some(rate) = limits.publish_bytes {
            let _ = rates.bytes.take(bytes, rate, now);
        }
        Ok(())
    }

    /// Asked before anything of a credential is looked at.
    ///
    /// # Errors
    /// When too many credentials from this network were refused in the last minute.
    pub(crate) fn may_try(&self, network: IpAddr) -> Result<(), Exceeded> {
        let used = self.lock();
        let Some(refused) = used.refused.find(&Holder::network(network)) else { return Ok(()) };
        refused.has_some(REFUSED_RATE, self.now_of_refused()).map_err(|wait| {
            let detail = format!(
                "more than {REFUSED_PER_MINUTE} credentials from {network} were refused within a minute; wait, and send one \
                 that holds"
            );
            Exceeded::new("too-many-refusals", detail, wait * SLOWER)
        })
    }

    /// Whether a signature may be verified for a network of which too many credentials were refused.
    pub(crate) fn may_verify(&self, network: IpAddr) -> bool {
        let now = self.now();
        self.lock().verified.entry(Holder::network(network)).take(1, VERIFIED_RATE, now).is_ok()
    }

    /// Counts a credential that was refused.
    pub(crate) fn note_refused(&self, network: IpAddr) {
        let now = self.now_of_refused();
        let _ = self.lock().refused.entry(Holder::network(network)).take(1, REFUSED_RATE, now);
    }

    /// Nanoseconds since the beginning.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A bucket holds what comes in two seconds. On a clock that is 30 times slower, that is what comes in a minute.
    fn now_of_refused(&self) -> u64 {
        self.now() / u64::from(SLOWER)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SLOWER: u32 = 30;
/// In signatures a second.
const VERIFIED_RATE: f64 = 1.0;
/// In refusals a second of the slower clock.
const REFUSED_RATE: f64 = REFUSED_PER_MINUTE as f64 / 2.0;

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.meter.lock();
        if let Some(open) = used.streams.get_mut(&self.holder) {
            *open -= 1;
            if *open == 0 {
                used.streams.remove(&self.holder);
            }
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("holder", &self.holder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;

    fn client(name: &str, limits: Limits) -> Metered {
        Metered { holder: Holder::subject(&Subject::new("", name)), limits, name: format!("{name:?}") }
    }

    #[test]
    fn a_stream_beyond_the_limit_is_refused_until_another_one_ends() {
        let meter = Arc::new(Meter::default());
        let limits = Limits { streams: Some(2), ..Limits::default() };
        let (alice, bob) = (client("alice", limits), client("bob", limits));
        let first = meter.open_stream(&alice, 1).unwrap();
        let _second = meter.open_stream(&alice, 1).unwrap();
        let refused = meter.open_stream(&alice, 1).unwrap_err();
        assert_eq!(refused.rule, "too-many-streams");
        assert!(refused.detail.contains("\"alice\" has 2 open streams, and 2 are allowed"), "{refused:?}");
        assert!(meter.open_stream(&bob, 1).is_ok(), "another subject has its own");
        drop(first);
        assert!(meter.open_stream(&alice, 1).is_ok());
        drop(_second);
        assert!(meter.lock().streams.is_empty(), "nothing is kept of streams that ended");
    }

    #[test]
    fn a_client_without_limits_leaves_no_trace() {
        let meter = Arc::new(Meter::default());
        let nobody = client("nobody", Limits::default());
        assert!(meter.open_stream(&nobody, 256).unwrap().is_none());
        assert!(meter.publish(&nobody, 1_000_000, u64::MAX).is_ok());
        let used = meter.lock();
        assert_eq!((used.streams.len(), used.rates.len()), (0, 0));
    }

    #[test]
    fn a_stream_to_too_many_topics_is_refused() {
        let meter = Arc::new(Meter::default());
        let alice = client("alice", Limits { topics: Some(3), ..Limits::default() });
        assert!(meter.open_stream(&alice, 3).is_ok());
        let refused = meter.open_stream(&alice, 4).unwrap_err();
        assert_eq!(refused.rule, "too-many-topics");
        assert!(
            refused.detail.contains("may have 3 topics") && refused.detail.contains("asks for 4"),
            "{refused:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn publishing_faster_than_the_limit_is_refused_and_goes_on_after_the_time_that_the_refusal_names() {
        let meter = Meter::default();
        let alice = client("alice", Limits { publishes: Some(10.0), ..Limits::default() });
        for _ in 0..20 {
            meter.publish(&alice, 1, 5).unwrap();
        }
        let refused = meter.publish(&alice, 1, 5).unwrap_err();
        assert_eq!(refused.rule, "publishing-too-fast");
        assert!(refused.detail.contains("10 a second are allowed, and 20 at once"), "{refused:?}");
        tokio::time::advance(refused.retry_after).await;
        meter.publish(&alice, 1, 5).unwrap();
        assert!(meter.publish(&alice, 1, 5).is_err());

        let bob = client("bob", Limits { publish_bytes: Some(1_000.0), ..Limits::default() });
        meter.publish(&bob, 1, 2_500).unwrap();
        let refused = meter.publish(&bob, 1, 1).unwrap_err();
        assert!(refused.detail.contains("published bytes too fast"), "{refused:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_sends_more_than_twenty_refused_credentials_a_minute_waits() {
        let meter = Meter::default();
        let network: IpAddr = "192.0.2.7".parse().unwrap();
        for count in 0..20 {
            assert!(meter.may_try(network).is_ok(), "after {count}");
            meter.note_refused(network);
        }
        let refused = meter.may_try(network).unwrap_err();
        assert_eq!(refused.rule, "too-many-refusals");
        assert!(meter.may_try("192.0.2.8".parse().unwrap()).is_ok(), "another address may try");
        assert!(refused.retry_after <= Duration::from_secs(4), "{refused:?}");
        tokio::time::advance(refused.retry_after + Duration::from_secs(1)).await;
        assert!(meter.may_try(network).is_ok());
    }

    #[test]
    fn what_is_remembered_of_a_hundred_thousand_publishers_is_16_bytes_each_and_no_more_of_them() {
        assert_eq!(size_of::<Rates>(), 16);
        let meter = Meter::default();
        for number in 0..150_000 {
            let limits = Limits { publishes: Some(1.0), ..Limits::default() };
            meter.publish(&client(&number.to_string(), limits), 1, 1).unwrap();
        }
        let used = meter.lock();
        assert!((MAX_HOLDERS / 2..=MAX_HOLDERS).contains(&used.rates.len()), "{}", used.rates.len());
    }
}
