//! A client's request, on its way to the upstream.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use http_body::Body;
use ring::digest;
use serde::Deserialize;

use super::{
    dialect::{Dialect, MAX_CHOICES},
    settings::GatewaySettings,
};
use crate::http::{BoxError, Problem, PublishedBody};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// What a client asked of an upstream.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) dialect: Dialect,
    /// Path and query.
    pub(crate) target: String,
    /// What the upstream gets of the client's headers.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body says `"stream": true`. What is no JSON is for the upstream to refuse.
    pub(crate) wants_stream: bool,
    /// How many choices the whole answer has.
    pub(crate) choices: u32,
}

/// The members of the body that matter here.
#[derive(Default, Deserialize)]
struct Members {
    #[serde(default)]
    stream: Option<bool>,
    /// How many choices are asked for; what is no number is for the upstream to refuse.
    #[serde(default)]
    n: Option<serde_json::Value>,
}

impl Members {
    /// None of them is there in a body that is no JSON, or has one of another type.
    fn read(body: &[u8]) -> Members {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

impl Asked {
    pub(crate) async fn read<B>(
        dialect: Dialect,
        parts: &Parts,
        mut body: PublishedBody<'_, B>,
        settings: &GatewaySettings,
    ) -> Result<Asked, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if let Some(coding) =
            parts.headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity")
        {
            let detail = format!("Content-Encoding is {coding:?}; send the body without an encoding");
            return Err(Problem::unsupported_body(detail));
        }
        let body = body.read_whole(settings.max_request_bytes, Problem::request_too_large).await?;
        let target = parts.uri.path_and_query().map_or(dialect.path(), http::uri::PathAndQuery::as_str);
        let headers = headers_for_upstream(&parts.headers, dialect, settings)?;
        let Members { stream, n } = Members::read(&body);
        let choices = n.and_then(|n| u32::try_from(n.as_u64()?).ok()).unwrap_or(1).clamp(1, MAX_CHOICES);
        let wants_stream = stream == Some(true);
        Ok(Asked { dialect, target: target.to_owned(), headers, body, wants_stream, choices })
    }

    /// The SHA-256 of the body, in hexadecimal.
    pub(crate) fn body_digest(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.body);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What of a client's headers an upstream gets: what is known to matter to it, and none that are about the connection or
/// about the client's visit to this hub, such as cookies.
pub(crate) fn headers_for_upstream(
    from_client: &HeaderMap,
    dialect: Dialect,
    settings: &GatewaySettings,
) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in from_client {
        let text = name.as_str();
        let known = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT].contains(name)
            || ["anthropic-", "openai-", "x-stainless-"].iter().any(|prefix| text.starts_with(prefix));
        let is_credential = [header::AUTHORIZATION, X_API_KEY].contains(name);
        if known || (is_credential && settings.upstream_key.is_none()) {
            headers.append(name, value.clone());
        }
    }
    if let Some(key) = &settings.upstream_key {
        let (name, text) = match dialect {
            Dialect::Messages => (X_API_KEY, key.expose().to_owned()),
            Dialect::ChatCompletions | Dialect::Responses => {
                (header::AUTHORIZATION, format!("Bearer {}", key.expose()))
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Problem::upstream_failed("the upstream's key has characters that no header can carry")
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if dialect == Dialect::Messages {
        headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
    }
    Ok(headers)
}

/// What says, for idempotency keys, whose key it is: two clients may use the same one.
pub(crate) fn credentials(headers: &HeaderMap) -> Vec<&[u8]> {
    [header::AUTHORIZATION, X_API_KEY]
        .iter()
        .map(|name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes))
        .collect()
}
