//! `tidings token mint`.

use std::time::SystemTime;

use anyhow::Context;
use serde_json::Value;
use tidings_hub::{MAX_TOKEN_LIFE, Matchers, NewToken, Right, Subject, TokenKey, Tokens};

use crate::{
    cli::Mint,
    config::read_token_key,
    exit::{Hint, UsageError},
};

/// Claims that other flags are for.
const OWN_CLAIMS: [(&str, &str); 8] = [
    ("iat", "no flag: a token begins now"),
    ("nbf", "no flag: a token begins now"),
    ("exp", "--for"),
    ("sub", "--sub"),
    ("iss", "--iss"),
    ("aud", "--aud"),
    ("jti", "--jti"),
    ("tidings", "--publish, --read and --right"),
];

pub(super) fn mint(mint: &Mint) -> anyhow::Result<String> {
    let Some(file) = &mint.key_file else {
        let hint = "make a key with `tidings token key > hub.key`, and name it: --key-file hub.key";
        return Err(usage("no key is named, and a token is signed with one").context(Hint(hint.into())));
    };
    let key = read_token_key(file)?;
    let topics = |flag: &str, texts: &[String]| {
        Matchers::parse(texts).map_err(|error| usage(format!("--{flag}: {error}")))
    };
    let (publish, read) = (topics("publish", &mint.publish)?, topics("read", &mint.read)?);
    let rights = mint.right.iter().map(|word| right(word)).collect::<Result<Vec<_>, _>>()?;
    if publish.is_none() && read.is_none() && rights.is_empty() {
        let hint =
            "say what its bearer may do: --publish 'orders/*', --read 'users/alice/*', --right metrics";
        return Err(usage("the token would allow nothing").context(Hint(hint.into())));
    }
    let life = mint.life.0;
    if life.is_zero() || life > MAX_TOKEN_LIFE {
        return Err(usage(format!(
            "--for is {}; a token holds for at least a second and at most 30 days",
            mint.life
        )));
    }
    let token = NewToken::new(life).with_publish(&publish).with_read(&read).with_rights(rights);
    let mut token = match &mint.jti {
        Some(id) => token.with_claim("jti", &**id),
        None => token.with_random_id().context("there is no randomness for an ID")?,
    };
    for claim in &mint.claim {
        let (name, value) = claim_of(claim)?;
        token = token.with_claim(name, value);
    }
    token = token.with_audience(mint.aud.iter().map(String::as_str));
    token = match (&mint.iss, &mint.sub) {
        (issuer, Some(name)) => {
            token.with_subject(&Subject::new(issuer.as_deref().unwrap_or_default(), name.as_str()))
        }
        (None, None) => token,
        (Some(_), None) => {
            return Err(usage("--iss names an issuer; also say whose token it is: --sub NAME"));
        }
    };
    let signed = key.sign(&token);
    would_be_accepted(key, &signed, &mint.aud)?;
    Ok(signed)
}

fn usage(text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(UsageError(text.into()))
}

fn right(word: &str) -> anyhow::Result<Right> {
    Right::parse(word).ok_or_else(|| {
        let known = Right::ALL.map(Right::as_str).join(", ");
        usage(format!("--right is {word:?}; the rights are {known}"))
    })
}

/// The name and the value of `NAME=VALUE`. A value that is no JSON is text.
fn claim_of(text: &str) -> anyhow::Result<(&str, Value)> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts
        .ok_or_else(|| usage(format!("--claim is {text:?}; write it as NAME=VALUE, such as tenant=acme")))?;
    if let Some((_, flag)) = OWN_CLAIMS.iter().find(|(own, _)| *own == name) {
        return Err(usage(format!("--claim cannot set {name}; there is {flag} for it")));
    }
    Ok((name, serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// A token that the hub would refuse is not made.
fn would_be_accepted(key: TokenKey, token: &str, audience: &[String]) -> anyhow::Result<()> {
    let tokens = audience.iter().fold(Tokens::new(key), Tokens::with_audience);
    let explanation = tokens.explain(token, SystemTime::now());
    match explanation.checks.iter().find(|check| check.refused_by.is_some()) {
        None => Ok(()),
        Some(check) => Err(usage(format!("a hub would refuse the token: {}", check.detail))),
    }
}
