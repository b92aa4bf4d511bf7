//! Flags of `tidings bench`.

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::Hub;

/// Measure a hub, or any server of event streams
///
/// The command counts what every subscriber got, in which order, and how late. With --server-pid, --serve or --bound it also
/// measures what that cost the server. Exit code: 1 if an update was lost, came twice, or came out of order.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings bench fanout                      # the hub on this machine
  tidings bench fanout --serve --bound      # a hub of its own, beside the reference server
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

/// The server that is measured, and the form of the result.
#[derive(Debug, Args)]
pub(crate) struct BenchTarget {
    /// Where to subscribe, for a server that is not a hub: an http:// URL, with {topic} in place of the topic
    #[arg(long, value_name = "URL", requires = "publish_url", conflicts_with = "serve", help_heading = SERVER)]
    pub(crate) subscribe_url: Option<String>,

    /// Where to publish with POST, for a server that is not a hub: an http:// URL, with {topic} in place of the topic
    #[arg(long, value_name = "URL", requires = "subscribe_url", help_heading = SERVER)]
    pub(crate) publish_url: Option<String>,

    /// The body of a POST for one update, with {data} and {topic} in place of data and topic
    #[arg(long, value_name = "TEXT", default_value = "{data}", requires = "publish_url", help_heading = SERVER)]
    pub(crate) publish_body: String,

    /// The Content-Type of this body
    #[arg(long, value_name = "TYPE", default_value = "text/plain", requires = "publish_url", help_heading = SERVER)]
    pub(crate) publish_type: String,

    /// A header 'Name: value' of every request; repeatable
    #[arg(short = 'H', long, value_name = "LINE", hide_env_values = true, help_heading = SERVER)]
    pub(crate) header: Vec<String>,

    /// Start a hub for the measurement, on a free port, with its history in memory
    #[arg(long, help_heading = SERVER)]
    pub(crate) serve: bool,

    /// Also measure a reference server that only writes the same bytes, in turn with the other, and print the ratios
    #[arg(long, help_heading = SERVER)]
    pub(crate) bound: bool,

    /// How often to measure each server, at least once; the medians are printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), help_heading = MEASUREMENT)]
    pub(crate) rounds: u32,

    /// The server's process ID, to measure its CPU time and memory (Linux); several with commas
    #[arg(long, value_name = "PID", value_delimiter = ',', conflicts_with = "serve", help_heading = SERVER)]
    pub(crate) server_pid: Vec<u32>,

    /// Run the servers that the command starts on this core (Linux, with taskset)
    #[arg(long, value_name = "CORE", help_heading = SERVER)]
    pub(crate) server_core: Option<u32>,

    /// The size of the data of one update, in bytes, from 48 to 1000000
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(48..=1_000_000), help_heading = MEASUREMENT)]
    pub(crate) bytes: u32,

    /// How long to wait for missing updates before they count as lost
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration, help_heading = MEASUREMENT)]
    pub(crate) patience: Duration,

    /// How many clients may connect at once, at least 1; for scenarios in which clients do not come all together
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), help_heading = MEASUREMENT)]
    pub(crate) connecting: u32,

    /// How many processes read, from 1 to 250. More are started if the limit of open files asks for it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=250), help_heading = MEASUREMENT)]
    pub(crate) processes: u32,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

const SERVER: &str = "The server";
const MEASUREMENT: &str = "The measurement";

/// Deliver updates to many subscribers
///
/// Without --rate, the next updates are published when every subscriber has the last ones, so that updates are not delivered
/// together by accident. With --rate, updates are published at fixed times, no matter how fast the server is, and the latency counts
/// from these times.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench fanout -n 5000 --serve --bound")]
pub(crate) struct BenchFanout {
    /// How many subscribers, spread over the topics
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many topics; every topic gets the same number of updates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) topics: u32,

    /// How many updates each topic gets in a round
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// How many updates of a topic are published together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) burst: u32,

    /// How many updates a second to publish to all topics together [default: as fast as subscribers get them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,

    /// How to publish. The streams are for a hub, and for one topic
    #[arg(long, value_name = "FORM", value_enum, default_value = "post")]
    pub(crate) publish_as: PublishForm,

    /// How many subscribers share a connection over HTTP/2 with prior knowledge, from 1 to 1000. The reference server stays
    /// with HTTP/1.1
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

/// Hold idle connections, and measure the memory that each costs the server
///
/// This needs --serve, --bound or --server-pid.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench idle --serve -n 10000")]
pub(crate) struct BenchIdle {
    /// How many subscribers, spread over the topics
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many topics
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) topics: u32,

    /// How long to hold the connections before measuring
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) hold: Duration,

    /// How many subscribers share a connection over HTTP/2 with prior knowledge, from 1 to 1000. The reference server stays
    /// with HTTP/1.1
    #[arg(long, value_name = "STREAMS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) http2: Option<u32>,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// Let clients come back together, each with a last event ID
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench replay --serve -n 500 --events 1000")]
pub(crate) struct BenchReplay {
    /// How many clients
    #[arg(short = 'n', long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many updates each client has missed
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// Measure steady readers: first alone, then while other clients connect and disconnect
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench churn --serve --churning 50")]
pub(crate) struct BenchChurn {
    /// How many steady readers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many clients at a time connect, leave when their stream begins, and connect again
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

/// Measure steady readers: first alone, then while other clients have stopped reading
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench stall --serve --stalled 20")]
pub(crate) struct BenchStall {
    /// How many steady readers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How many clients stop reading after the beginning of their stream
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

/// Publish as fast as possible, in one way after the other
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench publish --serve --ways single,ndjson")]
pub(crate) struct BenchPublish {
    /// How many updates to publish in each way
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// The ways to publish; several with commas
    #[arg(long, value_name = "WAY", value_enum, value_delimiter = ',', default_values = ["single", "concurrent", "pipelined", "ndjson", "event-stream"])]
    pub(crate) ways: Vec<PublishWay>,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// A way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublishWay {
    /// One POST after the other over one connection, each after the answer to the last
    Single,
    /// The same over each of 32 connections
    Concurrent,
    /// POSTs over one connection that do not wait for answers
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

/// Run the reference server of --bound, which only writes the same bytes
///
/// Any GET subscribes to its path, and any POST publishes to its path. The server has one thread, keeps everything in memory and
/// checks nothing. It is not a hub.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings bench server --listen 127.0.0.1:4402")]
pub(crate) struct BenchServer {
    /// Address and port to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
}
