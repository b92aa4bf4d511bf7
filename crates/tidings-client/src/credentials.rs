//! User and password in a URL. They are taken out before anything can show them.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri, uri::Authority};
use percent_encoding::percent_decode_str;

/// Takes user and password out of a URL, and gives them back as the value of an `Authorization` header.
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

/// `None` where there is nobody to introduce, as in `http://@host/`.
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

/// Text that may be a URL, without anything that may be a user or password.
pub(crate) fn hidden(text: &str) -> String {
    // Where it is no URL, nobody can say where the password ends.
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
