//! Flags of `tidings chaos`.

use std::net::SocketAddr;

use clap::Args;

use crate::lab::chaos::{Fault, Upstream};

/// A proxy that breaks event streams on purpose, to test clients
///
/// The proxy forwards every request, and applies the faults to the answers. Faults that answer by themselves or change the request
/// apply to every request. All other faults apply to each response that is an event stream. Without a fault, nothing is changed.
/// Standard error shows what each request got. With the same --seed, the same requests get the same faults.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings chaos --list
  tidings chaos --upstream http://127.0.0.1:4400 --fault hold=8KiB
  tidings chaos --upstream http://127.0.0.1:4400 --fault status=503@30% --fault lifetime=1s..5s")]
pub(crate) struct Chaos {
    /// The server; the path and query of each request are appended to this URL
    #[arg(long, value_name = "URL", value_parser = Upstream::parse, required_unless_present = "list")]
    pub(crate) upstream: Option<Upstream>,

    /// A fault, as --list names it. VALUE may be a range, from which each request gets its own value. PERCENT is the share of
    /// requests that get the fault; repeatable
    #[arg(long, value_name = "NAME[=VALUE][@PERCENT]", value_parser = Fault::parse)]
    pub(crate) fault: Vec<Fault>,

    /// Repeat the random choices of the run that printed this number [default: a new number]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// Address and port to listen on; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,

    /// Print all faults, one a line, and end
    #[arg(long)]
    pub(crate) list: bool,
}
