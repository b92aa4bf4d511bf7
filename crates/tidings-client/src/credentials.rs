//! Credentials: headers, and user and password in a URL. They are removed from URLs before anything can show them.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, Uri, uri::Authority};
use percent_encoding::percent_decode_str;

use crate::error::BoxError;

/// Whether a header may be a credential, judged by its name. It is better to hide too much than too little.
pub(crate) fn is_one(name: &HeaderName) -> bool {
    let parts =
        ["auth", "cookie", "token", "secret", "password", "credential", "session", "signature", "apikey"];
    let name = name.as_str();
    parts.iter().any(|part| name.contains(part)) || (name.ends_with("-key") && name != "idempotency-key")
}

/// Removes user and password from a URL, and returns them as the value of an `Authorization` header.
///
/// Source: RFC 7617, "The 'Basic' Authentication Scheme".
pub(crate) fn take(url: &mut Uri) -> Option<HeaderValue> {
    let (user_info, host) = url.authority()?.as_str().rsplit_once('@')?;
    let (value, host) = (user_info_header(user_info), Authority::try_from(host));
    let mut parts = url.clone().into_parts();
    parts.authority = Some(host.expect("an authority without its user information is one"));
    *url = Uri::from_parts(parts).expect("all parts that were there are there");
    value
}

/// `None` if user and password are empty, as in `http://@host/`.
fn user_info_header(user_info: &str) -> Option<HeaderValue> {
    let mut credentials: Vec<u8> = percent_decode_str(user_info).collect();
    if !user_info.contains(':') {
        credentials.push(b':');
    }
    (credentials != b":").then(|| basic(&credentials))
}

/// The value of an `Authorization` header for `user:password`.
pub(crate) fn basic(credentials: &[u8]) -> HeaderValue {
    let value = format!("Basic {}", BASE64_STANDARD.encode(credentials));
    let mut value = HeaderValue::try_from(value).expect("Base64 is ASCII without control characters");
    value.set_sensitive(true);
    value
}

/// The value of an `Authorization` header for a token.
///
/// # Errors
/// No header can hold the token. The error does not show it.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, BoxError> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value =
        value.map_err(|_| "the token contains a character that no header can hold, such as a line break")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns text that may be a URL, without anything that may be a user or password.
pub(crate) fn hidden(text: &str) -> String {
    // If the text is not a URL, the end of the password cannot be found.
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…@{after}"),
        None => format!("…@{after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_by_its_name() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "ocp-apim-subscription-key",
            "x-auth-token",
            "x-amz-security-token",
            "x-apikey",
            "x-client-secret",
        ] {
            assert!(is_one(&HeaderName::from_static(name)), "{name}");
        }
        for name in
            ["accept", "idempotency-key", "last-event-id", "content-type", "user-agent", "x-request-id"]
        {
            assert!(!is_one(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn user_and_password_are_taken_out() {
        for (url, rest, value) in [
            ("http://a:b@h:1/p?q", "http://h:1/p?q", Some("Basic YTpi")),
            ("http://a@h/", "http://h/", Some("Basic YTo=")),
            ("http://a:b%3A%40c@[::1]/", "http://[::1]/", Some("Basic YTpiOkBj")),
            ("http://h/@x", "http://h/@x", None),
        ] {
            let mut taken = url.parse().unwrap();
            assert_eq!(take(&mut taken).as_ref().map(|value| value.to_str().unwrap()), value, "{url}");
            assert_eq!(taken, rest);
        }
    }
}
