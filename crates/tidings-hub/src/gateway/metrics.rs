//! The counters of the gateway, beside those of the hub.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::ending::Ending;

/// Counters of the gateway, read at `/metrics`.
#[derive(Debug)]
pub(super) struct GatewayMetrics {
    pub(super) streams: Gauge,
    pub(super) admitted: Gauge,
    pub(super) events: Counter,
    pub(super) saved: Counter,
    pub(super) retried: Counter,
    pub(super) abandoned: Counter,
    pub(super) resumed: Counter,
    first_event: Histogram,
    between_events: Histogram,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
}

impl GatewayMetrics {
    pub(super) fn new(registry: &mut Registry) -> GatewayMetrics {
        let metrics = GatewayMetrics {
            streams: Gauge::default(),
            admitted: Gauge::default(),
            events: Counter::default(),
            saved: Counter::default(),
            retried: Counter::default(),
            abandoned: Counter::default(),
            resumed: Counter::default(),
            // From 50 ms to 102 s.
            first_event: Histogram::new(exponential_buckets(0.05, 2.0, 12)),
            // From 1 ms to 33 s.
            between_events: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            ended: Family::default(),
        };
        for ending in Ending::ALL {
            drop(metrics.ended.get_or_create(&[("reason", ending.as_str())]));
        }
        let registry = registry.sub_registry_with_prefix("gateway");
        registry.register("streams", "Answers that are being received", metrics.streams.clone());
        registry.register(
            "upstream_requests",
            "Requests that are with the upstream, streamed or not",
            metrics.admitted.clone(),
        );
        registry.register("events", "Events received from the upstream", metrics.events.clone());
        registry.register(
            "upstream_requests_saved",
            "Streaming requests answered from an existing stream",
            metrics.saved.clone(),
        );
        registry.register(
            "upstream_requests_repeated",
            "Requests sent again because the upstream failed before its first event",
            metrics.retried.clone(),
        );
        registry.register(
            "streams_abandoned",
            "Answers that continued or were cancelled without a reader",
            metrics.abandoned.clone(),
        );
        registry.register(
            "resumes",
            "Readers that reconnected with a last event ID",
            metrics.resumed.clone(),
        );
        registry.register(
            "first_event_seconds",
            "Time from a request to the first event of the upstream, in seconds",
            metrics.first_event.clone(),
        );
        registry.register(
            "between_events_seconds",
            "Time between two arrivals of events, in seconds",
            metrics.between_events.clone(),
        );
        registry.register("streams_ended", "Answers that ended, by reason", metrics.ended.clone());
        metrics
    }

    pub(super) fn first_event_after(&self, time: Duration) {
        self.first_event.observe(time.as_secs_f64());
    }

    pub(super) fn next_event_after(&self, time: Duration) {
        self.between_events.observe(time.as_secs_f64());
    }

    pub(super) fn ended(&self, ending: Ending) {
        self.ended.get_or_create(&[("reason", ending.as_str())]).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::metrics::help;

    #[test]
    fn each_metric_is_explained_in_plain_words_and_in_the_documentation() {
        let mut registry = Registry::with_prefix("tidings");
        let metrics = GatewayMetrics::new(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        help::assert_explained(&text, include_str!("../../../../docs/gateway.md"));
        drop(metrics);
    }
}
