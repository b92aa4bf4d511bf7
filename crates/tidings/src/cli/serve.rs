//! Flags of `tidings serve`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use tidings_hub::{
    Network, Origin,
    log::{self, DiskSettings, LogUrl, Retention, Rule},
};

use super::{
    gateway::Gateway,
    units::{Bytes, Time, retry},
};
use crate::config::defaults;

/// Run a hub
///
/// On a loopback address, which is the default, everyone on this machine may publish and subscribe. On any other address
/// the hub starts only with --key-file or --access, which take credentials, or with --anonymous, which says what everyone may do.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings serve
  tidings serve --listen 0.0.0.0:4400 --anonymous subscribe --data /var/lib/tidings
  tidings serve --upstream https://api.openai.com --upstream-key-env OPENAI_API_KEY")]
pub(crate) struct Serve {
    /// Address and port to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value_t = defaults().listen)]
    pub(crate) listen: SocketAddr,

    /// Speak HTTPS (HTTP/2 and HTTP/1.1) with the certificate in this PEM file. The certificates that lead to its root follow
    /// it in the file. SIGHUP makes the hub read certificate and key again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Speak HTTPS with a certificate for localhost, 127.0.0.1 and ::1 that the hub makes itself and keeps with the history;
    /// for development
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    pub(crate) tls_dev: bool,

    /// Log more: -v for what is refused and why, -vv for everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Keep the history in this log: file:DIR is the directory DIR, as with --data DIR, and memory: is --memory
    #[arg(long, value_name = "URL", help_heading = HISTORY)]
    pub(crate) log: Option<LogUrl>,

    #[arg(long, value_name = "DIR", help_heading = HISTORY, help = format!(
        "Keep the history in this directory. It survives a restart, a crash and a power cut [default: {}]",
        defaults().log_url.directory().unwrap_or(Path::new("")).display(),
    ))]
    pub(crate) data: Option<PathBuf>,

    /// Keep the history in memory. It ends with the process. Of --memory and --data the later one counts
    #[arg(long, overrides_with = "data", conflicts_with_all = ["durability", "sync_every"], help_heading = HISTORY)]
    pub(crate) memory: bool,

    #[arg(long, value_name = "WHEN", value_enum, help_heading = HISTORY, help = format!(
        "When to answer a publish: fsync, when the update is on the disk; write, when the operating system has it, which is \
         faster [default: {}]",
        Durability::from(DiskSettings::default().durability).name(),
    ))]
    pub(crate) durability: Option<Durability>,

    #[arg(long, value_name = "DURATION", requires = "durability", help_heading = HISTORY, help = format!(
        "With --durability write: write to the disk at least this often. A power cut may take the updates since then \
         [default: {}]",
        Time(defaults().sync_every),
    ))]
    pub(crate) sync_every: Option<Time>,

    #[arg(long, value_name = "BYTES", help_heading = HISTORY, help = format!(
        "Keep at most this much history; the oldest updates are deleted. Units: KiB, MiB, GiB, TiB, or K, M, G, T \
         [default: {}, or {} with --memory]",
        Bytes(Retention::on_disk().limits.bytes),
        Bytes(Retention::in_memory().limits.bytes),
    ))]
    pub(crate) max_history: Option<Bytes>,

    #[arg(long, value_name = "N", help_heading = HISTORY, help = format!(
        "Keep at most N updates; the oldest are deleted [default: no limit, or {} with --memory]",
        Retention::in_memory().limits.records,
    ))]
    pub(crate) max_updates: Option<u64>,

    /// Keep less of some topics: 'news/*=7d', 'logs=1000', 'chat/*=30d,1GiB', and '*=90d' for all other topics. A limit is a
    /// count (1000), a size (64MiB or 64M) or an age (30m, 7d, 6months). The most specific rule counts, within --max-history
    /// and --max-updates; repeatable
    #[arg(long, value_name = "TOPICS=LIMITS", help_heading = HISTORY)]
    pub(crate) retain: Vec<Rule>,

    /// Start under a new epoch, once, after the log was restored from a backup. IDs from before become unknown, and
    /// subscribers that come back with one are told of a gap. The updates are kept. A damaged log is moved aside; nothing is
    /// deleted
    #[arg(long, conflicts_with = "memory", help_heading = HISTORY)]
    pub(crate) new_epoch: bool,

    /// Threads that read the history on disk, from 2 to 256. At most half of them search it for patterns
    #[arg(long, value_name = "N", default_value_t = small(defaults().log.readers), value_parser = clap::value_parser!(u16).range(2..=256), help_heading = HISTORY)]
    pub(crate) readers: u16,

    /// Reads that may wait for a reader, at least 1. A further read is refused, or its subscriber is told to come back
    #[arg(long, value_name = "N", default_value_t = small(defaults().log.waiting_reads), value_parser = clap::value_parser!(u32).range(1..), help_heading = HISTORY)]
    pub(crate) max_waiting_reads: u32,

    /// Take tokens that were made with the key in this file: a JSON Web Token (HS256) says which topics its bearer may publish to
    /// and read. A request without a token may do nothing, or what --anonymous says. Make a key with `tidings token key`
    #[arg(long, value_name = "FILE", help_heading = ACCESS)]
    pub(crate) key_file: Option<PathBuf>,

    /// Take credentials, and let clients read and publish, as this file says: issuers, API keys, rules by topic, roles. SIGHUP makes
    /// the hub read it again. Check it with `tidings access check`
    #[arg(long, value_name = "FILE", help_heading = ACCESS)]
    pub(crate) access: Option<PathBuf>,

    /// With --key-file or --access: take tokens that are for this audience (aud), such as https://hub.example; repeatable
    #[arg(long, value_name = "NAME", help_heading = ACCESS)]
    pub(crate) audience: Vec<String>,

    /// With --key-file: also take tokens in the cookie of this name, such as __Host-tidings. A page makes one of its token with POST
    /// /session
    #[arg(long, value_name = "NAME", help_heading = ACCESS)]
    pub(crate) cookie: Option<String>,

    /// With --key-file: note refusals, streams, tickets and revocations in this file, as JSON lines. SIGHUP begins the file anew,
    /// after it was renamed
    #[arg(long, value_name = "FILE", help_heading = ACCESS)]
    pub(crate) audit: Option<PathBuf>,

    /// With --audit: note each publish, too
    #[arg(long, requires = "audit", help_heading = ACCESS)]
    pub(crate) audit_publishes: bool,

    /// With --key-file: believe this proxy what it says of its clients' addresses (X-Forwarded-For, Forwarded), so that limits count
    /// the clients: an address, or a network such as 10.0.0.0/8; repeatable
    #[arg(long, value_name = "CIDR", help_heading = ACCESS)]
    pub(crate) trusted_proxy: Vec<Network>,

    /// The rights of every client that can reach the hub; several with commas
    #[arg(long, value_name = "WHAT", value_enum, value_delimiter = ',', help_heading = ACCESS)]
    pub(crate) anonymous: Vec<Anonymous>,

    /// Also serve /metrics, /healthz and /readyz, and nothing else, on this address, without a credential. Only the operator
    /// should reach it, such as 127.0.0.1:9400
    #[arg(long, value_name = "ADDRESS", help_heading = ACCESS)]
    pub(crate) metrics_listen: Option<SocketAddr>,

    /// Let pages of this other site publish and subscribe, with credentials, such as https://app.example; repeatable
    #[arg(long, value_name = "ORIGIN", value_parser = Origin::parse, help_heading = ACCESS)]
    pub(crate) allow_origin: Vec<Origin>,

    /// Answer to this host name, and to loopback names, and to no other name. Without the flag a hub with --anonymous
    /// answers to every name, and a hub without it to loopback names only; repeatable
    #[arg(long, value_name = "NAME", help_heading = ACCESS)]
    pub(crate) allow_host: Vec<String>,

    /// The most data of one update
    #[arg(long, value_name = "BYTES", default_value_t = bytes(defaults().hub.max_data_bytes), help_heading = LIMITS)]
    pub(crate) max_data: Bytes,

    /// The largest file that may be published as an attachment. With --memory no file may
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(defaults().log.attachments.each), help_heading = LIMITS)]
    pub(crate) max_attachment: Bytes,

    /// The most bytes of all attachments. An attachment is deleted with the update that announces it
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(defaults().log.attachments.all), help_heading = LIMITS)]
    pub(crate) attachment_quota: Bytes,

    /// The most connections at a time, subscribers included, at least 1. Others wait until a connection is closed [default:
    /// the limit of open files minus the files that the hub needs itself]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = LIMITS)]
    pub(crate) max_connections: Option<u32>,

    /// The most memory of all answers that are under way: pages of history over 64 KiB, the first events of streams, and what
    /// waits for an HTTP/2 client beyond 64 KiB a connection. Beyond the limit, pages are refused with 503 and Retry-After, and
    /// streams wait
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(defaults().hub.answer_bytes), help_heading = LIMITS)]
    pub(crate) answer_memory: Bytes,

    /// The most memory of all request bodies that are not complete. A body of up to 64 KiB does not count. A larger one waits
    /// for room for a few seconds, and is then refused with 503 and Retry-After
    #[arg(long, value_name = "BYTES", default_value_t = Bytes(defaults().hub.body_bytes), help_heading = LIMITS)]
    pub(crate) body_memory: Bytes,

    /// Send a heartbeat after a stream was silent for this long
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.heartbeat), help_heading = TIMES)]
    pub(crate) heartbeat: Time,

    /// Tell subscribers to wait this long before they reconnect
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.retry), help_heading = TIMES)]
    pub(crate) retry: Time,

    /// The longest reconnection time (`retry`) that a publisher may set for subscribers, from 100ms to 1day
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.max_retry), value_parser = retry, help_heading = TIMES)]
    pub(crate) max_retry: Time,

    /// Close a connection that takes less than 64 KiB, or less than all that waits for it, in this time. Its client resumes
    /// from the history
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.write_timeout), help_heading = TIMES)]
    pub(crate) write_timeout: Time,

    /// How long one update may take to arrive: a body that is one update, a line of NDJSON, an event of a published event
    /// stream, or a request to the gateway. A body of many updates may stay open for as long as each arrives in time
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.update_timeout), help_heading = TIMES)]
    pub(crate) update_timeout: Time,

    /// How long an attachment may take to arrive
    #[arg(long, value_name = "DURATION", default_value_t = Time(defaults().hub.upload_timeout), help_heading = TIMES)]
    pub(crate) upload_timeout: Time,

    /// The gateway for LLM streams.
    #[command(flatten)]
    pub(crate) gateway: Gateway,
}

const HISTORY: &str = "History";
const ACCESS: &str = "Access";
const LIMITS: &str = "Limits";
const TIMES: &str = "Times";

/// When a publish is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// When the update is on the disk
    Fsync,
    /// When the operating system has the update; faster, and --sync-every says what a power cut may take
    Write,
}

impl From<log::Durability> for Durability {
    fn from(durability: log::Durability) -> Durability {
        match durability {
            log::Durability::Write { .. } => Durability::Write,
            _ => Durability::Fsync,
        }
    }
}

impl Durability {
    fn name(self) -> &'static str {
        match self {
            Durability::Fsync => "fsync",
            Durability::Write => "write",
        }
    }
}

/// A right that everyone gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Anonymous {
    /// Publish to any topic
    Publish,
    /// Subscribe to any topic, and read its history
    Subscribe,
    /// Ask the LLM provider of the gateway, at your cost
    Gateway,
}

impl Anonymous {
    /// The word of the flag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Anonymous::Publish => "publish",
            Anonymous::Subscribe => "subscribe",
            Anonymous::Gateway => "gateway",
        }
    }
}

pub(super) fn bytes(number: usize) -> Bytes {
    Bytes(number as u64)
}

/// A default that is smaller than its flag's bound.
fn small<T: TryFrom<usize>>(number: usize) -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(number).expect("a default within its bounds")
}
