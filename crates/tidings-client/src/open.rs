//! Opens a stream: sends the request, follows redirects, and judges the response.

use http::{
    HeaderName, HeaderValue, Uri,
    header::{ACCEPT, CACHE_CONTROL, USER_AGENT},
    uri::PathAndQuery,
};

use crate::{
    body::{RequestBody, ResponseBody},
    encoding::decoded,
    error::{Error, Refusal},
    redirect::{self, MAX_REDIRECTS},
    request::Request,
    response::{ResponseHead, Verdict},
    transport::Transport,
};

pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream that has been opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) head: ResponseHead,
    pub(crate) body: ResponseBody,
}

/// Adds the headers of every request for an event stream, and the demand that it is opened for a credential.
///
/// # Errors
///
/// [`Error::LastEventId`] if no header can hold it.
pub(crate) fn prepare(
    mut request: Request,
    last_event_id: &str,
    demands_credential: bool,
) -> Result<Request, Error> {
    if demands_credential {
        request.set_url(with_demand(request.url()));
    }
    let headers = request.headers_mut();
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("text/event-stream"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!("tidings-client/", env!("CARGO_PKG_VERSION"))));
    // An empty header would ask some servers to resume after an event with an empty ID.
    if !last_event_id.is_empty() {
        let value = HeaderValue::from_bytes(last_event_id.as_bytes())
            .map_err(|_| Error::LastEventId(last_event_id.to_owned()))?;
        headers.insert(LAST_EVENT_ID, value);
    }
    Ok(request)
}

/// The URL with `access=token`, so that a hub refuses a request without a credential. Otherwise it would open a stream without
/// private updates.
fn with_demand(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", PathAndQuery::as_str);
    let separator = if path.contains('?') { '&' } else { '?' };
    // A URL that would be too long stays as it is.
    if let Ok(path) = format!("{path}{separator}access=token").parse() {
        parts.path_and_query = Some(path);
    }
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

/// Sends a prepared request. Every attempt starts from the original URL: see [`EventSource`](crate::EventSource) on
/// redirects. `None` means that the server will send nothing more.
///
/// # Errors
///
/// Every response that neither opens the stream nor ends it for good.
pub(crate) async fn open(transport: &dyn Transport, mut request: Request) -> Result<Option<Opened>, Error> {
    let mut redirects = 0;
    loop {
        let response = transport.send(to_http(&request)).await?;
        let location = redirect::location(request.url(), response.status(), response.headers())?;
        if let Some(location) = location {
            request = redirect::follow(request, response.status(), location)?;
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(Error::TooManyRedirects { limit: MAX_REDIRECTS, url: request.url().clone() });
            }
            continue;
        }
        let url = request.url().clone();
        let verdict = Verdict::of(&response);
        let (response, readable) = match decoded(response) {
            Ok(response) => (response, true),
            Err(response) => (response, false),
        };
        return match verdict {
            Verdict::Opens if readable => {
                let (head, body) = response.into_parts();
                let head = ResponseHead { url, headers: head.headers, version: head.version };
                Ok(Some(Opened { head, body }))
            }
            Verdict::Opens => Err(Error::ContentEncoding(Refusal::read(url, response).await)),
            Verdict::Ends => Ok(None),
            Verdict::FailsByStatus => Err(Error::Status(Refusal::read(url, response).await)),
            Verdict::FailsByType => Err(Error::ContentType(Refusal::read(url, response).await)),
        };
    }
}

fn to_http(request: &Request) -> http::Request<RequestBody> {
    let mut sent = http::Request::new(RequestBody::from(request.body().clone()));
    *sent.method_mut() = request.method().clone();
    *sent.uri_mut() = request.url().clone();
    *sent.headers_mut() = request.headers().clone();
    sent
}
