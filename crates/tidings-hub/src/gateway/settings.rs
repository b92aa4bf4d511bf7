//! The settings of the gateway.

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;

use super::{Abandon, Heartbeat};

/// The settings of the gateway. [`GatewaySettings::new`] makes them for one upstream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GatewaySettings {
    /// Where requests go: scheme, host, and perhaps a path, which precedes the path of the interface.
    pub upstream: Uri,
    /// The upstream's key. With a key, the credentials of clients stay here. Without one, they are passed on. Default: none.
    pub upstream_key: Option<Secret>,
    /// Signs the tokens of streams. With another secret, earlier tokens and idempotency keys are unknown.
    pub token_secret: Secret,
    /// How long a token is valid. Default: a day.
    pub token_lifetime: Duration,
    /// The policy for a stream without readers. Default: it goes on.
    pub abandon: Abandon,
    /// The heartbeats of the answer to an SDK. Default: those of its own interface.
    pub heartbeat: Heartbeat,
    /// How long to wait for the upstream.
    pub timeouts: Timeouts,
    /// After how long a streaming request is answered 200 even if the upstream has said nothing: until then a refusal
    /// has its real status, and from then on heartbeats keep the connection open. Default: 10 s.
    pub first_byte_deadline: Duration,
    /// How often a request is sent again while the upstream fails before its first event. Default: 2.
    pub retries: u32,
    /// The largest body of a request, in bytes. Default: 32 MiB, as much as Anthropic takes.
    pub max_request_bytes: usize,
    /// The most requests that may be with the upstream at once, whether or not they ask for a stream; more are refused with
    /// 429. Default: 1,000.
    pub max_streams: usize,
}

/// How long to wait for an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a connection may take. Default: 10 s.
    pub connect: Duration,
    /// From the request to the first event. Default: 5 minutes: models that think are silent.
    pub first_event: Duration,
    /// From one event or comment to the next. Default: 5 minutes.
    pub between_events: Duration,
    /// From the request to the end. Default: an hour.
    pub total: Duration,
}

/// A text that no log and no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

/// A text that is not an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("upstream {text:?} {rule}")]
pub struct InvalidUpstream {
    text: String,
    rule: &'static str,
}

impl GatewaySettings {
    /// Settings for an upstream such as `https://api.openai.com`. A `/v1` at its end is not doubled.
    ///
    /// # Errors
    /// [`InvalidUpstream`] for a text that is not an `http` or `https` URL with a host, or that has a query, a user or a
    /// password.
    pub fn new(upstream: &str, token_secret: Secret) -> Result<GatewaySettings, InvalidUpstream> {
        let invalid = |rule| InvalidUpstream { text: upstream.into(), rule };
        if upstream.contains('@') {
            // Not shown: it may be a password.
            return Err(InvalidUpstream {
                text: "…@…".into(),
                rule: "has user or password in it; give a key by the name of its environment variable",
            });
        }
        let uri: Uri =
            upstream.parse().map_err(|_| invalid("is not a URL; use one such as https://api.openai.com"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(invalid("is not an http or https URL; use one such as https://api.openai.com"));
        }
        if uri.query().is_some() {
            return Err(invalid(
                "has a query; leave it out, because the path of each request is appended to the URL",
            ));
        }
        Ok(GatewaySettings {
            upstream: uri,
            upstream_key: None,
            token_secret,
            token_lifetime: Duration::from_secs(24 * 60 * 60),
            abandon: Abandon::default(),
            heartbeat: Heartbeat::default(),
            timeouts: Timeouts::default(),
            first_byte_deadline: Duration::from_secs(10),
            retries: 2,
            max_request_bytes: 32 << 20,
            max_streams: 1_000,
        })
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            first_event: Duration::from_secs(300),
            between_events: Duration::from_secs(300),
            total: Duration::from_secs(3600),
        }
    }
}

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<Arc<str>>) -> Secret {
        Secret(text.into())
    }

    /// 256 random bits, for a secret that need not outlive the process.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn random() -> std::io::Result<Secret> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Secret::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// The secret itself, to store or send. Do not show it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_url_without_secrets() {
        let new = |text| GatewaySettings::new(text, Secret::new("s"));
        for good in ["https://api.openai.com", "http://127.0.0.1:8080/v1", "https://host/openai/"] {
            assert!(new(good).is_ok(), "{good}");
        }
        for bad in ["", "api.openai.com", "ftp://a", "https://", "https://a/?key=x", "/v1"] {
            assert!(new(bad).is_err(), "{bad}");
        }
        let error = new("https://user:hunter2@host").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
