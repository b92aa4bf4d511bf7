//! The credentials that a hub accepts, and what they allow: the flags, and the access file.

use tidings_hub::{AccessFile, Grant, Issuer, Matchers, Policy, Right, Tokens};

use super::token_key::read_token_keys;
use crate::{
    cli::{Anonymous, Serve},
    exit::UsageError,
};

/// The policy of a hub that takes credentials; `None` if no flag names any.
///
/// # Errors
/// For a file that cannot be used.
pub(crate) fn policy(serve: &Serve) -> anyhow::Result<Option<Policy>> {
    let usage = |text: String| anyhow::Error::new(UsageError(text));
    let Some(path) = &serve.access else {
        let Some(key) = &serve.key_file else {
            return match serve.audience.is_empty() {
                true => Ok(None),
                false => Err(usage("--audience is for tokens; add --key-file FILE or --access FILE".into())),
            };
        };
        let tokens = Tokens::new(read_token_keys(key)?);
        let tokens = serve.audience.iter().fold(tokens, Tokens::with_audience);
        return Ok(Some(Policy::new(tokens).with_anonymous(of_everyone(serve))));
    };
    let mut file = AccessFile::read(path).map_err(|error| usage(error.to_string()))?;
    if let Some(key) = &serve.key_file {
        let issuer = Issuer::nameless(read_token_keys(key)?);
        file = file.with_issuer(issuer).map_err(|error| {
            usage(format!("--key-file, and an issuer in {} without a name: {error}", path.display()))
        })?;
    }
    let file = serve.audience.iter().fold(file, AccessFile::with_audience);
    // A stricter rule of the file still counts: these are for the topics that it does not name.
    let may = |what| serve.anonymous.contains(&what);
    let policy = file.with_everyone(may(Anonymous::Subscribe), may(Anonymous::Publish)).into_policy();
    Ok(Some(policy.with_anonymous(rights_of_everyone(serve))))
}

/// The rights of every client, at a hub without rules by topic.
pub(super) fn of_everyone(serve: &Serve) -> Grant {
    let mut grant = rights_of_everyone(serve);
    if serve.anonymous.contains(&Anonymous::Publish) {
        grant = grant.with_publish(Matchers::all());
    }
    if serve.anonymous.contains(&Anonymous::Subscribe) {
        grant = grant.with_read(Matchers::all());
    }
    grant
}

/// Those that are for no topic.
fn rights_of_everyone(serve: &Serve) -> Grant {
    match serve.anonymous.contains(&Anonymous::Gateway) {
        true => Grant::default().with_right(Right::Gateway),
        false => Grant::default(),
    }
}
