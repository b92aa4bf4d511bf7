//! Flags of `tidings token`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::{Hub, TokenFlags, units::Time};

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
    Explain(Explain),
    Revoke(Revoke),
}

/// Print a new key: 256 random bits
///
/// A program that has the key can make tokens. Keep the key in a file that only the hub and your backends can read. With --api it is
/// an API key instead: a credential for a backend that makes no tokens. An entry for the access file is then printed to
/// standard error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  (umask 077; tidings token key > hub.key)
  tidings token key --api --publish 'orders/*' --note shop")]
pub(crate) struct MakeKey {
    /// Make an API key
    #[arg(long)]
    pub(crate) api: bool,

    /// With --api: its holder may publish to this topic, or to these: news, 'orders/*' or '*'; repeatable
    #[arg(long, value_name = "TOPIC", help_heading = API_KEY)]
    pub(crate) publish: Vec<String>,

    /// With --api: its holder may read this topic, or these, with their private updates; repeatable
    #[arg(long, value_name = "TOPIC", help_heading = API_KEY)]
    pub(crate) read: Vec<String>,

    /// With --api: its holder has this right: subscribers, metrics, gateway, tickets or admin; repeatable
    #[arg(long, value_name = "RIGHT", help_heading = API_KEY)]
    pub(crate) right: Vec<String>,

    /// With --api: how long it holds [default: for ever]
    #[arg(long = "for", value_name = "DURATION", help_heading = API_KEY)]
    pub(crate) life: Option<Time>,

    /// With --api: what it is for, to be read in the access file
    #[arg(long, value_name = "TEXT", help_heading = API_KEY)]
    pub(crate) note: Option<String>,
}

const API_KEY: &str = "API keys";

impl MakeKey {
    /// Whether something is said that only an API key can have.
    pub(crate) fn is_of_api_key(&self) -> bool {
        let lists = [&self.publish, &self.read, &self.right];
        lists.iter().any(|list| !list.is_empty()) || self.life.is_some() || self.note.is_some()
    }
}

/// Print a new token
///
/// Its bearer sends it as `Authorization: Bearer TOKEN`. A JWT library makes the same token, with HS256.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings token mint --key-file hub.key --publish 'orders/*' --for 1h
  tidings token mint --key-file hub.key --read 'users/alice/*' --sub alice
  tidings token mint --key-file hub.key --right metrics --for 30d")]
pub(crate) struct Mint {
    /// The file that has the key
    #[arg(long, visible_alias = "key", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// The bearer may publish to this topic, or to these: news, 'orders/*' or '*'; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) publish: Vec<String>,

    /// The bearer may read this topic, or these, with their private updates; repeatable
    #[arg(long, value_name = "TOPIC")]
    pub(crate) read: Vec<String>,

    /// The bearer has this right: subscribers, metrics, gateway, tickets or admin; repeatable
    #[arg(long, value_name = "RIGHT")]
    pub(crate) right: Vec<String>,

    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    pub(crate) sub: Option<String>,

    /// The hub that it is for, by a name that the hub was given with --audience; repeatable
    #[arg(long, value_name = "HUB")]
    pub(crate) aud: Vec<String>,

    /// Its ID, by which it is found in logs and can be revoked; without this flag, a random one
    #[arg(long, value_name = "ID")]
    pub(crate) jti: Option<String>,

    /// Another claim, such as tenant=acme; the value is JSON, or text; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) claim: Vec<String>,

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
#[command(after_help = "Example:\n  tidings token inspect token.txt")]
pub(crate) struct Inspect {
    /// A file that has the token, - for standard input, or the token itself, which other users of the machine can see then; without it,
    /// the variable TIDINGS_TOKEN, or standard input
    pub(crate) token: Option<String>,
}

/// Say why a hub accepts a token or refuses it
///
/// Prints each check in order, with the value of the token and that of the hub, then the verdict. Exits with 1 if the token is
/// refused, or does not allow what is asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings token explain token.txt --key-file hub.key
  tidings token explain token.txt orders/42 --for publish --key-file hub.key")]
pub(crate) struct Explain {
    /// A file that has the token, - for standard input, or the token itself, which other users of the machine can see then; without it,
    /// the variable TIDINGS_TOKEN, or standard input
    pub(crate) token: Option<String>,

    /// A topic of which to say whether the token allows it
    pub(crate) topic: Option<String>,

    /// The action to look at
    #[arg(long = "for", value_name = "ACTION", default_value = "read")]
    pub(crate) action: Action,

    /// The file that has the key of the hub: a secret, a public key in PEM, or a JSON Web Key Set
    #[arg(long, visible_alias = "key", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// A name that the hub was given with --audience; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Something that a token may allow for a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    Read,
    Publish,
}

/// End credentials before their time
///
/// Their open streams end within a second, their tickets are void, and requests with them are refused. The command needs a token
/// with the right `admin`: in --token-file, or in the environment variable TIDINGS_TOKEN. Of a subject or an issuer, all tokens are
/// revoked that were issued until now; later ones hold.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings token revoke --sub alice --token-file admin.token
  tidings token revoke --jti 4f1c --reason 'laptop lost' --hub https://hub.example")]
#[command(group = ArgGroup::new("target").args(["jti", "sub", "iss", "key", "ticket"]).required(true).multiple(true))]
pub(crate) struct Revoke {
    /// The token with this ID; with --iss, that of one issuer
    #[arg(long, value_name = "ID", conflicts_with_all = ["sub", "key", "ticket"])]
    pub(crate) jti: Option<String>,

    /// All tokens of this subject; with --iss, those of one issuer
    #[arg(long, value_name = "NAME", conflicts_with_all = ["key", "ticket"])]
    pub(crate) sub: Option<String>,

    /// All tokens of this issuer; with --jti or --sub, only those
    #[arg(long, value_name = "ISSUER", conflicts_with_all = ["key", "ticket"])]
    pub(crate) iss: Option<String>,

    /// The API key with this ID; of a whole key only the ID is sent
    #[arg(long, value_name = "ID", conflicts_with = "ticket")]
    pub(crate) key: Option<String>,

    /// This ticket, or the ticket with this name
    #[arg(long, value_name = "TICKET")]
    pub(crate) ticket: Option<String>,

    /// Why, for those that look at the list, and in refusals
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    #[command(flatten)]
    pub(crate) hub: Hub,

    #[command(flatten)]
    pub(crate) token: TokenFlags,
}
