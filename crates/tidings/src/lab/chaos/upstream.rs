//! The upstream server, and the requests that are passed on to it.

use std::fmt;

use http::{
    HeaderMap, HeaderName, Request, Uri,
    header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HOST},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tidings_client::{BoxError, RequestBody};

/// The target of the requests.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// The prefix of each path, without a slash at its end.
    base: String,
}

impl Upstream {
    pub(crate) fn parse(text: &str) -> Result<Upstream, String> {
        let url: Uri = text.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let parts = url.into_parts();
        match (parts.scheme, parts.authority, parts.path_and_query) {
            (Some(scheme), Some(authority), path) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => {
                let path = path.unwrap_or(PathAndQuery::from_static("/"));
                if path.query().is_some() {
                    return Err("leave the query out: each request has its own".to_owned());
                }
                Ok(Upstream { scheme, authority, base: path.path().trim_end_matches('/').to_owned() })
            }
            _ => Err("use an http or https URL such as http://127.0.0.1:4400".to_owned()),
        }
    }

    /// The same request, for the upstream.
    pub(super) fn request(&self, parts: &Parts, body: Incoming) -> Request<RequestBody> {
        let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let body = if body.is_end_stream() {
            RequestBody::empty()
        } else {
            RequestBody::from_stream(body.map_err(BoxError::from).into_data_stream())
        };
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.base))
            .build()
            .expect("a path that was a URL's is one behind a base as well");
        *request.headers_mut() = parts.headers.clone();
        let headers = request.headers_mut();
        remove_connection_headers(headers);
        // The upstream has its own name. A compressed response could not be read here.
        for name in [HOST, EXPECT, ACCEPT_ENCODING] {
            headers.remove(name);
        }
        request
    }
}

impl fmt::Display for Upstream {
    /// Shows the URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.authority.as_str().rsplit('@').next().unwrap_or_default();
        write!(f, "{}://{host}{}", self.scheme, self.base)
    }
}

/// Removes headers that concern one connection and not the exchange. Source: RFC 9110, "Connection".
pub(super) fn remove_connection_headers(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != CONTENT_LENGTH)
        .collect();
    let always =
        ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
    for name in named.into_iter().chain(always.map(HeaderName::from_static)) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_server_is_refused() {
        for text in ["", "127.0.0.1:4400", "/topics", "ftp://h", "http://h/?a=b"] {
            assert!(Upstream::parse(text).is_err(), "{text}");
        }
        assert_eq!(Upstream::parse("http://u:p@h:1/base/").unwrap().to_string(), "http://h:1/base");
    }

    #[test]
    fn headers_that_a_connection_names_as_its_own_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "X-Mine, close"), ("x-mine", "1"), ("te", "trailers"), ("x-kept", "1")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        remove_connection_headers(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }
}
