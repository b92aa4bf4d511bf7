//! Flags of `tidings chaos`.

use std::net::SocketAddr;

use clap::Args;

use crate::lab::chaos::{Fault, Upstream};

/// Stand before a server of event streams, and spoil them as proxies do.
///
/// It passes every request on, and does to the answers what its faults say: those that answer instead or change the
/// request concern every request, the others each response that is an event stream. Without a fault it spoils nothing.
/// What each request got is printed to standard error, and with the same --seed the same requests get the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings chaos --list
  tidings chaos --upstream http://127.0.0.1:4400 --fault hold=8KiB
  tidings chaos --upstream http://127.0.0.1:4400 --fault status=503@30% --fault lifetime=1s..5s --seed 7")]
pub(crate) struct Chaos {
    /// The server that is spoiled; the path and query of each request are put behind it
    #[arg(long, value_name = "URL", value_parser = Upstream::parse, required_unless_present = "list")]
    pub(crate) upstream: Option<Upstream>,

    /// What is done to the streams, as --list names it: with a value or a range to choose from, and with the share of
    /// requests that it is done to; repeatable
    #[arg(long, value_name = "NAME[=VALUE][@PERCENT]", value_parser = Fault::parse)]
    pub(crate) fault: Vec<Fault>,

    /// Repeats the random choices of the run that printed this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Where to listen, as address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// Print the faults, a line each, and end
    #[arg(long)]
    pub(crate) list: bool,
}
