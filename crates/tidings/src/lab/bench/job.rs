//! What `tidings bench` and the processes that read for it say to each other: a JSON object a line.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{histogram::Histogram, order::Tally};

/// Streams to open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) address: SocketAddr,
    /// The address to connect from, where one has too few ports for all subscribers.
    pub(super) source: Option<Ipv4Addr>,
    /// The head of the request, with `{topic}` where the topic goes.
    pub(super) head: String,
    /// The topics, of which subscriber n has the one with the number n modulo their count.
    pub(super) topics: Vec<String>,
    pub(super) subscribers: u32,
    /// How many of them share a connection, over HTTP/2; `None` is HTTP/1.1.
    pub(super) streams: Option<u32>,
    /// The number of the first of them among those of all processes.
    pub(super) first: u32,
    /// The run that the data of its updates names, and how long that data is.
    pub(super) run: u32,
    pub(super) bytes: usize,
    /// The number of the first update that each subscriber must get.
    pub(super) first_update: u64,
    /// How many connections may be on their way at once.
    pub(super) window: u32,
    /// Whether each leaves when its stream begins, and connects again.
    pub(super) churns: bool,
    /// Whether the ID of update 0 is wanted.
    pub(super) wants_id: bool,
}

impl Job {
    /// How many connections carry its streams.
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

/// What a reading process is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// To open streams, in place of those it has; answered with `Live` when all are.
    Open(Box<Job>),
    /// To say when so many updates have come since the streams were opened.
    Await(u64),
    /// To forget the latencies so far.
    ForgetLatencies,
    /// What it has seen.
    Report,
}

/// What a reading process says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Say {
    /// All streams are open, this long after they were asked for.
    Live {
        nanoseconds: u64,
    },
    /// So many updates have come.
    Reached(u64),
    Report(Box<Report>),
    /// It can't go on.
    Failed(String),
}

/// What a reading process has seen since its streams were opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) tally: Tally,
    /// From when an update was due to when it was read.
    pub(super) latencies: Histogram,
    /// Streams that began, those of subscribers that churn included.
    pub(super) connected: u64,
    /// From `connect` to the head of the response.
    pub(super) connect_latencies: Histogram,
    /// Streams that the server ended, or that failed.
    pub(super) disconnected: u64,
    /// Why the first of them did.
    pub(super) reason: Option<String>,
    /// The ID of update 0, if it was wanted.
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
