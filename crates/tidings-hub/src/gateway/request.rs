//! A client's request, on its way to the upstream.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use http_body::Body;
use ring::digest;
use serde::Deserialize;

use super::{
    settings::GatewaySettings,
    target::Target,
    wire::{Interface, MAX_CHOICES},
};
use crate::{
    Access, Grant,
    http::{Problem, published_body::PublishedBody, request_head::has_no_coding, service::BoxError},
};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// A request of a client, as the upstream gets it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) interface: Interface,
    pub(crate) target: Target,
    /// The headers that the upstream gets.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the body says `"stream": true`. The upstream refuses a body that is not JSON.
    pub(crate) wants_stream: bool,
    /// How many choices the whole answer has.
    pub(crate) choices: u32,
}

/// The members of the body that matter here.
#[derive(Default, Deserialize)]
struct Members {
    #[serde(default)]
    stream: Option<bool>,
    /// How many choices are asked for. The upstream refuses a value that is not a number.
    #[serde(default)]
    n: Option<serde_json::Value>,
}

impl Members {
    /// Without members, if the body is not JSON, or a member has another type.
    fn read(body: &[u8]) -> Members {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

impl Asked {
    pub(crate) async fn read<B>(
        interface: Interface,
        target: Target,
        parts: &Parts,
        mut body: PublishedBody<'_, B>,
        settings: &GatewaySettings,
        access: &Access,
    ) -> Result<Asked, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        has_no_coding(&parts.headers)?;
        let body = body.read_whole(settings.max_request_bytes, Problem::request_too_large).await?;
        let headers = headers_for_upstream(&parts.headers, interface, settings, access)?;
        let Members { stream, n } = Members::read(&body);
        let choices = n.and_then(|n| u32::try_from(n.as_u64()?).ok()).unwrap_or(1).clamp(1, MAX_CHOICES);
        let wants_stream = stream == Some(true);
        Ok(Asked { interface, target, headers, body, wants_stream, choices })
    }

    /// The SHA-256 of the body, in hexadecimal.
    pub(crate) fn body_digest(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.body);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The headers of a client that an upstream gets: those that matter to it, and none about the connection or about the client's
/// visit to this hub, such as cookies. With the operator's key, also none that say which account pays (`openai-organization`,
/// `openai-project`): the key may serve several accounts, and the operator chooses.
///
/// At a hub that knows its clients by their credentials, `authorization` has one for the hub, which no provider may see.
pub(crate) fn headers_for_upstream(
    from_client: &HeaderMap,
    interface: Interface,
    settings: &GatewaySettings,
    access: &Access,
) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in from_client {
        let text = name.as_str();
        let has = |prefix: &&str| text.starts_with(prefix);
        let known = [header::CONTENT_TYPE, header::ACCEPT, header::USER_AGENT].contains(name)
            || ["anthropic-version", "anthropic-beta", "openai-beta"].contains(&text)
            || text.starts_with("x-stainless-");
        let is_credential = [header::AUTHORIZATION, X_API_KEY].contains(name);
        let of_its_account = is_credential || ["anthropic-", "openai-"].iter().any(has);
        let of_this_hub = name == header::AUTHORIZATION && access.is_personal();
        if known || (of_its_account && settings.upstream_key.is_none() && !of_this_hub) {
            let mut value = value.clone();
            value.set_sensitive(value.is_sensitive() || is_credential);
            headers.append(name, value);
        }
    }
    if let Some(key) = &settings.upstream_key {
        let (name, text) = match interface {
            Interface::Messages => (X_API_KEY, key.expose().to_owned()),
            Interface::ChatCompletions | Interface::Responses => {
                (header::AUTHORIZATION, format!("Bearer {}", key.expose()))
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Problem::upstream_failed("the upstream's key has characters that no header can carry")
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if interface == Interface::Messages {
        headers.entry(ANTHROPIC_VERSION).or_insert(HeaderValue::from_static("2023-06-01"));
    }
    Ok(headers)
}

/// The credentials of a request. Two clients may use the same idempotency key, and these tell whose key it is.
///
/// A client with a subject is known by that. Its token changes from hour to hour, and its key must not.
pub(crate) fn credentials<'a>(headers: &'a HeaderMap, grant: &Grant) -> [&'a [u8]; 2] {
    let value = |name| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let token = if grant.subject().is_some() { b"" } else { value(header::AUTHORIZATION) };
    [token, value(X_API_KEY)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        authorize::{Authorizer, Authorizing, Subject},
        gateway::Secret,
    };

    const SENT: [(&str, &str); 15] = [
        ("accept", "text/event-stream"),
        ("anthropic-beta", "a"),
        ("anthropic-organization", "theirs"),
        ("anthropic-version", "2023-06-01"),
        ("api-key", "secret-1"),
        ("authorization", "Bearer secret-2"),
        ("content-type", "application/json"),
        ("cookie", "secret-3"),
        ("openai-beta", "b"),
        ("openai-organization", "theirs"),
        ("openai-project", "theirs"),
        ("x-api-key", "secret-4"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-goog-api-key", "secret-5"),
        ("x-stainless-lang", "js"),
    ];

    fn passed_on(key: Option<&str>) -> HeaderMap {
        passed_on_by(&Access::Loopback, key)
    }

    fn passed_on_by(access: &Access, key: Option<&str>) -> HeaderMap {
        let mut settings = GatewaySettings::new("http://host", Secret::new("s")).unwrap();
        settings.upstream_key = key.map(Secret::new);
        let from_client =
            SENT.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let from_client = from_client.into_iter().collect();
        headers_for_upstream(&from_client, Interface::ChatCompletions, &settings, access).unwrap()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn with_the_operators_key_a_client_chooses_neither_credentials_nor_whose_account_pays() {
        let headers = passed_on(Some("sk-operator"));
        let expected = [
            "accept",
            "anthropic-beta",
            "anthropic-version",
            "authorization",
            "content-type",
            "openai-beta",
            "x-stainless-lang",
        ];
        assert_eq!(names(&headers), expected);
        assert_eq!(headers[header::AUTHORIZATION], "Bearer sk-operator");
        assert!(!format!("{headers:?}").contains("sk-operator"), "{headers:?}");
    }

    #[test]
    fn a_client_with_its_own_key_says_which_account_it_is_for() {
        let headers = passed_on(None);
        for name in
            ["authorization", "x-api-key", "openai-organization", "openai-project", "anthropic-organization"]
        {
            assert!(headers.contains_key(name), "{name}");
        }
        for name in ["cookie", "x-forwarded-for", "api-key", "x-goog-api-key"] {
            assert!(!headers.contains_key(name), "{name}");
        }
        assert!(!format!("{headers:?}").contains("secret"), "{headers:?}");
    }

    #[test]
    fn a_token_for_the_hub_is_not_shown_to_the_provider() {
        struct Nobody;
        impl Authorizer for Nobody {
            fn authorize<'a>(&'a self, _: &'a Parts) -> Authorizing<'a> {
                Box::pin(async { Ok(Grant::default()) })
            }
        }
        let headers = passed_on_by(&Access::Authorizer(Arc::new(Nobody)), None);
        assert!(!headers.contains_key(header::AUTHORIZATION), "{headers:?}");
        assert!(headers.contains_key("x-api-key"), "{headers:?}");
    }

    #[test]
    fn a_client_with_a_new_token_has_the_same_idempotency_keys() {
        let with = |token| {
            [(header::AUTHORIZATION, HeaderValue::from_static(token))].into_iter().collect::<HeaderMap>()
        };
        let (old, new) = (with("Bearer old"), with("Bearer new"));
        let alice = Grant::default().with_subject(Subject::new("", "alice"));
        assert_eq!(credentials(&old, &alice), credentials(&new, &alice));
        assert_ne!(credentials(&old, &Grant::default()), credentials(&new, &Grant::default()));
    }
}
