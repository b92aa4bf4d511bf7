//! `tidings token revoke`: ends credentials before their time.

use anyhow::{Context, bail};
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::{Map, Value};
use tidings_client::{HyperTransport, RequestBody, Transport, TransportError};

use crate::{
    cli::Revoke,
    exit::{Hint, Unreachable, UsageError},
    net::token::Token,
    terminal::on_stdout,
};

/// A longer answer does not come from a hub.
const MAX_ANSWER_BYTES: usize = 64 << 10;

pub(super) async fn revoke(revoke: Revoke) -> anyhow::Result<()> {
    if revoke.jti.as_deref().is_some_and(looks_like_token) {
        bail!(UsageError(
            "--jti has the form of a whole token; name the ID in it (tidings token inspect shows it)".into()
        ));
    }
    let key = revoke.key.as_deref().map(|key| id_of_key(key).to_owned());
    let names = [
        ("jti", &revoke.jti),
        ("sub", &revoke.sub),
        ("iss", &revoke.iss),
        ("key", &key),
        ("ticket", &revoke.ticket),
        ("reason", &revoke.reason),
    ];
    let members =
        names.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into())));
    let body = Value::Object(members.collect::<Map<_, _>>()).to_string();
    let url = format!("{}/revocations", revoke.hub.url.trim_end_matches('/'));
    let hint = || Hint("name the hub with --hub http://HOST:PORT or TIDINGS_HUB".into());
    // The client removes a password from the URL, so that nothing shows it.
    let target = tidings_client::Request::post(&url).with_context(hint)?;
    let mut request = Request::post(target.url()).body(RequestBody::from(body.into_bytes()))?;
    request.headers_mut().clone_from(target.headers());
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if !request.headers().contains_key(header::AUTHORIZATION) {
        if let Some(token) = Token::of_hub(revoke.token.token_file.as_ref()) {
            request.headers_mut().insert(header::AUTHORIZATION, token.header()?);
        }
    }
    let response = HyperTransport::new().send(request).await.map_err(|error| unreachable(error, &revoke))?;
    let status = response.status();
    let mut answer = Vec::new();
    let mut body = response.into_body();
    while let Some(chunk) = body.chunk().await {
        answer.extend_from_slice(&chunk.context("the answer broke off")?);
        if answer.len() > MAX_ANSWER_BYTES {
            bail!("the answer is longer than {MAX_ANSWER_BYTES} bytes, so the server is not a hub");
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let members: Map<String, Value> = serde_json::from_str(&answer).unwrap_or_default();
    if status != StatusCode::OK {
        let detail = members.get("detail").and_then(Value::as_str).unwrap_or("it gave no reason");
        let error = anyhow::anyhow!("the hub refused ({status}): {detail}");
        return Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let hint = "the token needs the right \"admin\"; name its file with --token-file, or set TIDINGS_TOKEN";
                error.context(Hint(hint.into()))
            }
            _ => error,
        });
    }
    println!("{}", on_stdout(answer.trim_end()));
    if members.get("durable") == Some(&Value::Bool(false)) {
        eprintln!("warning: the hub keeps its history in memory, so the revocation ends with its process");
    }
    Ok(())
}

/// Whether a text looks like a whole token, which is a secret: the hub must not get it here.
fn looks_like_token(text: &str) -> bool {
    text.starts_with("ey") && text.matches('.').count() == 2
}

/// The ID in an API key that is given whole. The rest is a secret, and is not sent.
fn id_of_key(key: &str) -> &str {
    key.strip_prefix("tdk_").and_then(|rest| rest.split_once('_')).map_or(key, |(id, _)| id)
}

fn unreachable(error: TransportError, revoke: &Revoke) -> anyhow::Error {
    let nothing_was_sent = matches!(error, TransportError::Connect { .. });
    let url = tidings_client::Request::post(&revoke.hub.url).map(|request| request.url().to_string());
    let what = format!("cannot reach the hub at {}", url.as_deref().unwrap_or("this URL"));
    let error = anyhow::Error::new(error);
    if nothing_was_sent { error.context(Unreachable(what)) } else { error.context(what) }
}
