//! The model server that the gateway asks.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tidings_client::{HyperTransport, RequestBody, ResponseBody, Transport, TransportError, is_event_stream};
use tokio::time::timeout;

use super::{
    ending::Ending,
    failure::{Failure, Refusal},
    settings::GatewaySettings,
    target::Target,
};

/// How much of a refusal is passed on. Refusals are a few lines of JSON.
const MAX_REFUSAL_BYTES: usize = 256 << 10;

/// How many bytes may follow a complete answer, and how long to wait for them.
const MAX_REST_BYTES: usize = 16 << 10;
const REST_TIMEOUT: Duration = Duration::from_millis(250);

/// How long a refusal may take to arrive after its head.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends requests to the model server.
#[derive(Debug)]
pub(crate) struct Upstream {
    base: Uri,
    transport: HyperTransport,
}

impl Upstream {
    pub(crate) fn new(settings: &GatewaySettings) -> Upstream {
        // Each answer has a connection to itself while it arrives, so HTTP/2 would save nothing. The next request reuses the
        // connection, and needs no handshakes.
        let transport = HyperTransport::new()
            .with_connect_timeout(settings.timeouts.connect)
            .with_http1_only()
            .with_reuse();
        Upstream { base: settings.upstream.clone(), transport }
    }

    /// Sends a request. A redirect is an answer as any other. Dropping the future or the body ends the connection.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, TransportError> {
        let mut request = Request::new(RequestBody::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url(target).map_err(|_| TransportError::Unsupported {
            url: self.base.clone(),
            reason: "the path of the request cannot be appended to it",
        })?;
        *request.headers_mut() = headers;
        // Nothing is decoded here: events are read, and the rest is passed on as it is.
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.transport.send(request).await
    }

    /// Asks for a stream, and returns the head of the response and its body.
    ///
    /// # Errors
    /// When there is no answer, or the answer is not a stream.
    pub(crate) async fn open(
        &self,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(HeaderMap, ResponseBody), Failure> {
        let (mut head, body) =
            self.send(Method::POST, target, headers, body).await.map_err(broken)?.into_parts();
        if head.status.is_redirection() {
            let message = format!("the upstream answered {}, and redirects are not followed", head.status);
            return Err(Failure::new(Ending::UpstreamError, message));
        }
        if head.status == StatusCode::OK && is_event_stream(&head.headers) {
            let coding = head.headers.remove(header::CONTENT_ENCODING);
            return match coding.filter(|coding| *coding != "identity") {
                None => Ok((headers_for_client(&head.headers), body)),
                // A repeat would get the same answer, and be paid for again.
                Some(coding) => Err(Failure::new(
                    Ending::UpstreamError,
                    format!(
                        "the upstream's stream has the Content-Encoding {coding:?}, which was not asked for"
                    ),
                )),
            };
        }
        if head.status.is_success() {
            let kind = head.headers.get(header::CONTENT_TYPE);
            let kind = kind.map_or("nothing".into(), |kind| String::from_utf8_lossy(kind.as_bytes()));
            let message = format!("the upstream answered {} with {kind} instead of a stream", head.status);
            return Err(Failure::new(Ending::UpstreamError, message));
        }
        // The part of a refusal that has arrived says enough.
        let mut kept = BytesMut::new();
        let _ = timeout(REFUSAL_TIMEOUT, read_into(&mut kept, body, MAX_REFUSAL_BYTES)).await;
        Err(Failure::refused(Refusal {
            status: head.status,
            headers: headers_for_client(&head.headers),
            body: kept.freeze(),
        }))
    }

    /// The upstream's URL with the target after it. If the URL ends with `/v1`, that is not doubled.
    fn url(&self, target: &Target) -> Result<Uri, http::Error> {
        let base = self.base.path().trim_end_matches('/');
        let target = target.as_str();
        let target = match base.ends_with("/v1") {
            true => target.strip_prefix("/v1").unwrap_or(target),
            false => target,
        };
        let mut parts = self.base.clone().into_parts();
        parts.path_and_query = Some(format!("{base}{target}").parse()?);
        Ok(Uri::from_parts(parts)?)
    }
}

/// Reads the rest of a body whose answer is complete, usually the end of the framing. Then the connection can be used again.
pub(super) async fn read_rest(mut body: ResponseBody) {
    let reading = async {
        let mut left = MAX_REST_BYTES;
        while let Some(Ok(chunk)) = body.chunk().await {
            let Some(still) = left.checked_sub(chunk.len()) else { return };
            left = still;
        }
    };
    let _ = timeout(REST_TIMEOUT, reading).await;
}

/// Reads at most so many bytes of a body.
///
/// # Errors
/// When the connection breaks, or there is more.
pub(crate) async fn read_into(
    whole: &mut BytesMut,
    mut body: ResponseBody,
    max_bytes: usize,
) -> Result<(), Failure> {
    while let Some(chunk) = body.chunk().await {
        let chunk = chunk.map_err(broken)?;
        let room = max_bytes - whole.len();
        whole.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            let message = format!("the upstream's answer is over {max_bytes} bytes");
            return Err(Failure::new(Ending::UpstreamError, message));
        }
    }
    Ok(())
}

/// Why a request has no answer. The error may name addresses and proxies, so it goes to the log alone.
pub(crate) fn broken(error: TransportError) -> Failure {
    let failure = match &error {
        TransportError::Connect { .. } => {
            Failure::new(Ending::UpstreamError, "the upstream cannot be reached").again()
        }
        TransportError::Broken { .. } => {
            Failure::new(Ending::Truncated, "the upstream's connection broke before its answer was complete")
                .again()
        }
        _ => Failure::new(Ending::UpstreamError, "the upstream cannot be asked"),
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "an upstream failed");
    failure
}

/// The headers of an upstream that a client gets: those that SDKs read, and none about the connection.
pub(crate) fn headers_for_client(from_upstream: &HeaderMap) -> HeaderMap {
    const PREFIXES: [&str; 4] = ["openai-", "anthropic-", "x-ratelimit-", "retry-after"];
    const NAMES: [&str; 5] =
        ["content-type", "content-encoding", "x-request-id", "request-id", "x-should-retry"];
    let known = |name: &&HeaderName| {
        NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    let mut headers = HeaderMap::new();
    for name in from_upstream.keys().filter(known) {
        for value in from_upstream.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{Secret, wire::Interface};

    #[test]
    fn a_path_is_appended_and_v1_not_doubled() {
        for (base, expected) in [
            ("https://api.openai.com", "https://api.openai.com/v1/messages?beta=true"),
            ("https://api.openai.com/", "https://api.openai.com/v1/messages?beta=true"),
            ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/messages?beta=true"),
            ("http://host/openai/v1/", "http://host/openai/v1/messages?beta=true"),
            ("http://host/openai", "http://host/openai/v1/messages?beta=true"),
        ] {
            let upstream = Upstream::new(&GatewaySettings::new(base, Secret::new("s")).unwrap());
            let target = Target::of_interface(Interface::Messages, Some("beta=true"));
            assert_eq!(upstream.url(&target).unwrap().to_string(), expected);
        }
    }
}
