//! The command line: the one definition of every flag, a file for each command.

#![allow(rustdoc::bare_urls, reason = "the comments are the help text of a terminal")]

mod access;
#[cfg(feature = "bench")]
mod bench;
#[cfg(feature = "chaos")]
mod chaos;
#[cfg(feature = "doctor")]
mod doctor;
mod gateway;
mod log;
mod publish;
mod request;
mod serve;
mod subscribe;
mod token;
mod units;

use clap::{Args, Parser, Subcommand};

use crate::config::defaults;
#[cfg(not(all(feature = "doctor", feature = "bench", feature = "chaos")))]
use crate::exit::{Hint, UsageError};

#[cfg(feature = "bench")]
pub(crate) use self::bench::*;
#[cfg(feature = "chaos")]
pub(crate) use self::chaos::*;
#[cfg(feature = "doctor")]
pub(crate) use self::doctor::*;
pub(crate) use self::{access::*, log::*, publish::*, request::*, serve::*, subscribe::*, token::*};

/// A hub for Server-Sent Events: publish over HTTP, subscribe with EventSource, lose nothing
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
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
    #[cfg(feature = "doctor")]
    Doctor(Box<Doctor>),
    #[cfg(not(feature = "doctor"))]
    #[command(hide = true, disable_help_flag = true)]
    Doctor(Absent),
    Log(Log),
    Token(Token),
    Access(Access),
    #[cfg(feature = "bench")]
    Bench(Bench),
    #[cfg(not(feature = "bench"))]
    #[command(hide = true, disable_help_flag = true)]
    Bench(Absent),
    #[cfg(feature = "chaos")]
    Chaos(Chaos),
    #[cfg(not(feature = "chaos"))]
    #[command(hide = true, disable_help_flag = true)]
    Chaos(Absent),
}

/// A command that this build does not have, with any flags.
#[cfg(not(all(feature = "doctor", feature = "bench", feature = "chaos")))]
#[derive(Debug, Args)]
pub(crate) struct Absent {
    #[arg(num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<std::ffi::OsString>,
}

/// Says how to get a command that this build does not have.
#[cfg(not(all(feature = "doctor", feature = "bench", feature = "chaos")))]
pub(crate) fn absent(command: &Command) -> anyhow::Error {
    let name = match command {
        #[cfg(not(feature = "doctor"))]
        Command::Doctor(_) => "doctor",
        #[cfg(not(feature = "bench"))]
        Command::Bench(_) => "bench",
        _ => "chaos",
    };
    let problem = UsageError(format!(
        "this tidings was built without its feature {name}, so it has no `tidings {name}`"
    ));
    anyhow::Error::new(problem).context(Hint(format!(
        "build it with the feature: cargo install --path crates/tidings --features {name}"
    )))
}

/// The credential of a request.
#[derive(Debug, Args)]
pub(crate) struct TokenFlags {
    /// Send the token in this file as Authorization: Bearer TOKEN. It is read again for each request. Headers and users that the
    /// command line gives count instead
    #[arg(long, value_name = "FILE", help_heading = request::REQUEST)]
    pub(crate) token_file: Option<std::path::PathBuf>,
}

/// Where the hub is.
#[derive(Debug, Args)]
pub(crate) struct Hub {
    /// The URL of the hub
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

    #[test]
    fn help_begins_with_what_the_program_is_for() {
        let help = Cli::command().render_help().to_string();
        assert!(help.starts_with("A hub for Server-Sent Events: publish over HTTP, subscribe"), "{help}");
    }
}
