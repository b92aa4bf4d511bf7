//! `tidings token`: keys and tokens for a hub.

mod api_key;
mod explain;
mod inspect;
mod mint;
mod revoke;
mod shown;

pub(super) use self::shown::token_shown;

use anyhow::Context;
use tidings_hub::TokenKey;

use crate::{
    cli::{Token, TokenCommand},
    exit::{Exit, UsageError},
};

pub(crate) async fn run(token: Token) -> anyhow::Result<Exit> {
    match token.command {
        TokenCommand::Key(key) if key.api => api_key::make(&key)?,
        TokenCommand::Key(key) if key.is_of_api_key() => {
            let problem = "these flags are of an API key; add --api, or say with `tidings token mint` what a token allows";
            return Err(UsageError(problem.into()).into());
        }
        TokenCommand::Key(_) => {
            println!("{}", TokenKey::new_secret().context("there is no randomness for a key")?);
        }
        TokenCommand::Mint(mint) => println!("{}", mint::mint(&mint)?),
        TokenCommand::Inspect(inspect) => println!("{}", inspect::inspect(inspect)?),
        TokenCommand::Explain(explain) => return explain::explain(explain),
        TokenCommand::Revoke(revoke) => revoke::revoke(revoke).await?,
    }
    Ok(Exit::Success)
}
