//! `tidings token`: keys and tokens for a hub.

use std::io::{self, Read};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tidings_hub::{MAX_TOKEN_LIFE, Matchers, Subject, TokenKey};

use crate::{
    cli::{Inspect, Mint, Token, TokenCommand},
    config::read_token_key,
    exit::{Hint, UsageError},
};

pub(crate) fn run(token: Token) -> anyhow::Result<()> {
    let text = match token.command {
        TokenCommand::Key(_) => TokenKey::new_secret().context("there is no randomness for a key")?,
        TokenCommand::Mint(mint) => self::mint(&mint)?,
        TokenCommand::Inspect(inspect) => self::inspect(inspect)?,
    };
    println!("{text}");
    Ok(())
}

fn mint(mint: &Mint) -> anyhow::Result<String> {
    let usage = |text: String| anyhow::Error::new(UsageError(text));
    let Some(file) = &mint.key_file else {
        let hint = "make a key with `tidings token key > hub.key`, and name it: --key-file hub.key";
        return Err(
            usage("no key is named, and a token is signed with one".into()).context(Hint(hint.into()))
        );
    };
    let key = read_token_key(file)?;
    let topics = |flag: &str, texts: &[String]| {
        Matchers::parse(texts).map_err(|error| usage(format!("--{flag}: {error}")))
    };
    let (publish, read) = (topics("publish", &mint.publish)?, topics("read", &mint.read)?);
    if publish.is_none() && read.is_none() {
        let hint = "say what its bearer may do: --publish 'orders/*', --read 'users/alice/*'";
        return Err(usage("the token would allow nothing".into()).context(Hint(hint.into())));
    }
    let life = mint.life.0;
    if life.is_zero() || life > MAX_TOKEN_LIFE {
        return Err(usage(format!(
            "--for is {}; a token holds for at least a second and at most 30 days",
            mint.life
        )));
    }
    let subject = match (&mint.iss, &mint.sub) {
        (issuer, Some(name)) => Some(Subject::new(issuer.clone().unwrap_or_default(), name.clone())),
        (None, None) => None,
        (Some(_), None) => {
            return Err(usage("--iss names an issuer; also say whose token it is: --sub NAME".into()));
        }
    };
    Ok(key.mint(&publish, &read, subject.as_ref(), life))
}

fn inspect(inspect: Inspect) -> anyhow::Result<String> {
    let text = match inspect.token {
        Some(token) => token,
        None => {
            let mut text = String::new();
            io::stdin().take(1 << 20).read_to_string(&mut text).context("standard input cannot be read")?;
            text
        }
    };
    let token = text.trim();
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, _] = parts[..] else {
        anyhow::bail!(
            "this is no token: it has {} parts, and a token has three with dots between them",
            parts.len()
        );
    };
    let read = |part: &str, what: &str| {
        let json = URL_SAFE_NO_PAD
            .decode(part)
            .with_context(|| format!("the {what} is not base64url without padding"))?;
        serde_json::from_slice::<Value>(&json).with_context(|| format!("the {what} is not JSON"))
    };
    let (header, claims) = (read(header, "header")?, read(claims, "set of claims")?);
    let times = ["iat", "nbf", "exp"].into_iter().filter_map(|name| {
        let seconds =
            claims.get(name)?.as_f64().filter(|seconds| (0.0..=253_402_300_799.0).contains(seconds))?;
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64);
        Some(format!("{name} is {}\n", humantime::format_rfc3339_seconds(time)))
    });
    let times: String = times.collect();
    Ok(format!("{header:#}\n{claims:#}\n{times}Nothing was verified: the token may be forged."))
}
