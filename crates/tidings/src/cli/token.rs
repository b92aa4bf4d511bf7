//! Flags of `tidings token`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::units::Time;

/// Make keys and tokens for `tidings serve --key-file`, and read tokens
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings token key > hub.key
  tidings serve --key-file hub.key
  tidings token mint --key-file hub.key --publish 'orders/*' --for 1h")]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Key(MakeKey),
    Mint(Mint),
    Inspect(Inspect),
}

/// Print a new key: 256 random bits
///
/// A program that has the key can make tokens. Keep the key in a file that only the hub and your backends can read.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  (umask 077; tidings token key > hub.key)")]
pub(crate) struct MakeKey {}

/// Print a new token
///
/// Its bearer sends it as `Authorization: Bearer TOKEN`. A JWT library makes the same token, with HS256.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings token mint --key-file hub.key --publish 'orders/*' --for 1h
  tidings token mint --key-file hub.key --read 'users/alice/*' --sub alice")]
pub(crate) struct Mint {
    /// The file that has the key
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// The bearer may publish to this topic, or to these: news, 'orders/*' or '*'; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) publish: Vec<String>,

    /// The bearer may read this topic, or these, with their private updates; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) read: Vec<String>,

    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    pub(crate) sub: Option<String>,

    /// The name of its issuer, such as https://app.example
    #[arg(long, value_name = "ISSUER")]
    pub(crate) iss: Option<String>,

    /// How long it holds, at most 30 days
    #[arg(long = "for", value_name = "DURATION", default_value_t = Time(Duration::from_secs(900)))]
    pub(crate) life: Time,
}

/// Print what a token says
///
/// Nothing is verified: the token may be forged, and the hub may refuse it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tidings token inspect < token.txt")]
pub(crate) struct Inspect {
    /// The token; without it, standard input, since other users of the machine can see a command line
    pub(crate) token: Option<String>,
}
