//! The command line: the one definition of every flag.

#![allow(rustdoc::bare_urls, reason = "the comments are the help text of a terminal")]

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use http::Method;
use tidings_hub::{Origin, log::Rule};

/// Server-Sent Events, complete: publish over HTTP, follow with EventSource, lose nothing.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Start with `tidings serve`, open the page it prints, and try the commands it shows.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    Publish(Publish),
    Subscribe(Subscribe),
    Log(Log),
    Bench(Bench),
}

/// Run a hub.
///
/// Bound to a loopback address, as by default, it lets anyone on this machine publish and subscribe. Bound to any other
/// address, it needs --anonymous to say what everyone may do.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen, as address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4400")]
    pub(crate) listen: SocketAddr,

    /// Keep the history in this directory: what was published survives a restart, a crash and a power cut
    #[arg(long, value_name = "DIR", env = "TIDINGS_DATA", default_value = "tidings-data")]
    pub(crate) data: PathBuf,

    /// Start this once under a new epoch: IDs from before become unknown, and subscribers who come back with one are told
    /// of a gap. For a log restored from a backup, which keeps its updates; a damaged one is moved aside, and nothing is
    /// deleted
    #[arg(long, conflicts_with = "memory")]
    pub(crate) new_epoch: bool,

    /// Keep the history in memory instead: it ends with the process. Of this and --data the later one counts
    #[arg(long, overrides_with = "data", conflicts_with = "durability")]
    pub(crate) memory: bool,

    /// When a publish is answered: fsync, when it is on the disk; write, when the operating system has it (faster; a
    /// power cut may take what --sync-every allows)
    #[arg(long, value_name = "WHEN", value_enum, default_value = "fsync")]
    pub(crate) durability: Durability,

    /// With --durability write, how long a publish may wait to be on the disk [default: 100ms]
    #[arg(long, value_name = "DURATION", requires = "durability", value_parser = humantime::parse_duration)]
    pub(crate) sync_every: Option<Duration>,

    /// The most bytes of history; the oldest updates go first [default: 8GiB, in memory 256MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) max_history: Option<u64>,

    /// The most updates of history; the oldest go first [default: no limit, in memory 1000000]
    #[arg(long, value_name = "N")]
    pub(crate) max_updates: Option<u64>,

    /// How much of some topics is kept: 'news/*=7d', 'logs=1000', 'chat/*=30d,1GiB'; of all others '*=90d'.
    /// The most specific rule counts, within --max-history and --max-updates; repeatable
    #[arg(long, value_name = "TOPICS=LIMITS")]
    pub(crate) retain: Vec<Rule>,

    /// What everyone who can reach the hub may do
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    pub(crate) anonymous: Vec<Anonymous>,

    /// Another site whose pages may publish and subscribe with credentials, as https://app.example; repeatable
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
    pub(crate) allow_origin: Vec<Origin>,

    /// A name beside localhost under which the hub may be reached while it has no access rule; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// The most data of one update
    #[arg(long, value_name = "BYTES", default_value = "1MiB", value_parser = parse_bytes)]
    pub(crate) max_data: u64,

    /// The most bytes of one file that is published as an attachment; a hub with --memory takes none
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = parse_bytes)]
    pub(crate) max_attachment: u64,

    /// The most bytes of all attachments; one goes with the update that announces it
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = parse_bytes)]
    pub(crate) attachment_quota: u64,

    /// How long a stream is silent before the hub sends a heartbeat
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = humantime::parse_duration)]
    pub(crate) heartbeat: Duration,

    /// What subscribers are told to wait before they reconnect
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) retry: Duration,

    /// How long a connection may accept nothing before it is closed; its client resumes from the history
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration)]
    pub(crate) write_timeout: Duration,

    /// Log more: -v for what was refused and why, -vv for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// When a publish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// When it is on the disk
    Fsync,
    /// When the operating system has it
    Write,
}

/// A right that everyone gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Anonymous {
    /// Publish to any topic
    Publish,
    /// Subscribe to any topic, and read its history
    Subscribe,
}

/// Where the hub is.
#[derive(Debug, Args)]
pub(crate) struct Hub {
    /// The hub's URL
    #[arg(long = "hub", value_name = "URL", env = "TIDINGS_HUB", default_value = "http://127.0.0.1:4400")]
    pub(crate) url: String,
}

/// Publish to a topic.
///
/// Without DATA, standard input is published: as one update, or with --lines each line as soon as it is there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings publish news 'Hello, world'
  tidings publish news --type weather '{\"celsius\": 21}'
  make 2>&1 | tidings publish builds/42 --lines --close finished
  tidings publish metrics --ndjson < updates.ndjson
  tidings publish album --file photo.png")]
#[command(group = ArgGroup::new("source").args(["data", "lines", "ndjson", "file"]))]
pub(crate) struct Publish {
    /// The topic, such as news or builds/42
    pub(crate) topic: String,

    /// The data of one update; standard input if it is left out
    pub(crate) data: Option<String>,

    /// Publish each line of standard input as an update
    #[arg(long)]
    pub(crate) lines: bool,

    /// Publish each line of standard input as a JSON object with data, type, id, retry
    #[arg(long, conflicts_with_all = ["event_type", "id", "retry"])]
    pub(crate) ndjson: bool,

    /// Publish a file: the hub stores it, and tells subscribers its URL, type, size and SHA-256
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// The file's media type, as image/png; told from its name if it is a common one, else application/octet-stream
    #[arg(long, value_name = "TYPE", requires = "file")]
    pub(crate) content_type: Option<String>,

    /// The event type, which says which listeners of an EventSource are called
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,

    /// The event's ID; the hub gives one if it is left out
    #[arg(long, conflicts_with = "lines")]
    pub(crate) id: Option<String>,

    /// Tell subscribers to wait this long before they reconnect
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) retry: Option<Duration>,

    /// Close the topic behind the updates, for this reason; alone, close it and publish nothing
    #[arg(long, value_name = "REASON")]
    pub(crate) close: Option<String>,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

/// Follow topics of a hub, or any event stream.
///
/// Prints the data of each event to standard output, and what happens to the connection to standard error. Reconnects
/// and resumes by itself. Ends when all its topics are closed, when the server says that it is over (204), and with
/// --once, or a request that must not be repeated (a POST without an Idempotency-Key), when the response ends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings subscribe news
  tidings subscribe 'builds/*' alerts --json
  tidings subscribe news --from start
  tidings subscribe https://example.com/events -H 'Authorization: Bearer …'
  tidings subscribe -X POST -d @prompt.json https://api.example.com/v1/chat/completions
  tidings subscribe builds --exec 'notify-send \"$(cat)\"'")]
pub(crate) struct Subscribe {
    /// Topics, of which 'builds/*' is all below builds/ and '*' is everything; or one URL of an event stream
    #[arg(required = true, value_name = "TOPIC|URL")]
    pub(crate) topics: Vec<String>,

    /// Where to begin with topics: start, end, or the ID of the event that was seen last
    #[arg(long, value_name = "PLACE", default_value = "end")]
    pub(crate) from: String,

    /// The ID of the event that was seen last, to resume any stream
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    pub(crate) last_event_id: Option<String>,

    /// Print one JSON object a line: kind is open, event, comment, error or closed
    #[arg(long)]
    pub(crate) json: bool,

    /// Print comments too, such as heartbeats
    #[arg(long)]
    pub(crate) comments: bool,

    /// Run a shell command for each event, one after the other: the data is its standard input, and TIDINGS_TYPE,
    /// TIDINGS_ID and TIDINGS_TOPIC are in its environment
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<String>,

    /// Request method, as in curl
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) request: Option<Method>,

    /// Request header 'Name: value', as in curl; repeatable
    #[arg(short = 'H', long, value_name = "LINE")]
    pub(crate) header: Vec<String>,

    /// Request body, as in curl (@file reads a file, @- standard input; makes it a POST; several are joined by &). It is
    /// sent as JSON if it is JSON, and as a form otherwise, unless -H 'Content-Type: …' says so
    #[arg(short, long, value_name = "DATA")]
    pub(crate) data: Vec<String>,

    /// User and password, as in curl; an Authorization header given with -H beats it
    #[arg(short, long, value_name = "USER:PASSWORD", value_parser = parse_user)]
    pub(crate) user: Option<User>,

    /// Reach the server through this proxy, as http://user:password@host:port; '' for none. Without it HTTP_PROXY,
    /// HTTPS_PROXY, ALL_PROXY and NO_PROXY decide
    #[arg(short = 'x', long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Speak HTTP/1.1 and offer nothing else
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub(crate) http1: bool,

    /// Speak HTTP/2 and offer nothing else, to an http:// URL too
    #[arg(long)]
    pub(crate) http2: bool,

    /// Read one response and don't reconnect
    #[arg(long)]
    pub(crate) once: bool,

    /// As strict as a browser: any status but 200 is final, instead of trying again after 408, 429 and 5xx
    #[arg(long)]
    pub(crate) strict: bool,

    /// Reconnect when nothing came for this long, not even a comment; 60s for topics, never for other streams
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) idle_timeout: Option<Duration>,

    /// How long to wait before reconnecting, until the server says otherwise
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = humantime::parse_duration)]
    pub(crate) initial_retry: Duration,

    /// The most data of one event
    #[arg(long, value_name = "BYTES", default_value = "16MiB", value_parser = parse_bytes)]
    pub(crate) max_event_bytes: u64,

    #[command(flatten)]
    pub(crate) hub: Hub,
}

/// Who asks. It is not shown.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User")
    }
}

fn parse_user(text: &str) -> Result<User, String> {
    let (name, password) = text.split_once(':').ok_or("it is a name, a colon and a password")?;
    Ok(User { name: name.to_owned(), password: password.to_owned() })
}

/// Look after a history on disk.
#[derive(Debug, Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    Stat(LogStat),
    Tail(LogTail),
    Check(LogCheck),
    Export(LogExport),
    Import(LogImport),
}

/// Where the log is.
#[derive(Debug, Args)]
pub(crate) struct LogFiles {
    /// The directory that a hub was given with --data, or a database that was moved aside
    #[arg(value_name = "DIR")]
    pub(crate) log: PathBuf,
}

/// Say what a log holds.
///
/// A hub may have it open.
#[derive(Debug, Args)]
pub(crate) struct LogStat {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the newest updates, as `tidings subscribe` does.
///
/// A hub may have the log open, or not.
#[derive(Debug, Args)]
pub(crate) struct LogTail {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// How many updates
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) count: usize,

    /// Go on with what is published from now on
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only updates of this topic, or of 'builds/*', all below builds/; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a log: every page, every update, and that its tables agree.
///
/// Nothing is changed, and a hub may have it open. Ends with exit code 3 if something is damaged.
#[derive(Debug, Args)]
pub(crate) struct LogCheck {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print a log's updates in order, to be imported elsewhere.
///
/// A hub may have it open. Of a damaged log it prints what can be read, says what can't, and ends with exit code 3.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log export news.d > news.ndjson
  tidings log export news.d --topic 'builds/*' --format event-stream")]
pub(crate) struct LogExport {
    #[command(flatten)]
    pub(crate) files: LogFiles,

    /// What to print: only NDJSON says everything of an update
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) format: ExportFormat,

    /// Only updates of this topic, or of 'builds/*', all below builds/; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Where to begin: start, or behind the event with this ID
    #[arg(long, value_name = "PLACE", default_value = "start")]
    pub(crate) from: String,
}

/// What an export looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A JSON object a line
    Ndjson,
    /// An event stream, with a topic line in each event
    EventStream,
}

/// Append exported updates to a log; one is begun if there is none.
///
/// No hub may have it open. Publishers' IDs, idempotency keys and times are kept; IDs that a hub gave name places of its
/// log, and become new ones. Importing the same again appends nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings log import new.d news.ndjson
  tidings log export old.d | tidings log import new.d
  curl -N http://127.0.0.1:4400/topics/news > news.stream; tidings log import new.d news.stream --topic news")]
pub(crate) struct LogImport {
    /// The directory of the log
    pub(crate) dir: PathBuf,

    /// What to read: NDJSON as `tidings log export` prints it, or with --topic an event stream; standard input if it is
    /// left out
    pub(crate) file: Option<PathBuf>,

    /// Read an event stream, as updates of this topic
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// The most bytes of history that the log keeps
    #[arg(long, value_name = "BYTES", default_value = "8GiB", value_parser = parse_bytes)]
    pub(crate) max_history: u64,
}

/// Reads a number of bytes: `1024`, `64KiB`, `256MiB`, `1GiB`.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        unit => return Err(format!("unit {unit:?} is not known; use KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| "it is a whole number with a unit, as 256MiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "it is more than can be counted".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn bytes_have_binary_units() {
        assert_eq!(parse_bytes("17"), Ok(17));
        assert_eq!(parse_bytes("2KiB"), Ok(2048));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        for text in ["", "MiB", "1.5MiB", "-1", "1 MiB", "1MB", "99999999999999GiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}

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
    #[arg(short = 'H', long, value_name = "LINE")]
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
    /// How many subscribers
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) subscribers: u32,

    /// How long they are held before the server is looked at
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) hold: Duration,

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

/// Publish as fast as it goes, one way after the other.
#[derive(Debug, Args)]
pub(crate) struct BenchPublish {
    /// How many updates each way
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) events: u32,

    /// The ways
    #[arg(long, value_name = "WAY", value_enum, value_delimiter = ',', default_values = ["single", "pipelined", "ndjson", "event-stream"])]
    pub(crate) ways: Vec<PublishWay>,

    #[command(flatten)]
    pub(crate) target: BenchTarget,
}

/// A way to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PublishWay {
    /// A POST, its answer, the next POST, over one connection
    Single,
    /// POSTs that don't wait for the answers of those before
    Pipelined,
    /// One POST with a JSON object a line
    Ndjson,
    /// One POST with an event stream
    EventStream,
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
