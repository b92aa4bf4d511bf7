//! The messages between `tidings bench` and its reading processes: one JSON object per line.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{histogram::Histogram, order::Tally};

/// Streams to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) address: SocketAddr,
    /// The address to connect from, for systems where one has too few ports for all subscribers.
    pub(super) source: Option<Ipv4Addr>,
    /// The head of the request, with `{topic}` in place of the topic.
    pub(super) head: String,
    /// The topics. Subscriber n follows the topic with the number n modulo their count.
    pub(super) topics: Vec<String>,
    pub(super) subscribers: u32,
    /// How many subscribers share a connection over HTTP/2. `None` is HTTP/1.1.
    pub(super) streams: Option<u32>,
    /// The number of the first subscriber among those of all processes.
    pub(super) first: u32,
    /// The run number in the data of its updates, and the length of that data.
    pub(super) run: u32,
    pub(super) bytes: usize,
    /// The number of the first update that each subscriber must get.
    pub(super) first_update: u64,
    /// How many connections may be opening at once.
    pub(super) window: u32,
    /// Whether each subscriber disconnects when its stream begins, and connects again.
    pub(super) churns: bool,
    /// Whether the report must contain the ID of update 0.
    pub(super) wants_id: bool,
}

impl Job {
    /// The number of connections for the streams.
    pub(super) fn connections(&self) -> usize {
        self.subscribers.div_ceil(self.streams.unwrap_or(1)) as usize
    }

    /// The heads of the requests of one connection.
    pub(super) fn heads(&self, connection: usize) -> impl Iterator<Item = String> + '_ {
        let each = self.streams.unwrap_or(1) as usize;
        let end = ((connection + 1) * each).min(self.subscribers as usize);
        (connection * each..end).map(|subscriber| {
            let topic = (self.first as usize + subscriber) % self.topics.len();
            self.head.replace("{topic}", &self.topics[topic])
        })
    }
}

/// A request to a reading process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Opens streams in place of the current ones. The answer is `Live` when all are open.
    Open(Box<Job>),
    /// Asks for a message once this many updates have arrived since the streams were opened.
    Await(u64),
    /// Forgets the latencies so far.
    ForgetLatencies,
    /// Asks for the results.
    Report,
}

/// A message of a reading process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Say {
    /// All streams are open, this long after the request.
    Live {
        nanoseconds: u64,
    },
    /// This many updates have arrived.
    Reached(u64),
    Report(Box<Report>),
    /// The process cannot continue.
    Failed(String),
}

/// The results of a reading process since its streams were opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) tally: Tally,
    /// The time from an update's due time until it was read.
    pub(super) latencies: Histogram,
    /// The number of streams that began, including those of subscribers that churn.
    pub(super) connected: u64,
    /// From `connect` to the head of the response.
    pub(super) connect_latencies: Histogram,
    /// The number of streams that the server ended, or that failed.
    pub(super) disconnected: u64,
    /// The reason for the first of them.
    pub(super) reason: Option<String>,
    /// The ID of update 0, if requested.
    pub(super) id: Option<String>,
}

impl Report {
    pub(super) fn add(&mut self, other: &Report) {
        self.tally.add(other.tally);
        self.latencies.add(&other.latencies);
        self.connected += other.connected;
        self.connect_latencies.add(&other.connect_latencies);
        self.disconnected += other.disconnected;
        self.reason = self.reason.take().or_else(|| other.reason.clone());
        self.id = self.id.take().or_else(|| other.id.clone());
    }
}
