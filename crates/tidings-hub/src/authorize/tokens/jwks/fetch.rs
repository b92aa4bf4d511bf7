//! One fetch of a set of keys.

use std::{fmt, time::Duration};

use http::{HeaderMap, Request, StatusCode, Uri, header, uri::Scheme};
use ring::digest::{SHA256, digest};
use tidings_client::{HyperTransport, RequestBody, ResponseBody, Transport, TransportError};

use super::published::Fetched;
use crate::authorize::{
    is_loopback_host,
    tokens::{InvalidIssuer, InvalidTokenKey, TokenKeys, key::MAX_KEYS_BYTES},
};

/// How long a fetch may take in all.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// How many redirects are followed, all of them at the same host.
const MAX_REDIRECTS: usize = 3;

/// How long a set is fresh: what `Cache-Control` says, within bounds.
const DEFAULT_AGE: Duration = Duration::from_secs(3_600);
const MIN_AGE: Duration = Duration::from_secs(300);
const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

/// Where a set is published.
#[derive(Clone)]
pub(super) struct Source {
    url: Uri,
    transport: HyperTransport,
}

/// Why there is no new set.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the server cannot be reached, or broke the connection")]
    Transport(#[from] TransportError),
    #[error("the server answered {0}, not 200")]
    Status(StatusCode),
    #[error("the server redirects to {0:?}; only the same host is followed, and {MAX_REDIRECTS} times")]
    Redirect(String),
    #[error("the answer is over {MAX_KEYS_BYTES} bytes")]
    TooLarge,
    #[error("there was no complete answer within {} s", FETCH_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the answer is no set of keys")]
    Keys(#[from] InvalidTokenKey),
}

impl Source {
    pub(super) fn parse(url: &str) -> Result<Source, InvalidIssuer> {
        let invalid = |why: &str| InvalidIssuer::new(format!("{url:?} is no URL of keys: {why}"));
        let uri: Uri = url.parse().map_err(|_| invalid("write it as https://app.example/keys"))?;
        let authority = uri.authority().ok_or_else(|| invalid("it has no host"))?.as_str();
        if authority.contains('@') {
            // Not named: it may be a secret.
            return Err(InvalidIssuer::new("a URL of keys has no user name and password"));
        }
        let is_safe = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => is_loopback_host(authority),
            _ => false,
        };
        match is_safe {
            true => Ok(Source {
                url: uri,
                transport: HyperTransport::new().with_connect_timeout(FETCH_TIMEOUT).with_http1_only(),
            }),
            false => Err(invalid("it begins with https://, or with http:// and a loopback address")),
        }
    }

    /// Fetches the set.
    pub(super) async fn fetch(&self) -> Result<Fetched, FetchError> {
        let mut url = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::new(RequestBody::empty());
            *request.uri_mut() = url.clone();
            let headers = request.headers_mut();
            headers.insert(
                header::ACCEPT,
                header::HeaderValue::from_static("application/jwk-set+json, application/json"),
            );
            headers.insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("identity"));
            let (head, body) = self.transport.send(request).await?.into_parts();
            if head.status.is_redirection() {
                url = next(&url, &head.headers)?;
                continue;
            }
            if head.status != StatusCode::OK {
                return Err(FetchError::Status(head.status));
            }
            let text = read(body).await?;
            let mut hash = [0; 32];
            hash.copy_from_slice(digest(&SHA256, &text).as_ref());
            return Ok(Fetched { keys: TokenKeys::of_json(&text)?, hash, max_age: max_age(&head.headers) });
        }
        Err(FetchError::Redirect(url.to_string()))
    }
}

/// Where a redirect leads.
fn next(from: &Uri, headers: &HeaderMap) -> Result<Uri, FetchError> {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let elsewhere = || FetchError::Redirect(location.chars().take(256).collect());
    let to: Uri = location.parse().map_err(|_| elsewhere())?;
    let mut parts = from.clone().into_parts();
    // Two slashes are another host, though the parser takes them for a path.
    if location.starts_with("//")
        || to.authority().is_some() && (to.scheme() != from.scheme() || to.authority() != from.authority())
    {
        return Err(elsewhere());
    }
    parts.path_and_query = to.path_and_query().filter(|path| path.as_str().starts_with('/')).cloned();
    if parts.path_and_query.is_none() {
        return Err(elsewhere());
    }
    Uri::from_parts(parts).map_err(|_| elsewhere())
}

async fn read(mut body: ResponseBody) -> Result<Vec<u8>, FetchError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk?;
        if whole.len() + chunk.len() > MAX_KEYS_BYTES {
            return Err(FetchError::TooLarge);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// How long the answer is fresh (RFC 9111, section 5.2.2.1).
fn max_age(headers: &HeaderMap) -> Duration {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut age = DEFAULT_AGE;
    for directive in values.flat_map(|value| value.split(',')) {
        let directive = directive.trim().to_ascii_lowercase();
        if directive == "no-store" || directive == "no-cache" {
            return MIN_AGE;
        }
        let seconds = directive.strip_prefix("max-age=").map(|seconds| seconds.trim_matches('"'));
        if let Some(seconds) = seconds.and_then(|seconds| seconds.parse().ok()) {
            age = Duration::from_secs(seconds);
        }
    }
    age.clamp(MIN_AGE, MAX_AGE)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests;
