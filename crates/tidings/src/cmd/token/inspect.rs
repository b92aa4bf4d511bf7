//! `tidings token inspect`.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::shown::token_shown;
use crate::cli::Inspect;

pub(super) fn inspect(inspect: Inspect) -> anyhow::Result<String> {
    let token = token_shown(inspect.token.as_deref())?;
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
