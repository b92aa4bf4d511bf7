//! Flags of `tidings serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use tidings_hub::{
    Origin,
    log::{LogUrl, Rule, parse_bytes},
};

use super::{gateway::Gateway, publish::retry};

/// Run a hub.
///
/// Bound to a loopback address, as by default, it lets anyone on this machine publish and subscribe. Bound to any other
/// address, it needs --anonymous to say what everyone may do.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen, as address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4400")]
    pub(crate) listen: SocketAddr,

    /// Speak HTTPS (HTTP/2 and HTTP/1.1) with the certificate in this PEM file, followed by those that lead to its root; read
    /// anew with its key on SIGHUP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of that certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Speak HTTPS with a certificate of its own making for localhost, 127.0.0.1 and ::1, which is kept with the history;
    /// for development
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_dev: bool,

    /// Keep the history in this log: file:DIR, a directory (as --data DIR), or memory: (as --memory)
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<LogUrl>,

    /// Keep the history in this directory: what was published survives a restart, a crash and a power cut [default:
    /// tidings-data]
    #[arg(long, value_name = "DIR", env = "TIDINGS_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// Start this once under a new epoch: IDs from before become unknown, and subscribers who come back with one are told
    /// of a gap. For a log restored from a backup, which keeps its updates; a damaged one is moved aside, and nothing is
    /// deleted
    #[arg(long, conflicts_with = "memory")]
    pub(crate) new_epoch: bool,

    /// Keep the history in memory instead: it ends with the process. Of this and --data the later one counts
    #[arg(long, overrides_with = "data", conflicts_with = "durability")]
    pub(crate) memory: bool,

    /// When a publish is answered: fsync, when it is on the disk; write, when the operating system has it (faster; a
    /// power cut may take what --sync-every allows) [default: fsync]
    #[arg(long, value_name = "WHEN", value_enum)]
    pub(crate) durability: Option<Durability>,

    /// With --durability write, how long a publish may wait to be on the disk [default: 100ms]
    #[arg(long, value_name = "DURATION", requires = "durability", value_parser = humantime::parse_duration)]
    pub(crate) sync_every: Option<Duration>,

    /// The most bytes of history; the oldest updates go first [default: 8GiB, in memory 256MiB]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) max_history: Option<u64>,

    /// The most updates of history; the oldest go first [default: no limit, in memory 1000000]
    #[arg(long, value_name = "N")]
    pub(crate) max_updates: Option<u64>,

    /// How much of some topics is kept: 'news/*=7d', 'logs=1000', 'chat/*=30d,1GiB'; of all others '*=90d'. Sizes are as for
    /// --max-history (64MiB or 64M), times such as 30m, 7d, 6months.
    /// The most specific rule counts, within --max-history and --max-updates; repeatable
    #[arg(long, value_name = "TOPICS=LIMITS")]
    pub(crate) retain: Vec<Rule>,

    /// What everyone who can reach the hub may do
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',')]
    pub(crate) anonymous: Vec<Anonymous>,

    /// Another site whose pages may publish and subscribe with credentials, as https://app.example; repeatable
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse)]
    pub(crate) allow_origin: Vec<Origin>,

    /// A name beside localhost under which the hub may be reached; others are refused then. Without it, a hub with an
    /// access rule answers to any name, and one without to loopback names alone; repeatable
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

    /// The longest reconnection time that a publisher may tell subscribers (`retry`), up to 1day; the shortest is 100ms
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = retry)]
    pub(crate) max_retry: Duration,

    /// How long a connection may take less than 64 KiB, or less than all there is, before it is closed; its client resumes
    /// from the history
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration)]
    pub(crate) write_timeout: Duration,

    /// How long one update may take to arrive: a body that is one, a line of NDJSON, an event of a published event stream,
    /// or a request to the gateway. A body with many updates stays open for as long as each is complete in time
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = humantime::parse_duration)]
    pub(crate) update_timeout: Duration,

    /// How long an attachment may take to arrive
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = humantime::parse_duration)]
    pub(crate) upload_timeout: Duration,

    /// The most memory of all answers together that are under way: pages of history over 64 KiB, the first events of streams,
    /// and what waits for clients beyond 64 KiB of each connection over HTTP/2. Beyond that pages are refused with 503 and Retry-After,
    /// and streams wait
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = parse_bytes)]
    pub(crate) answer_memory: u64,

    /// The most memory of all bodies together that are not complete yet. A body of up to 64 KiB needs none of it; a larger
    /// one waits for room for a few seconds, and is then refused with 503 and Retry-After
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = parse_bytes)]
    pub(crate) body_memory: u64,

    /// The most connections at a time, subscribers included; others wait until one is closed [default: the limit of open
    /// files less what the hub needs itself]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// How many threads read the history on disk; half of them at most look through it for patterns
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(2..=256))]
    pub(crate) readers: u16,

    /// How many reads may wait for them; a further one is refused, or its subscriber told to come back
    #[arg(long, value_name = "N", default_value = "16384", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_waiting_reads: u32,

    /// The gateway for LLM streams.
    #[command(flatten)]
    pub(crate) gateway: Gateway,

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
