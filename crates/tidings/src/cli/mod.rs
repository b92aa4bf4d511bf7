//! The command line: the one definition of every flag, a file for each command.

#![allow(rustdoc::bare_urls, reason = "the comments are the help text of a terminal")]

mod bench;
mod chaos;
mod doctor;
mod gateway;
mod log;
mod publish;
mod request;
mod serve;
mod subscribe;
mod units;

use clap::{Args, Parser, Subcommand};

use crate::config::defaults;

pub(crate) use self::{
    bench::*, chaos::*, doctor::*, log::*, publish::*, request::*, serve::*, subscribe::*,
};

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
    Serve(Box<Serve>),
    Publish(Publish),
    Subscribe(Subscribe),
    Doctor(Box<Doctor>),
    Log(Log),
    Bench(Bench),
    Chaos(Chaos),
}

/// Where the hub is.
#[derive(Debug, Args)]
pub(crate) struct Hub {
    /// The hub's URL
    #[arg(long = "hub", value_name = "URL", default_value_t = format!("http://{}", defaults().listen))]
    pub(crate) url: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
