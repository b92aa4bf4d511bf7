//! `tidings token`: keys and tokens for a hub.

mod explain;
mod inspect;
mod mint;
mod revoke;
mod shown;

use anyhow::Context;
use tidings_hub::TokenKey;

use crate::{
    cli::{Token, TokenCommand},
    exit::Exit,
};

pub(crate) async fn run(token: Token) -> anyhow::Result<Exit> {
    match token.command {
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
