//! Redirects: the target, and the parts of the request that go with it. Source: Fetch, "HTTP-redirect fetch".

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE,
        CONTENT_LOCATION, CONTENT_TYPE, LOCATION, USER_AGENT,
    },
};

use crate::{
    credentials,
    error::Error,
    open::LAST_EVENT_ID,
    request::{IDEMPOTENCY_KEY, Request},
};

/// How many redirects one attempt follows, as in Fetch.
pub(crate) const MAX_REDIRECTS: usize = 20;

/// The headers that a redirect may take to another origin: those of any request for a stream.
///
/// Every other header was meant for the original server, and may be a credential. For a header such as `X-Acme` nobody
/// can tell.
const FOR_ANY_ORIGIN: [HeaderName; 10] = [
    ACCEPT,
    ACCEPT_ENCODING,
    ACCEPT_LANGUAGE,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    USER_AGENT,
];

/// The `Location` of a response that redirects. A 3xx without one is handled like any other status.
///
/// # Errors
///
/// [`Error::Redirect`] if there are several and they differ: one of them does not come from the server.
pub(crate) fn location<'a>(
    url: &Uri,
    status: StatusCode,
    headers: &'a HeaderMap,
) -> Result<Option<&'a HeaderValue>, Error> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let mut locations = headers.get_all(LOCATION).iter();
    let first = locations.next();
    match locations.find(|other| Some(*other) != first) {
        None => Ok(first),
        Some(other) => {
            let values = [first.map_or(&[][..], HeaderValue::as_bytes), other.as_bytes()];
            Err(unusable(url, &values.join(&b", "[..])))
        }
    }
}

fn unusable(url: &Uri, location: &[u8]) -> Error {
    // Enough to recognise the target, too little to fill a log.
    const MAX_BYTES: usize = 200;
    let shown = String::from_utf8_lossy(&location[..location.len().min(MAX_BYTES)]);
    Error::Redirect { url: url.clone(), location: credentials::hidden(&shown) }
}

/// The request that follows a redirect.
///
/// # Errors
///
/// [`Error::Redirect`] when `location` is not a URL.
pub(crate) fn follow(
    mut request: Request,
    status: StatusCode,
    location: &HeaderValue,
) -> Result<Request, Error> {
    let Some(url) = resolve(request.url(), location.as_bytes()) else {
        return Err(unusable(request.url(), location.as_bytes()));
    };

    let becomes_get = match status {
        StatusCode::SEE_OTHER => !matches!(*request.method(), Method::GET | Method::HEAD),
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *request.method() == Method::POST,
        _ => false,
    };
    if becomes_get {
        request = request.with_method(Method::GET).with_body("");
        for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE] {
            request.headers_mut().remove(name);
        }
    }

    if !same_origin(request.url(), &url) {
        let for_here_alone: Vec<_> =
            request.headers().keys().filter(|name| !FOR_ANY_ORIGIN.contains(name)).cloned().collect();
        for name in for_here_alone {
            request.headers_mut().remove(name);
        }
    }
    request.set_url(url);
    Ok(request)
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme() == b.scheme() && host(a) == host(b) && port(a) == port(b)
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })
}

/// Resolves a reference against a base. Source: RFC 3986, "Relative Resolution".
fn resolve(base: &Uri, reference: &[u8]) -> Option<Uri> {
    let reference = percent_encode(reference.trim_ascii());
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?.as_str();

    if has_scheme(reference) {
        return absolute(reference);
    }
    if let Some(rest) = reference.strip_prefix("//") {
        return absolute(&format!("{scheme}://{rest}"));
    }
    let path_and_query = if reference.is_empty() {
        base.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned()
    } else if reference.starts_with('?') {
        format!("{}{reference}", base.path())
    } else {
        let (path, query) =
            reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
        let path = remove_dot_segments(&path);
        query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"))
    };
    absolute(&format!("{scheme}://{authority}{path_and_query}"))
}

fn absolute(url: &str) -> Option<Uri> {
    let url: Uri = url.parse().ok()?;
    (url.scheme().is_some() && url.host().is_some_and(|host| !host.is_empty())).then_some(url)
}

fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// Source: RFC 3986, "Remove Dot Segments". `path` starts with a slash.
fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments = path.split('/').skip(1);
    let mut ends_in_folder = false;
    for segment in segments {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut path = String::new();
    for segment in kept {
        path.push('/');
        path.push_str(segment);
    }
    if ends_in_folder || path.is_empty() {
        path.push('/');
    }
    path
}

/// Escapes the characters that servers put into `Location` although a URL cannot hold them: spaces, and everything
/// outside ASCII.
fn percent_encode(reference: &[u8]) -> String {
    let mut encoded = String::with_capacity(reference.len());
    for &byte in reference {
        if byte.is_ascii_graphic() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, COOKIE, HOST, PROXY_AUTHORIZATION};

    use super::*;

    fn resolved(reference: &str) -> String {
        let base = "http://a/b/c/d?q".parse().unwrap();
        resolve(&base, reference.as_bytes()).map_or("invalid".to_owned(), |url| url.to_string())
    }

    #[test]
    fn references_resolve_as_in_rfc_3986() {
        for (reference, expected) in [
            ("http://other/x", "http://other/x"),
            ("//other/x", "http://other/x"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("?y", "http://a/b/c/d?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("g#s", "http://a/b/c/g"),
            ("", "http://a/b/c/d?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("..g", "http://a/b/c/..g"),
            ("a b/ü", "http://a/b/c/a%20b/%C3%BC"),
            ("HTTP://Other/x#y", "http://Other/x"),
            ("#s", "http://a/b/c/d?q"),
            (" /g\t", "http://a/g"),
            ("/g, /h", "http://a/g,%20/h"),
        ] {
            assert_eq!(resolved(reference), expected, "{reference:?}");
        }
    }

    #[test]
    fn a_reference_without_host_is_invalid() {
        assert_eq!(resolved("http://"), "invalid");
        assert_eq!(resolved("mailto:a@b"), "invalid");
    }

    fn followed(status: u16, to: &'static str) -> Request {
        let request = Request::post("http://a.example/x")
            .unwrap()
            .with_header(AUTHORIZATION, HeaderValue::from_static("secret"))
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .with_body("{}");
        follow(request, StatusCode::from_u16(status).unwrap(), &HeaderValue::from_static(to)).unwrap()
    }

    #[test]
    fn a_post_becomes_a_get_without_body_after_301_302_and_303() {
        for status in [301, 302, 303] {
            let request = followed(status, "/y");
            assert_eq!(request.method(), Method::GET, "{status}");
            assert!(request.body().is_empty());
            assert!(!request.headers().contains_key(CONTENT_TYPE));
        }
    }

    #[test]
    fn a_post_stays_a_post_with_its_body_after_307_and_308() {
        for status in [307, 308] {
            let request = followed(status, "/y");
            assert_eq!(request.method(), Method::POST, "{status}");
            assert_eq!(request.body(), "{}");
            assert!(request.headers().contains_key(CONTENT_TYPE));
        }
    }

    #[test]
    fn credentials_do_not_follow_to_another_origin() {
        assert!(followed(307, "http://A.example:80/y").headers().contains_key(AUTHORIZATION));
        for other in ["http://b.example/x", "https://a.example/x", "http://a.example:81/x"] {
            assert!(!followed(307, other).headers().contains_key(AUTHORIZATION), "{other}");
        }
        for name in ["x-api-key", "api-key", "x-goog-api-key", "x-auth-token", "x-acme", "anthropic-version"]
        {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static("secret"));
            let request = Request::get("http://a.example/x").unwrap().with_header(name.clone(), value);
            let to = |url: &'static str| {
                let (found, url) = (StatusCode::FOUND, HeaderValue::from_static(url));
                follow(request.clone(), found, &url).unwrap().headers().contains_key(&name)
            };
            assert!(to("/y") && !to("http://b.example/y"), "{name}");
        }
        let another = followed(307, "http://user:password@b.example/x");
        assert_eq!(another.headers()[AUTHORIZATION], "Basic dXNlcjpwYXNzd29yZA==");
        assert_eq!(another.url(), "http://b.example/x");
    }

    #[test]
    fn what_any_server_may_know_follows_to_another_origin() {
        let mut request = Request::post("http://a.example/x").unwrap();
        for name in FOR_ANY_ORIGIN {
            request = request.with_header(name, HeaderValue::from_static("x"));
        }
        for name in [COOKIE, HOST, PROXY_AUTHORIZATION] {
            request = request.with_header(name, HeaderValue::from_static("x"));
        }
        let to = HeaderValue::from_static("http://b.example/x");
        let request = follow(request, StatusCode::TEMPORARY_REDIRECT, &to).unwrap();
        assert_eq!(request.headers().len(), FOR_ANY_ORIGIN.len());
        assert!(FOR_ANY_ORIGIN.iter().all(|name| request.headers().contains_key(name)));
    }

    #[test]
    fn a_location_that_is_repeated_is_one_and_two_are_none() {
        let url = Uri::from_static("http://a/");
        let read = |values: &[&'static str]| {
            let headers = values.iter().map(|value| (LOCATION, HeaderValue::from_static(value))).collect();
            location(&url, StatusCode::FOUND, &headers).map(Option::<&HeaderValue>::cloned)
        };
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["/b", "/b"]).unwrap().unwrap(), "/b");
        let error = read(&["/b", "http://evil/"]).unwrap_err().to_string();
        assert_eq!(error, "http://a/ redirects to \"/b, http://evil/\", which is not a URL");
    }
}
