//! Flags of `tidings bench`.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::Hub;

/// Measure a hub, or any server of event streams.
///
/// It counts what every subscriber got, in which order and how late, and with --server-pid, --serve or --bound what that
/// cost the server. Ends with exit code 1 if an update was lost, came twice, or came out of order.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings bench fanout                       the hub on this machine
  tidings bench fanout --serve --bound       a hub of its own, beside the least that any server can do
  tidings bench fanout --subscribers 15000 --rate 100 --server-pid $(pidof tidings)
  tidings bench fanout --subscribe-url 'http://h/sub/{topic}' --publish-url 'http://h/pub/{topic}'")]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) scenario: BenchScenario,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchScenario {
    Fanout(BenchFanout),
    Idle(BenchIdle),
    Replay(BenchReplay),
    Churn(BenchChurn),
    Stall(BenchStall),
    Publish(BenchPublish),
    Server(BenchServer),
    /// Read streams for another `tidings bench`, which says on standard input what to do
    #[command(hide = true)]
    Worker,
}

/// What is measured, and how it is told.
#[derive(Debug, Args)]
pub(crate) struct BenchTarget {
    /// Where to subscribe, if it is not a hub: an http:// URL, with {topic} where the topic goes
    #[arg(long, value_name = "URL", requires = "publish_url", conflicts_with = "serve")]
    pub(crate) subscribe_url: Option<String>,

    /// Where to publish with POST, if it is not a hub: an http:// URL, with {topic} where the topic goes
    #[arg(long, value_name = "URL", requires = "subscribe_url")]
    pub(crate) publish_url: Option<String>,

    /// What to POST for one update, with {data} and {topic} where they go
    #[arg(long, value_name = "TEXT", default_value = "{data}", requires = "publish_url")]
    pub(crate) publish_body: String,

    /// The Content-Type of that
    #[arg(long, value_name = "TYPE", default_value = "text/plain", requires = "publish_url")]
    pub(crate) publish_type: String,

    /// Request header 'Name: value' for every request; repeatable
    #[arg(short = 'H', long, value_name = "LINE", hide_env_values = true)]
    pub(crate) header: Vec<String>,

    /// Start a hub for the measurement, on a free port, with its history in memory
    #[arg(long)]
    pub(crate) serve: bool,

    /// Measure the reference server too, in turn, and give the ratios: it does nothing but write the same bytes
    #[arg(long)]
    pub(crate) bound: bool,

    /// How often each server is measured; the medians are told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// The server's process ID, to tell its CPU time and memory (Linux); several with commas
    #[arg(long, value_name = "PID", value_delimiter = ',', conflicts_with = "serve")]
    pub(crate) server_pid: Vec<u32>,

    /// Keep the servers that it starts on this core (Linux, with taskset)
    #[arg(long, value_name = "CORE")]
    pub(crate) server_core: Option<u32>,

    /// The data of one update
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(48..=1_000_000))]
    pub(crate) bytes: u32,

    /// How long to wait for what is missing, before it counts as lost
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) patience: Duration,

    /// How many connections may be on their way at once, where clients don't come all together
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connecting: u32,

    /// How many processes read, if it should be more than the limit of open files asks for
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=250))]
    pub(crate) processes: u32,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

/// Deliver updates to many subscribers.
///
/// Without --rate in a closed loop: the next updates are published when every subscriber has the last, so that nothing
/// is delivered together by accident. With --rate at fixed times, whatever the server does; the latency counts from them.
#[derive(Debug, Args)]
pub(crate) struct BenchFanout {
    /// How many subscribers, spread over the topics
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many topics; every one gets as many updates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) topics: u32,

    /// How many updates each topic gets in a round
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// How many updates of a topic are published together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) burst: u32,

    /// How many updates a second are published, of all topics together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,

    /// How they are published; the streams are a hub's, and carry one topic
    #[arg(long, value_name = "FORM", value_enum, default_value = "post")]
    pub(crate) publish_as: PublishForm,

    /// Let so many subscribers share a connection, over HTTP/2 with prior knowledge; the bound stays with HTTP/1.1
    #[arg(long, value_name = "STREAMS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) http2: Option<u32>,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// How updates are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublishForm {
    /// A POST for each, pipelined over one connection
    Post,
    /// One POST with a JSON object a line
    Ndjson,
    /// One POST with an event stream
    EventStream,
}

/// Hold idle connections: what one costs the server in memory.
///
/// It needs --serve, --bound or --server-pid.
#[derive(Debug, Args)]
pub(crate) struct BenchIdle {
    /// How many subscribers, spread over the topics
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many topics
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) topics: u32,

    /// How long they are held before the server is looked at
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) hold: Duration,

    /// Let so many subscribers share a connection, over HTTP/2 with prior knowledge; the bound stays with HTTP/1.1
    #[arg(long, value_name = "STREAMS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) http2: Option<u32>,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// Let clients come back together, each with a last event ID.
#[derive(Debug, Args)]
pub(crate) struct BenchReplay {
    /// How many clients
    #[arg(short = 'n', long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many updates each has missed
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// Connect and disconnect beside steady readers: first those alone, then with it.
#[derive(Debug, Args)]
pub(crate) struct BenchChurn {
    /// How many steady readers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many clients connect at a time, leave when their stream begins, and connect again
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) churning: u32,

    /// How many updates are published in each half
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// How many updates a second are published
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// Stop reading beside steady readers: first those alone, then with it.
#[derive(Debug, Args)]
pub(crate) struct BenchStall {
    /// How many steady readers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many clients read the beginning of their stream, and no more
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) stalled: u32,

    /// How many updates are published in each half
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// How many updates a second are published
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// Publish as fast as it goes, one way after the other.
#[derive(Debug, Args)]
pub(crate) struct BenchPublish {
    /// How many updates each way
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// The ways
    #[arg(long, value_name = "WAY", value_enum, value_delimiter = ',', default_values = ["single", "concurrent", "pipelined", "ndjson", "event-stream"])]
    pub(crate) ways: Vec<PublishWay>,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// A way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublishWay {
    /// A POST, its answer, the next POST, over one connection
    Single,
    /// The same over each of 32 connections
    Concurrent,
    /// POSTs that don't wait for the answers of those before
    Pipelined,
    /// One POST with a JSON object a line
    Ndjson,
    /// One POST with an event stream
    EventStream,
}

impl PublishWay {
    /// Whether each POST waits for its answer.
    pub(crate) fn waits(self) -> bool {
        matches!(self, PublishWay::Single | PublishWay::Concurrent)
    }
}

/// Run the reference server, the bound: it does nothing but write the same bytes.
///
/// Any GET subscribes and any POST publishes, to its path. One thread, nothing but memory, no checks: not a hub.
#[derive(Debug, Args)]
pub(crate) struct BenchServer {
    /// Where to listen, as address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
}
