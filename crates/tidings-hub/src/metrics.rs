//! The counters of a hub, and their text at `/metrics`.

use std::time::Duration;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::{
    attachments::AttachmentUsage,
    authorize::AccessEnd,
    budget::Budget,
    log::{Reads, Wear},
    model::gap::GapReason,
};

/// Counters of one hub, read at `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) published: Counter,
    pub(crate) repeated: Counter,
    pub(crate) subscriptions: Gauge,
    pub(crate) delivered: Counter,
    pub(crate) replayed_bytes: Counter,
    pub(crate) stalled: Counter,
    pub(crate) accepting_paused: Counter,
    /// Subscribers that were told to reconnect, because the log could not be read for them at the moment.
    pub(crate) put_off: Counter,
    /// Delivery loops that ended while the hub went on.
    pub(crate) loops_restarted: Counter,
    connections: Gauge,
    reads_running: Gauge,
    reads_waiting: Gauge,
    attachments: Gauge,
    attachment_bytes: Gauge,
    log_healthy: Gauge,
    log_unevictable: Gauge,
    log_clock_jump: Gauge,
    audit_healthy: Gauge,
    audit_lost: Gauge,
    /// The memory of this process. Not registered on systems that do not report it.
    resident_memory_bytes: Gauge,
    gaps: Labelled<&'static str>,
    ended: Labelled<&'static str>,
    refused: Labelled<u32>,
    jwks_age_seconds: Family<[(&'static str, String); 1], Gauge>,
    budgets: Vec<(&'static str, Budget)>,
    budget_bytes: Family<[(&'static str, &'static str); 1], Gauge>,
    budget_used_bytes: Family<[(&'static str, &'static str); 1], Gauge>,
    budget_refused: Labelled<&'static str>,
}

type Labelled<L> = Family<[(&'static str, L); 1], Counter>;

/// The reason why a subscriber's stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// All its topics were closed.
    Closed,
    /// The connection ended.
    Left,
    /// The subscriber accepted nothing for the write timeout.
    Stalled,
    /// The hub shut down.
    Shutdown,
    /// The log could not be read.
    LogFailed,
    /// The delivery loop that had its socket ended.
    LoopFailed,
    /// Its grant ended.
    Access(AccessEnd),
}

impl EndReason {
    const ALL: [EndReason; 10] = [
        EndReason::Closed,
        EndReason::Left,
        EndReason::Stalled,
        EndReason::Shutdown,
        EndReason::LogFailed,
        EndReason::LoopFailed,
        EndReason::Access(AccessEnd::Expired),
        EndReason::Access(AccessEnd::Revoked),
        EndReason::Access(AccessEnd::Rules),
        EndReason::Access(AccessEnd::Limit),
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            EndReason::Closed => "closed",
            EndReason::Left => "left",
            EndReason::Stalled => "stalled",
            EndReason::Shutdown => "shutdown",
            EndReason::LogFailed => "log-failed",
            EndReason::LoopFailed => "loop-failed",
            EndReason::Access(end) => end.as_str(),
        }
    }
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let metrics = Metrics {
            registry: Registry::with_prefix("tidings"),
            published: Counter::default(),
            repeated: Counter::default(),
            subscriptions: Gauge::default(),
            delivered: Counter::default(),
            replayed_bytes: Counter::default(),
            stalled: Counter::default(),
            accepting_paused: Counter::default(),
            put_off: Counter::default(),
            loops_restarted: Counter::default(),
            connections: Gauge::default(),
            reads_running: Gauge::default(),
            reads_waiting: Gauge::default(),
            attachments: Gauge::default(),
            attachment_bytes: Gauge::default(),
            log_healthy: Gauge::default(),
            log_unevictable: Gauge::default(),
            log_clock_jump: Gauge::default(),
            audit_healthy: Gauge::default(),
            audit_lost: Gauge::default(),
            resident_memory_bytes: Gauge::default(),
            gaps: Family::default(),
            ended: Family::default(),
            refused: Family::default(),
            jwks_age_seconds: Family::default(),
            budgets: Vec::new(),
            budget_bytes: Family::default(),
            budget_used_bytes: Family::default(),
            budget_refused: Family::default(),
        };
        // A counter without an incident is 0, not absent. So you can write an alert before the first incident.
        for reason in GapReason::ALL {
            drop(metrics.gaps.get_or_create(&[("reason", reason.as_str())]));
        }
        for reason in EndReason::ALL {
            drop(metrics.ended.get_or_create(&[("reason", reason.as_str())]));
        }
        metrics.registered()
    }

    fn registered(mut self) -> Metrics {
        let registry = &mut self.registry;
        registry.register("updates_published", "Updates appended to the log", self.published.clone());
        registry.register(
            "updates_repeated",
            "Repeated publishes that were deduplicated",
            self.repeated.clone(),
        );
        registry.register("subscriptions", "Open subscriptions", self.subscriptions.clone());
        registry.register("events_delivered", "Events sent to subscribers", self.delivered.clone());
        registry.register(
            "replayed_bytes",
            "Bytes that were ready when subscribers connected, at most about 64 KiB for each",
            self.replayed_bytes.clone(),
        );
        registry.register(
            "connections_stalled",
            "Connections closed because the client took too little within the write timeout",
            self.stalled.clone(),
        );
        registry.register("connections", "Open connections, including subscribers", self.connections.clone());
        registry.register(
            "accepting_paused",
            "Times that new connections had to wait, because the limit was reached or the system could not accept one",
            self.accepting_paused.clone(),
        );
        registry.register(
            "subscriptions_put_off",
            "Subscribers told to reconnect, because the history could not be read for them at the moment",
            self.put_off.clone(),
        );
        registry.register(
            "delivery_loops_restarted",
            "Delivery loops that failed and were restarted; their subscribers were disconnected",
            self.loops_restarted.clone(),
        );
        registry.register(
            "log_reads_running",
            "Reads of the history that are running",
            self.reads_running.clone(),
        );
        registry.register(
            "log_reads_waiting",
            "Reads of the history that wait for a reader",
            self.reads_waiting.clone(),
        );
        registry.register("attachments", "Stored attachments", self.attachments.clone());
        registry.register(
            "attachment_bytes",
            "Bytes of attachments, stored or being received",
            self.attachment_bytes.clone(),
        );
        registry.register(
            "log_healthy",
            "1 while publishes can be kept; 0 while they cannot, and /readyz is 503",
            self.log_healthy.clone(),
        );
        registry.register(
            "log_unevictable_records",
            "Records beyond the limits that cannot be deleted, because they are damaged",
            self.log_unevictable.clone(),
        );
        registry.register(
            "log_clock_jump_seconds",
            "How far the system clock has jumped, in seconds; the ages of updates do not follow the jump",
            self.log_clock_jump.clone(),
        );
        registry.register(
            "audit_healthy",
            "1 while the audit log can be written, or if there is none; 0 while it cannot",
            self.audit_healthy.clone(),
        );
        self.audit_healthy.set(1);
        registry.register(
            "audit_lost_events",
            "Events that are not in the audit log, because its disk was full or too slow",
            self.audit_lost.clone(),
        );
        if resident_memory_bytes().is_some() {
            registry.register(
                "resident_memory_bytes",
                "Resident memory of the process, in bytes",
                self.resident_memory_bytes.clone(),
            );
        }
        registry.register("gaps", "Subscribers told of a gap, by reason", self.gaps.clone());
        registry.register("subscriptions_ended", "Streams that ended, by reason", self.ended.clone());
        registry.register(
            "requests_refused",
            "Requests answered with 4xx or 5xx, by status",
            self.refused.clone(),
        );
        registry.register(
            "jwks_age_seconds",
            "Age of the keys that were fetched for an issuer of tokens, in seconds",
            self.jwks_age_seconds.clone(),
        );
        registry.register("budget_bytes", "Limit of memory in bytes, by purpose", self.budget_bytes.clone());
        registry.register(
            "budget_used_bytes",
            "Memory in use in bytes, by purpose",
            self.budget_used_bytes.clone(),
        );
        registry.register(
            "budget_refusals",
            "Requests refused because the memory for their purpose was used up",
            self.budget_refused.clone(),
        );
        self
    }

    /// Makes a budget of `bytes`. The metrics report it under this name.
    pub(crate) fn budget(&mut self, name: &'static str, bytes: u64) -> Budget {
        let refused = self.budget_refused.get_or_create(&[("budget", name)]).clone();
        let budget = Budget::new(bytes, refused);
        let bytes = budget.bytes().try_into().unwrap_or(i64::MAX);
        self.budget_bytes.get_or_create(&[("budget", name)]).set(bytes);
        self.budgets.push((name, budget.clone()));
        budget
    }

    /// The registry, so that other parts can register their own metrics.
    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Sets the stored amounts, which are not counted between two readings.
    pub(crate) fn stored(&self, usage: AttachmentUsage) {
        self.attachments.set(usage.files.try_into().unwrap_or(i64::MAX));
        self.attachment_bytes.set(usage.bytes.try_into().unwrap_or(i64::MAX));
    }

    /// Does the same for connections and reads.
    pub(crate) fn in_use(&self, connections: usize, reads: Reads) {
        self.connections.set(connections.try_into().unwrap_or(i64::MAX));
        self.reads_running.set(reads.running.try_into().unwrap_or(i64::MAX));
        self.reads_waiting.set(reads.waiting.try_into().unwrap_or(i64::MAX));
    }

    /// Does the same for the log.
    pub(crate) fn worn(&self, is_healthy: bool, wear: Wear) {
        self.log_healthy.set(is_healthy.into());
        self.log_clock_jump.set(wear.clock_jump.as_secs().try_into().unwrap_or(i64::MAX));
        self.log_unevictable.set(wear.unevictable.try_into().unwrap_or(i64::MAX));
    }

    /// Does the same for the keys of issuers.
    pub(crate) fn keys_aged(&self, ages: Vec<(String, Duration)>) {
        self.jwks_age_seconds.clear();
        for (issuer, age) in ages {
            let seconds = age.as_secs().try_into().unwrap_or(i64::MAX);
            self.jwks_age_seconds.get_or_create(&[("issuer", issuer)]).set(seconds);
        }
    }

    /// Does the same for the audit log.
    pub(crate) fn audited(&self, is_healthy: bool, lost: u64) {
        self.audit_healthy.set(is_healthy.into());
        self.audit_lost.set(lost.try_into().unwrap_or(i64::MAX));
    }

    pub(crate) fn gap(&self, reason: GapReason) {
        self.gaps.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    pub(crate) fn ended(&self, reason: EndReason) {
        self.ended.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    pub(crate) fn refused(&self, status: http::StatusCode) {
        self.refused.get_or_create(&[("status", u32::from(status.as_u16()))]).inc();
    }

    /// All metrics in the OpenMetrics text format, which Prometheus reads.
    pub(crate) fn to_text(&self) -> String {
        if let Some(bytes) = resident_memory_bytes() {
            self.resident_memory_bytes.set(bytes);
        }
        for (name, budget) in &self.budgets {
            let used = budget.used_bytes().try_into().unwrap_or(i64::MAX);
            self.budget_used_bytes.get_or_create(&[("budget", *name)]).set(used);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

/// The resident memory of this process, from Linux's `/proc`. `None` on other systems.
fn resident_memory_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kibibytes.trim().strip_suffix(" kB")?.parse::<i64>().ok()? * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_that_of_this_process() {
        let before = resident_memory_bytes().expect("Linux says it");
        let more = vec![1_u8; 64 << 20];
        let after = resident_memory_bytes().expect("Linux says it");
        // Other tests of this process may free some.
        assert!(after - before > 32 << 20, "{before} and then {after}");
        let text = Metrics::new().to_text();
        assert!(text.contains("\ntidings_resident_memory_bytes "), "{text}");
        drop(more);
    }
}

/// Whether an operator finds each metric explained.
#[cfg(test)]
pub(crate) mod help {
    use super::Metrics;

    /// The rows of a table of documentation for all metrics of a text that Prometheus reads.
    pub(crate) fn rows(text: &str) -> Vec<String> {
        let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
        helps
            .map(|(name, help)| {
                let is_counter = text.contains(&format!("# TYPE {name} counter"));
                let total = if is_counter { "_total" } else { "" };
                format!("| `{name}{total}` | {} |", help.trim_end_matches('.'))
            })
            .collect()
    }

    /// Asserts that each metric is explained, in the words of the documentation, and in the documentation.
    pub(crate) fn assert_explained(text: &str, documentation: &str) {
        let rows = rows(text);
        assert!(!rows.is_empty(), "{text}");
        for row in &rows {
            for words in ["can't", "don't", ", since", " as may be", " who ", "answered as"] {
                assert!(!row.contains(words), "{words:?} in {row}");
            }
        }
        let missing: Vec<_> =
            rows.iter().filter(|row| !documentation.contains(&**row)).map(|row| &**row).collect();
        assert!(missing.is_empty(), "the documentation lacks these rows:\n{}", missing.join("\n"));
    }

    #[test]
    fn each_metric_is_explained_in_plain_words_and_in_the_documentation() {
        let mut metrics = Metrics::new();
        // A metric with labels is in the text once it has a value of them.
        metrics.refused(http::StatusCode::BAD_REQUEST);
        drop(metrics.budget("bodies", 1));
        assert_explained(&metrics.to_text(), include_str!("../../../docs/operating.md"));
    }
}
