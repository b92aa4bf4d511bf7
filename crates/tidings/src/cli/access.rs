//! Flags of `tidings access`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Look at access files for `tidings serve --access`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings access check access.toml
  tidings access check access.toml --topic orders/42")]
pub(crate) struct Access {
    #[command(subcommand)]
    pub(crate) command: AccessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    Check(CheckAccess),
}

/// Check an access file, and say which clients may read and publish a topic
///
/// Each answer names the line of the file that gives it. The exit code is 64 if the file cannot be used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings access check access.toml
  tidings access check access.toml --topic users/alice/inbox
  tidings access check access.toml --topic users/alice/inbox --token token.txt")]
pub(crate) struct CheckAccess {
    /// The access file
    pub(crate) file: PathBuf,

    /// Say which clients may read this topic and publish to it
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// Say whether the hub would accept this token, and what it may do: a file that has the token, - for standard input, or the token
    /// itself, which other users of the machine can see then
    #[arg(long, value_name = "TOKEN")]
    pub(crate) token: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
