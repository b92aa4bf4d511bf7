//! The request for a stream, and the factory that makes a new one before each attempt.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header::AUTHORIZATION};

use crate::{
    credentials,
    error::{BoxError, Error, InvalidUrl},
    redirect,
    transport::has_valid_port,
};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request that opens a stream: method, URL, headers, and a body that can be sent again.
///
/// ```
/// use http::{HeaderValue, header::AUTHORIZATION};
/// use tidings_client::Request;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let request = Request::post("https://llm.example/v1/chat/completions")?
///     .with_header(AUTHORIZATION, HeaderValue::from_static("Bearer secret"))
///     .with_body(r#"{"stream": true}"#);
/// # Ok(())
/// # }
/// ```
///
/// The source adds `Accept: text/event-stream` and `Cache-Control: no-cache` unless the request sets its own.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: Uri,
    headers: HeaderMap,
    body: Bytes,
    repeatable: bool,
}

impl Request {
    /// Makes a GET request, as a browser's `EventSource` does.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] when the text is not an absolute URL such as `https://example.org/stream`. Characters outside
    /// ASCII must be percent-encoded. A fragment is ignored.
    ///
    /// User and password in the URL, as in `https://user:password@example.org/`, become an `Authorization` header. If
    /// you set that header yourself, yours is used. Nothing that shows the URL shows user and password.
    pub fn get(url: &str) -> Result<Self, InvalidUrl> {
        let invalid = |reason: String| InvalidUrl { url: credentials::hidden(url), reason };
        let parsed: Uri = url.parse().map_err(|error: http::uri::InvalidUri| invalid(error.to_string()))?;
        if parsed.scheme().is_none() || parsed.host().is_none_or(str::is_empty) {
            return Err(invalid("it lacks a scheme or a host, as in `https://example.org/`".to_owned()));
        }
        if !has_valid_port(&parsed) {
            return Err(invalid(
                "its port is not a number from 1 to 65535, or its password holds a `/` that is not escaped"
                    .to_owned(),
            ));
        }
        let mut request = Self {
            method: Method::GET,
            url: Uri::default(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            repeatable: false,
        };
        request.set_url(parsed);
        Ok(request)
    }

    /// Makes a POST request, as APIs of LLMs require.
    ///
    /// # Errors
    ///
    /// The same as of [`Request::get`].
    pub fn post(url: &str) -> Result<Self, InvalidUrl> {
        Ok(Self::get(url)?.with_method(Method::POST))
    }

    /// Uses another method.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sets a header. It replaces an earlier value of the same name.
    ///
    /// A header that may be a credential by its name, such as `Authorization`, `Cookie` or `X-Api-Key`, is marked as
    /// sensitive, so that `Debug` does not show it. A redirect to another origin drops these headers, and every header
    /// that [may be meant for one origin alone](crate::EventSource#redirects).
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        if credentials::is_one(&name) {
            value.set_sensitive(true);
        }
        self.headers.insert(name, value);
        self
    }

    /// Authenticates with user and password: sets `Authorization: Basic …`. The user name must not contain a colon,
    /// because the server takes the text after the first colon as the password.
    #[must_use]
    pub fn with_basic_auth(self, user: &str, password: &str) -> Self {
        let value = credentials::basic(format!("{user}:{password}").as_bytes());
        self.with_header(AUTHORIZATION, value)
    }

    /// Sends this body with every attempt. The body is shared, not copied.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets whether the request may be sent again although its method is not idempotent. Default `false`.
    ///
    /// A request with an idempotent method or an `Idempotency-Key` may be sent again in any case.
    #[must_use]
    pub fn with_repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// Returns the request to send after a redirect to `location`, by the same rules as a source: see
    /// [`EventSource`](crate::EventSource#redirects). The status decides whether a POST stays a POST.
    ///
    /// # Errors
    ///
    /// [`Error::Redirect`] if `location` is not a URL.
    pub fn redirected(self, status: StatusCode, location: &HeaderValue) -> Result<Self, Error> {
        redirect::follow(self, status, location)
    }

    /// Whether a source may send this request again if it cannot know whether the server has acted on it.
    ///
    /// Source: RFC 9110, "Idempotent Methods".
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.repeatable || self.method.is_idempotent() || self.headers.contains_key(IDEMPOTENCY_KEY)
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// The headers that you set.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body. Empty if there is none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Changes the URL. Its user and password become a header, unless the request has other credentials.
    pub(crate) fn set_url(&mut self, mut url: Uri) {
        if let Some(basic) = credentials::take(&mut url) {
            self.headers.entry(AUTHORIZATION).or_insert(basic);
        }
        self.url = url;
    }
}

/// An attempt to connect, as the request factory sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// The number of this attempt, counted from 1 since the source was made.
    pub number: u64,
    /// The last event ID that the request will carry. Empty if it will carry none.
    pub last_event_id: String,
    /// Whether the answer has been 401 since the last stream: a token from a cache is refused again.
    pub is_refused: bool,
}

/// The origin of the requests: one fixed request, or a factory.
pub(crate) enum Requests {
    Same(Box<Request>),
    Factory(Box<dyn FnMut(Attempt) -> MakingRequest + Send>),
}

/// A request that the factory is still making.
pub(crate) type MakingRequest = Pin<Box<dyn Future<Output = Result<Request, BoxError>> + Send>>;

impl Requests {
    /// Whether the next request may have another credential.
    pub(crate) fn vary(&self) -> bool {
        matches!(self, Self::Factory(_))
    }

    /// The same requests, each with a token.
    pub(crate) fn with_token<F, M>(mut self, mut token: F) -> Self
    where
        F: FnMut(Attempt) -> M + Send + 'static,
        M: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self::Factory(Box::new(move |attempt| {
            let (request, token) = (self.next(attempt.clone()), token(attempt));
            Box::pin(async move {
                let request = request.await?;
                Ok::<_, BoxError>(request.with_header(AUTHORIZATION, credentials::bearer(&token.await?)?))
            })
        }))
    }

    pub(crate) fn next(&mut self, attempt: Attempt) -> MakingRequest {
        match self {
            Self::Same(request) => Box::pin(std::future::ready(Ok((**request).clone()))),
            Self::Factory(factory) => factory(attempt),
        }
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(request) => request.fmt(f),
            Self::Factory(_) => f.write_str("Factory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_scheme_or_host_is_refused() {
        for url in [
            "",
            "/stream",
            "example.org",
            "example.org/stream",
            "http://",
            "http:///stream",
            "mailto:a@b",
            "ht tp://x/",
            "http://h:port/",
            "http://[::1]:99999/",
            "http://h:0/",
            "http://h:-1/",
        ] {
            assert!(Request::get(url).is_err(), "{url:?}");
        }
        for url in ["http://h:/", "http://[::1]/", "http://[::1]:80/", "http://a:b@h", "http://a:b@[::1]:80"]
        {
            assert!(Request::get(url).is_ok(), "{url:?}");
        }
        assert_eq!(
            Request::get("/stream").unwrap_err().to_string(),
            "\"/stream\" is not a URL that can be requested: it lacks a scheme or a host, as in `https://example.org/`"
        );
    }

    #[test]
    fn debug_output_hides_credentials() {
        let request = Request::get("http://example.org/")
            .unwrap()
            .with_header(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        assert!(!format!("{request:?}").contains("secret"));
        for name in
            ["x-api-key", "api-key", "x-goog-api-key", "x-auth-token", "cookie", "proxy-authorization"]
        {
            let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static("secret"));
            let request = request.clone().with_header(name.clone(), value);
            assert!(!format!("{request:?}").contains("secret"), "{name}");
        }
    }

    #[test]
    fn user_and_password_of_a_url_become_a_header_and_are_not_shown() {
        let request = Request::get("http://Aladdin:open%20sesame@example.org/").unwrap();
        assert_eq!(request.url(), "http://example.org/");
        assert_eq!(request.headers()[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{request:?}").contains("QWxh"));
        for invalid in ["http://Aladdin:open sesame@example.org/", "http://a:open/sesame@h/", "a:sesame@h/x"]
        {
            let error = Request::get(invalid).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("sesame"), "{error}");
        }
    }

    #[test]
    fn an_authorization_of_its_own_beats_the_url() {
        let own = HeaderValue::from_static("Bearer x");
        let request = Request::get("http://a:b@example.org/").unwrap().with_header(AUTHORIZATION, own);
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer x");
    }
}
