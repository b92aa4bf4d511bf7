//! Which web pages may use the hub: `Origin`, `Host`, and CORS.

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::{HubBody, Problem, request_head::text};
use crate::{
    Origin, Settings,
    attachments::is_token,
    authorize::{host_name, is_loopback_host},
    dialect::list::elements,
};

/// The headers of a response that a listed page may read, beside those that every page may read.
const EXPOSED: &str = "Tidings-Hub, Tidings-Access, Tidings-Resume, Tidings-Stream, Tidings-Stop-Token, Location, Content-Location, \
                       Retry-After, RateLimit, RateLimit-Policy, ETag, Content-Range, X-Request-Id, Request-Id";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// How long a browser may remember the answer to a preflight request: 2 hours, the longest that Chromium allows.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The longest list of headers that a page may ask to send.
const MAX_ASKED_BYTES: usize = 4 << 10;

/// Where a request was sent, and which page sent it, as its headers say.
#[derive(Debug)]
pub(crate) struct Site {
    /// A `Host` that may not lead here, and whether the hub has no access rule.
    unknown_host: Option<(String, bool)>,
    /// The `Origin` header, to be repeated in the answer if its page may read that.
    listed: Option<HeaderValue>,
    /// An `Origin` that is neither the hub's own nor listed.
    foreign: Option<String>,
    any_listed: bool,
}

impl Site {
    /// Looks at `Host` and `Origin`.
    pub(crate) fn of(parts: &Parts, settings: &Settings) -> Site {
        let host = match parts.uri.authority() {
            Some(authority) => authority.as_str(),
            None => text(&parts.headers, header::HOST).unwrap_or_default(),
        };
        // The owner of a name can make it lead here (DNS rebinding), and its pages would count as the hub's own.
        let is_any_allowed = !settings.access.is_loopback() && settings.allowed_hosts.is_empty();
        let is_allowed = |allowed: &String| host_name(allowed).eq_ignore_ascii_case(host_name(host));
        let is_known =
            is_any_allowed || is_loopback_host(host) || settings.allowed_hosts.iter().any(is_allowed);

        let mut site = Site {
            unknown_host: (!is_known).then(|| (host.to_owned(), settings.access.is_loopback())),
            listed: None,
            foreign: None,
            any_listed: !settings.allowed_origins.is_empty(),
        };
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        if let Some(value) = origins.next() {
            let origin = value.to_str().ok().and_then(|text| Origin::parse(text).ok());
            match origin {
                // A browser sends one. If there are several, the sender is no browser.
                _ if origins.next().is_some() => site.foreign = Some("more than one".into()),
                Some(origin) if settings.allowed_origins.contains(&origin) => {
                    site.listed = Some(value.clone());
                }
                Some(origin) if origin.is_of_host(host) => {}
                _ => site.foreign = Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
            }
        }
        site
    }

    /// # Errors
    /// 421 for a `Host` that may not lead here.
    pub(crate) fn may_lead_here(&self) -> Result<(), Problem> {
        match &self.unknown_host {
            None => Ok(()),
            Some((host, is_loopback)) => Err(Problem::unknown_host(host, *is_loopback)),
        }
    }

    /// # Errors
    /// 403 for a page of another site that is not listed: its visitor did not mean to publish.
    pub(crate) fn may_publish(&self) -> Result<(), Problem> {
        match &self.foreign {
            None => Ok(()),
            Some(origin) => Err(Problem::origin_not_listed(format!(
                "Origin is {origin:?}, and pages of other sites may publish only if they are listed (tidings serve \
                 --allow-origin ORIGIN)"
            ))),
        }
    }

    /// Asked before anything is read: a page that gets no answer should not make the hub look through its history.
    ///
    /// # Errors
    /// 403 for a page of another site that is not listed: it could not read the answer. A person who follows a link sees the
    /// answer.
    pub(crate) fn may_read(&self, parts: &Parts) -> Result<(), Problem> {
        let is = |name: &HeaderName, value: &str| parts.headers.get(name).is_some_and(|given| given == value);
        let from = match &self.foreign {
            Some(origin) => format!("Origin is {origin:?}"),
            // Without an `Origin`, as of a picture, a script or a frame.
            None if !parts.headers.contains_key(header::ORIGIN)
                && is(&SEC_FETCH_SITE, "cross-site")
                && !is(&SEC_FETCH_DEST, "document") =>
            {
                "Sec-Fetch-Site is cross-site".to_owned()
            }
            None => return Ok(()),
        };
        Err(Problem::origin_not_listed(format!(
            "{from}, and pages of other sites may read only if they are listed (tidings serve --allow-origin ORIGIN)"
        )))
    }

    /// The answer to a preflight request: a listed page may send every header that it asks for. No header gives a page more
    /// rights than a program has. Tracers, SDKs and interceptors add headers that a page does not know of.
    pub(crate) fn preflight(&self, parts: &Parts) -> Result<Response<HubBody>, Problem> {
        if let Some(origin) = &self.foreign {
            return Err(Problem::origin_not_listed(format!(
                "Origin is {origin:?}, which is not listed (tidings serve --allow-origin ORIGIN)"
            )));
        }
        let mut response = Response::new(HubBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD, POST, DELETE"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Last-Event-ID, Idempotency-Key, Authorization, Content-Type"),
        );
        if let Some(asked) = asked_headers(parts) {
            headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Ok(response)
    }

    /// Lets a listed page read `response`, refusals too. Otherwise the page could not tell why a request failed.
    pub(crate) fn sign(&self, response: &mut Response<HubBody>) {
        let headers = response.headers_mut();
        if self.any_listed {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = &self.listed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// Whether a browser asks for the rights of a page.
pub(crate) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The names of headers that a page asks to send, as the answer allows them. `None` if one is not a name, or if they are too
/// long.
fn asked_headers(parts: &Parts) -> Option<HeaderValue> {
    let asked: Vec<_> = elements(&parts.headers, header::ACCESS_CONTROL_REQUEST_HEADERS).collect();
    let are_names = asked.iter().all(|name| name.bytes().all(is_token) && *name != "*");
    let asked = asked.join(", ");
    (are_names && !asked.is_empty() && asked.len() <= MAX_ASKED_BYTES)
        .then(|| HeaderValue::try_from(asked).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(Origin::parse("HTTPS://App.Example:443").unwrap().to_string(), "https://app.example");
        assert_eq!(Origin::parse("http://[::1]:3000").unwrap().to_string(), "http://[::1]:3000");
        for text in
            ["*", "null", "", "app.example", "https://", "https://a/", "https://a/b", "https://u@a", "://a"]
        {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_of_the_hub_itself_is_known_although_a_proxy_ends_tls() {
        let origin = Origin::parse("https://hub.example").unwrap();
        assert!(origin.is_of_host("hub.example") && origin.is_of_host("Hub.example:443"));
        assert!(!origin.is_of_host("hub.example:80") && !origin.is_of_host("other.example"));
        assert!(Origin::parse("http://127.0.0.1:4400").unwrap().is_of_host("127.0.0.1:4400"));
    }
}
